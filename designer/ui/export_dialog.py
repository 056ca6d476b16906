"""The export dialog: where to, which weights, then the engine's progress and what it verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog, QLayout, QLineEdit, QProgressBar, QWidget

from designer.graph.onnx_options import OnnxOptions
from designer.train.events import METRICS
from designer.ui import wording
from designer.ui.editors import CalmComboBox
from designer.ui.engine_link import EngineLink
from designer.ui.options_form import OptionsForm
from designer.ui.run_watch import runs_in
from designer.ui.widgets import button, column, label, row, tool
from designer.ui.workspace import Workspace


@dataclass(frozen=True)
class Kind:
    """One way out: the engine's method, the words, and what the path is."""

    method: str
    title: str
    text: str
    suffix: str
    options: type[BaseModel] | None = None


KINDS = {
    "pytorch": Kind(
        "export_pytorch",
        "Export PyTorch",
        "A folder that runs without Netwright: a readable model.py, the components it uses, weights, predict.py.",
        "-pytorch",
    ),
    "onnx": Kind(
        "export_onnx",
        "Export ONNX",
        "One file with post-processing and class names inside, checked in onnxruntime against this model.",
        ".onnx",
        OnnxOptions,
    ),
    "pt2": Kind(
        "export_program",
        "Export torch program",
        "One file for torch.export.load: the deployed model without any Python code of its own.",
        ".pt2",
    ),
    "weights": Kind(
        "export_weights",
        "Export weights",
        "The weights alone, as safetensors.",
        ".safetensors",
    ),
}


