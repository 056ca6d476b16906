"""The user's own components: says when a file in their folder waits for trust or cannot be used, and lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QFileSystemWatcher, QObject, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QScrollArea, QVBoxLayout, QWidget
from shiboken6 import isValid

from designer.ui.engine_link import EngineLink
from designer.ui.message_bar import Choice, MessageBar
from designer.ui.widgets import button, clear, column, label, line, row
from nodes.sdk.user_files import folder

SETTLE_MS = 300
"""An editor writes a file in several steps; they are looked at once."""

EXAMPLE = '''"""A component of my own. Save this file, trust it once in Netwright, and it is in the palette."""

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component


@component("mine", title="Scaled conv", aliases=("example",))
class ScaledConv(nn.Module):
    """A 3x3 convolution, multiplied by a number.

    Args:
        out_channels: channels it gives.
        scale: what the result is multiplied by.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        scale: Annotated[float, Range(0, 10)] = 1.0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.scale = scale

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.conv(x) * self.scale
'''


class UserComponents(QObject):
    """Follows the folder and asks the engine about it.

    Signals:
        changed(): files, their trust or what is broken in them.
    """

    changed = Signal()

    def __init__(self, engine: EngineLink, messages: MessageBar, parent: QWidget) -> None:
        super().__init__(parent)
        self._engine, self._messages, self._parent = engine, messages, parent
        self.files: list[dict[str, str]] = []
        self.broken: list[dict[str, Any]] = []
        self._watcher = QFileSystemWatcher(self)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(SETTLE_MS)
        self._settled.timeout.connect(self.look)
        for changed in (self._watcher.directoryChanged, self._watcher.fileChanged):
            changed.connect(lambda _path: self._settled.start())
        engine.ready.connect(lambda _info: self.look())

    def look(self, trust: Sequence[str] = (), distrust: Sequence[str] = ()) -> None:
        """Ask the engine what is in the folder, after it has trusted or distrusted these files."""
        question = {"trust": list(trust), "distrust": list(distrust)}
        self._engine.ask("user_files", question, self._on_files, self._on_failed)

    def open_dialog(self) -> None:
        UserComponentsDialog(self, self._parent).open()

    def _on_failed(self, error: Mapping[str, Any]) -> None:
        self._messages.say(str(error.get("message", "")), "danger", key="user_files")

    def _on_files(self, result: Mapping[str, Any]) -> None:
        self.files = list(result["files"])
        places = [p for p in (result["folder"], *(f["path"] for f in self.files)) if Path(p).exists()]
        if places:
            self._watcher.addPaths(places)
        self._engine.ask("catalogue", {}, self._on_catalogue, self._on_failed)

    def _on_catalogue(self, result: Mapping[str, Any]) -> None:
        self._engine.take_catalogue(result)
        paths = {f["path"] for f in self.files}
        self.broken = [b for b in result["broken"] if b["file"] in paths]
        self._tell()
        self.changed.emit()

    def _tell(self) -> None:
        waiting = [f["path"] for f in self.files if f["state"] != "trusted"]
        self._messages.withdraw("user_files")
        if waiting:
            names = ", ".join(Path(p).name for p in waiting)
            many = len(waiting) > 1
            text = f"{names} in your components folder {'are' if many else 'is'} not trusted. Trusting runs the code."
            trust = Choice("Trust all" if many else "Trust", lambda: self.look(trust=waiting), primary=True)
            self._messages.say(text, "warning", trust, Choice("Show", self.open_dialog), key="user_files")
        elif self.broken:
            first = self.broken[0]
            text = f"{Path(first['file']).name}, line {first['line']}: {first['message']}"
            self._messages.say(text, "danger", Choice("Show", self.open_dialog), key="user_files")


class UserComponentsDialog(QDialog):
    """The folder's files with their state; opens without blocking the window and stays up to date."""

    def __init__(self, components: UserComponents, parent: QWidget) -> None:
        super().__init__(parent)
        self._components = components
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Your components")
        self.setMinimumSize(560, 360)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(10)
        inside = QWidget()
        inside.setProperty("look", "page")
        inside.setLayout(column(self._rows, 1))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setWidget(inside)
        self.example = button("Write an example", "", "file-plus-outline")
        self.example.clicked.connect(self._write_example)
        self.show_folder = button("Show the folder", "", "folder-open-outline")
        self.show_folder.clicked.connect(self._show_folder)
        close = button("Close")
        close.clicked.connect(self.close)
        intro = "A Python file in this folder with a decorated class is a component once you trust it."
        self.setLayout(
            column(
                label("Your components", "title"), label(intro, "muted", wrap=True),
                label(str(folder()), "faint", wrap=True, select=True), line(), scroll,
                row(self.example, self.show_folder, 1, close, gap=8), margins=(16, 16, 16, 16), gap=12,
            )
        )  # fmt: skip
        components.changed.connect(self._fill)
        self._fill()

    def _fill(self) -> None:
        if not isValid(self):
            return
        clear(self._rows)
        broken = {b["file"]: b for b in self._components.broken}
        for file in self._components.files:
            self._rows.addWidget(self._row(file, broken.get(file["path"])))
        if not self._components.files:
            self._rows.addWidget(label("There is no file yet. The example shows how one is written.", "faint"))
        self.example.setEnabled(not (folder() / "example.py").exists())

    def _row(self, file: Mapping[str, str], broken: Mapping[str, Any] | None) -> QWidget:
        path, state = file["path"], file["state"]
        if broken:
            words, look = f"Line {broken['line']}: {broken['message']}", "danger"
        else:
            words, look = _STATES[state], "muted"
        trusted = state == "trusted"
        act = button("Take trust back" if trusted else "Trust", "small" if trusted else "primary")
        act.setAccessibleName(f"{act.text().strip()}: {Path(path).name}")
        change = {"distrust": [path]} if trusted else {"trust": [path]}
        act.clicked.connect(lambda: self._components.look(**change))
        edit = button("Open", "small")
        edit.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(path)))
        made = QWidget()
        text = column(label(Path(path).name), label(words, look, wrap=True, select=True), gap=2)
        box = row(text, edit, act, gap=8)
        box.setStretch(0, 1)
        made.setLayout(box)
        return made

    def _write_example(self) -> None:
        path = folder() / "example.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(EXAMPLE, encoding="utf-8")
        self._components.look()

    def _show_folder(self) -> None:
        folder().mkdir(parents=True, exist_ok=True)
        self._components.look()  # a new folder is followed from now on
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder())))


_STATES = {
    "trusted": "Trusted; its components are in the palette.",
    "new": "Not trusted yet; none of its code has run.",
    "changed": "Changed since you trusted it; the new code has not run.",
}
