"""From afar the items of a large document are without content; what comes into sight has it back in time."""

import pytest
from PySide6.QtCore import QPoint, QPointF
from PySide6.QtWidgets import QGraphicsItem

from designer.graph import Document
from designer.ui import theme
from designer.ui.canvas import CanvasView
from designer.ui.canvas.items import NodeItem
from designer.ui.canvas.wires import WireItem
from tests.ui.canvas_support import CATALOGUE


def test_coming_nearer_everything_in_sight_is_drawn(qtbot):
    document = Document.new("Large", CATALOGUE)
    last = None
    for i in range(200):
        node = document.add("conv.conv", at=(i % 20 * 300.0, i // 20 * 150.0))
        if last is not None:
            document.connect(last, node)
        last = node
    view = CanvasView(document, CATALOGUE, theme.DARK)
    view.resize(1000, 700)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    blank = QGraphicsItem.GraphicsItemFlag.ItemHasNoContents

    def unseen():
        inside = view.viewer.scene().items(view.viewer.seen())
        return [i for i in inside if isinstance(i, (NodeItem, WireItem)) and i.flags() & blank]

    view.fit()
    assert unseen()
    view.viewer.look_at(view.nodes["n1"].pos(), 1.0)
    assert not unseen()
    assert view.nodes["n200"].flags() & blank  # far away still
    for _ in range(30):
        view.viewer.pan_by(QPointF(300, 120))
        assert not unseen()
    view.document.move({"n200": (view.viewer.middle.x(), view.viewer.middle.y())})
    assert not unseen()
    view.viewer.zoom_by(0.5, QPoint(200, 200))
    assert not unseen()
    with view.viewer.near_layer():
        assert not any(item.flags() & blank for item in view.nodes.values())
    view.fit()
    assert all(item.flags() & blank for item in [*view.nodes.values(), *view.wires.values()])


@pytest.mark.parametrize(("allowed", "rough"), [(0.0, True), (1e9, False)])
def test_a_small_document_whose_frames_take_long_zooms_without_smoothing_and_is_smooth_once_it_rests(
    qtbot, monkeypatch, allowed, rough
):
    monkeypatch.setattr("designer.ui.canvas.zoomed._SMOOTH_MS", allowed)
    document = Document.new("Small", CATALOGUE)
    first = document.add("io.image")
    document.connect(first, document.add("conv.conv", at=(300.0, 60.0)))
    view = CanvasView(document, CATALOGUE, theme.DARK)
    view.resize(800, 600)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    viewer = view.viewer
    port = viewer.viewport()
    viewer.look_at(QPointF(200, 100), 1.0)
    at = port.rect().center()

    def picture():
        return port.grab().toImage()

    full = picture()
    viewer.zoom_by(1.01, at)
    viewer.zoom_by(1 / 1.01, at)
    assert (picture() != full) is rough
    qtbot.waitUntil(lambda: picture() == full, timeout=5000)
    viewer.pan_by(QPointF(3, 0))  # strips that come in tell nothing of a whole frame
    port.repaint()
    viewer.zoom_by(1.01, at)
    assert viewer.is_rough is rough
