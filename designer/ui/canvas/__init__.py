"""The canvas: NodeGraphQt's viewer and items as a view of the document. The document is the truth."""

import os

# Before Qt.py, which NodeGraphQt draws Qt from, looks for a binding by itself.
os.environ.setdefault("QT_PREFERRED_BINDING", "PySide6")

from designer.ui.canvas.view import CanvasView

__all__ = ["CanvasView"]
