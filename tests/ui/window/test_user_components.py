"""A file dropped into the user's folder: asked about, trusted by one click, in the palette; broken ones are named."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from designer.ui.user_components import EXAMPLE, UserComponentsDialog
from nodes.sdk import user_files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "components"
    place.mkdir()
    monkeypatch.setenv("NETWRIGHT_COMPONENTS", str(place))  # the engine inherits it
    return place


def shown(palette):
    """Every row of the palette's tree."""
    model = palette.tree.model()
    todo = [model.index(i, 0) for i in range(model.rowCount())]
    for index in todo:
        todo += [model.index(i, 0, index) for i in range(model.rowCount(index))]
    return todo


def press(bar, text, qtbot):
    qtbot.mouseClick(next(b for b in bar.buttons() if b.text().strip() == text), Qt.MouseButton.LeftButton)


def click_when_there(dialog, name, qtbot):
    def found():
        return [b for b in dialog.findChildren(QPushButton) if b.accessibleName() == name]

    qtbot.waitUntil(lambda: bool(found()), timeout=15_000)
    qtbot.mouseClick(found()[0], Qt.MouseButton.LeftButton)


def test_one_click_of_trust_brings_a_component_into_the_palette(folder, window, qtbot):
    qtbot.waitUntil(lambda: window.engine.state == "ready", timeout=60_000)
    (folder / "mine.py").write_text(EXAMPLE)
    qtbot.waitUntil(
        lambda: "mine.py in your components folder is not trusted" in window.messages.text(), timeout=15_000
    )
    assert "mine.scaled_conv" not in window.engine.catalogue
    press(window.messages, "Trust", qtbot)
    qtbot.waitUntil(lambda: "mine.scaled_conv" in window.engine.catalogue, timeout=15_000)
    spec = window.engine.catalogue["mine.scaled_conv"]
    assert (spec.title, spec.category) == ("Scaled conv", "mine")
    assert "Scaled conv" in {index.data() for index in shown(window.palette_panel)}
    (folder / "mine.py").write_text(EXAMPLE.replace("Tensor, nn", "Tensor, nnn"))
    qtbot.waitUntil(lambda: "not trusted" in window.messages.text(), timeout=15_000)
    press(window.messages, "Trust", qtbot)
    qtbot.waitUntil(lambda: window.messages.text().startswith("mine.py, line 6: ImportError"), timeout=15_000)
    assert "mine.scaled_conv" not in window.engine.catalogue


def test_the_list_writes_an_example_and_takes_trust_back(folder, window, qtbot):
    qtbot.waitUntil(lambda: window.engine.state == "ready", timeout=60_000)
    window.user_components.open_dialog()
    dialog = window.findChild(UserComponentsDialog)
    qtbot.mouseClick(dialog.example, Qt.MouseButton.LeftButton)
    click_when_there(dialog, "Trust: example.py", qtbot)
    qtbot.waitUntil(lambda: "mine.scaled_conv" in window.engine.catalogue, timeout=15_000)
    assert [f.state for f in user_files.user_files()] == ["trusted"]
    click_when_there(dialog, "Take trust back: example.py", qtbot)
    qtbot.waitUntil(lambda: "mine.scaled_conv" not in window.engine.catalogue, timeout=15_000)
    dialog.close()
