"""Nodes are placed to the right, downwards, or in a row for each stride; they glide there, and nothing waits for it."""

from itertools import pairwise

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest

from designer.graph import Document
from designer.graph.layout import layout_down, layout_levels
from designer.ui import theme
from designer.ui.canvas import CanvasView
from tests.ui.canvas_support import CATALOGUE, drag, is_mirror, point


@pytest.fixture
def view(qtbot):
    """A backbone of four nodes whose last two feed a pyramid; the engine's answer is there."""
    document = Document.new("Test", CATALOGUE)
    image = document.add("io.image", at=(0, 0))
    chain = [image]
    for i in range(3):
        chain.append(document.add("conv.conv", title=f"C{i}", at=(40 * i, 300)))
        document.connect(chain[-2], chain[-1])
    neck = document.add("neck.fpn", title="Neck", at=(0, 500))
    document.connect(chain[2], neck, "out", "c3")
    document.connect(chain[3], neck, "out", "c4")
    document.history.done.clear()
    view = CanvasView(document, CATALOGUE, theme.DARK)
    view.resize(1000, 700)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    maps = {"n1": 64, "n2": 32, "n3": 16, "n4": 8}
    nodes = {
        n: {"status": "ok", "outputs": {"out": {"kind": "map", "shape": [1, 8, size, size], "dtype": "float32"}}}
        for n, size in maps.items()
    }
    view.show_propagation({"nodes": nodes, "problems": [], "image_size": [64, 64]})
    return view


def cards(view):
    return [item.scene_card() for item in view.nodes.values()]


def apart(view):
    found = cards(view)
    return not any(a.intersects(b) for i, a in enumerate(found) for b in found[i + 1 :])


def test_downwards_every_wire_leads_down(view):
    view.arrange("down")
    for wire in view.document.data.wires:
        above, below = view.nodes[wire.source].scene_card(), view.nodes[wire.target].scene_card()
        assert above.bottom() < below.top()
    assert apart(view)
    assert is_mirror(view) == []
    view.undo()
    assert (view.document.node("n2").x, view.document.node("n2").y) == (0, 300)


def test_a_pyramid_has_a_row_for_each_stride(view):
    view.arrange("levels")
    rows = [view.nodes[n].scene_card() for n in ("n1", "n2", "n3", "n4")]
    assert all(a.bottom() < b.top() and a.right() < b.left() for a, b in pairwise(rows))
    neck = view.nodes["n5"].scene_card()  # fed by strides 4 and 8: at the level of one of them
    assert any(abs(neck.center().y() - row.center().y()) < 1 for row in rows[2:])
    assert apart(view)
    assert not view.document.can_redo
    view.undo()
    assert not view.document.can_undo


def test_layouts_of_nothing_and_without_shapes(view):
    assert layout_down(Document.new().data, {}) == {}
    assert layout_levels(Document.new().data, {}, {}) == {}
    sizes = dict.fromkeys(view.nodes, (188.0, 46.0))
    flat = layout_levels(view.document.data, sizes, {})  # one row while no shape is known
    assert len({y for _, y in flat.values()}) == 1


def test_nodes_glide_and_a_press_ends_it(view, qtbot):
    view.glide.enabled = True
    view.arrange()
    assert view.glide.is_running
    assert view.nodes["n2"].pos() != view.nodes["n2"].home  # on its way; the document has the new place already
    qtbot.waitUntil(lambda: not view.glide.is_running, timeout=2000)
    assert is_mirror(view) == []
    view.arrange("down")
    assert view.glide.is_running
    place = view.nodes["n3"].home
    grip = view.nodes["n3"].home + QPointF(90, 10)
    drag(view, point(view, grip), point(view, grip + QPointF(40, 0)))
    assert not view.glide.is_running
    assert (view.document.node("n3").x, view.document.node("n3").y) == pytest.approx((place.x() + 40, place.y()), abs=2)
    assert is_mirror(view) == []
    view.arrange()
    QTest.keyClick(view.viewer, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert is_mirror(view) == []
    view.arrange("down")
    view.set_document(Document.new("Other", CATALOGUE))  # while they are on their way
    qtbot.wait(250)
    assert view.nodes == {}
