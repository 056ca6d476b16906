"""The Predict tab: a run's model on the user's own images. The work is done by a process beside the window."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QProgressBar,
    QSlider,
    QWidget,
)

from designer.graph.storage import write_text
from designer.train.found import coco_json
from designer.train.run import RunFolder
from designer.train.sources import VIDEOS, cameras, moves
from designer.ui import wording
from designer.ui.editors import CalmComboBox
from designer.ui.message_bar import MessageBar
from designer.ui.predict_link import PredictLink
from designer.ui.predict_video import PredictVideo
from designer.ui.predict_view import PredictView, drawn
from designer.ui.run_bar import run_title
from designer.ui.run_watch import runs_in
from designer.ui.suppress import ALL
from designer.ui.widgets import ElidedLabel, button, column, label, row, tool

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
LEFT_WIDTH, LIST_WIDTH = 288, 220
_NAME_WIDTH, _VALUE_WIDTH = 88, 30
"""Pixels beside a slider."""
_KEY = "predict"


class PredictPanel(QWidget):
    """Choose a run, drop images or a video, move the threshold, save what was found."""

    def __init__(self, messages: MessageBar) -> None:
        super().__init__()
        self._messages = messages
        self._root: Path | None = None
        self._names: list[str] = []
        self._task = ""
        self._asked = ""
        self._skipped = 0
        self.results: list[dict[str, Any]] = []
        self.link = PredictLink()
        self.runs = CalmComboBox()
        self.runs.setAccessibleName("Model of which run")
        self.choose = button("Images…", "small", "image-plus-outline", "Choose image files")
        self.choose_folder = button("Folder…", "small", "folder-plus-outline", "All images of a folder")
        self.choose_video = tool("movie-open-outline", "Choose a video file")
        self.choose_camera = tool("webcam", "Choose a camera")
        self.cancel = button("Cancel", "small", "close")
        self.threshold = QSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(1, 99)
        self.threshold.setValue(25)
        self.threshold.setAccessibleName("Lowest score shown")
        self.meaning = label("Lowest score", "muted")
        self.least = label("0.25", "muted")
        self.overlap = QSlider(Qt.Orientation.Horizontal)
        self.overlap.setRange(5, 100)
        self.overlap.setValue(100)
        self.overlap.setAccessibleName("Largest overlap shown")
        self.overlap.setToolTip("Of two boxes of a class with a larger IoU, the surer one is shown and saved")
        self.most = label("1.00", "muted")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.state = ElidedLabel("", "faint")
        self.save_images = button("Save images…", "small", "content-save-outline", "Each image with what was found")
        self.save_coco = button("Save COCO…", "small", "code-json", "The boxes that are shown as a COCO file")
        self.save_video = button(
            "Save…", "small", "content-save-outline", "The video with what is found, COCO, or lines"
        )
        self.list = QListWidget()
        self.list.setObjectName("predict_images")
        self.list.setAccessibleName("Images")
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setFixedWidth(LIST_WIDTH)
        self.view = PredictView()
        self.video = PredictVideo(self.link, self.view)
        self.video.add_keys(self)
        self.setAcceptDrops(True)
        self.setLayout(self._build())
        self._connect()
        self._show_kind(moving=False)
        self._show_state("")

    def _build(self) -> Any:
        left = QWidget()
        left.setFixedWidth(LEFT_WIDTH)
        score = row(self.meaning, self.threshold, self.least)
        self._overlap_row = QWidget()
        overlap = label("Overlap (IoU)", "muted")
        self._overlap_row.setLayout(row(overlap, self.overlap, self.most))
        for name in (self.meaning, overlap):
            name.setFixedWidth(_NAME_WIDTH)
        for value in (self.least, self.most):
            value.setFixedWidth(_VALUE_WIDTH)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        choose = row(self.choose, self.choose_folder, self.choose_video, self.choose_camera, 1, gap=4)
        save = row(self.save_images, self.save_coco, self.save_video, 1, gap=4)
        said = row(self.state, self.cancel)
        said.setStretch(0, 1)
        limits = (score, self._overlap_row)
        left.setLayout(column(self.runs, choose, *limits, save, 1, said, self.progress, margins=(12, 8, 12, 8), gap=8))
        lines = []
        for _ in range(2):
            lines.append(QFrame())
            lines[-1].setProperty("look", "vline")
        self._before_list = lines[1]
        shown = column(self.view, self.video, gap=0)
        shown.setStretch(0, 1)
        box = row(left, lines[0], self.list, lines[1], shown, gap=0)
        box.setStretch(4, 1)
        return box

    def _connect(self) -> None:
        self.choose.clicked.connect(self._choose)
        self.choose_folder.clicked.connect(self._choose_folder)
        self.choose_video.clicked.connect(self._choose_video)
        self.choose_camera.clicked.connect(self._choose_camera)
        self.save_video.clicked.connect(self.video.ask_where_to_save)
        self.video.said.connect(self._on_video_said)
        self.video.refused.connect(lambda text: self._messages.say(text, "warning", key=_KEY))
        self.video.progressed.connect(self._on_video_progress)
        self.cancel.clicked.connect(self._cancel)
        self.runs.activated.connect(lambda _place: self._on_run_chosen())
        self.threshold.valueChanged.connect(lambda _value: self._on_limits())
        self.overlap.valueChanged.connect(lambda _value: self._on_limits())
        self.save_images.clicked.connect(self._save_images)
        self.save_coco.clicked.connect(self._save_coco)
        self.list.currentRowChanged.connect(self._on_row)
        self.link.ready.connect(self._on_ready)
        self.link.answered.connect(self._on_answered)
        self.link.finished.connect(self._on_finished)
        self.link.failed.connect(self._on_failed)

    # -- the run -----------------------------------------------------------------------------------------------------

    def set_folder(self, root: Path | None) -> None:
        """Offer the runs of this folder that have weights, the newest first."""
        self._root = root
        if self.isVisible():
            self.list_runs()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.list_runs()

    def list_runs(self, wanted: RunFolder | None = None) -> None:
        """Look for runs; `wanted` is chosen, else the one that was."""
        chosen = str(wanted.path) if wanted is not None else self.runs.currentData()
        found = [run for run in runs_in(self._root) if run.checkpoints.is_dir()] if self._root is not None else []
        self.runs.clear()
        for run in found:
            self.runs.addItem(run_title(run.path.name), str(run.path))
        if not found:
            self.runs.addItem("Train this model first", "")
        self.runs.setEnabled(bool(found))
        self.runs.setCurrentIndex(max(0, self.runs.findData(chosen)))
        for made in (self.choose, self.choose_folder, self.choose_video, self.choose_camera):
            made.setEnabled(bool(found))

    def _on_run_chosen(self) -> None:
        """What is on show is what another model found: ask the one that was chosen."""
        if self.video.source and not self.video.recording:
            self.watch(self.video.source)
        elif self.results and self._asked != self.runs.currentData():
            self.predict([Path(result["image"]) for result in self.results])

    # -- images ------------------------------------------------------------------------------------------------------

    def predict(self, paths: Sequence[Path]) -> None:
        """Predict on image files and on the images of folders; of videos, the first is played alone."""
        if (video := next((path for path in paths if moves(path) and not path.is_dir()), None)) is not None:
            self.watch(str(video))
            return
        run = self.runs.currentData()
        if not paths or not run:
            return
        self.results.clear()
        self.list.clear()
        self.view.show_result(None)
        self._skipped, self._asked = 0, run
        self._show_kind(moving=False)
        self.progress.setRange(0, 0)
        self._show_state("Loading the model…" if not self.link.busy else "Predicting…", working=True)
        self.link.ask(RunFolder(Path(run)), paths)

    def watch(self, source: str, _checked: bool = False) -> None:
        """Play a video file or `camera:0` with what the model finds in it."""
        if not (run := self.runs.currentData()):
            return
        self.results.clear()
        self.list.clear()
        self.view.show_result(None)
        self._show_kind(moving=True)
        self.progress.setRange(0, 0)
        self.video.start(RunFolder(Path(run)), source)

    def _show_kind(self, *, moving: bool) -> None:
        """Show what is for images, or what is for videos."""
        if not moving:
            self.video.close_source()
        for made in (self.list, self._before_list, self.save_images, self.save_coco):
            made.setVisible(not moving)
        self.save_video.setVisible(moving)
        self._show_overlap()
        self.cancel.setText(" Stop" if moving else " Cancel")

    def _choose_video(self) -> None:
        kinds = "Videos (" + " ".join(f"*{suffix}" for suffix in VIDEOS) + ")"
        path, _ = QFileDialog.getOpenFileName(self, "A video to predict on", "", kinds)
        if path:
            self.watch(path)

    def _choose_camera(self) -> None:
        found = cameras()
        if not found:
            text = "No camera is connected to this machine. A video file can be played instead."
            self._messages.say(text, "warning", key=_KEY)
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for camera in found:
            menu.addAction(camera.name).triggered.connect(partial(self.watch, camera.source))
        menu.popup(self.choose_camera.mapToGlobal(self.choose_camera.rect().bottomLeft()))

    def _choose(self) -> None:
        kinds = "Images (" + " ".join(f"*{suffix}" for suffix in IMAGES) + ")"
        paths, _ = QFileDialog.getOpenFileNames(self, "Images to predict on", "", kinds)
        self.predict([Path(path) for path in paths])

    def _choose_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "A folder of images", ""):
            self.predict([Path(chosen)])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        event.acceptProposedAction()
        self.predict(_dropped(event))

    def _cancel(self) -> None:
        self.link.cancel()
        if self.save_video.isVisible():
            if not self.video.recording:
                self.video.close_source()
            self._show_state("")
            return
        self._show_state(f"Cancelled. {self._done_words()}")

    # -- answers -----------------------------------------------------------------------------------------------------

    def _on_ready(self, about: dict[str, Any]) -> None:
        self._names = about["names"]
        self._show_task(about["task"])
        self._show_state("Predicting…" if not self.video.source else "Opening…", working=True)

    def _show_task(self, task: str) -> None:
        """Where each pixel has a class, there is no score to move: the slider sees through the colours."""
        maps, before = task == "semantic", self._task == "semantic"
        self._task = task
        self.threshold.setEnabled(task != "classify")
        words = "Opacity" if maps else "Lowest score"
        self.meaning.setText(words)
        self.threshold.setAccessibleName("Opacity of the classes" if maps else "Lowest score shown")
        self.save_coco.setText(" Save classes…" if maps else " Save COCO…")
        tip = "PNGs of class indices" if maps else "The boxes that are shown as a COCO file"
        self.save_coco.setToolTip(tip)
        self.save_coco.setAccessibleName("Save classes" if maps else "Save COCO")
        self._show_overlap()
        if maps != before:
            self.threshold.setValue(50 if maps else 25)

    def _show_overlap(self) -> None:
        """Boxes of images alone can be left out here: a video's are drawn and recorded by the process."""
        boxes = self._task in ("", "detect", "segment") and not self.save_video.isVisibleTo(self)
        self._overlap_row.setVisible(boxes)
        self._on_limits()

    def _on_answered(self, answer: dict[str, Any]) -> None:
        if self.cancel.isHidden():  # on its way when it was cancelled
            return
        self.progress.setRange(0, answer["total"])
        self.progress.setValue(answer["done"])
        if "skipped" in answer:
            self._skipped += 1
            self._messages.say(answer["message"], "warning", key=_KEY)
            return
        self.results.append(answer)
        self.list.addItem(QListWidgetItem(""))
        self._name_row(len(self.results) - 1)
        if self.list.currentRow() < 0:
            self.list.setCurrentRow(0)
        self._show_state(f"{answer['done']} of {answer['total']} · {answer['ms']:.0f} ms", working=True)

    def _on_finished(self) -> None:
        if not self.video.source:
            self._show_state(self._done_words() if self.results or self._skipped else "")

    def _on_video_said(self, text: str, working: bool) -> None:
        self._show_state(text, working=working)
        self.progress.setVisible(working and self.video.recording)

    def _on_video_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    def _on_failed(self, text: str) -> None:
        self.video.close_source()
        self._names = []
        self._show_state("")
        self._messages.say(text, "danger", key=_KEY)

    def _done_words(self) -> str:
        skipped = f", {self._skipped} skipped" if self._skipped else ""
        return f"{len(self.results)} predicted{skipped}"

    def _show_state(self, text: str, *, working: bool = False) -> None:
        self.state.set_full_text(text)
        self.cancel.setVisible(working)
        self.progress.setVisible(working)
        for made in (self.save_images, self.save_coco):
            made.setEnabled(bool(self.results) and not working)
        self.save_video.setEnabled(bool(self.video.source) and not self.video.recording)

    def _name_row(self, place: int) -> None:
        result = self.results[place]
        found = self.view.shown(result)
        boxes = not result["found"] or "box" in result["found"][0]
        said = str(len(found)) if boxes else result["found"][0]["class"]
        if "classes" in result:
            things = [one for one in result["found"] if one["class"] != "background"]
            said = f"{things[0]['class']} {things[0]['score']:.0%}" if things else "background"
        item = self.list.item(place)
        item.setText(f"{Path(result['image']).name}  ·  {said}")
        item.setToolTip(result["image"])
        item.setSizeHint(QSize(0, 24))

    def _on_row(self, place: int) -> None:
        self.view.show_result(self.results[place] if 0 <= place < len(self.results) else None)

    def _on_limits(self) -> None:
        score, overlap = self.threshold.value() / 100, self.overlap.value() / 100
        self.least.setText(f"{score:.2f}")
        self.most.setText(f"{overlap:.2f}")
        self.view.set_limits(score, overlap if self._overlap_row.isVisibleTo(self) else ALL)
        for place in range(len(self.results)):
            self._name_row(place)

    # -- saving ------------------------------------------------------------------------------------------------------

    def _save_images(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "A folder for the drawn images", ""):
            self.save_images_to(Path(chosen))

    def save_images_to(self, folder: Path) -> None:
        """Write every image with what was found, one at a time, so that the window goes on.

        No file is replaced: the folder may be the one that the images are in.
        """
        waiting = list(self.results)

        def write_next() -> None:
            if not waiting:
                self._show_state(f"{wording.plural(len(self.results), 'image')} in {folder.name}")
                return
            result = waiting.pop(0)
            path = free_path(folder, Path(result["image"]).stem)
            if not drawn(result, self.view.threshold, self.view.overlap).save(str(path)):
                self._messages.say(f"{path} could not be written. Choose another folder.", "danger", key=_KEY)
                return
            self.state.set_full_text(f"Saving {len(self.results) - len(waiting)} of {len(self.results)}")
            QTimer.singleShot(0, self, write_next)

        write_next()

    def save_classes_to(self, folder: Path) -> None:
        """Write the class indices of every image as a PNG of its name."""
        for result in self.results:
            path = folder / f"{Path(result['image']).stem}-classes.png"
            try:
                path.write_bytes(base64.b64decode(result["classes"]))
            except OSError as error:
                text = f"{path} could not be written: {error.strerror}. Choose another place."
                self._messages.say(text, "danger", key=_KEY)
                return
        self._show_state(f"{wording.plural(len(self.results), 'class map')} in {folder.name}")

    def _save_coco(self) -> None:
        if self._task == "semantic":
            if chosen := QFileDialog.getExistingDirectory(self, "A folder for the class maps", ""):
                self.save_classes_to(Path(chosen))
            return
        path, _ = QFileDialog.getSaveFileName(self, "Save a COCO file", "predictions.json", "COCO (*.json)")
        if path:
            self.save_coco_to(Path(path))

    def save_coco_to(self, path: Path) -> None:
        """Write the boxes that are shown as a COCO file."""
        shown = [{**result, "found": self.view.shown(result)} for result in self.results]
        try:
            write_text(path, json.dumps(coco_json(shown, self._names, self.view.threshold)))
        except OSError as error:
            text = f"{path} could not be written: {error.strerror}. Choose another place."
            self._messages.say(text, "danger", key=_KEY)
            return
        self._show_state(f"Saved {path.name}")


def free_path(folder: Path, stem: str) -> Path:
    """The first of STEM.png, STEM-1.png, STEM-2.png, … that is not there."""
    names = (stem + (f"-{number}" if number else "") for number in itertools.count())
    return next(path for name in names if not (path := folder / f"{name}.png").exists())


def _dropped(event: QDropEvent) -> list[Path]:
    """Images, videos and folders among what is dragged."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [path for path in paths if path.is_dir() or path.suffix.lower() in (*IMAGES, *VIDEOS)]
