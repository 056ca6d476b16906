"""The document: data, history, validation and files. No torch, no Qt.

>>> from designer.graph import Document
>>> doc = Document.new("Two nodes")
>>> image = doc.add("io.image_input", title="Image", height=64, width=64)
>>> pool = doc.add("pooling.max_pool", title="Pool")
>>> wire = doc.connect(image, pool, "out", "x")
>>> doc.order()
['n1', 'n2']
>>> doc.undo()
>>> doc.data.wires
[]
>>> doc.redo_name
'Connect Image to Pool'
"""

from __future__ import annotations

from designer.graph.document import Document

__all__ = ["Document"]
