"""Heads: the last layers of a model, with the loss that trains them and the decoding of their outputs."""
