"""Models dropped on the window: an ONNX file opens with its weights named, a Python file waits for trust."""

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent

from tests.importing.onnx_files import Maker


def drop(window, path):
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    keys, buttons = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(600, 300), Qt.DropAction.CopyAction, mime, buttons, keys))
    if path.suffix == ".onnx":  # which the window can show as it is, too
        next(b for b in window.messages.buttons() if b.text() == "Import as a document").click()


@pytest.mark.timeout(180)
def test_models_dropped_on_the_window(window, qtbot, tmp_path):
    m = Maker()
    path = m.save(tmp_path / "tiny.onnx", m.op("Relu", m.op("Conv", "image", m.weight(8, 3, 3, 3), pads=[1, 1, 1, 1])))
    drop(window, path)
    qtbot.waitUntil(lambda: window.messages.text().startswith("Imported tiny.onnx: 1 layer."), timeout=60_000)
    assert "Recognised: 1 Conv+activation. Carried: 1 tensors" in window.messages.text()
    node = window.workspace.document.data.nodes[-1]
    assert node.weights == f"file:{tmp_path / 'tiny.safetensors'}#{node.id}"

    bad = tmp_path / "bad.onnx"
    bad.write_text("no model")
    drop(window, bad)
    qtbot.waitUntil(lambda: "this is no ONNX file" in window.messages.text(), timeout=60_000)

    code = tmp_path / "net.py"
    code.write_text("raise SystemExit")
    drop(window, code)
    qtbot.waitUntil(lambda: "importing runs this file's code" in window.messages.text(), timeout=60_000)
    assert [b.text() for b in window.messages.buttons()] == ["Trust and import"]
    assert window.workspace.document.data.name == "tiny"
