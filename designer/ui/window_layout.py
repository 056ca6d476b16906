"""How the main window is laid out: panels, docks, toolbar and menus, and their places from one session to the next."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSettings, QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QStackedWidget,
    QStyle,
    QTabWidget,
    QToolBar,
    QWidget,
)

from designer.graph.templates import grouped
from designer.ui import theme
from designer.ui.actions import Actions
from designer.ui.canvas import CanvasView
from designer.ui.canvas.menus import fill_colours, fill_heat
from designer.ui.data_panel import DataPanel
from designer.ui.dropping import dropped_file
from designer.ui.inspector import Inspector
from designer.ui.layers_table import LayersTable
from designer.ui.message_bar import MessageBar
from designer.ui.palette import Palette
from designer.ui.predict_panel import PredictPanel
from designer.ui.problems_panel import ProblemsPanel
from designer.ui.runs_panel import RunsPanel
from designer.ui.status_line import StatusLine
from designer.ui.sweep_panel import SweepPanel
from designer.ui.train_dock import TrainDock
from designer.ui.welcome import Welcome
from designer.ui.widgets import DockHeader, ElidedLabel, button, column, tool

FIRST_SIZE = QSize(1440, 900)  # or what the screen holds
LEFT_WIDTH, RIGHT_WIDTH, BOTTOM_HEIGHT = 240, 304, 256
_STATE_VERSION = 1


class WindowLayout(QMainWindow):
    """The parts of the window and where they are; `MainWindow` connects them.

    Signals:
        template_chosen(str): a template was picked in the menu.
        dropped(Path): a file or folder was dropped on the window.
    """

    template_chosen = Signal(str)
    dropped = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("main_window")
        self.setWindowTitle("Netwright")
        self.setMinimumSize(960, 600)
        title_bar = self.style().pixelMetric(QStyle.PixelMetric.PM_TitleBarHeight)
        self.resize(FIRST_SIZE.boundedTo(self.screen().availableSize() - QSize(0, title_bar)))
        self.setAcceptDrops(True)
        self.messages = MessageBar()
        self.palette_panel = Palette()
        self.inspector = Inspector()
        self.problems = ProblemsPanel()
        self.train = TrainDock()
        self.layers = LayersTable()
        self.runs_panel = RunsPanel(self.messages)
        self.sweep = SweepPanel(self.messages)
        self.predict = PredictPanel(self.messages)
        self.data = DataPanel(self.messages)
        self.panels: dict[str, QWidget] = {
            "Problems": self.problems, "Train": self.train, "Layers": self.layers, "Runs": self.runs_panel,
            "Sweep": self.sweep, "Predict": self.predict, "Data": self.data,
        }  # fmt: skip
        """The tabs of the dock below, by their names."""
        self.status = StatusLine()
        self.welcome = Welcome()
        self.canvas = CanvasView(None, None, theme.current())
        self.pages = QStackedWidget()
        self.pages.addWidget(self.welcome)
        self.pages.addWidget(self.canvas)
        self.centre = column(self.messages, self.pages, gap=0)
        centre = QWidget()
        centre.setLayout(self.centre)
        self.setCentralWidget(centre)
        self.setStatusBar(self.status)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_file(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if (path := dropped_file(event)) is not None:
            event.acceptProposedAction()
            self.dropped.emit(path)

    def build(self, actions: Actions) -> None:
        """Make the toolbar, the docks and the menus out of these actions."""
        self.commands = actions
        self._make_toolbar()
        self._make_docks()
        self._fill_menus()
        self._restore_layout()

    def _make_docks(self) -> None:
        self.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.BottomDockWidgetArea)
        self.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for name, panel in self.panels.items():
            self.tabs.addTab(panel, name)
        self.tabs.setCurrentWidget(self.train)
        self.taller = tool("arrow-expand-vertical", "Much room for these tabs, or as before")
        self.taller.setCheckable(True)
        self.taller.toggled.connect(self._on_taller)
        self.tabs.setCornerWidget(self.taller)
        self.tabs.setAccessibleName("Problems, data, training, layers, runs, sweeps and prediction")
        area = Qt.DockWidgetArea
        self.left = self._dock("Components", self.palette_panel, area.LeftDockWidgetArea)
        self.right = self._dock("Inspector", self.inspector, area.RightDockWidgetArea)
        self.bottom = self._dock("Problems and training", self.tabs, area.BottomDockWidgetArea, header=False)
        self.resizeDocks([self.left, self.right], [LEFT_WIDTH, RIGHT_WIDTH], Qt.Orientation.Horizontal)
        self.resizeDocks([self.bottom], [BOTTOM_HEIGHT], Qt.Orientation.Vertical)

    def _on_taller(self, on: bool) -> None:
        """The dock below takes most of the window's height, or again what it had."""
        if on:
            self._height_before = self.bottom.height()
        self.resizeDocks([self.bottom], [self.height() if on else self._height_before], Qt.Orientation.Vertical)

    def _dock(self, title: str, content: QWidget, area: Qt.DockWidgetArea, *, header: bool = True) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(f"dock_{title.split()[0].lower()}")
        dock.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetMovable | QDockWidget.DockWidgetFeature.DockWidgetClosable
        )
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
        for name in ("new", "open", "save", "-", "undo", "redo", "-", "fit"):
            bar.addAction(self.commands[name]) if name != "-" else bar.addSeparator()
        self.heading = ElidedLabel("", "title")
        self.heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        bar.addWidget(self.heading)
        self.export = button("Export", "", "export-variant", "Take the model with you")
        self.train_button = button("Train", "primary", "play", "Train this model in the background (F5)")
        self.theme_button = tool("theme-light-dark", "Switch between the dark and the light theme")
        self.theme_button.clicked.connect(
            lambda: theme.manager.set_theme("light" if theme.current().is_dark else "dark")
        )
        bar.addWidget(self.theme_button)
        bar.addWidget(_gap(4))
        bar.addWidget(self.export)
        bar.addWidget(_gap(8))
        bar.addWidget(self.train_button)
        self.addToolBar(bar)

    def _fill_menus(self) -> None:
        menus = self.commands.submenus
        for title, members in grouped().items():
            group_menu = menus["templates"].addMenu(title)
            for template in members:
                add = group_menu.addAction(template.title)
                add.setToolTip(template.summary)
                add.triggered.connect(lambda _checked=False, name=template.name: self.template_chosen.emit(name))
        fill_colours(self.canvas, menus["colour"])
        fill_heat(self.canvas, menus["heat"])
        group = QActionGroup(self)
        self._theme_picks: dict[str, QAction] = {}
        theme.manager.changed.connect(self._on_theme)
        for choice, text in (("system", "Like the &system"), ("dark", "&Dark"), ("light", "&Light")):
            pick = QAction(text, group)
            pick.setCheckable(True)
            pick.setChecked(theme.manager.choice == choice)
            pick.triggered.connect(lambda _checked=False, c=choice: theme.manager.set_theme(c))
            self._theme_picks[choice] = pick
            menus["theme"].addAction(pick)
        for dock in (self.left, self.right, self.bottom):
            menus["panels"].addAction(dock.toggleViewAction())
        exports = QMenu(self.export)
        for name in ("export_pytorch", "export_onnx", "export_program", "export_weights"):
            exports.addAction(self.commands[name])
        self.export.setMenu(exports)

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._theme_picks[theme.manager.choice].setChecked(True)

    def _restore_layout(self) -> None:
        settings = QSettings()
        geometry, state = settings.value("window/geometry"), settings.value("window/state")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        if isinstance(state, QByteArray):
            self.restoreState(state, _STATE_VERSION)

    def remember_layout(self) -> None:
        """Keep the window's size and the docks' places for the next session."""
        settings = QSettings()
        settings.setValue("window/geometry", self.saveGeometry())
        settings.setValue("window/state", self.saveState(_STATE_VERSION))


def _gap(width: int) -> QWidget:
    made = QWidget()
    made.setFixedWidth(width)
    return made
