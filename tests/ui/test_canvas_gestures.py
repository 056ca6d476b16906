"""The canvas by mouse and keyboard: every gesture ends in the document, as one undo step."""

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QFocusEvent, QGuiApplication, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from designer.graph import Document
from designer.ui import theme
from designer.ui.canvas import CanvasView
from tests.ui.canvas_support import (
    CATALOGUE,
    LEFT,
    MIDDLE,
    NONE,
    click,
    drag,
    drop,
    far_from,
    is_mirror,
    point,
    port_point,
    wire_by_mouse,
)

SHIFT, ALT, CTRL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)


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
    """Image and two convolutions side by side; the first two are wired."""
    doc = view.document
    image = doc.add("io.image", title="Image", at=(-400, -100))
    conv = doc.add("conv.conv", title="Conv A", at=(-100, -100))
    last = doc.add("conv.conv", title="Conv B", at=(200, -100))
    doc.connect(image, conv)
    doc.history.done.clear()
    view.viewer.look_at(QPointF(0, 0), 1.0)
    return view, image, conv, last


def said(view):
    texts = []
    view.status.connect(texts.append)
    return texts


def test_a_component_dropped_from_the_palette_becomes_a_node_under_the_pointer(view):
    at = QPoint(300, 200)
    drop(view, "conv.conv", at)
    (node,) = view.document.data.nodes
    card = view.nodes[node.id].scene_card()
    assert card.contains(view.viewer.mapToScene(at))
    assert view.selected_ids() == [node.id]
    assert view.document.undo_name == "Add Conv"
    view.undo()
    assert view.document.data.nodes == []
    assert view.nodes == {}


def test_a_wire_is_drawn_from_port_to_port_shows_its_shape_and_is_undone(chain, qtbot):
    view, _, conv, last = chain
    wire_by_mouse(view, conv, last)
    wire = view.document.data.wires[-1]
    assert wire.ends == (conv.id, "out", last.id, "x")
    assert view.document.undo_name == "Connect Conv A to Conv B"
    info = {"kind": "map", "shape": [1, 64, 80, 80], "dtype": "float32"}
    view.show_propagation({"nodes": {conv.id: {"status": "ok", "outputs": {"out": info}}}, "problems": []})
    item = view.wires[wire.id]
    assert item.label == "64 × 80 × 80"
    assert item.label_at is not None
    painted = view.viewer.grab().toImage()
    at = view.viewer.mapFromScene(item.label_at)
    colours = {painted.pixelColor(at.x() + dx, at.y() + dy).name() for dx in range(-30, 30) for dy in range(-5, 6)}
    assert view.mirror.look.muted.name() in colours  # the letters
    view.undo()
    assert wire.id not in view.wires
    assert is_mirror(view) == []


def test_backwards_from_an_input_to_an_output_is_the_same_wire(chain):
    view, _, conv, last = chain
    drag(view, port_point(view, last, "x", True), port_point(view, conv, "out", False))
    assert view.document.data.wires[-1].ends == (conv.id, "out", last.id, "x")


def test_refused_wires_say_why_and_change_nothing(chain):
    view, image, conv, last = chain
    texts = said(view)
    nms = view.document.add("post.nms", title="NMS", at=(200, 100))
    before = view.document.data.model_dump()
    wire_by_mouse(view, conv, nms, target_port="p")
    assert "gives a map, NMS takes predictions" in texts[-1]
    view.document.connect(conv, last)
    before = view.document.data.model_dump()
    view.document.disconnect(view.document.data.wires[0])
    drag(view, port_point(view, last, "out", False), port_point(view, conv, "x", True))
    assert "close a loop" in texts[-1]
    view.undo()
    assert view.document.data.model_dump() == before
    drag(view, port_point(view, image, "out", False), port_point(view, last, "out", False))
    assert "from an output" in texts[-1]
    assert view.document.data.model_dump() == before
    assert is_mirror(view) == []


def test_a_reason_goes_with_the_port_that_it_was_about(chain):
    view, image, _conv, last = chain
    texts = said(view)
    drag(view, port_point(view, image, "out", False), port_point(view, last, "out", False), release=False)
    assert "from an output" in texts[-1]
    QTest.mouseMove(view.viewer.viewport(), point(view, (-150, 250)))
    assert texts[-1] == ""
    QTest.keyClick(view.viewer, Qt.Key.Key_Escape)
    QTest.mouseRelease(view.viewer.viewport(), LEFT, NONE, point(view, (-150, 250)))


