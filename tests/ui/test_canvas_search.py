"""The search on the canvas: a preview of what is chosen, favourites and what was added last first."""

import pytest
from PySide6.QtCore import QPointF, QSettings, Qt
from PySide6.QtTest import QTest

from designer.graph import Document
from designer.ui import theme
from designer.ui.canvas import CanvasView, favourites
from tests.ui.canvas_support import CATALOGUE

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def view(qtbot, tmp_path):
    """An empty document and no memory of other sessions."""
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path))
    QSettings().clear()
    view = CanvasView(Document.new("Test", CATALOGUE), CATALOGUE, theme.DARK)
    view.resize(900, 600)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    return view


def names(view):
    return [view.search.list.item(i).text() for i in range(view.search.list.count())]


def test_the_preview_tells_what_is_chosen_as_the_arrows_move(view):
    view.open_search()
    QTest.keyClicks(view.search.line, "fpn")
    preview = view.search.preview
    assert preview.name.text() == "FPN"
    assert "Pyramid." in preview.text.text()
    assert "c3" in preview.text.text()
    view.search.line.clear()
    first = preview.name.text()
    QTest.keyClick(view.search.line, Qt.Key.Key_Down)
    assert preview.name.text() == names(view)[1] != first
    QTest.keyClicks(view.search.line, "zzz")
    assert (preview.name.text(), preview.kind.text()) == ("Nothing found", "")
    assert preview.text.text() == "No component is called “zzz”."
    assert not view.search.mark.isVisible()


def test_what_was_added_last_comes_first(view):
    for words in ("nms", "concat"):
        view.open_search()
        QTest.keyClicks(view.search.line, words)
        QTest.keyClick(view.search.line, Qt.Key.Key_Return)
    view.open_search()
    assert names(view)[:2] == ["Concat", "NMS"]
    assert len(set(names(view))) == len(CATALOGUE)
    QTest.keyClicks(view.search.line, "conv")  # a search goes by its words alone
    assert names(view)[0] == "Conv"


def test_ctrl_d_and_the_star_mark_favourites(view):
    favourites.remember("conv.conv")
    view.open_search()
    QTest.keyClicks(view.search.line, "head")
    QTest.keyClick(view.search.line, Qt.Key.Key_D, CTRL)
    assert favourites.marked() == ["head.head"]
    view.search.close()
    view.open_search()
    assert names(view)[:2] == ["Head", "Conv"]
    QTest.mouseClick(view.search.mark, Qt.MouseButton.LeftButton)
    assert favourites.marked() == []


def test_a_wire_from_a_port_still_leaves_only_what_fits(view):
    favourites.toggle("post.nms")
    node = view.document.add("conv.conv")
    view.open_search(view.nodes[node.id].ports[False, "out"], QPointF(300, 0))
    assert "NMS" not in names(view)


def test_the_popup_stays_on_the_screen(view):
    view.search.open_at(view.screen().availableGeometry().bottomRight(), QPointF(), CATALOGUE)
    assert view.screen().availableGeometry().contains(view.search.frameGeometry())
