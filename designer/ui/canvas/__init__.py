"""The canvas: NodeGraphQt's viewer and items as a view of the document. The document is the truth."""

from designer.ui.canvas.view import CanvasView

__all__ = ["CanvasView"]
