"""Editing beyond wires: inserting, taking out, renaming, aligning, snapping; by real events, as one undo step."""

import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtTest import QTest

from designer.graph import Document
from designer.ui import theme
from designer.ui.canvas import CanvasView
from designer.ui.canvas.items import GRID, WIDTH
from designer.ui.canvas.placing import SIDES, align, spread
from tests.ui.canvas_support import CATALOGUE, LEFT, NONE, click, drag, drop, is_mirror, point

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def view(qtbot):
    """An empty document, seen one to one, with the scene's origin in the middle."""
    view = CanvasView(Document.new("Test", CATALOGUE), CATALOGUE, theme.DARK)
    view.resize(1000, 700)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    view.viewer.look_at(QPointF(0, 0), 1.0)
    return view


@pytest.fixture
def chain(view):
    """Image, two convolutions and a concat side by side, wired."""
    doc = view.document
    nodes = [doc.add("io.image", title="Image", at=(-480, -100))]
    for i, component in enumerate(("conv.conv", "conv.conv", "fusion.concat")):
        nodes.append(doc.add(component, title=f"N{i}", at=(-240 + 250 * i, -100)))
        doc.connect(nodes[-2], nodes[-1])
    doc.history.done.clear()
    return view, *nodes


def on_wire(view, index):
    wire = view.wires[view.document.data.wires[index].id]
    return point(view, wire.path().pointAtPercent(0.5))


def ends(view):
    return [w.ends for w in view.document.data.wires]


def test_a_component_dropped_on_a_wire_is_inserted_and_gets_room(chain):
    view, image, one, two, last = chain
    before = view.document.data.model_dump()
    drop(view, "conv.conv", on_wire(view, 1))
    new = view.document.data.nodes[-1]
    assert ends(view)[-2:] == [(one.id, "out", new.id, "x"), (new.id, "out", two.id, "x")]
    assert len(view.document.data.wires) == 4
    assert one.x + WIDTH < new.x
    assert new.x + WIDTH < two.x
    assert two.x + WIDTH < last.x  # what follows has moved along
    assert (image.x, one.x) == (-480, -240)
    assert view.document.undo_name == "Insert Conv"
    assert is_mirror(view) == []
    view.undo()
    assert view.document.data.model_dump() == before


def test_what_does_not_fit_on_a_wire_is_put_beside_it_and_told(chain):
    view, *_ = chain
    said = []
    view.status.connect(said.append)
    wires = ends(view)
    drop(view, "post.nms", on_wire(view, 1))
    assert ends(view) == wires
    assert view.document.data.nodes[-1].component == "post.nms"
    assert "takes predictions" in said[-1]


def test_a_loose_node_dragged_onto_a_wire_is_inserted(chain):
    view, _, one, two, _ = chain
    loose = view.document.add("conv.conv", title="Loose", at=(-100, 150))
    at = on_wire(view, 1)
    drag(view, point(view, view.nodes[loose.id].scene_card().center()), at, release=False)
    wire = view.wires[view.document.data.wires[1].id]
    assert wire.under_pointer  # the wire stands out before the node is let go
    QTest.mouseRelease(view.viewer.viewport(), LEFT, NONE, at)
    assert {(one.id, "out", loose.id, "x"), (loose.id, "out", two.id, "x")} < set(ends(view))
    assert view.document.undo_name == "Insert Loose"
    assert is_mirror(view) == []
    view.undo()
    assert (loose.x, loose.y) == (-100, 150)
    assert len(view.wires) == 3
    # A node that is wired already is only moved.
    grip = point(view, view.nodes[one.id].scene_card().center())
    drag(view, grip, on_wire(view, 2))
    assert view.document.undo_name == "Move N0"


def test_x_takes_nodes_out_and_joins_what_they_stood_between(chain):
    view, image, one, two, last = chain
    view.select([one.id, two.id])
    QTest.keyClick(view.viewer, Qt.Key.Key_X)
    assert ends(view) == [(image.id, "out", last.id, "xs.0")]
    assert is_mirror(view) == []
    view.undo()
    assert len(view.nodes) == 4


def test_ctrl_and_the_right_button_cut_wires(chain, monkeypatch):
    view, *_ = chain
    monkeypatch.setattr(view, "menu", lambda: pytest.fail("the menu must not open"))
    at = on_wire(view, 1)
    drag(view, at - QPoint(0, 60), at + QPoint(0, 60), Qt.MouseButton.RightButton, CTRL)
    assert len(view.document.data.wires) == 2
    assert view.document.undo_name == "Cut 1 wire"
    view.undo()
    drag(view, QPoint(10, 180), QPoint(990, 330), Qt.MouseButton.RightButton, CTRL)
    assert is_mirror(view) == []


