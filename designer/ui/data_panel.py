"""The Data tab: which data set, its images, figures and faults, and what augmentation makes of it.

The work is done by a process beside the window, which is started when the tab is first seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QTabWidget, QWidget

from designer.graph.document import Document
from designer.ui import wording
from designer.ui.data_check import CheckPage
from designer.ui.data_choice import DataChoice, remember
from designer.ui.data_images import ImagesPage
from designer.ui.data_link import DataLink
from designer.ui.data_preview import PreviewPage
from designer.ui.inspector_pages import image_input
from designer.ui.message_bar import MessageBar
from designer.ui.widgets import column, label, line, row

LEFT_WIDTH = 256
OPEN_MS = 250
"""From the last edit of the data's settings until it is read again."""
AT_ONCE = 20_000
"""Images up to which the summary is made unasked, for the advice that rests on it."""
_KEY = "data"


class DataPanel(QWidget):
    """Signals:
    measured(): a summary was made, on which advice may rest.
    """

    measured = Signal()

    def __init__(self, messages: MessageBar) -> None:
        super().__init__()
        self._messages = messages
        self._document: Document | None = None
        self._strides: tuple[int, ...] = ()
        self._open: tuple[Any, ...] = ()
        self.about_data: dict[str, Any] = {}
        """What was said of the data set when all its images were listed; empty until then."""
        self.link = DataLink()
        self.choice = DataChoice()
        self.about = label("", "muted", wrap=True, select=True)
        self.images, self.check = ImagesPage(self.link), CheckPage(self.link, messages)
        self.preview = PreviewPage(self.link)
        self.summary: Any = None
        self._summary_page, self._summary_room = QWidget(), column()
        self._summary_page.setLayout(self._summary_room)
        self._summary: dict[str, Any] = {}
        self._summary_asked = False
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.setAccessibleName("Images, summary, check and augmentation")
        for page, name in (
            (self.images, "Images"), (self._summary_page, "Summary"), (self.check, "Check"),
            (self.preview, "Augmentation"),
        ):  # fmt: skip
            self.tabs.addTab(page, name)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._look)
        self.setAcceptDrops(True)
        self.setLayout(self._build())
        self._connect()

    def _build(self) -> Any:
        page = QWidget()
        page.setProperty("look", "page")
        page.setLayout(column(self.choice, line(), self.about, 1, margins=(12, 8, 12, 8)))
        left = QScrollArea()  # a low window has no room for a data set's path, parts and what is wrong with it
        left.setFixedWidth(LEFT_WIDTH)
        left.setWidgetResizable(True)
        left.setFrameShape(QFrame.Shape.NoFrame)
        left.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        left.setWidget(page)
        divider = QFrame()
        divider.setProperty("look", "vline")
        box = row(left, divider, self.tabs, gap=0)
        box.setStretch(2, 1)
        return box

    def _connect(self) -> None:
        self.choice.refused.connect(lambda text: self._messages.say(text, "warning", key=_KEY))
        self.check.image_wanted.connect(self._on_image_wanted)
        self.tabs.currentChanged.connect(lambda _place: self._on_tab())
        self.images.grid.chosen.connect(self._on_chosen)
        self.link.rows.connect(self.images.add_rows)
        self.link.opened.connect(self._on_opened)
        self.link.found.connect(self.images.show_problems)
        self.link.reported.connect(self._on_reported)
        self.link.summarised.connect(self._on_summarised)
        self.link.failed.connect(self._on_failed)

    # -- the document -------------------------------------------------------------------------------------------------

    def set_document(self, document: Document | None) -> None:
        """Show this document's data."""
        self._document = document
        self.choice.set_document(document)
        self.preview.set_document(document)
        self.refresh()

    def refresh(self) -> None:
        """The document was edited: its data set is read again if it is another one, or made otherwise."""
        if self._document is None:
            return
        self.choice.refresh()
        if self._wanted() != self._open:
            self._timer.start(OPEN_MS if self._open else 0)
        else:
            self.preview.refresh()

    def show_propagation(self, result: Mapping[str, Any]) -> None:
        """The engine's answer tells the strides of the head."""
        nodes = (result.get("nodes") or {}).values()
        found = {s for node in nodes for s in _strides((node.get("derived") or {}).get("strides"))}
        if tuple(sorted(found)) == self._strides:
            return
        self._strides = tuple(sorted(found))
        if self.summary is not None:
            self.summary.show_strides(self._strides)

    def task(self) -> str:
        """What the document's head does; without one, what the data is usually for."""
        document = self._document
        assert document is not None
        catalogue = document.catalogue
        specs = [catalogue.get(n.component) for n in document.data.nodes] if catalogue is not None else []
        heads = [spec.task for spec in specs if spec is not None and spec.role == "head"]
        usual = {"folder": "classify", "masks": "semantic"}.get(document.data.data.kind, "detect")
        return heads[0] if heads else usual

    def _wanted(self) -> tuple[Any, ...]:
        """All on which the list of images depends."""
        if self._document is None:
            return ()
        data, node = self._document.data, image_input(self._document)
        params = node.params if node is not None else {}
        size = (int(params.get("height", 640)), int(params.get("width", 640)))
        return data.data.model_dump_json(), data.training.seed, size, self.task()

    # -- the process --------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._wanted() != self._open:
            self._timer.start(0)

    def _look(self) -> None:
        """Look at the data set that the document names, if anybody looks at this tab."""
        wanted = self._wanted()
        if self._document is None or not self.isVisible() or wanted == self._open:
            return
        self._open, self.about_data, self._summary, self._summary_asked = wanted, {}, {}, False
        data = self._document.data.data
        self.check.clear()
        if data.kind != "shapes" and not data.path:
            self._show_nothing(ImagesPage.grid_text)
            return
        if data.kind != "shapes":
            remember(data.path)
        self._show_nothing("Reading the list of images…")
        self.link.open(data, *wanted[1:])

    def _show_nothing(self, text: str) -> None:
        self.about.setText(text)
        self.images.clear(text)
        self.preview.clear(text)
        if self.summary is not None:
            self.summary.clear(text)
        self.check.setEnabled(False)

    def _on_opened(self, about: dict[str, Any]) -> None:
        self.about_data = about
        assert self._document is not None
        refused, drawn = about["refused"], self._document.data.data.kind == "shapes"
        counts = f"{about['train']:,} training and {wording.plural(about['val'], 'validation image')}"
        words = [f"{counts}, {wording.plural(len(about['names']), 'class')}.", *about["notes"]]
        if refused is not None:
            where = f"{Path(refused['file']).name}" + (f", line {refused['line']}" if refused["line"] else "")
            words = [f"Training cannot read it. {where}: {refused['what']} {refused['remedy']}", counts + "."]
        elif drawn:
            words.append("They are drawn while training.")
        self.about.setText("\n\n".join(words))
        self.images.show_all(about["names"])
        self.check.setEnabled(not drawn)
        if drawn:
            self.check.state.set_full_text("Drawn shapes have no files that could be wrong.")
        if refused is None:
            self.preview.set_data(about["train"], self._open[3])
        else:
            self.preview.clear(words[0])
        self._on_tab()
        if not drawn and refused is None and about["train"] + about["val"] <= AT_ONCE:
            self._ask_summary()

    def _on_tab(self) -> None:
        if self.tabs.currentWidget() is self._summary_page:
            self._make_summary()
            self._ask_summary()

    # -- the summary --------------------------------------------------------------------------------------------------

    def _make_summary(self) -> None:
        """The page, once it is wanted: pyqtgraph takes a while to import."""
        if self.summary is None:
            from designer.ui.data_summary import SummaryPage

            self.summary = SummaryPage()
            self._summary_room.addWidget(self.summary)
            self.summary.show_strides(self._strides)
            if self._summary:
                self.summary.show_summary(self._summary)

    def _ask_summary(self) -> None:
        if not self.about_data or self._summary_asked:
            return
        assert self._document is not None
        text = ""
        if self._document.data.data.kind == "shapes":
            text = "Drawn shapes are made evenly: no class is rarer than another."
        elif self.about_data["refused"] is not None:
            text = self.about.text()
        if text:
            if self.summary is not None:
                self.summary.clear(text)
            return
        self._summary_asked = True
        self.link.summary(min(self._strides, default=0))

    def _on_summarised(self, found: dict[str, Any]) -> None:
        self._summary = found
        if self.summary is not None:
            self.summary.show_summary(found)
        self.measured.emit()

    # -- the rest of the answers --------------------------------------------------------------------------------------

    def _on_chosen(self, number: int) -> None:
        """The image that is looked at is the one that is augmented."""
        if self.images.rows[number][1] == "train":
            self.preview.show_number(number)

    def _on_image_wanted(self, path: str, finding: dict[str, Any]) -> None:
        if self.images.show_image(path, finding):
            self.tabs.setCurrentWidget(self.images)
        else:
            self._messages.say(f"{path} is not among the images that are listed.", "warning", key=_KEY)

    def _on_reported(self, report: dict[str, Any]) -> None:
        count = report["errors"] + report["warnings"]
        self.tabs.setTabText(self.tabs.indexOf(self.check), f"Check  {count:,}" if count else "Check")

    def _on_failed(self, what: str, text: str) -> None:
        if what == "preview":
            self.preview.clear(text)
            self.preview.ready = True  # other settings may do
            return
        if what in ("", "check"):
            self.check.end()
        if what in ("", "open"):
            self._show_nothing(text)
            self._open = () if not what else self._open
        self._messages.say(text, "danger", key=_KEY)

    # -- dropping -----------------------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_path(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if (path := dropped_path(event)) is not None:
            event.acceptProposedAction()
            self.choice.choose(path)


def dropped_path(event: QDropEvent) -> Path | None:
    """The first folder or file among what is dragged that may be a data set."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return next((p for p in paths if p.is_dir() or p.suffix.lower() in (".yaml", ".yml", ".json")), None)


def _strides(value: Any) -> list[int]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [int(v) for v in values if isinstance(v, (int, float)) and v > 0]
