"""What stands over the canvas: the minimap, the line that finds nodes, the legend of the heat."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from designer.graph import Document
from designer.ui import theme
from designer.ui.canvas import CanvasView, minimap
from designer.ui.canvas.look import Look
from designer.ui.canvas.menus import fill_heat
from tests.ui.canvas_support import CATALOGUE, LEFT, MIDDLE, NONE
from tests.ui.window.test_looks import contrast

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


def test_the_minimap_follows_the_theme(view, qtbot):
    view.viewer.look_at(QPointF(0, 0), 1.5)
    for shades in (theme.LIGHT, theme.DARK):
        view.set_theme(shades)
        card = view.mirror.look.card
        qtbot.waitUntil(lambda card=card: view.minimap.grab().toImage().pixelColor(3, 3) == card)


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


def costs(values):
    nodes = {f"n{i}": {"status": "ok", "params": v, "macs": v * 1000, "outputs": {}} for i, v in enumerate(values, 1)}
    return {"nodes": nodes, "problems": []}


@pytest.mark.parametrize("shades", [theme.DARK, theme.LIGHT])
def test_heat_colours_cards_by_their_cost_with_a_legend(view, shades):
    view.set_theme(shades)
    look = view.mirror.look
    view.show_propagation(costs([0, 100, 400, 1600]))
    plain = view.grab().toImage()
    menu = QMenu()
    fill_heat(view, menu)
    assert [a.text() for a in menu.actions() if a.isChecked()] == ["Off"]
    next(a for a in menu.actions() if a.text() == "Parameters").trigger()
    assert [view.nodes[f"n{i}"].heat for i in range(1, 6)] == [0, 0.25, 0.5, 1, 0]  # n5 has no figure
    assert view.legend.isVisible()
    assert (view.legend.name.text(), view.legend.most.text()) == ("Parameters", "1,600")
    assert view.legend.total.text() == "2,100 in all"
    assert view.rect().contains(view.legend.geometry())
    view.fit()
    at = view.nodes["n4"].scene_card().topLeft() + QPointF(20, 4)
    place = view.viewer.mapFromScene(at)
    assert view.viewer.grab().toImage().pixelColor(place).name() == look.heat(1.0).name()
    next(a for a in menu.actions() if a.text() == "MACs").trigger()
    assert view.nodes["n4"].size_text == "1.6 MMACs"
    view.show_propagation(costs([5, 0]))  # the next answer moves the scale
    assert [view.nodes[f"n{i}"].heat for i in (1, 2, 4)] == [1, 0, 0]
    view.set_heat("")
    assert not view.legend.isVisible()
    assert view.nodes["n1"].heat is None
    view.show_propagation(costs([0, 100, 400, 1600]))
    view.viewer.look_at(QPointF(300, 0), 1.0)
    assert view.grab().toImage() == plain


@pytest.mark.parametrize("shades", [theme.DARK, theme.LIGHT], ids=lambda t: t.name)
def test_text_on_the_hottest_card_can_be_read(qtbot, shades):
    look = Look(shades)
    for heat in (0, 0.5, 1):
        assert contrast(look.text.name(), look.heat(heat).name()) >= 4.5


def test_in_a_large_document_the_minimap_gives_way_while_the_canvas_is_dragged(view, qtbot, monkeypatch):
    monkeypatch.setattr(minimap, "MANY", 5)
    port = view.viewer.viewport()
    QTest.mousePress(port, MIDDLE, NONE, QPoint(300, 200))
    QTest.mouseMove(port, QPoint(250, 200))
    assert not view.minimap.isVisible()
    QTest.mouseRelease(port, MIDDLE, NONE, QPoint(250, 200))
    assert view.minimap.isVisible()
