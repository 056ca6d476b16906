"""The Data tab on the real window with its real process: a dropped folder, its odd images, faults and previews."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QRect, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtTest import QTest

from designer.data.dataset import load_dataset
from designer.graph.document import Document
from designer.ui.thumb_grid import ThumbGrid
from tests.data.odd_images import odd_data


def drop(widget, path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    none = Qt.KeyboardModifier.NoModifier
    widget.dropEvent(QDropEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, none))


@pytest.fixture
def opened(quiet_window, qtbot, tmp_path, monkeypatch):
    """The window with the odd data set dropped on it, and its images listed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = odd_data(tmp_path / "odd")
    document = Document.new("Mine")
    document.add("io.image_input", height=96, width=128)
    quiet_window.workspace.open_data(document.data)
    drop(quiet_window, root)
    assert quiet_window.tabs.currentWidget() is quiet_window.data
    qtbot.waitUntil(lambda: bool(quiet_window.data.about_data), timeout=60_000)
    yield quiet_window, quiet_window.data, root
    quiet_window.data.link.stop()


def image(view):
    """The pixels [H, W, 3] of a QImage of 24 bits."""
    flat = np.frombuffer(view.constBits(), np.uint8).reshape(view.height(), view.bytesPerLine())
    return flat[:, : 3 * view.width()].reshape(view.height(), view.width(), 3)


def test_a_dropped_folder_is_listed_looked_at_checked_and_measured(opened, qtbot, tmp_path):
    window, panel, root = opened
    data = window.workspace.document.data.data
    assert (data.kind, data.path) == ("yolo", str(root))
    assert "6 training and 2 validation images, 2 classes" in panel.about.text()
    page, grid = panel.images, panel.images.grid
    qtbot.waitUntil(lambda: len(grid._kept) == 8, timeout=30_000)
    assert not any(pixmap.isNull() for pixmap in grid._kept.values())

    qtbot.waitUntil(lambda: len(page.view.objects) == 1, timeout=10_000)
    grid.setFocus()
    QTest.keyClick(grid, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: len(page.view.objects) == 2, timeout=10_000)
    assert "deep.png" in page.about.full_text()
    assert "80 × 60" in page.about.full_text()
    QTest.keyClick(page.view, Qt.Key.Key_Left)
    qtbot.waitUntil(lambda: "a plain.jpg" in page.about.full_text(), timeout=10_000)

    page.kind.setCurrentIndex(page.kind.findText("dog"))
    assert [page.rows[i][0].rpartition("/")[2] for i in grid.shown] == ["deep.png", "v0.png", "v1.png"]
    page.part.setCurrentIndex(page.part.findData("val"))
    assert len(grid.shown) == 2
    page.part.setCurrentIndex(0)
    page.kind.setCurrentIndex(0)
    page.search.setText("LÖWE")
    qtbot.waitUntil(lambda: len(grid.shown) == 1, timeout=5_000)
    page.search.clear()

    (root / "images" / "train" / "grey.png").write_bytes(b"no picture")
    (root / "labels" / "train" / "deep.txt").write_text("0 0.25 0.5 0.25 0.5\n5 0.9 0.5 0.4 0.5\n")
    panel.check.begin()
    qtbot.waitUntil(lambda: "2 errors" in panel.check.state.full_text(), timeout=30_000)
    assert panel.check.model.rowCount() == 5
    assert panel.tabs.tabText(2) == "Check  5"
    place = next(i for i, f in enumerate(panel.check.model.findings) if f["line"] == 2)
    panel.tabs.setCurrentWidget(panel.check)
    table = panel.check.table
    table.resize(1300, 200)
    assert all(table.columnWidth(place) >= table.sizeHintForColumn(place) for place in (3, 4)), "there is room for both"
    assert table.rowHeight(0) == 24
    table.resize(700, 200)  # in a window of 1280 px
    words = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeft
    for index in (panel.check.model.index(r, c) for r in range(5) for c in (3, 4)):
        room = QRect(0, 0, table.columnWidth(index.column()) - 10, 1000)
        assert table.fontMetrics().boundingRect(room, words, index.data()).height() <= table.rowHeight(0), index.data()
    panel.check.table.setCurrentIndex(panel.check.model.index(place, 0))
    QTest.keyClick(panel.check.table, Qt.Key.Key_Return)
    assert panel.tabs.currentWidget() is page
    qtbot.waitUntil(lambda: len(page.view._bad) == 4, timeout=10_000)
    assert "Class 5" in page.about.full_text()
    page.troubled.setChecked(True)
    assert {page.rows[i][0].rpartition("/")[2] for i in grid.shown} >= {"grey.png", "deep.png", "turned.jpg"}
    panel.check.copy_rows()  # the chosen one, with a heading
    assert QGuiApplication.clipboard().text().count("\n") == 2
    panel.check.table.clearSelection()
    panel.check.copy_rows()
    assert QGuiApplication.clipboard().text().count("\n") == 6
    panel.check.save_to(tmp_path / "found.csv")
    with open(tmp_path / "found.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 5

    panel.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: panel.summary is not None and panel.summary.table.rowCount() > 0, timeout=30_000)
    assert "dog (1)" in panel.summary.words.text()
    panel.show_propagation({"nodes": {"n": {"derived": {"strides": [8, 16]}}}})
    assert panel.summary.sides.note.text() == "strides 8, 16"
    assert panel.summary.classes.as_csv().splitlines() == ["class,train,val", "cat,5,0", "dog,1,2"]

    folder, process = panel.link._folder, panel.link._child._process.processId()
    window.workspace.close_all()
    window.close()
    assert not panel.link.running
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert not Path(folder).exists()


