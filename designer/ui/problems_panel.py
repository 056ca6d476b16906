"""The list of what is wrong with the document: a click goes to the node, a fix button repairs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from designer.graph.problems import Fix, Problem
from designer.ui import glyphs, theme
from designer.ui.flow_layout import FlowLayout
from designer.ui.widgets import Clickable, button, clear, column, label, row

_RANK = {"error": 0, "warning": 1, "advice": 2}
_GLYPHS = {
    "error": ("alert-circle-outline", "danger"),
    "warning": ("alert-outline", "warning"),
    "advice": ("lightbulb-on-outline", "info"),
}


class ProblemRow(Clickable):
    """One problem: what is wrong, in which node, and its fixes."""

    def __init__(
        self, problem: Problem, title: str, choose: Callable[[Problem], None], fix: Callable[[Fix], None]
    ) -> None:
        super().__init__()
        self.problem = problem
        self._choose = choose
        self.setProperty("look", "row")
        self.setAccessibleName(problem.message)
        glyph, color = _GLYPHS[problem.severity]
        sign = QLabel()
        sign.setPixmap(glyphs.icon(glyph, color).pixmap(QSize(16, 16)))
        sign.setFixedWidth(20)
        text = label(problem.message, wrap=True)
        text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        words = column(text, gap=2)
        if title:
            words.addWidget(label(title, "faint"))
        self.fixes = [button(f.label, "small", "auto-fix", "Apply this fix; Undo takes it back") for f in problem.fixes]
        for made, the_fix in zip(self.fixes, problem.fixes, strict=True):
            made.clicked.connect(lambda _checked=False, f=the_fix: fix(f))
        if self.fixes:
            words.addSpacing(4)
            words.addLayout(FlowLayout(*self.fixes))
        box = row(sign, words, margins=(12, 6, 12, 6))
        box.setStretch(1, 1)
        box.setAlignment(sign, Qt.AlignmentFlag.AlignTop)
        self.setLayout(box)

    def on_click(self) -> None:
        self._choose(self.problem)


class ProblemsPanel(QWidget):
    """All problems, worst first.

    Signals:
        node_chosen(str): the node of a clicked problem.
        fix_chosen(Fix): a fix button was pressed.
        count_changed(int): how many problems there are.
    """

    node_chosen = Signal(str)
    fix_chosen = Signal(Fix)
    count_changed = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._problems: tuple[Problem, ...] = ()
        self._titles: dict[str, str] = {}
        self.rows: list[ProblemRow] = []
        self._list = QVBoxLayout()
        self._list.setContentsMargins(0, 4, 0, 4)
        self._list.setSpacing(0)
        page = QWidget()
        page.setProperty("look", "page")
        page.setLayout(column(self._list, 1))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(page)
        self.setLayout(column(scroll))
        theme.manager.changed.connect(self._on_theme)
        self._fill()

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self._problems

    def show_problems(self, problems: Sequence[Problem], titles: dict[str, str]) -> None:
        """Show these; `titles` gives the node ids' titles. Nothing is rebuilt when nothing changed."""
        ordered = tuple(sorted(problems, key=lambda p: _RANK[p.severity]))
        if ordered == self._problems and titles == self._titles:
            return
        self._problems, self._titles = ordered, titles
        self._fill()
        self.count_changed.emit(len(ordered))

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._fill()

    def _fill(self) -> None:
        clear(self._list)
        self.rows = [
            ProblemRow(problem, self._titles.get(problem.node or "", ""), self._choose, self.fix_chosen.emit)
            for problem in self._problems
        ]
        for made in self.rows:
            self._list.addWidget(made)
        if not self.rows:
            self._list.addWidget(_all_clear())

    def _choose(self, problem: Problem) -> None:
        if problem.node:
            self.node_chosen.emit(problem.node)


def _all_clear() -> QWidget:
    sign = QLabel()
    sign.setPixmap(glyphs.icon("check-circle-outline", "success").pixmap(QSize(18, 18)))
    made = QWidget()
    made.setLayout(row(sign, label("No problems: every shape fits.", "muted"), 1, margins=(16, 12, 16, 12)))
    return made
