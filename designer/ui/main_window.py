"""The main window: lays out the panels and connects them; what each does is in its own file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings, QSize, Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QLabel,
    QMainWindow,
    QSizePolicy,
    QStackedWidget,
    QTabWidget,
    QToolBar,
    QWidget,
)

from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.problems import Fix, Problem
from designer.ui import theme
from designer.ui.actions import Actions
from designer.ui.canvas import CanvasView
from designer.ui.engine_link import EngineLink
from designer.ui.file_actions import FileActions
from designer.ui.inspector import Inspector
from designer.ui.message_bar import Choice, MessageBar
from designer.ui.palette import Palette
from designer.ui.problems_panel import ProblemsPanel
from designer.ui.status_line import StatusLine
from designer.ui.train_dock import TrainDock
from designer.ui.welcome import Welcome
from designer.ui.widgets import DockHeader, ElidedLabel, button, column
from designer.ui.workspace import Workspace
from nodes.sdk.spec import Catalogue

LEFT_WIDTH, RIGHT_WIDTH, BOTTOM_HEIGHT = 240, 300, 248
_STATE_VERSION = 1


class MainWindow(QMainWindow):
    """One window with one document."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("main_window")
        self.setWindowTitle("Netwright")
        self.setMinimumSize(960, 600)
        self.resize(1440, 900)
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks | QMainWindow.DockOption.AllowNestedDocks)
        self._problems: tuple[Problem, ...] = ()
        self._result: Mapping[str, Any] = {}
        self.workspace = Workspace()
        self.engine = EngineLink()
        self._make_panels()
        self.files = FileActions(self, self.workspace, self.messages)
        self.actions_ = Actions(self, self._handlers())
        self._make_toolbar()
        self._make_docks()
        self._fill_menus()
        self._connect()
        self._restore_layout()
        self._on_opened(None)

    # -- layout ----------------------------------------------------------------------------------------------------

    def _make_panels(self) -> None:
        self.messages = MessageBar()
        self.palette_panel = Palette()
        self.inspector = Inspector()
        self.problems = ProblemsPanel()
        self.train = TrainDock()
        self.status = StatusLine()
        self.welcome = Welcome()
        self.canvas = CanvasView(None, None, theme.current())
        self.pages = QStackedWidget()
        self.pages.addWidget(self.welcome)
        self.pages.addWidget(self.canvas)
        centre = QWidget()
        centre.setLayout(column(self.messages, self.pages, gap=0))
        self.setCentralWidget(centre)
        self.setStatusBar(self.status)

    def _make_docks(self) -> None:
        self.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.BottomDockWidgetArea)
        self.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.problems, "Problems")
        self.tabs.addTab(self.train, "Train")
        self.tabs.setAccessibleName("Problems and training")
        area = Qt.DockWidgetArea
        self.left = self._dock("Components", self.palette_panel, area.LeftDockWidgetArea)
        self.right = self._dock("Inspector", self.inspector, area.RightDockWidgetArea)
        self.bottom = self._dock("Problems and training", self.tabs, area.BottomDockWidgetArea, header=False)
        self.resizeDocks([self.left, self.right], [LEFT_WIDTH, RIGHT_WIDTH], Qt.Orientation.Horizontal)
        self.resizeDocks([self.bottom], [BOTTOM_HEIGHT], Qt.Orientation.Vertical)

    def _dock(self, title: str, content: QWidget, area: Qt.DockWidgetArea, *, header: bool = True) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(f"dock_{title.split()[0].lower()}")
        dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetClosable)
        bar = DockHeader(title) if header else QWidget()
        dock.setTitleBarWidget(bar)
        dock.setWidget(content)
        self.addDockWidget(area, dock)
        return dock

    def _make_toolbar(self) -> None:
        bar = QToolBar("Main")
        bar.setObjectName("toolbar")
        bar.setMovable(False)
        bar.setIconSize(QSize(18, 18))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        for name in ("new", "open", "save", "", "undo", "redo", "", "fit"):
            bar.addAction(self.actions_[name]) if name else bar.addSeparator()
        self.heading = ElidedLabel("", "title")
        self.heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        bar.addWidget(self.heading)
        self.export = button("Export", "", "export-variant", "Take the model with you")
        self.train_button = button("Train", "primary", "play", "Train this model in the background (F5)")
        bar.addWidget(self.export)
        bar.addWidget(_gap(8))
        bar.addWidget(self.train_button)
        self.addToolBar(bar)
