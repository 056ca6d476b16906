"""Advice on training: settings as they are and as they might be, each with its reason, taken over as one step."""

from __future__ import annotations

from typing import get_args

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QGridLayout, QScrollArea, QWidget

from designer.graph.advisor import Goal, Proposal, advise, as_fix
from designer.graph.document import Document
from designer.graph.training import TrainingSettings
from designer.ui.editors import CalmComboBox
from designer.ui.widgets import button, clear, column, label, row
from nodes.sdk.spec import Catalogue

GOALS = {"auto": "As the weights say", "scratch": "From scratch", "fine-tune": "Fine-tuning"}


class AdvisorPanel(QDialog):
    """Opens without blocking the window; `document` is the one whose training it is about."""

    def __init__(self, document: Document, parent: QWidget) -> None:
        super().__init__(parent)
        self._document = document
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Advice on training")
        self.resize(620, 460)
        self.goal = CalmComboBox()
        self.goal.setAccessibleName("What the training is for")
        for goal in get_args(Goal):
            self.goal.addItem(GOALS[goal], goal)
        self.goal.currentIndexChanged.connect(self.refresh)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(10)
        self._grid.setColumnStretch(3, 1)
        page = QWidget()
        page.setProperty("look", "page")
        page.setLayout(column(self._grid, 1, margins=(0, 0, 12, 0)))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(page)
        self.use = button("Use these", "primary", "check")
        self.use.clicked.connect(self._use)
        close = button("Close")
        close.clicked.connect(self.close)
        self.setLayout(
            column(
                label("Advice on training", "title"),
                row(label("For", "muted"), self.goal, 1),
                scroll,
                row(1, close, self.use),
                margins=(24, 20, 24, 16),
                gap=12,
            )
        )
        self._stop = document.subscribe(lambda _change: self.refresh())
        self.finished.connect(lambda _code: self._stop())
        self.refresh()

    def proposals(self) -> list[Proposal]:
        """What is advised for the goal that is chosen."""
        return advise(self._document.data, self._document.catalogue or Catalogue({}), self.goal.currentData())

    def refresh(self) -> None:
        """Show the advice for the settings as they are now."""
        clear(self._grid)
        proposals = self.proposals()
        for line, proposal in enumerate(proposals):
            title = TrainingSettings.model_fields[proposal.field].title or proposal.field
            change = proposal.is_change
            parts = (
                label(title),
                label(f"{proposal.now}", "faint"),
                label(f"{proposal.value}" if change else "as it is", "" if change else "faint"),
                label(proposal.why, "muted", wrap=True),
            )
            for place, part in enumerate(parts):
                self._grid.addWidget(part, line, place, Qt.AlignmentFlag.AlignTop if place < 3 else Qt.AlignmentFlag(0))
        self.use.setEnabled(any(p.is_change for p in proposals))

    def _use(self) -> None:
        fix = as_fix(self.proposals())
        self._document.apply(fix.edits, fix.label)
