"""Finding a learning rate: the sweep as it runs, the curve over the rate, what is suggested and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QProgressBar, QVBoxLayout, QWidget

from designer.graph.document import Document
from designer.ui.child_link import ChildLink
from designer.ui.open_document import document_title
from designer.ui.widgets import button, column, label, row

if TYPE_CHECKING:
    from designer.ui.curves import Plot


class RateLink(QObject):
    """The sweeping process as Qt signals.

    Signals:
    started(dict): it trains: `device`, `batch`, `steps`.
    stepped(dict): `step`, `rate`, `loss`.
    found(dict): the end, as `designer.train.rate_curve.RateFound` has it.
    failed(str): why it could not go on.
    """

    started = Signal(dict)
    stepped = Signal(dict)
    found = Signal(dict)
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._child = ChildLink("designer.train.rate_finder", "The process")
        self._child.told.connect(self._take)
        self._child.ended.connect(self.failed)

    @property
    def pid(self) -> int:
        """Of the process at work; 0 without one."""
        return self._child.pid

    def start(self, document: Document) -> None:
        """Sweep for the document as it is now."""
        self._child.start()
        self._child.write(document.data.model_dump(mode="json"))

    def stop(self) -> None:
        """End the process, if there is one."""
        self._child.stop()

    def _take(self, answer: dict[str, Any]) -> None:
        if "found" in answer:
            self.stop()
            self.found.emit(answer["found"])
        elif "error" in answer:
            self.stop()
            self.failed.emit(str(answer["error"]))
        else:
            (self.started if "started" in answer else self.stepped).emit(answer)


class RatePanel(QDialog):
    """Opens without blocking the window and begins at once; `document` is the one whose rate is wanted."""

    def __init__(self, document: Document, parent: QWidget) -> None:
        super().__init__(parent)
        self._document, self._suggested = document, 0.0
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Find a learning rate")
        self.resize(640, 440)
        self.link = RateLink()
        self.link.started.connect(self._on_started)
        self.link.stepped.connect(self._on_stepped)
        self.link.found.connect(self._on_found)
        self.link.failed.connect(self._on_failed)
        self.plot: Plot = self._make_plot()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of the sweep")
        self.words = label("", "muted", wrap=True)
        self.words.setMinimumHeight(self.words.fontMetrics().lineSpacing() * 2)
        self.cancel = button("Cancel")
        self.cancel.clicked.connect(self._cancel)
        self.again = button("Run again", "", "refresh")
        self.again.clicked.connect(self.run)
        self.shut = button("Close")
        self.shut.clicked.connect(self.close)
        self.use = button("Use it", "primary", "check")
        self.use.clicked.connect(self._use)
        box: QVBoxLayout = column(
            label("Find a learning rate", "title"),
            label(f"A copy of {document_title(document)} trains while the rate grows; nothing of it is kept.", "muted"),
            self.plot,
            self.progress,
            self.words,
            row(self.again, 1, self.cancel, self.shut, self.use),
            margins=(24, 20, 24, 16),
            gap=12,
        )
        box.setStretch(2, 1)
        self.setLayout(box)
        self.finished.connect(lambda _code: self.link.stop())
        self.cancel.setFocus()
        self.run()

    def _make_plot(self) -> Plot:
        from designer.ui.curves import Plot  # pyqtgraph takes 0.4 s

        plot = Plot("Loss", "learning rate", smooth=False, whole=False, marked=False, words=str.capitalize)
        plot.log_x()
        return plot

    def run(self) -> None:
        """Begin, or begin again, with the document as it is now."""
        self._suggested = 0.0
        self.plot.reset()
        self.plot.unmark()
        self.progress.setRange(0, 0)
        self._show("Loading the data and the model…", working=True)
        self.link.start(self._document)

    def _show(self, text: str, *, working: bool) -> None:
        self.words.setText(text)
        self.progress.setVisible(working)
        self.cancel.setVisible(working)
        for made in (self.again, self.shut):
            made.setVisible(not working)
        self.use.setEnabled(self._suggested > 0)
        self.use.setText(f"Use {self._suggested:g}" if self._suggested else "Use it")

    def _cancel(self) -> None:
        self.link.stop()
        self._show("Cancelled.", working=False)

    def _on_started(self, said: dict[str, Any]) -> None:
        self.progress.setRange(0, said["steps"])
        self._show(f"Up to {said['steps']} steps of {said['batch']} images on {said['device']}.", working=True)

    def _on_stepped(self, said: dict[str, Any]) -> None:
        self.progress.setValue(said["step"])
        if said["loss"] is not None:
            self.plot.add("loss", said["rate"], said["loss"])
            self.plot.redraw()

    def _on_found(self, found: dict[str, Any]) -> None:
        for rate, loss in zip(found["rates"], found["smooth"], strict=True):
            self.plot.add("smoothed", rate, loss)
        self.plot.redraw()
        self._suggested = found["suggested"] or 0.0
        if self._suggested:
            self.plot.mark(self._suggested, f"{self._suggested:g}")
        self._show(found["why"], working=False)

    def _on_failed(self, why: str) -> None:
        self._show(why, working=False)

    def _use(self) -> None:
        self._document.seal()
        self._document.set_training(learning_rate=self._suggested)
        self._document.seal()
        self._show(f"The learning rate is {self._suggested:g} now. Undo takes it back.", working=False)
        self.use.setEnabled(False)
