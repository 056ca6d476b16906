"""A real window with a real engine process, its settings and files in a temporary folder."""

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QMessageBox

from designer.ui import theme
from designer.ui.app import make_application


@pytest.fixture
def home(tmp_path, monkeypatch, qapp):
    """An empty home: no settings, no recent files, no recovered work, and never a box that blocks."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_DOCUMENTS_DIR", "HOME", "APPDATA", "LOCALAPPDATA"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "settings"))
    if not qapp.property("made"):  # a new style polishes every widget that earlier tests have left: seconds
        make_application().setProperty("made", True)
    if theme.manager.choice != "dark":
        theme.manager.set_theme("dark", remember=False)

    def refuse(*_args, **_kwargs):
        raise AssertionError("a message box would block the window")

    for name in ("information", "warning", "critical", "question", "exec", "open", "show"):
        monkeypatch.setattr(QMessageBox, name, refuse)
    return tmp_path


@pytest.fixture
def quiet_window(home, qtbot):
    """A window without an engine: enough for files, menus and what the document alone decides."""
    from designer.ui.main_window import MainWindow

    window = MainWindow()
    window.resize(1280, 800)
    qtbot.addWidget(window, before_close_func=_let_go)
    window.show()
    qtbot.waitExposed(window)
    return window


@pytest.fixture
def window(quiet_window, qtbot):
    """A window whose engine is up."""
    quiet_window.start()
    qtbot.waitUntil(
        lambda: quiet_window.engine.state == "ready" and bool(quiet_window.engine.catalogue), timeout=60_000
    )
    return quiet_window


def _let_go(window):
    """Close without being asked about changes."""
    window.workspace.close_all()
