"""The document: data, history, validation and files. No torch, no Qt."""
