"""Augmentation: switches and strengths, and beside them training images as the trainer would make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QSlider, QWidget

from designer.graph.document import Document
from designer.graph.training import AUGMENTATION, TrainingSettings
from designer.graph.unused import applies, no_mosaic
from designer.ui import theme
from designer.ui.data_link import DataLink, take_pixels
from designer.ui.editors import CalmComboBox, CalmSpinBox
from designer.ui.options_form import param_of
from designer.ui.overlay import coloured, paint_objects
from designer.ui.widgets import ElidedLabel, Switch, button, column, label, row, tool

LEFT_WIDTH = 260
SHOWN = 4
"""Images that are shown at a time."""
DEBOUNCE_MS = 15
NAMES = (*AUGMENTATION, "crop_area")
OFF = dict.fromkeys(AUGMENTATION, 0.0) | {"crop_area": 1.0}
USUAL = {
    "flip": 0.5, "flip_vertical": 0.5, "jitter": 0.5, "rotate": 10.0, "translate": 0.1, "scale": 0.5, "shear": 2.0,
    "mosaic": 1.0, "mixup": 0.15, "cutmix": 0.3, "copy_paste": 0.3, "crop": 0.5, "crop_area": 0.5,
}  # fmt: skip
"""Strengths with which a switch begins that was off from the start."""
_DEGREES = ("rotate", "shear")
_STEPS = 100


class Strength(QWidget):
    """A switch, a slider and a line that says what an augmentation does. The switch remembers the strength."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.remembered = name, USUAL[name]
        info, field = param_of(TrainingSettings, name), TrainingSettings.model_fields[name]
        self._low, self._high = float(info.minimum or 0), float(info.maximum or 1)
        self.switch, self.slider = Switch(), QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setPageStep(10)
        title = str(field.title)
        self.switch.setAccessibleName(title)
        self.slider.setAccessibleName(f"Strength of {title.lower()}")
        self.figure = label("", "muted")
        self.figure.setFixedWidth(38)
        self.figure.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        text = label(title)
        text.setBuddy(self.switch)
        about = ElidedLabel(str(field.description), "faint")
        self.slider.setToolTip(str(field.description))
        self.setLayout(column(row(self.switch, text, 1, self.figure, gap=6), about, self.slider, gap=0))

    def value(self) -> float:
        """What is set by the slider."""
        value = self._low + (self._high - self._low) * self.slider.value() / _STEPS
        return round(value, 3)

    def show_value(self, value: float) -> None:
        """Show the document's strength."""
        on = value != OFF[self.name]
        self.remembered = value if on else self.remembered
        for widget in (self.switch, self.slider):
            widget.blockSignals(True)
        self.switch.setChecked(on)
        if round(self.value(), 3) != round(value, 3):
            shown = value if on else self.remembered
            self.slider.setValue(round((shown - self._low) / (self._high - self._low) * _STEPS))
        for widget in (self.switch, self.slider):
            widget.blockSignals(False)
        told = f"{value:.3g}°" if self.name in _DEGREES else f"{value:.0%}"
        self.figure.setText(told if on else "off")


