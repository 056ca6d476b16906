"""What stands over the canvas: the minimap in its corner and the line that finds nodes."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest

from designer.graph import Document
from designer.ui import theme
from designer.ui.canvas import CanvasView
from tests.ui.canvas_support import CATALOGUE, LEFT, NONE

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def view(qtbot):
    """Eight nodes in a long row, the third called Stem, at 100 %."""
    document = Document.new("Row", CATALOGUE)
    document.add("io.image", at=(0, 0))
    for i in range(1, 8):
        document.connect(f"n{i}", document.add("conv.conv", title="Stem" if i == 2 else f"Block {i}", at=(i * 300, 0)))
    view = CanvasView(document, CATALOGUE, theme.DARK)
    view.resize(900, 500)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    view.viewer.look_at(QPointF(300, 0), 1.0)
    qtbot.waitUntil(lambda: view.minimap.isVisible())
    return view


def seen(view):
    return view.viewer.mapToScene(view.viewer.viewport().rect()).boundingRect()


def test_the_minimap_is_there_only_while_something_is_out_of_sight(view, qtbot):
    view.fit()
    assert not view.minimap.isVisible()
    view.zoom_100()
    assert view.minimap.isVisible()
    QTest.keyClick(view.viewer, Qt.Key.Key_M)
    assert not view.minimap.isVisible()
    QTest.keyClick(view.viewer, Qt.Key.Key_M)
    assert view.minimap.isVisible()
    view.set_document(None)
    qtbot.waitUntil(lambda: not view.minimap.isVisible())


def test_the_minimap_shows_every_node_where_it_is(view):
    picture = view.minimap.grab().toImage()
    ratio = view.minimap.devicePixelRatioF()
    for item in view.nodes.values():
        at = view.minimap.to_map(item.scene_card().center()) * ratio
        assert view.minimap.rect().contains(view.minimap.to_map(item.scene_card().center()).toPoint())
        colours = {
            picture.pixelColor(round(at.x()) + dx, round(at.y()) + dy).name() for dx in (-2, 0, 2) for dy in (-1, 0, 1)
        }
        assert colours - {view.mirror.look.card.name(), view.mirror.look.canvas.name()}


def test_a_click_or_drag_on_the_minimap_goes_there(view):
    last = view.nodes["n8"].scene_card().center()
    at = view.minimap.to_map(last).toPoint()
    QTest.mouseClick(view.minimap, LEFT, NONE, at)
    assert seen(view).contains(last)
    assert view.viewer.zoom == 1.0
    first = view.minimap.to_map(view.nodes["n1"].scene_card().center()).toPoint()
    QTest.mousePress(view.minimap, LEFT, NONE, at)
    QTest.mouseMove(view.minimap, first)
    QTest.mouseRelease(view.minimap, LEFT, NONE, first)
    assert seen(view).contains(view.nodes["n1"].scene_card().center())
    assert view.selected_ids() == []


def test_the_minimap_follows_edits(view, qtbot):
    before = view.minimap.grab().toImage()
    view.document.move({"n8": (2100, 900)})
    qtbot.waitUntil(lambda: view.minimap.grab().toImage() != before)
    corner = QPoint(view.minimap.x() + view.minimap.width(), view.minimap.y() + view.minimap.height())
    view.resize(700, 400)
    assert view.minimap.geometry().bottomRight() != corner
    assert view.rect().contains(view.minimap.geometry())


def test_ctrl_f_finds_nodes_and_steps_through_them(view):
    QTest.keyClick(view.viewer, Qt.Key.Key_F, CTRL)
    assert view.find_bar.isVisible()
    QTest.keyClicks(view.find_bar.line, "stem")
    assert view.selected_ids() == ["n3"]
    assert seen(view).contains(view.nodes["n3"].scene_card())
    assert view.find_bar.count.text() == "1 of 1"
    view.find_bar.line.clear()
    QTest.keyClicks(view.find_bar.line, "convolution")  # an alias of the component
    assert view.find_bar.count.text() == "1 of 7"
    visited = []
    for _ in range(7):
        visited += view.selected_ids()
        assert seen(view).contains(view.nodes[visited[-1]].scene_card())
        QTest.keyClick(view.find_bar.line, Qt.Key.Key_Return)
    assert visited == [f"n{i}" for i in range(2, 9)]  # from left to right
    assert view.selected_ids() == ["n2"]  # and round
    QTest.keyClick(view.find_bar.line, Qt.Key.Key_Return, SHIFT)
    assert view.selected_ids() == ["n8"]
    QTest.keyClicks(view.find_bar.line, " nothing like it")
    assert view.find_bar.count.text() == "None"
    QTest.keyClick(view.find_bar.line, Qt.Key.Key_Escape)
    assert not view.find_bar.isVisible()


def test_results_follow_the_document(view):
    view.find_node()
    QTest.keyClicks(view.find_bar.line, "block")
    count = len(view.find_bar.found)
    view.document.remove(view.find_bar.found[1])
    view.find_bar.step(1)
    assert len(view.find_bar.found) == count - 1
    assert view.selected_ids()[0] in view.nodes


def test_zoom_to_the_selection(view):
    view.fit()
    view.select(["n5", "n6"])
    QTest.keyClick(view.viewer, Qt.Key.Key_F, SHIFT)
    both = view.nodes["n5"].scene_card().united(view.nodes["n6"].scene_card())
    assert seen(view).contains(both)
    assert view.viewer.zoom == 1.0
    assert not seen(view).contains(view.nodes["n1"].scene_card())
    view.select([])
    view.fit_selection()
    assert all(seen(view).contains(item.scene_card()) for item in view.nodes.values())
