"""Frames and notes by mouse and keyboard: they go with their nodes, and every change is one undo step."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from designer.graph import Document
from designer.graph.storage import dump, parse
from designer.ui import theme
from designer.ui.canvas import CanvasView
from designer.ui.canvas.frames import BAR
from designer.ui.canvas.menus import COLOURS
from tests.ui.canvas_support import CATALOGUE, LEFT, NONE, click, drag, is_mirror, point

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def view(qtbot):
    """Three convolutions: two side by side, one below."""
    document = Document.new("Test", CATALOGUE)
    for i, at in enumerate(((-300, -150), (0, -150), (-300, 150))):
        document.add("conv.conv", title=f"N{i}", at=at)
    document.history.done.clear()
    view = CanvasView(document, CATALOGUE, theme.DARK)
    view.resize(1000, 700)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    view.viewer.look_at(QPointF(0, 0), 1.0)
    return view


@pytest.fixture
def framed(view):
    """The first two in a frame called Stem."""
    view.select(["n1", "n2"])
    QTest.keyClick(view.viewer, Qt.Key.Key_G, CTRL)
    QTest.keyClicks(view.titles, "Stem")
    QTest.keyClick(view.titles, Qt.Key.Key_Return)
    (frame,) = view.mirror.frames.values()
    return view, frame


def bar(view, frame):
    return point(view, frame.mapToScene(QPointF(60, BAR / 2)))


def test_ctrl_g_frames_the_selection_and_asks_for_a_title(framed):
    view, frame = framed
    (group,) = view.document.data.groups
    assert (group.title, group.nodes) == ("Stem", ["n1", "n2"])
    assert view.selected_frames() == [frame]
    assert all(frame.scene_box().contains(view.nodes[n].scene_card()) for n in group.nodes)
    assert not frame.scene_box().intersects(view.nodes["n3"].scene_card())
    assert view.grab().toImage().pixelColor(bar(view, frame)) != view.mirror.look.canvas
    view.undo()
    assert group.title == "Frame"
    view.undo()
    assert view.mirror.frames == {}
    assert view.document.data.groups == []
    assert view.nodes["n1"].frame is None
    assert is_mirror(view) == []


def test_a_frame_dragged_by_its_bar_takes_its_nodes_along(framed):
    view, frame = framed
    at, was = bar(view, frame), frame.scene_box()
    drag(view, at, at + QPoint(40, 60))
    nodes = view.document.data.nodes
    assert [(n.x, n.y) for n in nodes] == [(-260, -90), (40, -90), (-300, 150)]
    assert frame.scene_box() == was.translated(40, 60)
    assert view.document.undo_name == "Move 2 nodes"
    assert is_mirror(view) == []
    view.undo()
    assert frame.scene_box() == was
    view.toggle_snap()
    drag(view, at, at + QPoint(37, 55))
    assert is_mirror(view) == []


def test_a_frame_grows_with_its_nodes_and_takes_in_what_is_let_go_in_it(framed):
    view, frame = framed
    was = frame.scene_box()
    click(view, QPoint(990, 690))
    grip = point(view, view.nodes["n2"].scene_card().center())
    drag(view, grip, grip + QPoint(0, 90))
    assert frame.scene_box().bottom() == was.bottom() + 90
    grip = point(view, view.nodes["n3"].scene_card().center())
    drag(view, grip, point(view, frame.scene_box().center()))
    assert view.document.data.groups[0].nodes == ["n1", "n2", "n3"]
    assert is_mirror(view) == []
    view.undo()  # the move and the joining are one step
    assert view.document.data.groups[0].nodes == ["n1", "n2"]
    assert view.document.node("n3").y == 150


def test_nodes_leave_a_frame_and_an_empty_one_goes(framed):
    view, _ = framed
    view.select(["n1"])
    QTest.keyClick(view.viewer, Qt.Key.Key_G, CTRL | SHIFT)
    assert view.document.data.groups[0].nodes == ["n2"]
    view.select(["n2"])
    view.delete_selected()
    assert view.document.data.groups == []
    assert is_mirror(view) == []
    view.undo()
    assert view.document.data.groups[0].nodes == ["n2"]
    assert is_mirror(view) == []
    said = []
    view.status.connect(said.append)
    view.select(["n1"])
    view.unframe()
    assert said == ["None of the selected nodes is in a frame."]


def test_a_double_click_on_the_bar_renames_the_frame(framed):
    view, frame = framed
    QTest.mouseDClick(view.viewer.viewport(), LEFT, NONE, bar(view, frame))
    QTest.keyClicks(view.titles, "Body")
    QTest.keyClick(view.titles, Qt.Key.Key_Return)
    assert view.document.data.groups[0].title == "Body"
    assert not view.search.isVisible()


def test_notes_are_typed_dragged_and_deleted(view):
    QTest.keyClick(view.viewer, Qt.Key.Key_N, CTRL | SHIFT)
    QTest.keyClicks(view.titles, "Why " + "so many words " * 8)
    QTest.keyClick(view.titles, Qt.Key.Key_Return)
    (note,) = view.document.data.groups
    (item,) = view.mirror.frames.values()
    was = (note.x, note.y)
    assert note.title.startswith("Why so many")
    assert item.scene_box().height() > 90  # as high as its words
    at = point(view, item.scene_box().center())
    drag(view, at, at + QPoint(50, 20))
    assert (note.x, note.y) == (was[0] + 50, was[1] + 20)
    assert item.isSelected()
    assert view.has_selection
    assert view.selected_ids() == []
    assert is_mirror(view) == []
    view.undo()
    assert (note.x, note.y) == was
    click(view, point(view, item.scene_box().center()))
    view.delete_selected()
    assert view.document.data.groups == []
    view.undo()
    assert len(view.mirror.frames) == 1


def test_nodes_and_frames_take_colours(framed):
    view, frame = framed
    view.select(["n3"])
    menu = view.menu()
    (colours,) = [a.menu() for a in menu.actions() if a.menu() is not None]
    next(a for a in colours.actions() if a.text() == "Green").trigger()
    assert view.document.node("n3").color == COLOURS["Green"]
    assert view.nodes["n3"].stripe().name() == COLOURS["Green"]
    click(view, bar(view, frame))
    view.colour_selection(COLOURS["Red"])
    assert view.document.data.groups[0].color == COLOURS["Red"]
    assert view.document.node("n1").color == ""  # the frame's colour, not that of its nodes
    assert view.document.undo_name == "Colour"
    view.undo()
    view.undo()
    assert view.document.node("n3").color == view.document.data.groups[0].color == ""


def test_frames_are_copied_with_their_nodes_and_kept_in_the_file(framed):
    view, _ = framed
    view.select(["n1", "n2"])
    view.duplicate()
    assert [(g.title, len(g.nodes)) for g in view.document.data.groups] == [("Stem", 2), ("Stem", 2)]
    assert is_mirror(view) == []
    again = Document(parse(dump(view.document.data), "x"), CATALOGUE)
    view.set_document(again)
    assert is_mirror(view) == []
    assert len(view.mirror.frames) == 2
    view.set_document(None)
    assert view.mirror.frames == {}


def sign(view, frame):
    return point(view, frame.mapToScene(frame.fold_box().center()))


@pytest.fixture
def folded(framed):
    """The frame is folded by its sign; n1 feeds n2 inside, n2 feeds n3 outside."""
    view, frame = framed
    view.document.connect("n1", "n2")
    view.document.connect("n2", "n3")
    click(view, sign(view, frame))
    return view, frame


def test_a_folded_frame_is_one_card_with_the_wires_at_its_border(folded):
    view, frame = folded
    inner, outer = (view.wires[w.id] for w in view.document.data.wires)
    assert frame.is_folded
    assert frame.scene_box().size().toTuple() == (188, 46)
    assert not view.nodes["n1"].isVisible()
    assert not inner.isVisible()
    assert outer.isVisible()
    assert outer.path().elementAt(0).x == frame.scene_box().right()
    assert view.viewer.port_at(point(view, view.nodes["n1"].mapToScene(QPointF(188, 23)))) is None
    assert is_mirror(view) == []
    assert view.document.undo_name == "Fold Stem"
    assert '"folded": true' in dump(view.document.data)
    view.undo()
    assert view.nodes["n1"].isVisible()
    assert inner.isVisible()
    assert outer.path().elementAt(0).x == view.nodes["n2"].scene_card().right()
    assert is_mirror(view) == []
    assert '"folded"' not in dump(view.document.data)
    view.redo()
    assert is_mirror(view) == []
    QTest.mouseDClick(view.viewer.viewport(), LEFT, NONE, point(view, frame.scene_box().center()))
    assert not frame.is_folded
    assert is_mirror(view) == []


def test_a_folded_frame_is_dragged_with_all_that_is_in_it(folded):
    view, frame = folded
    was = frame.scene_box()
    grip = point(view, was.center())
    drag(view, grip, grip + QPoint(60, 90))
    nodes = view.document.data.nodes
    assert [(n.x, n.y) for n in nodes] == [(-240, -60), (60, -60), (-300, 150)]
    assert frame.scene_box() == was.translated(60, 90)
    assert view.document.undo_name == "Move Stem"
    assert is_mirror(view) == []
    view.undo()
    assert frame.scene_box() == was
    drag(view, grip, grip + QPoint(60, 90), release=False)
    QTest.keyClick(view.viewer, Qt.Key.Key_Escape)
    QTest.mouseRelease(view.viewer.viewport(), LEFT, NONE, grip)
    assert frame.scene_box() == was
    assert is_mirror(view) == []


def test_a_selected_folded_frame_stands_for_its_nodes(folded):
    view, frame = folded
    click(view, point(view, frame.scene_box().center()))
    assert view.selected_ids() == ["n1", "n2"]
    QTest.keyClick(view.viewer, Qt.Key.Key_Delete)
    assert [n.id for n in view.document.data.nodes] == ["n3"]
    view.undo()
    assert frame.id in view.mirror.frames
    assert is_mirror(view) == []
    view.select_all()
    assert sorted(view.selected_ids()) == ["n1", "n2", "n3"]
    view.select(["n2"])  # a problem or a search leads to one node: it is to be seen
    assert not next(iter(view.mirror.frames.values())).is_folded
    assert view.selected_ids() == ["n2"]
    QTest.keyClick(view.viewer, Qt.Key.Key_F, CTRL | Qt.KeyboardModifier.AltModifier)
    assert next(iter(view.mirror.frames.values())).is_folded
    view.select(["n3"])
    view.document.remove_group(view.document.data.groups[0])
    assert view.nodes["n1"].isVisible()
    assert is_mirror(view) == []


def test_nothing_joins_a_folded_frame_by_being_let_go_over_it(folded):
    view, frame = folded
    grip = point(view, view.nodes["n3"].scene_card().center())
    drag(view, grip, point(view, frame.scene_box().center()))
    assert view.document.data.groups[0].nodes == ["n1", "n2"]
    assert view.mirror.area().isValid()
    assert is_mirror(view) == []


def test_a_document_opens_with_its_frames_folded(folded):
    view, _ = folded
    view.set_document(Document(parse(dump(view.document.data)), CATALOGUE))
    (frame,) = view.mirror.frames.values()
    assert frame.is_folded
    assert is_mirror(view) == []


def test_a_folded_frame_shows_that_something_in_it_is_wrong(folded):
    view, frame = folded
    assert frame.severity() == ""
    problems = [{"severity": "error", "message": "Wrong.", "node": "n1", "port": None}]
    view.show_propagation({"nodes": {}, "problems": problems})
    assert frame.severity() == "error"
    view.select([])
    at = point(view, frame.mapToScene(QPointF(90, 0)))
    assert view.grab().toImage().pixelColor(at).red() > 150


def test_delete_and_unframe_take_a_selected_frame_away_and_leave_its_nodes(framed):
    view, frame = framed
    click(view, bar(view, frame))
    QTest.keyClick(view.viewer, Qt.Key.Key_Delete)
    assert view.document.data.groups == []
    assert len(view.document.data.nodes) == 3
    assert view.document.undo_name == "Delete frame Stem"
    assert is_mirror(view) == []
    view.undo()
    (frame,) = view.mirror.frames.values()
    click(view, bar(view, frame))
    QTest.keyClick(view.viewer, Qt.Key.Key_G, CTRL | SHIFT)
    assert (view.document.data.groups, len(view.document.data.nodes)) == ([], 3)


def test_a_note_and_a_frame_are_copied_as_nodes_are(framed):
    view, frame = framed
    view.document.add_group("Why this stem", [], x=-100.0, y=200.0, color="#336699", width=300.0)
    view.select([])
    note = next(f for f in view.mirror.frames.values() if f.is_note)
    for item in (note, frame):
        item.setSelected(True)
    view.copy()
    view.paste()
    groups = view.document.data.groups
    assert [(g.title, g.color, g.width, g.x, g.y) for g in groups if not g.nodes] == [
        ("Why this stem", "#336699", 300, -100, 200),
        ("Why this stem", "#336699", 300, -68, 232),
    ]
    assert [(g.title, len(g.nodes)) for g in groups if g.nodes] == [("Stem", 2)] * 2
    assert len(view.document.data.nodes) == 5
    assert view.document.undo_name == "Paste 3 items"
    assert [f.content.title for f in view.selected_frames()] == ["Why this stem"]
    view.select_all()
    view.cut()
    assert (view.document.data.nodes, view.document.data.groups) == ([], [])
    assert is_mirror(view) == []


def paste_by_menu(view, at):
    """A right click at a scene point, then the entry of the menu."""

    def choose():
        menu = QApplication.activePopupWidget()
        next(entry for entry in menu.actions() if entry.text().startswith("Paste")).trigger()
        menu.close()

    where = point(view, at)
    QTimer.singleShot(0, choose)
    far = view.viewer.viewport().mapToGlobal(where)
    QApplication.sendEvent(view, QContextMenuEvent(QContextMenuEvent.Reason.Mouse, where, far))


def test_what_is_pasted_lies_under_the_pointer_or_comes_into_view(view):
    view.select(["n1", "n2"])
    view.copy()
    paste_by_menu(view, QPointF(100, 60))
    assert [(n.x, n.y) for n in view.document.data.nodes[3:]] == [(100, 60), (400, 60)]
    paste_by_menu(view, QPointF(100, 60))
    assert [(n.x, n.y) for n in view.document.data.nodes[5:]] == [(132, 92), (432, 92)]
    view.viewer.look_at(QPointF(9000, 9000), 1.0)
    view.paste()
    seen = view.viewer.mapToScene(view.viewer.viewport().rect()).boundingRect()
    assert all(seen.intersects(view.nodes[i].scene_card()) for i in view.selected_ids())


def test_a_note_is_put_where_no_card_hides_it(view):
    view.viewer.look_at(view.nodes["n1"].scene_card().center(), 1.0)
    QTest.keyClick(view.viewer, Qt.Key.Key_N, CTRL | SHIFT)
    (note,) = view.mirror.frames.values()
    assert not any(note.scene_box().intersects(item.scene_card()) for item in view.nodes.values())