class PreviewGrid(QWidget):
    """Some images with their objects, as large as there is room for."""

    GAP = 8

    def __init__(self) -> None:
        super().__init__()
        self.images: list[QImage] = []
        self.owners: list[QImage | None] = []
        self.objects: list[Sequence[Mapping[str, Any]]] = []
        self.text = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 90)
        self.setAccessibleName("Augmented images")

    def show_text(self, text: str) -> None:
        self.images, self.owners, self.objects, self.text = [], [], [], text
        self.setAccessibleDescription(text)
        self.update()

    def show_image(
        self, place: int, image: QImage, owners: QImage | None, objects: Sequence[Mapping[str, Any]]
    ) -> None:
        """Show an image at a place, with colours to lay over it, and its objects."""
        if not self.images:
            self.images, self.owners, self.objects = [QImage()] * SHOWN, [None] * SHOWN, [()] * SHOWN
        self.images[place], self.owners[place], self.objects[place] = image, owners, objects
        self.setAccessibleDescription(", ".join(f"{len(found)} objects" for found in self.objects))
        self.update()

    def places(self) -> list[QRectF]:
        """Where each image is drawn: in as many columns as make them largest."""
        count = len(self.images)
        if not count:
            return []
        first = next(image for image in self.images if not image.isNull())
        ratio = first.width() / first.height()

        def side(columns: int) -> float:
            lines = -(-count // columns)
            room = (self.width() - self.GAP * (columns + 1)) / columns, (self.height() - self.GAP * (lines + 1)) / lines
            return min(room[0], room[1] * ratio)

        columns = max(range(1, count + 1), key=side)
        width = max(1.0, side(columns))
        height, lines = width / ratio, -(-count // columns)
        left = (self.width() - columns * width - (columns - 1) * self.GAP) / 2
        top = (self.height() - lines * height - (lines - 1) * self.GAP) / 2
        return [
            QRectF(left + i % columns * (width + self.GAP), top + i // columns * (height + self.GAP), width, height)
            for i in range(count)
        ]

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if not self.images:
            painter.setPen(theme.current().color("text_faint"))
            wrap = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(12, 0, -12, 0), wrap, self.text)
            return
        for i, place in enumerate(self.places()):
            image, owners = self.images[i], self.owners[i]
            if image.isNull():
                continue
            painter.drawImage(place, image)
            if owners is not None:
                painter.drawImage(place, owners)
            painter.save()
            painter.setClipRect(place)
            painter.translate(place.topLeft())
            scale = place.width() / image.width()
            painter.scale(scale, scale)
            paint_objects(painter, self.objects[i], scale, {}, captions=place.width() > 120)
            painter.restore()


class PreviewPage(QWidget):
    """Strengths on the left write into the document; the images follow."""

    def __init__(self, link: DataLink) -> None:
        super().__init__()
        self._link = link
        self._document: Document | None = None
        self._sent: tuple[Any, ...] = ()
        self.task, self.ready = "", False
        self.strengths = {name: Strength(name) for name in NAMES}
        self.reset = button("Reset", "small", "restore", "All augmentation as it is in a new document")
        self.note = label("", "faint", wrap=True)
        self.grid = PreviewGrid()
        self.mode = CalmComboBox()
        self.mode.addItem("One image", "epochs")
        self.mode.addItem("Several", "images")
        self.mode.setAccessibleName("What is shown")
        self.mode.setToolTip("One image in several epochs, or several images in one epoch")
        self.mode.setFixedWidth(132)
        self.number, self.epoch = _spin("Image"), _spin("Epoch")
        self.again = tool("dice-multiple-outline", "The next epochs, or the next images")
        self.state = ElidedLabel("", "faint")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._ask)
        self.setLayout(self._build())
        self._connect()

    def _build(self) -> Any:
        rows = column(*self.strengths.values(), row(self.reset, 1), self.note, 1, margins=(12, 8, 12, 8), gap=10)
        page = QWidget()
        page.setProperty("look", "page")
        page.setLayout(rows)
        left = QScrollArea()
        left.setFixedWidth(LEFT_WIDTH)
        left.setWidgetResizable(True)
        left.setFrameShape(QFrame.Shape.NoFrame)
        left.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        left.setWidget(page)
        bar = row(self.mode, self.number, self.epoch, self.again, self.state, margins=(8, 4, 8, 2), gap=6)
        bar.setStretch(4, 1)
        divider = QFrame()
        divider.setProperty("look", "vline")
        right = column(bar, self.grid, gap=0)
        box = row(left, divider, right, gap=0)
        box.setStretch(2, 1)
        return box

    def _connect(self) -> None:
        for strength in self.strengths.values():
            strength.slider.valueChanged.connect(lambda _v, s=strength: self._set(s.name, s.value()))
            strength.slider.sliderReleased.connect(self._seal)
            strength.switch.toggled.connect(lambda on, s=strength: self._switch(s, on))
        self.reset.clicked.connect(self._on_reset)
        self.mode.currentIndexChanged.connect(lambda _place: self._schedule())
        self.number.valueChanged.connect(lambda _v: self._schedule())
        self.epoch.valueChanged.connect(lambda _v: self._schedule())
        self.again.clicked.connect(self._on_again)
        self._link.previewed.connect(self._on_previewed)

    # -- the document -------------------------------------------------------------------------------------------------

    def set_document(self, document: Document | None) -> None:
        self._document = document
        self.setEnabled(document is not None)
        self._show_settings()

    def set_data(self, images: int, task: str) -> None:
        """The data set is read: so many training images, for a head of this task."""
        self.task, self.ready, self._sent = task, images > 0, ()
        self.number.setRange(1, max(1, images))
        self.refresh()

    def clear(self, text: str) -> None:
        """No image can be shown yet; `text` says why."""
        self.ready, self._sent = False, ()
        self.grid.show_text(text)
        self.state.set_full_text("")

    def refresh(self) -> None:
        """Show the document's settings as they are now, and images made by them."""
        if self._document is not None:
            self._show_settings()
            self._schedule()

    def _show_settings(self) -> None:
        if self._document is None:
            return
        training = self._document.data.training
        for name, strength in self.strengths.items():
            strength.show_value(getattr(training, name))
            # A crop's area says nothing while nothing is cropped by chance.
            strength.setVisible(applies(name, self.task) and (name != "crop_area" or self._crops(training)))
        self.epoch.setRange(1, training.epochs)
        self.note.setText(no_mosaic(training))

    def _crops(self, training: TrainingSettings) -> bool:
        return self.task == "classify" or training.crop > 0

    def _set(self, name: str, value: float) -> None:
        self.strengths[name].show_value(value)  # the document's word comes a turn of the event loop later
        if self._document is not None and getattr(self._document.data.training, name) != value:
            self._document.set_training(**{name: value})

    def _switch(self, strength: Strength, on: bool) -> None:
        """A step of the history by itself; a slider that is moved is one until it is let go."""
        self._seal()
        self._set(strength.name, strength.remembered if on else OFF[strength.name])
        self._seal()

    def _seal(self) -> None:
        if self._document is not None:
            self._document.seal()

    def _on_reset(self) -> None:
        if self._document is not None:
            self._seal()
            plain = TrainingSettings()
            self._document.set_training(**{name: getattr(plain, name) for name in NAMES})
            self._seal()

    # -- the images ---------------------------------------------------------------------------------------------------

    def show_number(self, number: int) -> None:
        """Take the image of this number, from 0, of the training part."""
        self.number.setValue(number + 1)

    def _on_again(self) -> None:
        box = self.epoch if self.mode.currentData() == "epochs" else self.number
        following = box.value() + SHOWN
        box.setValue(following if following <= box.maximum() else box.minimum())

    def places(self) -> list[tuple[int, int]]:
        """Number and epoch, from 0, of each image that is shown."""
        number, epoch = self.number.value() - 1, self.epoch.value() - 1
        if self.mode.currentData() == "images":
            return [((number + i) % self.number.maximum(), epoch) for i in range(SHOWN)]
        return [(number, epoch + i) for i in range(SHOWN)]

    def _schedule(self) -> None:
        if self.ready and self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._schedule()

    def _ask(self) -> None:
        """Ask for images unless they are those on show."""
        if self._document is None:
            return
        training, places = self._document.data.training, self.places()
        wanted = (training.model_dump_json(), tuple(places))
        if wanted == self._sent:
            return
        if not self.grid.images:
            self.grid.show_text("The first preview loads torch, which takes a few seconds…")
        self._sent = wanted
        self._link.preview(training, places)

    def _on_previewed(self, answer: dict[str, Any]) -> None:
        pixels = take_pixels(answer["file"])
        height, width = answer["shape"]
        if len(pixels) < 3 * height * width:  # the folder was cleared away
            return
        image = QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        owners = None
        if answer["owners"] is not None:
            owners = coloured(pixels[3 * height * width :], answer["owners"], answer["labels"])
        self.grid.show_image(answer["place"], image, owners, answer["objects"])
        self.state.set_full_text(f"{answer['ms']:.0f} ms")


def _spin(name: str) -> CalmSpinBox:
    made = CalmSpinBox()
    made.setRange(1, 1)
    made.setAccessibleName(name)
    made.setPrefix(f"{name} ")
    made.setFixedWidth(100)
    return made