def test_strengths_are_the_documents_before_any_data_is_read(quiet_window):
    window = quiet_window
    window.open_quick_start()
    document, page = window.workspace.document, window.data.preview
    assert document.data.training.flip == page.strengths["flip"].value() == 0.5
    assert page.strengths["flip"].switch.isChecked()
    assert not page.strengths["mosaic"].switch.isChecked()


def test_sliders_redraw_what_training_would_see(opened, qtbot):
    window, panel, _ = opened
    document, page = window.workspace.document, panel.preview
    panel.tabs.setCurrentWidget(page)

    def shown():
        training = document.data.training
        truth = load_dataset(document.data.data, (96, 128), "detect", training).train
        for place, (number, epoch) in enumerate(page.places()):
            truth.epoch.fill_(epoch)
            wanted = truth[number].image.permute(1, 2, 0).numpy()
            if not page.grid.images or page.grid.images[place].isNull():
                return False
            if not np.array_equal(image(page.grid.images[place]), wanted):
                return False
        return True

    qtbot.waitUntil(shown, timeout=120_000)
    assert not page.strengths["copy_paste"].isVisibleTo(page)  # boxes alone
    rotate = page.strengths["rotate"]
    for value in range(3, 12, 2):
        rotate.slider.setValue(value)
    assert document.data.training.rotate == pytest.approx(19.8)
    assert rotate.figure.text() == "19.8°"
    qtbot.waitUntil(shown, timeout=30_000)
    rotate.switch.click()
    assert document.data.training.rotate == 0
    rotate.switch.click()
    assert document.data.training.rotate == pytest.approx(19.8)  # it is remembered
    document.undo()
    document.undo()
    assert document.data.training.rotate == pytest.approx(19.8)
    page.mode.setCurrentIndex(1)
    page.number.setValue(5)
    qtbot.waitUntil(shown, timeout=30_000)
    document.set_training(mosaic=1.0, epochs=5)
    qtbot.waitUntil(lambda: "No mosaic is made" in page.note.text(), timeout=5_000)
    page.reset.click()
    assert (document.data.training.rotate, document.data.training.mosaic) == (0, 0)
    qtbot.waitUntil(lambda: not page.note.text(), timeout=5_000)


def test_what_cannot_be_read_is_said_and_recent_data_come_back(opened, qtbot, tmp_path):
    window, panel, root = opened
    empty = tmp_path / "empty"
    empty.mkdir()
    drop(panel, empty)
    assert "holds no data.yaml" in window.messages.text()
    assert window.workspace.document.data.data.path == str(root)
    coco = tmp_path / "broken.json"
    coco.write_text(json.dumps({"images": []}))
    drop(window, coco)
    qtbot.waitUntil(lambda: "Training cannot read it" in panel.about.text(), timeout=30_000)
    assert window.workspace.document.data.data.kind == "coco"
    assert panel.images.grid.shown == range(0)
    panel.choice.recent.menu().aboutToShow.emit()
    actions = panel.choice.recent.menu().actions()
    assert [action.text() for action in actions] == [str(coco), str(root)]
    actions[1].trigger()
    qtbot.waitUntil(lambda: "6 training" in panel.about.text(), timeout=30_000)
    model = tmp_path / "model.yaml"
    model.write_text("nc: 80\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\nhead: []\n")
    asked = []
    window.engine.ask = lambda method, params, *_take: asked.append((method, params))
    drop(window, model)
    assert [(method, params["path"]) for method, params in asked] == [("import_model", str(model))]


def test_the_grid_draws_and_asks_for_what_is_in_sight_alone(home, qtbot):
    grid = ThumbGrid()
    qtbot.addWidget(grid)
    grid.resize(560, 360)
    wanted, chosen = [], []
    grid.wanted.connect(wanted.append)
    grid.chosen.connect(chosen.append)
    grid.show()
    qtbot.waitExposed(grid)
    grid.show_rows(range(100_000))
    qtbot.waitUntil(lambda: bool(wanted), timeout=5_000)
    assert wanted[-1][0] == 0
    assert len(wanted[-1]) < 50
    grid.setFocus()
    for key, row in ((Qt.Key.Key_Home, 0), (Qt.Key.Key_Down, grid.columns), (Qt.Key.Key_End, 99_999)):
        QTest.keyClick(grid, key)
        assert chosen[-1] == row
        assert grid.viewport().rect().contains(grid.cell(grid.place))
    qtbot.waitUntil(lambda: 99_999 in wanted[-1], timeout=5_000)
    QTest.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=grid.cell(99_998).center())
    assert chosen[-1] == 99_998
    assert "99,998" not in grid.accessibleDescription()
    assert "100,000 images" in grid.accessibleDescription()
