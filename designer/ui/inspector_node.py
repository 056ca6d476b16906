"""The inspector's page for one node: title, what is wrong with it, parameters, shapes, cost, note, documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QSize, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFocusEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget
from shiboken6 import isValid

from designer.graph.document import Document
from designer.graph.model import Node
from designer.graph.problems import Fix, Problem
from designer.ui import glyphs, theme, wording
from designer.ui.flow_layout import FlowLayout
from designer.ui.inspector_composite import CompositeSection
from designer.ui.live_nodes import LiveFigures
from designer.ui.param_rows import ParamRows
from designer.ui.weights_row import WeightsRow
from designer.ui.widgets import ElidedLabel, Switch, Tile, button, clear, column, label, line, row, tool
from nodes.sdk.spec import ComponentSpec

REST_MS = 300
"""Receptive fields are asked for when the document has not changed for so long."""
SEAL_MS = 800
"""Edits of one parameter closer together than this are one undo step."""

_LOADING = "Loading components…"
_MISSING = "This component is not installed here. The node and its wires are kept as they are."


class NodePage(QWidget):
    """Signals:
    fix_chosen(Fix): a fix button of one of the node's problems was pressed.
    wanted(str, dict, object): a question for the engine: method, params, and what to call with the answer.
    refused(str): why an edit of the node's definition cannot be made.
    library_wanted(str): the composite of this id shall be saved to the user's library.
    sweep_wanted(str): this parameter (the node's id, a dot, its name) shall be swept.
    """

    fix_chosen = Signal(Fix)
    wanted = Signal(str, dict, object)
    refused = Signal(str)
    library_wanted = Signal(str)
    sweep_wanted = Signal(str)

    def __init__(self, document: Document, node: Node, spec: ComponentSpec | None) -> None:
        super().__init__()
        self._document, self._node_id, self._spec = document, node.id, spec
        self._seal = QTimer(self)
        self._seal.setSingleShot(True)
        self._seal.setInterval(SEAL_MS)
        self._seal.timeout.connect(document.seal)
        self.title = QLineEdit()
        self.title.setProperty("look", "heading")
        self.title.setAccessibleName("Node title")
        self.title.editingFinished.connect(self._on_title)
        self._problems = QVBoxLayout()
        self._problems.setSpacing(8)
        self.params: ParamRows | None = None
        self.composite: CompositeSection | None = None
        self._shapes = QVBoxLayout()
        self._shapes.setSpacing(4)
        self._shape_labels: dict[tuple[bool, str], ElidedLabel] = {}
        self.fields = column(gap=4)
        self._field_labels: dict[str, ElidedLabel] = {}
        self._resting = QTimer(self)
        self._resting.setSingleShot(True)
        self._resting.setInterval(REST_MS)
        self._resting.timeout.connect(self._ask_for_fields)
        self._shown_problems: tuple[Problem, ...] = ()
        self._tiles = {
            "params": Tile("params", "Parameters of this node"),
            "macs": Tile("MACs", "Multiply-accumulates of one image"),
            "activation_bytes": Tile("activations"),
        }
        self.live = LiveFigures()
        self.frozen = Switch()
        self.frozen.setAccessibleName("Frozen")
        self.frozen.toggled.connect(lambda on: self._document.set_frozen(self._node_id, on))
        self.weights = WeightsRow()
        self.weights.chosen.connect(lambda source: self._document.set_weights(self._node_id, source))
        self._last_known: Mapping[str, Any] = {}
        self._asked_weights: dict[str, Any] | None = None
        self.note = _NoteEdit()
        self.note.left.connect(self._on_note)
        self.setProperty("look", "page")
        self.setLayout(self._build(node))
        self.refresh()
        self.show_result(None, ())

    @property
    def spec(self) -> ComponentSpec | None:
        """The component as it was when the page was made."""
        return self._spec

    @property
    def node_id(self) -> str:
        return self._node_id

    def _build(self, node: Node) -> QVBoxLayout:
        box = column(margins=(12, 8, 12, 16), gap=12)
        sign = QLabel()
        category = self._spec.category if self._spec else ""
        sign.setPixmap(glyphs.category_icon(category).pixmap(QSize(20, 20)))
        kind = ElidedLabel(
            f"{self._spec.title} · {wording.category_title(category)}" if self._spec else node.component, "muted"
        )
        heading = row(sign, self.title, gap=4)
        box.addLayout(column(heading, kind, gap=0))
        box.addLayout(self._problems)
        if self._spec is None:
            box.addWidget(label(_LOADING if self._document.catalogue is None else _MISSING, "muted", wrap=True))
        else:
            box.addWidget(label("Parameters", "section"))
            self.params = ParamRows(self._spec)
            self.params.edited.connect(self._on_param)
            self.params.suggestions_wanted.connect(self._on_suggestions_wanted)
            self.params.sweep_wanted.connect(lambda name: self.sweep_wanted.emit(f"{self._node_id}.{name}"))
            box.addWidget(self.params)
        if any(composite.id == node.component for composite in self._document.data.composites):
            self.composite = CompositeSection(self._document, node.component)
            self.composite.refused.connect(self.refused)
            self.composite.library_wanted.connect(self.library_wanted)
            box.addWidget(line())
            box.addWidget(self.composite)
        box.addWidget(line())
        box.addWidget(label("Shapes", "section"))
        box.addLayout(self._shapes)
        tiles = row(*self._tiles.values(), gap=6)
        for index in range(len(self._tiles)):
            tiles.setStretch(index, 1)
        box.addLayout(tiles)
        box.addWidget(self.live)
        box.addLayout(self.fields)
        box.addWidget(line())
        frozen = row(label("Frozen"), 1, self.frozen)
        box.addLayout(
            column(
                frozen,
                label("Its weights stay as they are in training, or until “Unfreeze after”.", "faint", wrap=True),
                gap=2,
            )
        )
        self.weights.hide()
        box.addWidget(self.weights)
        box.addLayout(column(label("Note"), self.note, gap=4))
        if self._spec is not None:
            box.addWidget(line())
            box.addLayout(_about(self._spec))
        box.addStretch(1)
        return box

    def refresh(self) -> None:
        """Show the node as the document has it now."""
        node = self._document.node(self._node_id)
        if not self.title.hasFocus() or not self.title.isModified():
            self.title.setText(node.title)
        if self.params is not None:
            self.params.show_values(node.params)
        self.frozen.blockSignals(True)
        self.frozen.setChecked(node.frozen)
        self.frozen.blockSignals(False)
        self.weights.show_value(node.weights)
        if not self.note.hasFocus():
            self.note.setPlainText(node.note)

    def show_result(
        self, result: Mapping[str, Any] | None, problems: Sequence[Problem], inputs: Mapping[str, Any] | None = None
    ) -> None:
        """Show what propagation found for this node; `inputs` are the tensors on its incoming wires by port."""
        if self._shown_problems != tuple(problems):
            self._shown_problems = tuple(problems)
            clear(self._problems)
            for problem in problems:
                self._problems.addWidget(_problem_card(problem, self.fix_chosen.emit))
        rows: dict[tuple[bool, str], str] = {}
        for name, tensor in (inputs or {}).items():
            rows |= _shape_rows(name, tensor, out=False)
        for name, tensor in ((result or {}).get("outputs") or {}).items():
            rows |= _shape_rows(name, tensor, out=True)
        self._show_shapes(rows)
        if self.params is not None:
            self.params.show_derived((result or {}).get("derived") or {})
        known = result if result is not None and result.get("status") == "ok" else {}
        self.weights.setVisible(bool(known.get("params")))
        if known.get("params"):
            self._ask_for_weights()
        if not known.get("outputs"):
            self.show_fields({})
        elif known is not self._last_known:
            self._resting.start()  # a slider that is dragged asks once, when it rests
        self._last_known = known
        self.live.show_figures((result or {}).get("live") or {})
        self._tiles["params"].set_text(wording.count(known.get("params")))
        self._tiles["macs"].set_text(wording.count(known.get("macs")))
        self._tiles["activation_bytes"].set_text(wording.memory(known.get("activation_bytes")))

    def _ask_for_weights(self) -> None:
        """Which published weights fit depends on the settings, so each new set of them is asked about once."""
        node = self._document.node(self._node_id)
        if self._asked_weights != node.params:
            self._asked_weights = dict(node.params)
            question = {"component": node.component, "params": dict(node.params)}
            self.wanted.emit("weights", question, self.weights.set_sources)

    def _ask_for_fields(self) -> None:
        if self._spec is not None and self._spec.role in ("layer", "input"):
            data = self._document.data.model_dump(mode="json", exclude={"groups"})
            self.wanted.emit("receptive_field", {"document": data, "node": self._node_id}, self.show_fields)

    def show_fields(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Show what a cell of each output sees of the image; the answer may come when the page has gone."""
        if not isValid(self):
            return
        if list(found) != list(self._field_labels):
            clear(self.fields)
            self._field_labels = {port: ElidedLabel() for port in found}
            if found:
                heading = label("A cell sees", "section")
                heading.setToolTip("Receptive field: the pixels of the image that a cell of this output depends on.")
                self.fields.addWidget(heading)
            for port, shown in self._field_labels.items():
                self.fields.addLayout(_shape_row(port, shown, out=True))
        for port, reach in found.items():
            self._field_labels[port].set_full_text(wording.reach(reach))

    def _on_suggestions_wanted(self, name: str, take: Any) -> None:
        question = {"component": self._document.node(self._node_id).component, "param": name}
        self.wanted.emit("suggestions", question, take)

    def _show_shapes(self, rows: Mapping[tuple[bool, str], str]) -> None:
        """Show a shape for each (is it an output, name); labels are kept while the names stay, so nothing flickers."""
        if list(rows) != list(self._shape_labels) or not rows:
            clear(self._shapes)
            self._shape_labels = {key: ElidedLabel() for key in rows}
            for (out, name), shape in self._shape_labels.items():
                self._shapes.addLayout(_shape_row(name, shape, out=out))
            if not rows:
                self._shapes.addWidget(label("Known once its inputs are wired.", "faint"))
        for key, text in rows.items():
            self._shape_labels[key].set_full_text(text)

    def _on_param(self, name: str, value: Any) -> None:
        self._document.set_param(self._node_id, name, value)
        self._seal.start()

    def _on_title(self) -> None:
        text = self.title.text().strip()
        self.title.setModified(False)
        if text and text != self._document.node(self._node_id).title:
            self._document.rename(self._node_id, text)
        self.refresh()

    def _on_note(self) -> None:
        if self.note.toPlainText() != self._document.node(self._node_id).note:
            self._document.set_note(self._node_id, self.note.toPlainText())


class _NoteEdit(QPlainTextEdit):
    """A small text box that says when the user has left it; Tab goes on to the next field."""

    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Note")
        self.setPlaceholderText("Why this node is here")
        self.setTabChangesFocus(True)
        self.setFixedHeight(64)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.left.emit()


def _shape_rows(port: str, tensor: Mapping[str, Any] | None, *, out: bool) -> dict[tuple[bool, str], str]:
    """A row for a tensor, or one for each field of a structured value."""
    fields = (tensor or {}).get("fields")
    if fields:
        return {(out, name): wording.shape(sizes) for name, sizes in fields.items()}
    return {(out, port): wording.tensor(tensor)}


def _shape_row(name: str, shape: ElidedLabel, *, out: bool) -> QHBoxLayout:
    sign = QLabel()
    glyph, color = ("arrow-left-thin", "accent") if out else ("arrow-right-thin", "text_faint")
    sign.setPixmap(glyphs.icon(glyph, color).pixmap(QSize(14, 14)))
    sign.setToolTip("Output" if out else "Input")
    port = ElidedLabel(wording.port(name), "muted")
    port.set_fixed_width(72)
    shape.setFont(theme.mono_font())
    shape.setObjectName(f"shape_{'out' if out else 'in'}_{name}")
    made = row(sign, port, shape, gap=6)
    made.setStretch(2, 1)
    return made


def _problem_card(problem: Problem, fix: Any) -> QFrame:
    card = QFrame()
    card.setProperty("look", "card")
    box = column(
        label(problem.message, "danger" if problem.severity == "error" else "muted", wrap=True), margins=(10, 8, 10, 8)
    )
    fixes = FlowLayout()
    for one in problem.fixes:
        made = button(one.label, "small", "auto-fix")
        made.clicked.connect(lambda _checked=False, f=one: fix(f))
        fixes.addWidget(made)
    box.addLayout(fixes)
    card.setLayout(box)
    return card


def _about(spec: ComponentSpec) -> QVBoxLayout:
    text = label(wording.prose(spec.doc or spec.summary), "muted", wrap=True, select=True)
    box = column(label(f"About {spec.title}", "section"), text, gap=6)
    if spec.paper:
        paper = label(spec.paper, "faint", wrap=True, select=True)
        link = arxiv_link(spec.paper)
        if link:
            go = tool("open-in-new", "Open the paper")
            go.clicked.connect(lambda: QDesktopServices.openUrl(QUrl(link)))
            line_ = row(paper, go)
            line_.setStretch(0, 1)
            box.addLayout(line_)
        else:
            box.addWidget(paper)
    return box


def arxiv_link(paper: str) -> str | None:
    """The address of a paper that is named as `..., arXiv:1709.01507`."""
    _, found, number = paper.partition("arXiv:")
    return f"https://arxiv.org/abs/{number.split()[0].rstrip('.,;')}" if found and number.strip() else None
