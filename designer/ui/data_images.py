"""The images of a data set: thumbnails that are filtered by part, class, problems and words, and one of them large."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLineEdit, QSplitter, QWidget

from designer.ui import wording
from designer.ui.data_link import DataLink, take_pixels
from designer.ui.editors import CalmComboBox
from designer.ui.overlay import coloured
from designer.ui.picture_view import PictureView
from designer.ui.thumb_grid import ThumbGrid
from designer.ui.widgets import ElidedLabel, column, label, row, tool

FILTER_MS = 120
PARTS = (("", "All parts"), ("train", "Training"), ("val", "Validation"))

Row = tuple[str, str, Sequence[int]]
"""Path, part and classes of an image."""


class ImagesPage(QWidget):
    """Thumbnails on the left, the chosen image on the right."""

    def __init__(self, link: DataLink) -> None:
        super().__init__()
        self._link = link
        self.rows: list[Row] = []
        self._problems: dict[str, str] = {}
        self._finding: dict[str, Any] | None = None
        self.part, self.kind = CalmComboBox(), CalmComboBox()
        for value, text in PARTS:
            self.part.addItem(text, value)
        self.part.setAccessibleName("Part")
        self.kind.setAccessibleName("Class")
        self.troubled = tool("alert-circle-outline", "Only images with problems, once the check has run")
        self.troubled.setCheckable(True)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Name")
        self.search.setAccessibleName("Search images by name")
        self.search.setClearButtonEnabled(True)
        self.count = label("", "faint")
        self.grid, self.view = ThumbGrid(), PictureView()
        self.grid.name_of = lambda place: self.rows[place][0]
        self.grid.is_marked = lambda place: self.rows[place][0] in self._problems
        self.about = ElidedLabel("", "muted", Qt.TextElideMode.ElideMiddle)
        self.previous, self.next = tool("chevron-left", "Previous image"), tool("chevron-right", "Next image")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._filter)
        self.setLayout(self._build())
        self._connect()
        self._offer_classes([])

    def _build(self) -> Any:
        self.part.setFixedWidth(96)
        self.kind.setFixedWidth(124)
        self.search.setMinimumWidth(60)
        filters = row(self.part, self.kind, self.troubled, self.search, self.count, margins=(8, 4, 8, 2), gap=4)
        left, right = QWidget(), QWidget()
        left.setLayout(column(filters, self.grid, gap=0))
        heading = row(self.about, self.previous, self.next, margins=(8, 4, 8, 2), gap=4)
        heading.setStretch(0, 1)
        right.setLayout(column(heading, self.view, gap=0))
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.setChildrenCollapsible(False)
        self.split.addWidget(left)
        self.split.addWidget(right)
        self.split.setStretchFactor(0, 1)
        self.split.setStretchFactor(1, 1)
        self.split.setSizes([430, 400])
        return column(self.split)

    def _connect(self) -> None:
        self.part.currentIndexChanged.connect(lambda _place: self._filter())
        self.kind.currentIndexChanged.connect(lambda _place: self._filter())
        self.troubled.toggled.connect(lambda _on: self._filter())
        self.search.textChanged.connect(lambda _text: self._timer.start(FILTER_MS))
        self.grid.wanted.connect(self._link.thumbs)
        self.grid.chosen.connect(self._on_chosen)
        self.grid.activated.connect(lambda _row: self.view.setFocus())
        self.view.step_wanted.connect(self.step)
        self.previous.clicked.connect(lambda: self.step(-1))
        self.next.clicked.connect(lambda: self.step(1))
        self._link.thumbed.connect(self.grid.set_thumb)
        self._link.pictured.connect(self._on_pictured)

    # -- the list -----------------------------------------------------------------------------------------------------

    def clear(self, text: str) -> None:
        """Another data set comes; `text` stands in its place until then."""
        self.rows.clear()
        self._problems.clear()
        self._finding = None
        self.grid.forget()
        self.grid.show_rows((), text)
        self.view.show_text("")
        self.about.set_full_text("")
        self.count.setText("")

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Some more images, in order."""
        few = len(self.rows) < 1000
        self.rows.extend(rows)
        if few:  # the first ones are seen at once, the rest when all are there
            self.grid.show_rows(range(len(self.rows)))

    def show_all(self, names: Sequence[str]) -> None:
        """All images are listed; `names` are those of the classes."""
        self._offer_classes(names)
        self._filter()
        if self.grid.current is None and self.grid.shown:
            self.grid.select(0)

    def show_problems(self, findings: Iterable[dict[str, Any]]) -> None:
        """Mark the images that these findings are about."""
        for finding in findings:
            for path in (finding["image"], finding["file"]):
                if path and path not in self._problems:
                    self._problems[path] = finding["what"]
        self._filter()

    def _offer_classes(self, names: Sequence[str]) -> None:
        self.kind.blockSignals(True)
        self.kind.clear()
        self.kind.addItem("All classes", -1)
        for place, name in enumerate(names):
            self.kind.addItem(name, place)
        self.kind.setEnabled(bool(names))
        self.kind.blockSignals(False)

    def _filter(self) -> None:
        part, kind, words = self.part.currentData(), self.kind.currentData(), self.search.text().casefold()
        shown: Sequence[int] = range(len(self.rows))
        if part:
            shown = [i for i in shown if self.rows[i][1] == part]
        if kind is not None and kind >= 0:
            shown = [i for i in shown if kind in self.rows[i][2]]
        if self.troubled.isChecked():
            shown = [i for i in shown if self.rows[i][0] in self._problems]
        if words:
            shown = [i for i in shown if words in self.rows[i][0].casefold()]
        self.grid.show_rows(shown, "No image is like that." if self.rows else self.grid_text)
        filtered = len(shown) < len(self.rows)
        self.count.setText(f"{len(shown):,} of {len(self.rows):,}" if filtered else f"{len(shown):,}")

    grid_text = "Choose a data set on the left, or drop one here."

    # -- one image ----------------------------------------------------------------------------------------------------

    def show_image(self, path: str, finding: dict[str, Any] | None = None) -> bool:
        """Show an image, and what was found wrong with it; False when it is not among the images."""
        number = next((i for i, one in enumerate(self.rows) if one[0] == path), None)
        if number is None:
            return False
        if number not in self.grid.shown:
            for box in (self.part, self.kind):
                box.setCurrentIndex(0)
            self.troubled.setChecked(False)
            self.search.clear()
            self._filter()
        self._finding = finding
        self.grid.place = -1  # so that it is asked for again, with its bad label
        self.grid.select(list(self.grid.shown).index(number))
        return True

    def step(self, by: int) -> None:
        """The next or the previous image of those shown."""
        self.grid.select(self.grid.place + by)

    def _on_chosen(self, number: int) -> None:
        finding, self._finding = self._finding, None
        line = finding["line"] if finding is not None else 0
        self._link.picture(number, (finding["file"], line) if finding is not None and line else None)
        self._say_what(number, "")

    def _say_what(self, number: int, size: str) -> None:
        path, part, _ = self.rows[number]
        words = [
            PurePath(path).name,
            size,
            {"train": "training", "val": "validation"}[part],
            self._problems.get(path, ""),
        ]
        self.about.set_full_text("  ·  ".join(word for word in words if word))
        self.about.setToolTip(path)

    def _on_pictured(self, answer: dict[str, Any]) -> None:
        """An image has come; one that was stepped past already is not shown."""
        pixels = take_pixels(answer["file"]) if "file" in answer else b""
        if answer["picture"] != self.grid.current:
            return
        if "message" in answer:
            self.view.show_text(answer["message"])
            return
        width, height = answer["shown"]
        image = QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        size = QSize(answer["width"], answer["height"])
        classes = None
        if answer["labels"] is not None:
            classes = coloured(pixels[3 * width * height :], (height, width), answer["labels"])
        self.view.show_picture(image, size, answer["objects"], answer["bad"], classes)
        objects = wording.plural(len(answer["objects"]), "object") if any("box" in o for o in answer["objects"]) else ""
        self._say_what(answer["picture"], f"{size.width()} × {size.height()}" + (f"  ·  {objects}" if objects else ""))
