"""Documents are saved and opened, unsaved work survives a crash, and nothing is lost without being asked about."""

import itertools
import subprocess
import sys

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QWidget

from designer.graph.document import Document
from designer.graph.storage import autosave_path, dump
from designer.graph.templates import load_template
from designer.ui.canvas.picture import save_picture
from designer.ui.file_actions import FileActions
from designer.ui.message_bar import MessageBar
from designer.ui.open_document import recovery_of, untitled_recoveries
from designer.ui.workspace import Workspace


@pytest.fixture
def desk(home, qtbot):
    """Workspace, file actions and message bar as the window has them."""
    holder = QWidget()
    qtbot.addWidget(holder)
    messages = MessageBar()
    messages.setParent(holder)
    workspace = Workspace()
    yield workspace, FileActions(holder, workspace, messages, lambda path: pytest.fail(f"{path} is shown")), messages
    workspace.close_all()


def press(qtbot, messages, text):
    button = next(b for b in messages.buttons() if b.text().strip() == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_save_as_open_and_recent(desk, tmp_path):
    workspace, files, _ = desk
    document = workspace.new()
    assert not workspace.is_dirty
    document.add("conv.conv", title="First")
    assert workspace.is_dirty
    written = workspace.save(tmp_path / "model")
    assert written.name == "model.netwright"
    assert not workspace.is_dirty
    assert workspace.title == "model"
    saved = dump(document.data)
    workspace.close()
    files.open(written)
    assert dump(workspace.document.data) == saved
    assert workspace.recent() == [written]
    assert workspace.runs_folder == tmp_path / "runs"


def test_a_broken_file_is_explained_and_what_is_open_stays(desk, tmp_path):
    workspace, files, messages = desk
    document = workspace.new()
    broken = tmp_path / "broken.netwright"
    broken.write_text('{"version": 1, "nodes": [')
    files.open(broken)
    assert workspace.document is document
    assert "broken.netwright" in messages.text()
    assert broken.read_text() == '{"version": 1, "nodes": ['


def test_unsaved_changes_are_asked_about(desk, tmp_path, qtbot, monkeypatch):
    workspace, files, messages = desk
    document = workspace.new()
    document.add("conv.conv", title="First")
    files.close()
    assert workspace.document is document
    assert "unsaved changes" in messages.text()
    target = tmp_path / "kept.netwright"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(target), ""))
    press(qtbot, messages, "Save")
    assert target.exists()
    assert workspace.document is None
    assert [n.title for n in Document.load(target).data.nodes] == ["Image", "First"]


def test_discarding_is_the_users_word(desk, qtbot):
    workspace, files, messages = desk
    workspace.new().add("conv.conv")
    files.close()
    press(qtbot, messages, "Discard changes")
    assert workspace.document is None
    assert untitled_recoveries() == []


def test_autosave_does_not_wait_for_the_end_of_a_series_of_edits(desk, tmp_path, qtbot):
    workspace, _, _ = desk
    workspace.new()
    path = workspace.save(tmp_path / "busy.netwright")
    timer, ids = QTimer(), itertools.count()
    timer.timeout.connect(lambda: workspace.document.add("conv.conv", title=f"Conv {next(ids)}"))
    timer.start(50)
    qtbot.waitUntil(autosave_path(path).exists, timeout=20_000)
    timer.stop()


def test_autosave_beside_the_file_and_gone_after_saving(desk, tmp_path, qtbot):
    workspace, _, _ = desk
    workspace.new()
    path = workspace.save(tmp_path / "model.netwright")
    before = path.read_bytes()
    workspace.document.add("conv.conv", title="Unsaved")
    qtbot.waitUntil(autosave_path(path).exists, timeout=5000)
    assert path.read_bytes() == before
    assert "Unsaved" in autosave_path(path).read_text()
    workspace.document.undo()
    qtbot.waitUntil(lambda: not autosave_path(path).exists(), timeout=5000)
    workspace.document.redo()
    qtbot.waitUntil(autosave_path(path).exists, timeout=5000)
    workspace.save()
    assert not autosave_path(path).exists()


