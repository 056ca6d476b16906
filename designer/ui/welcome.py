"""What the window shows while nothing is open: a new document, a file, a recent one, or a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from designer.graph.templates import Template, sketches
from designer.ui import glyphs, theme
from designer.ui.sketch import SketchPicture
from designer.ui.widgets import Clickable, ElidedLabel, button, clear, column, label, row, widgets_in

_GLYPHS = {
    "detect": "vector-square",
    "segment": "shape-outline",
    "semantic": "layers-outline",
    "classify": "tag-outline",
}
_TASKS = {
    "detect": "Detection",
    "segment": "Segmentation",
    "semantic": "Semantic segmentation",
    "classify": "Classification",
}


class TemplateCard(Clickable):
    """A template as a card; pressing it opens a new document made from it."""

    chosen = Signal(str)

    def __init__(self, template: Template) -> None:
        super().__init__()
        self.setObjectName("template_card")
        self.template = template
        self.setAccessibleName(f"New from template {template.title}")
        self.setFixedSize(256, 190)
        sign = QLabel()
        sign.setPixmap(glyphs.icon(_GLYPHS.get(template.task, "graph-outline"), "accent").pixmap(QSize(22, 22)))
        head = row(sign, label(_TASKS.get(template.task, template.task.title()), "faint"), 1)
        summary = label(template.summary, "muted", wrap=True)
        summary.setAlignment(Qt.AlignmentFlag.AlignTop)
        summary.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        picture = sketches().get(template.name)
        parts = [SketchPicture(picture, 60)] if picture is not None else []
        title = ElidedLabel(template.title, "title")
        self.setLayout(column(*parts, head, title, summary, margins=(16, 12, 16, 12), gap=4))

    def on_click(self) -> None:
        self.chosen.emit(self.template.name)


class RecentRow(Clickable):
    """A recent file: its name over its folder."""

    chosen = Signal(str)

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.setObjectName("template_card")
        self.path = path
        self.setAccessibleName(f"Open {path.name}")
        folder = ElidedLabel(str(path.parent), "faint", Qt.TextElideMode.ElideMiddle)
        self.setLayout(column(label(path.stem), folder, margins=(16, 8, 16, 8), gap=0))

    def on_click(self) -> None:
        self.chosen.emit(str(self.path))


class Welcome(QWidget):
    """Signals:
    shown(): the page comes to the front, and is to be given what it offers.
    new_requested(): an empty document.
    open_requested(): a file, to be asked for.
    template_chosen(str): a template's name.
    recent_chosen(str): a file's path.
    """

    shown = Signal()
    new_requested = Signal()
    open_requested = Signal()
    template_chosen = Signal(str)
    recent_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("welcome")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._templates: Mapping[str, Sequence[Template]] = {}
        self._recent: Sequence[Path] = ()
        self._cards = QVBoxLayout()
        self._cards.setSpacing(12)
        self._grids: list[QGridLayout] = []
        self._recent_box = QVBoxLayout()
        self._recent_box.setSpacing(8)
        new = button("New empty document", "primary", "plus")
        new.clicked.connect(self.new_requested)
        browse = button("Open a file…", glyph="folder-open-outline")
        browse.clicked.connect(self.open_requested)
        subtitle = label(
            "Draw a vision model, see every shape, train it, take it with you as PyTorch or ONNX.", "muted", wrap=True
        )
        self._page = QWidget()
        self._page.setProperty("look", "page")
        self._page.setMaximumWidth(856)
        self._page.setLayout(
            column(
                label("Netwright", "hero"),
                subtitle,
                row(new, browse, 1, margins=(0, 8, 0, 8)),
                self._recent_box,
                self._cards,
                1,
                margins=(32, 40, 32, 32),
                gap=12,
            )
        )
        holder = QWidget()
        holder.setProperty("look", "page")
        centred = row(1, self._page, 1, gap=0)
        centred.setStretch(1, 8)
        holder.setLayout(centred)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(holder)
        self.setLayout(column(scroll))
        theme.manager.changed.connect(self._on_theme)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():
            self.shown.emit()

    def _on_theme(self, _theme: theme.Theme) -> None:
        self.show_choices(self._templates, self._recent)

    def show_choices(self, templates: Mapping[str, Sequence[Template]], recent: Sequence[Path]) -> None:
        """Fill in the recent files and, under their headings, the template cards."""
        self._templates, self._recent = templates, recent
        self._place_cards()
        clear(self._recent_box)
        if recent:
            self._recent_box.addWidget(label("Recent files", "section"))
        for path in recent[:6]:
            made = RecentRow(path)
            made.chosen.connect(self.recent_chosen)
            self._recent_box.addWidget(made)

    def cards(self) -> list[TemplateCard]:
        return [card for grid in self._grids for card in _cards_in(grid)]

    def _place_cards(self) -> None:
        clear(self._cards)
        self._grids = []
        for title, templates in self._templates.items():
            self._cards.addWidget(label(title, "section"))
            grid = QGridLayout()
            grid.setSpacing(12)
            grid.setAlignment(Qt.AlignmentFlag.AlignLeft)
            self._cards.addLayout(grid)
            self._grids.append(grid)
            cards = [TemplateCard(template) for template in templates]
            for card in cards:
                card.chosen.connect(self.template_chosen)
            self._arrange(grid, cards)

    def _arrange(self, grid: QGridLayout, cards: Sequence[TemplateCard]) -> None:
        columns = max(1, min(3, (self.width() - 64) // 268))
        for index, card in enumerate(cards):
            grid.addWidget(card, index // columns, index % columns)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for grid in self._grids:
            self._arrange(grid, _cards_in(grid))


def _cards_in(grid: QGridLayout) -> list[TemplateCard]:
    return [widget for widget in widgets_in(grid) if isinstance(widget, TemplateCard)]
