"""Points of wires by mouse and keys: put, dragged, deleted, taken along, copied, saved, drawn, each an undo step."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest

from designer.graph import Document
from designer.graph.reroute import set_points
from designer.graph.rewire import insert_on
from designer.graph.storage import dump, parse
from designer.ui import theme
from designer.ui.canvas import CanvasView
from designer.ui.canvas.picture import save_picture
from tests.ui.canvas_support import CATALOGUE, LEFT, NONE, click, drag, is_mirror, point

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def view(qtbot):
    """Two convolutions with one wire."""
    document = Document.new("Test", CATALOGUE)
    one = document.add("conv.conv", title="One", at=(-400, -100))
    document.connect(one, document.add("conv.conv", title="Two", at=(200, -100)))
    document.history.done.clear()
    view = CanvasView(document, CATALOGUE, theme.DARK)
    view.resize(1000, 700)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    view.viewer.look_at(QPointF(0, 0), 1.0)
    return view


@pytest.fixture
def led(view):
    """The wire has a point that was dragged to (-100, 120)."""
    item = only(view)
    at = point(view, item.path().pointAtPercent(0.3))
    QTest.mouseDClick(view.viewer.viewport(), LEFT, NONE, at)
    drag(view, point(view, item.point_items[0].pos()), point(view, (-100, 120)))
    return view


def only(view):
    (item,) = view.wires.values()
    return item


def stored(view):
    return [w.points for w in view.document.data.wires]


def test_a_double_click_puts_a_point_that_can_be_dragged(view):
    item = only(view)
    at = item.path().pointAtPercent(0.5)
    QTest.mouseDClick(view.viewer.viewport(), LEFT, NONE, point(view, at))
    assert stored(view) == [[(round(at.x()), round(at.y()))]]
    assert view.document.undo_name == "Add a point"
    assert view.has_selection
    grip = point(view, item.point_items[0].pos())
    drag(view, grip, grip + QPoint(30, 200))
    assert stored(view) == [[(round(at.x()) + 30, round(at.y()) + 200)]]
    assert item.path().boundingRect().bottom() >= at.y() + 199
    assert is_mirror(view) == []
    view.undo()
    view.undo()
    assert stored(view) == [[]]
    assert is_mirror(view) == []
    view.redo()
    view.redo()
    assert item.path().boundingRect().bottom() >= at.y() + 199
    assert is_mirror(view) == []


def test_a_second_point_keeps_the_order_along_the_wire(led):
    item = only(led)
    for share in (0.15, 0.8):
        at = point(led, item.path().pointAtPercent(share))
        QTest.mouseDClick(led.viewer.viewport(), LEFT, NONE, at)
    (points,) = stored(led)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[1] == (-100, 120)
    assert is_mirror(led) == []


def test_delete_takes_the_point_and_leaves_the_wire(led):
    click(led, point(led, (-100, 120)))
    assert led.selected_points() == {"w1": [0]}
    QTest.keyClick(led.viewer, Qt.Key.Key_Delete)
    assert stored(led) == [[]]
    led.undo()
    assert stored(led) == [[(-100, 120)]]
    click(led, point(led, only(led).path().pointAtPercent(0.9)))
    QTest.keyClick(led.viewer, Qt.Key.Key_Delete)
    assert led.document.data.wires == []
    led.undo()
    assert stored(led) == [[(-100, 120)]]
    assert is_mirror(led) == []


def test_points_go_with_the_nodes_at_both_ends(led):
    led.select_all()
    grip = point(led, led.nodes["n1"].scene_card().center())
    drag(led, grip, grip + QPoint(50, -40))
    assert stored(led) == [[(-50, 80)]]
    assert is_mirror(led) == []
    led.undo()
    assert stored(led) == [[(-100, 120)]]
    led.select(["n1", "n2"])
    QTest.keyClick(led.viewer, Qt.Key.Key_Right)
    assert stored(led) == [[(-92, 120)]]
    QTest.keyClick(led.viewer, Qt.Key.Key_Right)
    led.undo()  # a run of keys is one step
    assert stored(led) == [[(-100, 120)]]
    led.select(["n2"])
    grip = point(led, led.nodes["n2"].scene_card().center())
    drag(led, grip, grip + QPoint(50, 0))
    assert stored(led) == [[(-100, 120)]]


def test_a_drag_of_a_point_is_given_up_with_escape(led):
    grip = point(led, (-100, 120))
    drag(led, grip, grip + QPoint(90, 90), release=False)
    QTest.keyClick(led.viewer, Qt.Key.Key_Escape)
    QTest.mouseRelease(led.viewer.viewport(), LEFT, NONE, grip + QPoint(90, 90))
    assert stored(led) == [[(-100, 120)]]
    assert is_mirror(led) == []


def test_points_are_copied_and_arranging_lets_them_go(led):
    led.select_all()
    led.copy()
    led.paste()
    assert stored(led) == [[(-100, 120)], [(-68, 152)]]
    led.select([])
    led.arrange()
    assert stored(led) == [[], []]
    led.undo()
    assert stored(led) == [[(-100, 120)], [(-68, 152)]]
    assert is_mirror(led) == []


def test_points_are_saved_and_a_wire_without_has_none_in_the_file(led):
    text = dump(led.document.data)
    assert '"points": [[-100.0, 120.0]]' in text
    assert parse(text).wires[0].points == [(-100, 120)]
    led.undo()
    led.undo()
    assert "points" not in dump(led.document.data)


def test_a_node_put_on_a_wire_leaves_it_led_round(led):
    set_points(led.document, {"w1": [(-150, 120), (150, 120)]})
    node = led.document.add("conv.conv", title="Between", at=(0, 120))
    insert_on(led.document, "w1", node)
    assert stored(led) == [[(-150, 120)], [(150, 120)]]
    assert is_mirror(led) == []
    led.undo()
    assert stored(led) == [[(-150, 120), (150, 120)]]


def test_the_picture_shows_the_way_round(led, tmp_path):
    save_picture(led, tmp_path / "led.svg")
    with_point = (tmp_path / "led.svg").read_text()
    led.select([])
    led.undo()
    led.undo()
    save_picture(led, tmp_path / "straight.svg")
    assert with_point != (tmp_path / "straight.svg").read_text()
    assert led.mirror.area().bottom() < 0
    led.redo()
    led.redo()
    assert led.mirror.area().bottom() >= 120


def test_the_far_layer_draws_the_way_round(led):
    item = only(led)
    led.viewer.far.touch(item)
    led.viewer.far._put_wire(item, led.mirror.look)
    (lines,) = [lines for found in led.viewer.far._lines.values() for lines in found.values()]
    assert [line.p2() for line in lines] == [QPointF(-100, 120), item.input_port.centre()]