def test_while_a_wire_is_dragged_just_the_ports_that_it_fits_are_lit(chain):
    view, image, _conv, last = chain
    doc = view.document
    doc.add("fusion.concat", title="Concat", at=(-100, 150))
    doc.add("post.nms", title="NMS", at=(200, 150))
    doc.add("head.head", title="Head", at=(-400, 150))
    doc.add("gone.component", title="Unknown", at=(-400, 260))
    doc.connect(last, "n4")
    starts = [p for item in view.nodes.values() for p in item.ports.values() if not (p.is_input and p.connected_pipes)]
    assert len(starts) > 8
    for start in starts:
        view.graph._light_ports(start)
        for other in (p for item in view.nodes.values() for p in item.ports.values() if p is not start):
            source, target = (other, start) if start.is_input else (start, other)
            fits = start.is_input != other.is_input and doc.why_not(*source.key, *target.key) is None
            assert other.lit is fits, (start.key, other.key)
    view.graph._unlight_ports()
    drag(view, port_point(view, image, "out", False), QPoint(600, 600), release=False)
    assert view.nodes["n4"].ports[True, "xs.1"].lit is True
    assert view.nodes["n5"].ports[True, "p"].lit is False
    QTest.keyClick(view.viewer, Qt.Key.Key_Escape)
    assert {p.lit for item in view.nodes.values() for p in item.ports.values()} == {None}


def test_a_wire_is_taken_off_an_input_and_put_on_another_as_one_step(chain):
    view, image, conv, last = chain
    (wire,) = view.document.data.wires
    drag(view, port_point(view, conv, "x", True), port_point(view, last, "x", True))
    assert [w.ends for w in view.document.data.wires] == [(image.id, "out", last.id, "x")]
    view.undo()
    assert [w.ends for w in view.document.data.wires] == [wire.ends]
    # Put back where it was, given up half way, and refused: all leave it as it is.
    drag(view, port_point(view, conv, "x", True), QPoint(60, 600), release=False)
    assert not view.wires[wire.id].isVisible()
    QTest.mouseMove(view.viewer.viewport(), port_point(view, conv, "x", True))
    QTest.mouseRelease(view.viewer.viewport(), Qt.MouseButton.LeftButton, NONE, port_point(view, conv, "x", True))
    assert view.document.data.wires == [wire]
    drag(view, port_point(view, conv, "x", True), QPoint(60, 600), release=False)
    QTest.keyClick(view.viewer, Qt.Key.Key_Escape)
    QTest.mouseRelease(view.viewer.viewport(), Qt.MouseButton.LeftButton, NONE, QPoint(60, 600))
    nms = view.document.add("post.nms", title="NMS", at=(200, 100))
    drag(view, port_point(view, conv, "x", True), port_point(view, nms, "p", True))
    assert view.document.data.wires == [wire]
    assert view.wires[wire.id].isVisible()
    # Let go over nothing, it is gone.
    drag(view, port_point(view, conv, "x", True), QPoint(60, 600))
    assert view.document.data.wires == []
    assert view.document.undo_name == "Disconnect Conv A"


def test_a_wire_dropped_on_a_card_takes_the_first_port_that_fits(chain):
    view, _, conv, _ = chain
    fpn = view.document.add("neck.fpn", title="FPN", at=(200, 100))
    card = view.nodes[fpn.id].scene_card()
    drag(view, port_point(view, conv, "out", False), point(view, card.center()))
    drag(view, port_point(view, conv, "out", False), point(view, card.center()))
    assert [w.ends[2:] for w in view.document.data.wires[1:]] == [(fpn.id, "c3"), (fpn.id, "c4")]


def test_a_wire_dropped_on_nothing_offers_what_fits(chain):
    view, _, conv, _ = chain
    drag(view, port_point(view, conv, "out", False), QPoint(700, 500))
    assert view.search.isVisible()
    names = [view.search.list.item(i).text() for i in range(view.search.list.count())]
    assert set(names) == {"Conv", "Concat", "FPN", "Head"}
    QTest.keyClicks(view.search.line, "conct")  # letters in order are enough
    QTest.keyClick(view.search.line, Qt.Key.Key_Return)
    node = view.document.data.nodes[-1]
    assert node.component == "fusion.concat"
    assert view.document.data.wires[-1].ends == (conv.id, "out", node.id, "xs.0")
    assert not view.search.isVisible()
    view.undo()  # node and wire are one step
    assert len(view.document.data.nodes) == 3
    assert is_mirror(view) == []