class ExportDialog(QDialog):
    """Opens without blocking the window; it stays open to show the result."""

    def __init__(self, kind: str, workspace: Workspace, engine: EngineLink, parent: QWidget) -> None:
        super().__init__(parent)
        self._kind, self._workspace, self._engine = KINDS[kind], workspace, engine
        self._target: Path | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self._kind.title)
        self.setMinimumWidth(480)
        self.path = QLineEdit(str(self._default_path()))
        self.path.setAccessibleName("Export to")
        browse = tool("folder-open-outline", "Choose where to")
        browse.clicked.connect(self._browse)
        self.weights = CalmComboBox()
        self.weights.setAccessibleName("Weights")
        self._fill_weights()
        self.options = OptionsForm(self._kind.options) if self._kind.options else None
        self.more = button("Options", "ghost", "tune-variant")
        self.more.setCheckable(True)
        self.more.toggled.connect(self._on_more)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.hide()
        self.outcome = label("", wrap=True, select=True)
        self.outcome.hide()
        self.export = button("Export", "primary", "export-variant")
        self.export.setDefault(True)
        self.export.clicked.connect(self.run)
        self.folder = button("Show the folder", "", "folder-open-outline")
        self.folder.clicked.connect(self._show_folder)
        self.folder.hide()
        self.cancel = button("Close")
        self.cancel.clicked.connect(self.close)
        extra: list[QWidget | QLayout] = [row(self.more, 1), self.options] if self.options else []
        self.setLayout(
            column(
                label(self._kind.title, "title"),
                label(self._kind.text, "muted", wrap=True),
                column(label("To", "faint"), row(self.path, browse, gap=4), gap=2),
                column(label("Weights", "faint"), self.weights, gap=2),
                *extra,
                self.progress,
                self.outcome,
                row(self.folder, 1, self.cancel, self.export, margins=(0, 8, 0, 0)),
                margins=(24, 20, 24, 16),
                gap=12,
            )
        )

        if self.options:
            self.options.hide()

    def _on_more(self, on: bool) -> None:
        assert self.options is not None
        self.options.setVisible(on)
        self._fit()

    def _fit(self) -> None:
        """Grows or shrinks to what is shown now."""
        layout = self.layout()
        assert layout is not None
        layout.activate()
        self.resize(self.width(), layout.totalHeightForWidth(self.width()))

    def run(self) -> None:
        """Ask the engine to export; the answer comes into this dialog."""
        document, text = self._workspace.document, self.path.text().strip()
        if document is None or not text:
            self._say("Choose where to export to.", "danger")
            return
        self._target = Path(text)
        self.export.setEnabled(False)
        self.outcome.hide()
        self.folder.hide()
        self.progress.setRange(0, 0)
        self.progress.show()
        params = {
            "document": document.data.model_dump(mode="json"),
            "path": str(self._target),
            "weights": self.weights.currentData() or "",
            **(self.options.values() if self.options else {}),
        }
        self._engine.ask(self._kind.method, params, self._on_done, self._on_failed, self._on_progress)

    def _on_progress(self, _fraction: float, text: str) -> None:
        self._say(f"{text}…", "muted")

    def _on_done(self, result: Mapping[str, Any]) -> None:
        self._finish()
        self._say(summary(result), "")
        self.folder.show()

    def _on_failed(self, error: Mapping[str, Any]) -> None:
        self._finish()
        self._say(str(error.get("message", "The export failed.")), "danger")

    def _finish(self) -> None:
        self.progress.hide()
        self.export.setEnabled(True)

    def _say(self, text: str, look: str) -> None:
        self.outcome.setProperty("look", look)
        self.outcome.style().unpolish(self.outcome)
        self.outcome.style().polish(self.outcome)
        self.outcome.setText(text)
        self.outcome.show()
        self._fit()

    def _default_path(self) -> Path:
        document = self._workspace.document
        folder = document.path.parent if document is not None and document.path else Path.home()
        return folder / f"{self._workspace.title}{self._kind.suffix}"

    def _fill_weights(self) -> None:
        """The newest trained runs first: a model is exported to be used."""
        folder = self._workspace.runs_folder
        for run in runs_in(folder) if folder is not None else []:
            if any((run.path / "checkpoints").glob("*.pt")):
                self.weights.addItem(f"{run.path.name}, best checkpoint", str(run.path))
        self.weights.addItem("Untrained (random weights)", "")

    def _browse(self) -> None:
        if self._kind.suffix.startswith("."):
            chosen, _ = QFileDialog.getSaveFileName(
                self, self._kind.title, self.path.text(), f"{self._kind.title} (*{self._kind.suffix})"
            )
        else:
            chosen = QFileDialog.getExistingDirectory(self, self._kind.title, str(Path(self.path.text()).parent))
            chosen = str(Path(chosen) / Path(self.path.text()).name) if chosen else ""
        if chosen:
            self.path.setText(chosen)

    def _show_folder(self) -> None:
        if self._target is not None:
            folder = self._target if self._target.is_dir() else self._target.parent
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def summary(result: Mapping[str, Any]) -> str:
    """What the engine reports, in words: what was written and the difference that was measured."""
    if "opset" in result:
        shape = " x ".join(map(str, result["input_shape"]))
        lines = [
            f"{wording.memory(result['size_bytes'])}, opset {result['opset']}, {result['precision']}, input {shape}",
            f"{result['latency_ms']:.3g} ms a batch on this machine (torch: {result['torch_ms']:.3g} ms)",
            f"Verified in onnxruntime: scores differ from this model's by at most {result['max_abs_diff']:.2g}",
        ]
        if "boxes" in result["outputs"]:
            lines[-1] += f", boxes by {result['boxes_max_abs_diff']:.2g} px"
        if result["unmatched"]:
            lines.append(f"{result['unmatched']} of {result['compared']} detections have no partner")
        for key, name in METRICS.items():
            if key in result["before"]:
                before, after = result["before"][key], result["after"][key]
                lines.append(f"{name} on {result['before']['images']} images: {before:.4f} before, {after:.4f} after")
        if result["openvino"]:
            lines.append(f"OpenVINO: {result['openvino']}, scores within {result['openvino_diff']:.2g}")
    elif "tensors" in result:
        lines = [f"{wording.plural(result['tensors'], 'tensor')}, {wording.count(result['parameters'])} parameters"]
    elif "files" not in result:
        lines = [
            wording.memory(result["size_bytes"]),
            f"Verified by loading it: its outputs differ by at most {result['max_abs_diff']:.2g}",
        ]
    else:
        lines = [f"{wording.plural(len(result['files']), 'file')}, {wording.count(result['parameters'])} parameters"]
        difference = result["max_abs_diff"]
        same = "are equal to this model's bit for bit" if difference == 0 else f"differ by at most {difference:.2g}"
        lines.append(f"Verified by running it without Netwright: its outputs {same}")
    return f"Written to {result['path']}\n" + ".\n".join(lines) + "."
