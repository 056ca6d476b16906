"""The page of one model file: a graph or a tree of tensors, a search field, and a panel of what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QComboBox, QLineEdit, QSplitter, QStackedWidget, QWidget

from designer.ui import theme, wording
from designer.ui.importing import SUFFIXES, import_file
from designer.ui.model_view.facts_tree import FactsTree
from designer.ui.model_view.graph_scene import GraphScene
from designer.ui.model_view.graph_view import GraphView
from designer.ui.model_view.tensor_panel import TensorPanel
from designer.ui.model_view.tensor_tree import TensorTree
from designer.ui.side_pages import SidePage
from designer.ui.widgets import ElidedLabel, button, column, label, row, tool

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

SIDE = 340
"""Width of the panel."""
Ask = Callable[[str, dict[str, Any], Callable[[Any], None], Callable[[Mapping[str, Any]], None]], Any]


class ModelPage(SidePage):
    """`ask(method, params, done, failed)` puts a question to the engine and `cancel(token)` takes it back, `ask`
    having returned the token.
    """

    def __init__(self, path: Path, shown: Mapping[str, Any], ask: Ask, cancel: Callable[[Any], None]) -> None:
        super().__init__()
        self.path, self.title = path, path.name
        self.tip = self.key = str(path)
        self.summary = shown["summary"]
        self._ask, self._cancel = ask, cancel
        self._tensors = {t["name"]: t for t in self.summary["tensors"]}
        self._waiting: tuple[str, Any] | None = None
        self._at = -1
        self.graph, self.tree = GraphView(), TensorTree()
        self.facts, self.tensor = FactsTree(), TensorPanel()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find nodes and weights" if "drawing" in shown else "Find tensors")
        self.search.setAccessibleName(self.search.placeholderText())
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(230)
        self.counted = label("", "muted")
        self.graphs = QComboBox()
        self.graphs.setAccessibleName("Which graph of the file")
        self.import_button = button("Import as a document", "small")
        self.import_button.hide()
        self._build(is_graph="drawing" in shown)
        self._connect()
        self.facts.show_file(self.summary)
        if "drawing" in shown:
            for key, title in self.summary["graphs"].items():
                self.graphs.addItem(title, key)
            self.graphs.setVisible(self.graphs.count() > 1)
            self._show_drawing(shown["drawing"])
        else:
            self.graphs.hide()
            self.tree.show_tensors(self.summary["tensors"])

    def _build(self, *, is_graph: bool) -> None:
        fit = tool("fit-to-page-outline", "Show all of it (F)")
        fit.clicked.connect(self.fit)
        file = tool("file-document-outline", "What the file says of itself")
        file.clicked.connect(self._show_file)
        said = f"{self.summary['format']}, {wording.memory(self.summary['bytes'])}"
        about = ElidedLabel(said, "muted")
        head = row(self.search, self.counted, self.graphs, about, self.import_button, file, fit, margins=(8, 6, 8, 6))
        head.setStretch(3, 1)
        fit.setVisible(is_graph)
        centre = QStackedWidget()
        centre.addWidget(self.graph)
        centre.addWidget(self.tree)
        centre.setCurrentWidget(self.graph if is_graph else self.tree)
        side = QWidget()
        side.setObjectName("model_side")
        side.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        sections = column(self.facts, self.tensor, gap=0)
        sections.setStretch(0, 1)
        side.setLayout(sections)
        parts = QSplitter(Qt.Orientation.Horizontal)
        parts.addWidget(centre)
        parts.addWidget(side)
        parts.setStretchFactor(0, 1)
        parts.setSizes([10_000, SIDE])
        parts.setChildrenCollapsible(False)
        side.setMinimumWidth(240)
        box = column(head, parts, gap=0)
        box.setStretch(1, 1)
        self.setLayout(box)
        QWidget.setTabOrder(self.search, self.graph if is_graph else self.tree)
        QWidget.setTabOrder(self.graph if is_graph else self.tree, self.facts)
        self.setFocusProxy(self.graph if is_graph else self.tree)

    def _connect(self) -> None:
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(60)
        self._typing.timeout.connect(self._find)
        self.search.textChanged.connect(lambda _text: self._typing.start())
        self.search.returnPressed.connect(lambda: self.step(1))
        self.graph.chosen.connect(self._on_chosen)
        self.facts.tensor_chosen.connect(self.show_tensor)
        self.tree.tensor_chosen.connect(self.show_tensor)
        self.graphs.activated.connect(self._on_graph)
        for keys, act in (("Shift+Return", lambda: self.step(-1)), ("F3", lambda: self.step(1))):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    def offer_import(self, window: MainWindow) -> None:
        """A file that can be made a document has a button for it."""
        self.import_button.setVisible(self.path.suffix.lower() in SUFFIXES)
        self.import_button.clicked.connect(lambda: import_file(window, self.path))

    # -- commands of the window ----------------------------------------------------------------------------------------

    def fit(self) -> None:
        self.graph.fit()

    def zoom_100(self) -> None:
        self.graph.zoom_100()

    def start_search(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    # -- searching -----------------------------------------------------------------------------------------------------

    def _find(self) -> None:
        words = self.search.text()
        if self.graph.drawn is None:
            found = self.tree.search(words)
            self.counted.setText(wording.plural(found, "tensor") if words.strip() else "")
            return
        self._at = -1
        self.graph.mark(self.graph.drawn.matches(words))
        self._count()

    def step(self, by: int) -> None:
        """Go to the next node or tensor that was found, or to the one before."""
        if self._typing.isActive():
            self._typing.stop()
            self._find()
        if self.graph.drawn is None:
            self.tree.step(by)
        elif self.graph.found:
            self._at = (self._at + by) % len(self.graph.found) if self._at >= 0 or by > 0 else len(self.graph.found) - 1
            self.graph.choose(self.graph.found[self._at], bring=True)
            self._count()

    def _count(self) -> None:
        found = len(self.graph.found)
        at = f"{self._at + 1} of {found:,}" if self._at >= 0 else f"{found:,} found"
        self.counted.setText(at if self.search.text().strip() else "")

    # -- what is chosen ------------------------------------------------------------------------------------------------

    def _show_file(self) -> None:
        self.show_tensor("")
        self.facts.show_file(self.summary)

    def _on_chosen(self, node: int) -> None:
        if node < 0 or self.graph.drawn is None:
            self._show_file()
        else:
            self.facts.show_node(self.graph.drawn.nodes[node], self.graph.drawn.values, self._tensors)

    def _on_graph(self, place: int) -> None:
        key = self.graphs.itemData(place)

        def refused(error: Mapping[str, Any]) -> None:
            self.counted.setText(str(error.get("message", "")))

        params = {"path": str(self.path), "graph": key}
        self._ask("view_model", params, lambda shown: self._show_drawing(shown["drawing"]), refused)

    def _show_drawing(self, drawing: Mapping[str, Any]) -> None:
        self.graph.show_graph(GraphScene(drawing, theme.current()), self.title)
        self._find()

    def show_tensor(self, name: str) -> None:
        """Show a tensor and ask for its figures; what was asked about another one is taken back."""
        if self._waiting is not None:
            if self._waiting[0] == name:
                return
            self._cancel(self._waiting[1])
            self._waiting = None
        tensor = self._tensors.get(name)
        self.tensor.setVisible(tensor is not None)
        if tensor is None:
            return
        self.tensor.show_tensor(tensor)
        if tensor["problem"]:
            return

        def done(figures: Mapping[str, Any]) -> None:
            if self._waiting is not None and self._waiting[0] == name:
                self._waiting = None
                self.tensor.show_figures(figures)

        def refused(error: Mapping[str, Any]) -> None:
            if self._waiting is not None and self._waiting[0] == name:
                self._waiting = None
                self.tensor.show_refusal(str(error.get("message", "")))

        self._waiting = (name, None)
        token = self._ask("view_tensor", {"path": str(self.path), "name": name}, done, refused)
        if self._waiting is not None:
            self._waiting = (name, token)