def test_growing_ports_show_one_spare(chain):
    view, image, conv, last = chain
    concat = view.document.add("fusion.concat", title="Concat", at=(200, 100))
    item = view.nodes[concat.id]
    assert [n for side, n in item.ports if side] == ["xs.0"]
    wire_by_mouse(view, conv, concat, target_port="xs.0")
    wire_by_mouse(view, image, concat, target_port="xs.1")
    assert [n for side, n in item.ports if side] == ["xs.0", "xs.1", "xs.2"]
    tall = item.height
    view.undo()
    assert [n for side, n in item.ports if side] == ["xs.0", "xs.1"]
    assert item.height < tall
    assert view.wires[view.document.data.wires[-1].id].input_port is item.ports[True, "xs.0"]
    assert last.id in view.nodes


def test_selected_nodes_move_together_as_one_step(chain):
    view, image, conv, last = chain
    view.select_all()
    start = {n: (view.document.node(n).x, view.document.node(n).y) for n in view.nodes}
    grip = point(view, view.nodes[conv.id].scene_card().center())
    drag(view, grip, grip + QPoint(60, 45))
    assert view.document.undo_name == "Move 3 nodes"
    for node in (image, conv, last):
        assert (node.x, node.y) == (start[node.id][0] + 60, start[node.id][1] + 45)
    assert is_mirror(view) == []
    drag(view, grip + QPoint(60, 45), grip + QPoint(90, 45))
    view.undo()
    assert (conv.x, conv.y) == (start[conv.id][0] + 60, start[conv.id][1] + 45)
    view.undo()
    assert {n: (view.document.node(n).x, view.document.node(n).y) for n in view.nodes} == start
    assert is_mirror(view) == []


def test_escape_puts_dragged_nodes_back(chain):
    view, _, conv, _ = chain
    grip = point(view, view.nodes[conv.id].scene_card().center())
    drag(view, grip, grip + QPoint(60, 45), release=False)
    assert view.nodes[conv.id].x() != conv.x
    QTest.keyClick(view.viewer, Qt.Key.Key_Escape)
    QTest.mouseRelease(view.viewer.viewport(), Qt.MouseButton.LeftButton, NONE, grip + QPoint(60, 45))
    assert is_mirror(view) == []
    assert not view.document.can_undo


def test_selection_by_click_band_and_shift(chain):
    view, image, conv, last = chain
    seen = []
    view.selection_changed.connect(lambda ids: seen.append(set(ids)))
    centre = {n.id: point(view, view.nodes[n.id].scene_card().center()) for n in (image, conv, last)}
    click(view, centre[conv.id])
    assert view.selected_ids() == [conv.id]
    click(view, centre[last.id], SHIFT)
    assert set(view.selected_ids()) == {conv.id, last.id}
    click(view, QPoint(500, 600))
    assert view.selected_ids() == []
    corner = point(view, view.nodes[conv.id].scene_card().topLeft()) - QPoint(20, 40)
    drag(view, corner, point(view, view.nodes[last.id].scene_card().bottomRight()) + QPoint(20, 40))
    assert set(view.selected_ids()) == {conv.id, last.id}
    assert seen[-1] == {conv.id, last.id}
    assert not view.document.can_undo  # selecting is no part of the history


def test_keys_delete_copy_paste_duplicate_undo(chain):
    view, _, conv, last = chain
    view.document.connect(conv, last)
    view.select([conv.id, last.id])
    QTest.keyClick(view.viewer, Qt.Key.Key_C, CTRL)
    QTest.keyClick(view.viewer, Qt.Key.Key_V, CTRL)
    assert [n.title for n in view.document.data.nodes[3:]] == ["Conv A 2", "Conv B 2"]
    assert view.document.data.wires[-1].ends == ("n4", "out", "n5", "x")
    assert set(view.selected_ids()) == {"n4", "n5"}
    assert (view.document.node("n4").x, view.document.node("n4").y) == (conv.x + 32, conv.y + 32)
    QTest.keyClick(view.viewer, Qt.Key.Key_V, CTRL)
    assert view.document.node("n6").x == conv.x + 64  # not on top of the first copy
    QTest.keyClick(view.viewer, Qt.Key.Key_D, CTRL)
    assert len(view.document.data.nodes) == 9
    QTest.keyClick(view.viewer, Qt.Key.Key_Delete)
    assert view.document.undo_name == "Delete 2 nodes"
    assert len(view.document.data.nodes) == 7
    QTest.keyClick(view.viewer, Qt.Key.Key_Z, CTRL)
    assert len(view.document.data.nodes) == 9
    QTest.keyClick(view.viewer, Qt.Key.Key_A, CTRL)
    QTest.keyClick(view.viewer, Qt.Key.Key_X, CTRL)
    assert view.document.data.nodes == []
    assert view.viewer.all_nodes() == view.viewer.all_pipes() == []
    QGuiApplication.clipboard().setText("[1, 2]")
    texts = said(view)
    view.paste()
    assert "clipboard holds no nodes" in texts[-1]
    while view.document.can_undo:
        QTest.keyClick(view.viewer, Qt.Key.Key_Z, CTRL)
    assert is_mirror(view) == []


