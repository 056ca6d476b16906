"""Model files in the window: a tab beside the documents, its graph, its tensors, and what broken files say."""

from pathlib import Path

import onnx
import pytest
import torch
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QStyleOptionViewItem
from safetensors.torch import save_file

from designer.ui import theme

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light/light_densenet121.onnx"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(
        {"stem.conv.weight": torch.randn(8, 3, 3, 3), "stem.conv.bias": torch.zeros(8), "head": torch.ones(4)}, path
    )
    return path


def drop(window, path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    left = Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, mime, left, Qt.KeyboardModifier.NoModifier))


def test_a_graph_is_looked_at_searched_and_closed(window, qtbot, weights, tmp_path):
    window.open_quick_start()
    window.files.open(LIGHT)
    qtbot.waitUntil(lambda: len(window.side.pages) == 1, timeout=60_000)
    page = window.side.current
    assert window.pages.currentWidget() is page
    assert window.document_tabs.count() == 2
    assert window.windowTitle().startswith("light_densenet121.onnx")
    assert not window.train_button.isEnabled()
    assert window.commands["fit"].isEnabled()

    view = page.graph
    first = view.drawn.rects[1]
    at = view.mapFromScene(first.center())
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert view.current == 1
    assert page.facts.topLevelItem(0).text(0) == view.drawn.nodes[1]["title"] == "ConstantOfShape"
    option = QStyleOptionViewItem()
    option.textElideMode = Qt.TextElideMode.ElideRight  # as the tree has it
    page.facts.itemDelegate().initStyleOption(option, page.facts.indexFromItem(page.facts.currentItem(), 1))
    assert option.textElideMode != Qt.TextElideMode.ElideMiddle  # a weight keeps its type and shape
    page.facts.itemDelegate().initStyleOption(option, page.facts.indexFromItem(page.facts.topLevelItem(0)))
    assert option.textElideMode == Qt.TextElideMode.ElideMiddle
    qtbot.waitUntil(lambda: page.tensor._figures is not None, timeout=30_000)
    assert page.tensor._figures["count"] == 4
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert view.drawn.nodes[view.current]["title"] == "Conv"

    window.commands["find_node"].trigger()
    page.search.setText("relu")
    qtbot.waitUntil(lambda: len(view.found) == 121)
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    assert page.counted.text() == "2 of 121"
    assert view.drawn.nodes[view.current]["title"] == "Relu"
    window.commands["fit"].trigger()
    assert view.zoom < 0.1
    for name in ("light", "dark"):
        theme.manager.set_theme(name, remember=False)
        image = view.grab().toImage()
        colours = {
            image.pixelColor(x, y).name() for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)
        }
        assert len(colours) > 3  # it is drawn

    drop(window, weights)
    qtbot.waitUntil(lambda: len(window.side.pages) == 2, timeout=30_000)
    page = window.side.current
    anywhere = Qt.MatchFlag.MatchRecursive | Qt.MatchFlag.MatchExactly
    page.tree.setCurrentItem(page.tree.findItems("weight", anywhere)[0])
    qtbot.waitUntil(lambda: page.tensor._figures is not None, timeout=30_000)
    page.search.setText("bias")
    qtbot.waitUntil(lambda: page.counted.text() == "1 tensor")
    assert page.tree.findItems("head", anywhere)[0].isHidden()
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    assert page.tree.currentItem().toolTip(0) == "stem.conv.bias"
    page.search.setText("conv")
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    assert page.tree.currentItem().toolTip(0) == "stem.conv.weight"

    window.commands["next_document"].trigger()  # round the end
    assert window.workspace.current is not None
    assert window.pages.currentWidget() is window.canvas
    window.commands["previous_document"].trigger()
    assert window.side.current is page
    window.commands["close"].trigger()
    window.commands["close"].trigger()
    assert window.side.pages == []
    assert window.workspace.current is not None
    assert window.pages.currentWidget() is window.canvas

    bad = tmp_path / "bad.onnx"
    bad.write_bytes(LIGHT.read_bytes()[:5000])
    window.files.open(bad)
    qtbot.waitUntil(lambda: "was cut off" in window.messages.text(), timeout=30_000)
    assert window.workspace.current is not None
