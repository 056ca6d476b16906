"""Several documents in one window: tabs, keys, what each of them keeps, closing, and the next session."""

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QTabBar

from designer.graph.document import Document
from designer.graph.templates import load_template
from designer.ui.main_window import MainWindow
from designer.ui.train_dock import TrainDock

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def two(quiet_window, tmp_path):
    """Two files open, the second in front."""
    paths = [tmp_path / "first.netwright", tmp_path / "second.netwright"]
    for path, name in zip(paths, ("quick-start", "resnet50"), strict=True):
        load_template(name).save(path)
        quiet_window.files.open(path)
    return quiet_window, paths


def texts(window):
    tabs = window.document_tabs
    return [tabs.tabText(i) for i in range(tabs.count())]


def press(window, qtbot, text):
    button = next(b for b in window.messages.buttons() if b.text().strip() == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_keys_and_clicks_go_from_document_to_document(two, qtbot):
    window, paths = two
    tabs = window.document_tabs
    assert texts(window) == ["first", "second"]
    assert tabs.isVisible()
    assert tabs.currentIndex() == 1
    assert window.heading.full_text() == "second"
    QTest.keyClick(window, Qt.Key.Key_Tab, CTRL)
    assert window.heading.full_text() == "first"
    assert set(window.canvas.nodes) == {n.id for n in window.workspace.document.data.nodes}
    QTest.keyClick(window, Qt.Key.Key_Backtab, CTRL | SHIFT)
    assert tabs.currentIndex() == 1
    qtbot.mouseClick(tabs, Qt.MouseButton.LeftButton, pos=tabs.tabRect(0).center())
    assert window.workspace.document.path == paths[0]
    window.files.open(paths[1])  # it is open: its tab comes to the front
    assert texts(window) == ["first", "second"]
    assert tabs.currentIndex() == 1
    tabs.moveTab(0, 1)
    assert [one.title for one in window.workspace.documents] == texts(window) == ["second", "first"]
    assert window.heading.full_text() == "second"


def test_documents_of_one_name_are_told_apart_by_their_folders(quiet_window, tmp_path):
    window = quiet_window
    for folder in ("a/runs", "b/runs", "c"):
        path = tmp_path / folder / "same.netwright"
        path.parent.mkdir(parents=True)
        load_template("quick-start").save(path)
        window.files.open(path)
    assert texts(window) == ["same · a/runs", "same · b/runs", "same · c"]
    for left in (["same · runs", "same · c"], ["same"]):
        window.document_tabs.close_wanted.emit(window.workspace.documents[0])
        assert texts(window) == left


def test_each_document_keeps_its_place_its_history_and_its_dot(two, qtbot):
    window, _ = two
    second, canvas = window.workspace.document, window.canvas
    qtbot.wait(20)
    chosen = second.data.nodes[1].id
    canvas.select([chosen])
    canvas.centre_on(chosen)
    middle, zoom = canvas.viewer.middle, canvas.viewer.zoom
    title = window.inspector.page.title
    title.setFocus()
    title.selectAll()
    QTest.keyClicks(title, "Renamed")  # not finished with Return
    QTest.keyClick(window, Qt.Key.Key_Tab, CTRL)
    assert second.node(chosen).title == "Renamed"
    qtbot.waitUntil(lambda: texts(window) == ["first", "second •"], timeout=2000)
    assert not window.commands["undo"].isEnabled()
    QTest.keyClick(window, Qt.Key.Key_Tab, CTRL)
    qtbot.wait(20)
    assert canvas.selected_ids() == [chosen]
    assert (canvas.viewer.middle - middle).manhattanLength() < 1
    assert canvas.viewer.zoom == pytest.approx(zoom)
    window.commands["undo"].trigger()
    qtbot.waitUntil(lambda: texts(window) == ["first", "second"], timeout=2000)


def test_nodes_are_copied_from_one_document_to_another(two):
    window, _ = two
    source = window.workspace.document
    window.canvas.select_all()
    window.commands["copy"].trigger()
    target = window.workspace.new()
    window.commands["paste"].trigger()
    assert [n.component for n in target.data.nodes[1:]] == [n.component for n in source.data.nodes]
    assert len(target.data.wires) == len(source.data.wires)
    target.undo()
    assert len(target.data.nodes) == 1


def test_closing_asks_for_the_document_that_is_closed(two, qtbot):
    window, paths = two
    first, second = window.workspace.documents
    second.document.set_training(epochs=3)
    cross = window.document_tabs.tabButton(1, QTabBar.ButtonPosition.RightSide)
    qtbot.mouseClick(cross, Qt.MouseButton.LeftButton)
    assert "“second” has unsaved changes" in window.messages.text()
    window.workspace.go_to(first)  # the question waits meanwhile, and means the same document
    press(window, qtbot, "Save")
    assert window.workspace.documents == [first]
    assert Document.load(paths[1]).data.training.epochs == 3
    assert not window.document_tabs.isVisible()
    assert not window.commands["next_document"].isEnabled()
    QTest.keyClick(window, Qt.Key.Key_W, CTRL)
    assert window.workspace.document is None
    assert window.pages.currentWidget() is window.welcome


def test_closing_the_window_asks_once_and_saves_all(two, qtbot):
    window, paths = two
    for one in window.workspace.documents:
        one.document.set_training(epochs=7)
    assert not window.close()
    assert "“first”, “second” have unsaved changes" in window.messages.text()
    press(window, qtbot, "Save all")
    assert not window.isVisible()
    assert [Document.load(path).data.training.epochs for path in paths] == [7, 7]


def test_two_tabs_never_write_the_same_file(two, monkeypatch):
    window, paths = two
    window.workspace.go_to(window.workspace.documents[0])
    before = paths[1].read_bytes()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(paths[1]), ""))
    window.commands["save_as"].trigger()
    assert "open in another tab" in window.messages.text()
    assert paths[1].read_bytes() == before


def test_the_next_session_opens_what_was_open(home, qtbot, tmp_path):
    first = MainWindow()
    qtbot.addWidget(first)
    first.restore_session()
    assert [one.title for one in first.workspace.documents] == ["Quick start"]
    paths = [tmp_path / f"{name}.netwright" for name in "abc"]
    for path in paths:
        load_template("quick-start").save(path)
        first.files.open(path)
    first.document_tabs.step(-1)
    first.workspace.document.set_training(epochs=3)
    another = MainWindow()  # beside the first: it neither opens those files nor forgets them
    qtbot.addWidget(another)
    another.restore_session()
    assert [one.title for one in another.workspace.documents] == ["Quick start"]
    another.close()
    first.close()
    press(first, qtbot, "Discard changes")
    paths[0].unlink()
    later = MainWindow()
    qtbot.addWidget(later)
    later.restore_session()
    assert [one.title for one in later.workspace.documents] == ["b", "c"]
    assert later.workspace.title == "b"
    later.workspace.close_all()
    assert not QSettings().value("session/files")
    later.close()


def test_the_run_of_a_document_behind_is_named(home, qtbot):
    dock = TrainDock()
    qtbot.addWidget(dock)
    front = load_template("quick-start")
    front.set_training(epochs=1, device="cpu", workers=0)
    dock.set_document(front, home / "runs")
    dock.start()
    try:
        assert "“" not in dock.bar.state.full_text()
        dock.set_document(load_template("resnet50"), home / "runs")
        assert dock.bar.state.full_text().startswith("“Quick start”: ")
        dock.set_document(front, home / "runs")
        assert "“" not in dock.bar.state.full_text()
    finally:
        dock._process.kill()
        dock._process.wait()