def test_a_wire_is_clicked_and_deleted(chain):
    view, _, _, _ = chain
    (wire,) = view.document.data.wires
    path = view.wires[wire.id].path()
    click(view, point(view, path.pointAtPercent(0.5)))
    assert view.selected_wires() == [wire.id]
    QTest.keyClick(view.viewer, Qt.Key.Key_Delete)
    assert view.document.data.wires == []


def test_arrow_keys_nudge_and_are_one_step(chain):
    view, _, conv, _ = chain
    view.select([conv.id])
    x = conv.x
    for _ in range(3):
        QTest.keyClick(view.viewer, Qt.Key.Key_Right)
    assert conv.x == x + 24
    view.undo()
    assert conv.x == x


def test_alt_and_shift_cut_wires(chain):
    view, _, conv, last = chain
    view.document.connect(conv, last)
    middles = [view.wires[w.id].path().pointAtPercent(0.5) for w in view.document.data.wires]
    for middle in middles:
        drag(view, point(view, middle) - QPoint(3, 40), point(view, middle) + QPoint(3, 40), keys=ALT | SHIFT)
    assert view.document.data.wires == []
    assert view.document.undo_name == "Cut 1 wire"


def test_pan_and_zoom_hold_the_point_under_the_pointer(chain):
    view, _, _, _ = chain
    viewer = view.viewer
    held = viewer.mapToScene(QPoint(200, 200))
    drag(view, QPoint(200, 200), QPoint(320, 260), MIDDLE)
    assert (viewer.mapFromScene(held) - QPoint(320, 260)).manhattanLength() <= 1
    QTest.keyPress(viewer, Qt.Key.Key_Space)
    drag(view, QPoint(320, 260), QPoint(200, 200))
    QTest.keyRelease(viewer, Qt.Key.Key_Space)
    assert (viewer.mapFromScene(held) - QPoint(200, 200)).manhattanLength() <= 2
    percents = []
    view.zoom_changed.connect(percents.append)
    for delta in (120, 120, -120, 240):
        at = QPointF(410, 330)
        before = viewer.mapToScene(at.toPoint())
        wheel = QWheelEvent(
            at, viewer.mapToGlobal(at), QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton, NONE,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(viewer.viewport(), wheel)
        assert (viewer.mapFromScene(before) - at.toPoint()).manhattanLength() <= 1
    assert percents[-1] == pytest.approx(100 * 1.0015**360)
    view.zoom_100()
    assert viewer.zoom == 1.0
    assert not view.document.can_undo


def test_two_fingers_pan(view):
    viewer = view.viewer
    held, at = viewer.mapToScene(QPoint(200, 200)), QPointF(200, 200)
    fingers = QWheelEvent(
        at, viewer.mapToGlobal(at), QPoint(-30, -12), QPoint(0, -40), Qt.MouseButton.NoButton, NONE,
        Qt.ScrollPhase.ScrollUpdate, False,
    )  # fmt: skip
    QApplication.sendEvent(viewer.viewport(), fingers)
    assert viewer.zoom == 1.0
    assert viewer.mapFromScene(held) == QPoint(170, 188)


def test_a_modifier_that_was_let_go_elsewhere_does_not_stick(chain):
    view, _, conv, _ = chain
    QTest.keyPress(view.viewer, Qt.Key.Key_Shift)
    QApplication.sendEvent(view.viewer, QFocusEvent(QEvent.Type.FocusOut))  # its release goes to another window
    x = conv.x
    grip = point(view, view.nodes[conv.id].scene_card().center())
    drag(view, grip, grip + QPoint(50, 0))
    assert conv.x == x + 50


def test_double_click_opens_a_node_and_on_nothing_the_search(chain, qtbot):
    view, _, conv, _ = chain
    opened = []
    view.node_activated.connect(opened.append)
    port = view.viewer.viewport()
    QTest.mouseDClick(port, Qt.MouseButton.LeftButton, NONE, point(view, view.nodes[conv.id].scene_card().center()))
    assert opened == [conv.id]
    QTest.mouseDClick(port, Qt.MouseButton.LeftButton, NONE, QPoint(500, 600))
    assert view.search.isVisible()
    QTest.keyClicks(view.search.line, "convolution")  # an alias
    QTest.keyClick(view.search.line, Qt.Key.Key_Return)
    node = view.document.data.nodes[-1]
    assert node.component == "conv.conv"
    assert view.nodes[node.id].scene_card().contains(view.viewer.mapToScene(QPoint(500, 600)))


def test_the_menu_offers_what_can_be_done(chain):
    view, _, conv, _ = chain
    QGuiApplication.clipboard().clear()
    view.select([])
    able = {a.text().split("\t")[0]: a.isEnabled() for a in view.menu().actions() if a.text()}
    assert not {"Cut", "Copy", "Delete", "Freeze", "Unpack", "Colour"} & able.keys()
    assert not any(able[name] for name in ("Paste", "Undo"))
    assert able["Select all"]
    view.select([conv.id])
    entries = {a.text().split("\t")[0]: a for a in view.menu().actions()}
    assert "Freeze\tCtrl+Shift+K" in {a.text() for a in entries.values()}
    assert not {"Open", "Unpack", "Unframe"} & entries.keys()  # a convolution in no frame
    assert "Select all" not in {a.text().split("\t")[0] for a in view.menu(on_item=True).actions()}
    entries["Freeze"].trigger()
    assert conv.frozen
    assert view.document.undo_name == "Freeze Conv A"
    entries["Bypass"].trigger()
    assert conv.disabled
    entries["Delete"].trigger()
    assert conv.id not in view.nodes
    for _ in range(3):
        view.undo()
    assert not conv.frozen
    assert not conv.disabled
    assert is_mirror(view) == []


def test_arrange_is_one_step(chain):
    view, _, conv, last = chain
    view.document.connect(conv, last)
    before = [(n.x, n.y) for n in view.document.data.nodes]
    view.arrange()
    xs = [n.x for n in view.document.data.nodes]
    assert xs == sorted(set(xs))
    view.undo()
    assert [(n.x, n.y) for n in view.document.data.nodes] == before


def test_without_a_document_no_gesture_does_anything(view):
    view.set_document(None)
    for act in (view.copy, view.cut, view.paste, view.delete_selected, view.undo, view.redo, view.duplicate, view.fit):
        act()
    drag(view, QPoint(100, 100), QPoint(300, 300))
    assert view.add_at_centre("conv.conv") is None
    assert view.nodes == {}


@pytest.mark.parametrize("key", [NONE, CTRL, SHIFT])
@pytest.mark.parametrize("chosen", [(), ("Conv A",), ("Conv B",), ("Conv A", "Conv B")])
def test_a_dragged_node_is_where_the_document_has_it(chain, key, chosen):
    """With keys as well, which choose otherwise: Qt moves what was pressed, selected or not."""
    view, _, conv, last = chain
    view.select([n.id for n in (conv, last) if n.title in chosen])
    grip = point(view, view.nodes[conv.id].scene_card().center())
    drag(view, grip, far_from(grip, 40, 120), keys=key)
    assert is_mirror(view) == []
    assert conv.y > -100
    view.undo()
    assert (conv.x, conv.y, last.x, last.y) == (-100, -100, 200, -100)
    assert is_mirror(view) == []


def test_a_click_while_another_button_is_down_leaves_the_mouse_to_what_is_pressed_next(chain):
    view, _, conv, last = chain
    grips = [point(view, view.nodes[n.id].scene_card().center()) for n in (conv, last)]
    QTest.mousePress(view.viewer.viewport(), MIDDLE, NONE, QPoint(5, 5))  # let go where we do not hear of it
    click(view, QPoint(5, 5))
    click(view, grips[0])
    drag(view, grips[1], far_from(grips[1], 40, 120))
    QTest.mouseRelease(view.viewer.viewport(), MIDDLE, NONE, QPoint(5, 5))
    assert (conv.x, conv.y) == (-100, -100)
    assert last.y > -100
    assert is_mirror(view) == []
