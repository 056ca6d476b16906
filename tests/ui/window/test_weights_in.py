"""A checkpoint loaded into the document in front, and a fine-tuned one, with the real engine."""

from __future__ import annotations

import pytest
import torch
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from safetensors.torch import load_file

from designer.engine.compile import compile_document
from designer.graph.templates import load_template
from designer.train.run import RunFolder
from designer.ui.finetune_panel import FineTunePanel
from designer.ui.loading_weights import WeightsReport, load_weights


@pytest.fixture
def checkpoint(home):
    """The quick-start detector's weights, as a checkpoint of a run."""
    document = load_template("quick-start")
    run = RunFolder.create(home / "runs", document.data, "shapes")
    state = compile_document(document.data).model.state_dict()
    run.checkpoints.mkdir()
    names = ["circle", "square", "triangle"]
    torch.save({"model": state, "ema": None, "averaged": 0, "class_names": names}, run.best_path)
    return run


def drop(window, path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPoint(9, 9), Qt.DropAction.CopyAction, data, buttons, keys))


def panel_of(window, kind):
    return next((w for w in window.findChildren(kind) if w.isVisible()), None)


def test_a_dropped_checkpoint_is_loaded_and_reported_beside_the_window(window, qtbot, checkpoint, home):
    window.open_quick_start()
    document = window.workspace.document
    document.save(home / "mine.netwright")
    drop(window, checkpoint.best_path)
    assert [b.text().strip() for b in window.messages.buttons()] == ["Load the weights", "View"]
    window.messages.buttons()[0].click()
    qtbot.waitUntil(lambda: panel_of(window, WeightsReport) is not None, timeout=120_000)
    report = panel_of(window, WeightsReport)
    assert not report.isModal()
    assert report.summary.text().startswith("298 of 298 tensors of the model come from best.pt; 0 of the file")
    assert [report.tree.topLevelItem(i).text(0) for i in range(3)] == ["Backbone", "Neck", "Head"]
    sources = [n.weights for n in document.data.nodes if n.weights]
    path, _, key = sources[0].removeprefix("file:").partition("#")
    assert key == "backbone"
    assert len(load_file(path)) == 298
    assert document.undo_name == "Load weights of best.pt"
    report.tree.itemClicked.emit(report.tree.topLevelItem(2), 0)
    assert window.canvas.selected_ids() == [next(n.id for n in document.data.nodes if n.title == "Head")]
    document.undo()
    assert not any(n.weights for n in document.data.nodes)
    (home / "torn.pt").write_bytes(checkpoint.best_path.read_bytes()[:5000])
    load_weights(window, home / "torn.pt")
    qtbot.waitUntil(lambda: "damaged or was cut off" in window.messages.text(), timeout=120_000)
    assert not any(n.weights for n in document.data.nodes)


def test_a_run_is_fine_tuned_to_other_classes_as_one_step(window, qtbot, checkpoint, home):
    window.open_quick_start()
    window.workspace.document.set_data(classes=2)
    panel = FineTunePanel(window, checkpoint)
    panel.show()
    qtbot.waitUntil(panel.apply.isEnabled, timeout=120_000)
    assert "Head: new class layers, 3 -> 2 classes" in panel.changes.text()
    assert [panel.plan.topLevelItem(i).text(1) for i in range(3)] == ["kept", "kept", "kept in part"]
    assert "Pretrained rate 1.0 → 0.1" in panel.training.text()
    panel.freeze.click()
    assert not panel.apply.isEnabled()
    qtbot.waitUntil(panel.apply.isEnabled, timeout=120_000)
    assert panel.plan.topLevelItem(0).text(4) == "frozen"
    before = len(window.workspace.documents)
    panel.apply.click()
    qtbot.waitUntil(lambda: len(window.workspace.documents) == before + 1, timeout=120_000)
    qtbot.waitUntil(lambda: window.messages.text().startswith("Fitted to 2 classes"), timeout=10_000)
    document = window.workspace.document
    assert next(n for n in document.data.nodes if n.title == "Head").params["num_classes"] == 2
    assert document.data.training.pretrained_factor == 0.1
    document.undo()
    assert document.data == checkpoint.document()
    assert not document.can_undo


def test_what_cannot_be_fine_tuned_is_said_in_the_panel(window, qtbot, checkpoint, home):
    window.open_quick_start()
    panel = FineTunePanel(window, checkpoint)
    panel.show()
    panel.kind.setCurrentIndex(panel.kind.findData("yolo"))
    panel.path.setText(str(home / "nowhere.yaml"))
    panel.path.textEdited.emit(panel.path.text())
    qtbot.waitUntil(lambda: "nowhere.yaml" in panel.changes.text(), timeout=120_000)
    assert not panel.apply.isEnabled()