def test_f2_and_a_double_click_rename_where_the_title_stands(chain):
    view, _, one, two, _ = chain
    view.select([one.id])
    QTest.keyClick(view.viewer, Qt.Key.Key_F2)
    assert view.titles.isVisible()
    QTest.keyClicks(view.titles, "Stem")
    QTest.keyClick(view.titles, Qt.Key.Key_Return)
    assert one.title == view.nodes[one.id].name == "Stem"
    assert not view.titles.isVisible()
    item = view.nodes[two.id]
    title = point(view, item.mapToScene(item.title_box().center()))
    QTest.mouseDClick(view.viewer.viewport(), LEFT, NONE, title)
    QTest.keyClicks(view.titles, "Not this")
    QTest.keyClick(view.titles, Qt.Key.Key_Escape)
    assert two.title == "N1"
    QTest.mouseDClick(view.viewer.viewport(), LEFT, NONE, title)
    QTest.keyClicks(view.titles, "X")  # a letter, not the key of Take out
    click(view, QPoint(500, 650))
    assert two.title == "X"
    view.undo()
    view.undo()
    assert (one.title, two.title) == ("N0", "N1")


@pytest.mark.parametrize("side", SIDES)
def test_aligned_cards_have_one_side_on_a_line(chain, side):
    view, _, one, two, last = chain
    view.document.move({two.id: (37, 90), last.id: (300, -220)})
    view.document.seal()
    chosen = [one.id, two.id, last.id]
    before = [view.nodes[i].scene_card() for i in chosen]
    view.select(chosen)
    view.commands()[f"align_{side}"]()
    cards = [view.nodes[i].scene_card() for i in chosen]
    line = {
        "left": lambda c: c.left(),
        "right": lambda c: c.right(),
        "centre": lambda c: c.center().x(),
        "top": lambda c: c.top(),
        "bottom": lambda c: c.bottom(),
        "middle": lambda c: c.center().y(),
    }[side]
    assert max(map(line, cards)) - min(map(line, cards)) <= 1
    other = QRectF.left if side in ("top", "middle", "bottom") else QRectF.top
    assert [other(c) for c in cards] == [other(c) for c in before]
    assert view.document.undo_name == "Align 3 nodes"
    view.undo()
    assert [view.nodes[i].scene_card() for i in chosen] == before


def test_equal_gaps_keep_the_outermost_in_place():
    cards = {"a": QRectF(0, 0, 10, 5), "c": QRectF(90, 9, 30, 5), "b": QRectF(15, 3, 20, 5)}
    # 120 wide less 60 of cards leaves two gaps of 30.
    assert spread(cards, across=True) == {"a": (0, 0), "b": (40, 3), "c": (90, 9)}
    assert align(cards, "right") == {"a": (110, 0), "b": (100, 3), "c": (90, 9)}


def test_too_few_nodes_are_told(chain):
    view, _, one, *_ = chain
    said = []
    view.status.connect(said.append)
    view.select([one.id])
    view.align("left")
    view.spread(across=True)
    assert said == ["Select 2 nodes or more first.", "Select 3 nodes or more first."]
    assert view.document.undo_name == ""


def test_with_snap_dragged_nodes_keep_to_the_grid(chain):
    view, _, one, *_ = chain
    view.toggle_snap()
    grip = point(view, view.nodes[one.id].scene_card().center())
    drag(view, grip, grip + QPoint(31, 77))
    assert (one.x % GRID, one.y % GRID) == (0, 0)
    assert abs(one.x - (-240 + 31)) <= GRID / 2
    view.undo()
    assert (one.x, one.y) == (-240, -100)  # undo is not snapped
    view.toggle_snap()
    drag(view, grip, grip + QPoint(31, 77))
    assert (one.x, one.y) == (-209, -23)


def test_arranging_a_selection_leaves_the_rest(chain):
    view, image, one, two, last = chain
    view.document.move({one.id: (0, 200), two.id: (-30, 230)})
    view.select([one.id, two.id])
    view.arrange()
    assert (image.x, image.y, last.x, last.y) == (-480, -100, 260, -100)
    assert min(one.x, two.x) == -30
    assert two.x >= one.x + WIDTH
