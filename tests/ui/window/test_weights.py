"""Weights of a node chosen in the inspector, and the search in timm's names, with the real engine."""

from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from designer.graph import Document
from designer.ui.editors import SuggestEditor
from designer.ui.inspector_node import NodePage


def opened(window, qtbot, component, **params) -> tuple[Document, NodePage]:
    document = window.workspace.new()
    image = document.data.nodes[0]
    node = document.add(component, **params)
    document.connect(image, node)
    window.inspector.set_selection([node.id])
    qtbot.waitUntil(lambda: window.inspector.page.weights.isVisibleTo(window.inspector), timeout=30_000)
    return document, window.inspector.page


def texts(page) -> list[str]:
    return [page.weights.box.itemText(i) for i in range(page.weights.box.count())]


def test_published_weights_follow_the_settings_and_a_file_can_be_chosen(window, qtbot, monkeypatch, tmp_path):
    document, page = opened(window, qtbot, "backbone.resnet", depth=18)
    node = document.node(page.node_id)
    qtbot.waitUntil(lambda: "resnet18 (torchvision)" in texts(page), timeout=10_000)
    assert texts(page)[0] == "Drawn at random"
    page.weights.box.setCurrentIndex(1)
    page.weights.box.activated.emit(1)
    assert document.node(node.id).weights == "torchvision:resnet18"
    document.set_param(node.id, "depth", 34)
    qtbot.waitUntil(lambda: "resnet34 (torchvision)" in texts(page), timeout=10_000)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(tmp_path / "my.safetensors"), ""))
    page.weights.box.setCurrentIndex(page.weights.box.count() - 1)
    page.weights.box.activated.emit(page.weights.box.count() - 1)
    assert document.node(node.id).weights == f"file:{tmp_path / 'my.safetensors'}"
    assert page.weights.box.currentText() == "my.safetensors"
    document.undo()
    assert document.node(node.id).weights == "torchvision:resnet18"


def test_timm_names_can_be_searched(window, qtbot):
    _, page = opened(window, qtbot, "backbone.timm_backbone")
    editor = page.params.rows["model"].editor
    assert isinstance(editor, SuggestEditor)
    window.show()
    window.activateWindow()
    editor.setFocus()
    qtbot.waitUntil(lambda: editor._field.completer() is not None, timeout=60_000)
    editor._field.clear()
    QTest.keyClicks(editor._field, "swin_tiny")
    found = editor._field.completer().completionModel()
    names = [found.index(i, 0).data() for i in range(found.rowCount())]
    assert "swin_tiny_patch4_window7_224" in names
    assert all("swin_tiny" in name for name in names)
