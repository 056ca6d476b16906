"""Netwright, the application: document, engine, trainer, exporters and window. See docs/architecture.md."""

__version__ = "0.1.0"