def test_work_of_a_crashed_window_is_offered(desk, tmp_path, qtbot):
    workspace, files, messages = desk
    workspace.new()
    path = workspace.save(tmp_path / "model.netwright")
    workspace.document.add("conv.conv", title="Unsaved")
    workspace.autosave_now()
    lost = autosave_path(path).read_text()
    workspace.close()
    autosave_path(path).write_text(lost)  # as a window that was killed leaves it
    files.open(path)
    assert "unsaved work" in messages.text()
    assert [n.title for n in workspace.document.data.nodes] == ["Image"]
    press(qtbot, messages, "Restore it")
    assert [n.title for n in workspace.document.data.nodes] == ["Image", "Unsaved"]
    assert workspace.is_dirty
    assert workspace.document.path == path
    workspace.save()
    assert recovery_of(path) is None
    assert "Unsaved" in path.read_text()


def test_ignoring_the_offer_loses_nothing(desk, tmp_path):
    workspace, files, _ = desk
    workspace.new()
    path = workspace.save(tmp_path / "model.netwright")
    workspace.document.add("conv.conv", title="Unsaved")
    workspace.autosave_now()
    lost = autosave_path(path).read_text()
    workspace.close()
    autosave_path(path).write_text(lost)
    files.open(path)
    workspace.close()
    assert autosave_path(path).read_text() == lost


CRASH = """
import os, sys
from PySide6.QtCore import QCoreApplication
app = QCoreApplication([])
app.setOrganizationName("Netwright"); app.setApplicationName("Netwright")
from designer.ui.workspace import Workspace
workspace = Workspace()
workspace.new().add("conv.conv", title="Never saved")
workspace.autosave_now()
os._exit(9)
"""


def test_a_document_without_a_file_survives_a_crash(desk, qtbot):
    workspace, files, messages = desk
    assert subprocess.run([sys.executable, "-c", CRASH], check=False).returncode == 9
    files.offer_untitled()
    assert "never saved" in messages.text()
    press(qtbot, messages, "Restore it")
    assert [n.title for n in workspace.document.data.nodes] == ["Image", "Never saved"]
    assert workspace.is_dirty


def test_work_in_progress_of_another_window_is_not_offered(desk):
    workspace, _, _ = desk
    workspace.new().add("conv.conv")
    workspace.autosave_now()
    assert untitled_recoveries() == []


def test_a_document_dropped_on_the_window_opens(quiet_window, tmp_path):
    path = tmp_path / "mine.netwright"
    load_template("resnet50").save(path)
    (tmp_path / "notes.txt").write_text("no document")
    for name, taken in (("notes.txt", False), ("mine.netwright", True)):
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(tmp_path / name))])
        where, keys, buttons = QPointF(600, 300), Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
        enter = QDragEnterEvent(where.toPoint(), Qt.DropAction.CopyAction, mime, buttons, keys)
        enter.ignore()
        quiet_window.dragEnterEvent(enter)
        assert enter.isAccepted() is taken
        quiet_window.dropEvent(QDropEvent(where, Qt.DropAction.CopyAction, mime, buttons, keys))
        assert (quiet_window.workspace.document is not None) is taken
    assert quiet_window.workspace.document.data.name == "ResNet-50"


def test_a_picture_that_was_exported_opens_as_a_new_document(quiet_window, tmp_path):
    quiet_window.files.open_template("resnet50")
    path = tmp_path / "resnet50.png"
    save_picture(quiet_window.canvas, path)
    before = quiet_window.workspace.document.data
    quiet_window.workspace.close()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    keys, buttons = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    quiet_window.dropEvent(QDropEvent(QPointF(600, 300), Qt.DropAction.CopyAction, mime, buttons, keys))
    document = quiet_window.workspace.document
    assert document.data == before
    assert document.path is None  # saving asks for a name: the picture is not overwritten
