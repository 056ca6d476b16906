"""The whole window with its engine: draw, see shapes, undo, save, reopen, mend problems, survive the engine's death."""

import os
import signal

import onnx
import pytest
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QTabBar,
)

from designer.graph.document import Document
from designer.graph.onnx_options import OnnxOptions
from designer.graph.storage import dump
from designer.ui import theme, wording
from designer.ui.advisor_panel import AdvisorPanel
from designer.ui.export_dialog import ExportDialog
from designer.ui.inspector_node import NodePage
from designer.ui.inspector_pages import DocumentPage, ManyPage
from designer.ui.main_window import MainWindow
from designer.ui.palette import MIME
from designer.ui.widgets import ElidedLabel
from tests.ui.window.support import small, steps


def drop(window, component, x, y):
    """Drag a component from the palette onto the canvas's viewport at this point; the new node."""
    view = window.canvas.viewer.viewport()
    mime = QMimeData()
    mime.setData(MIME, component.encode())
    place, left, none = QPoint(x, y), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    copy = Qt.DropAction.CopyAction
    QApplication.sendEvent(view, QDragEnterEvent(place, copy, mime, left, none))
    QApplication.sendEvent(view, QDragMoveEvent(place, copy, mime, left, none))
    QApplication.sendEvent(view, QDropEvent(QPointF(place), copy, mime, left, none))
    return window.workspace.document.data.nodes[-1]


def wire(window, qtbot, source, target, out="out", entry="x"):
    """Drag a wire with the mouse from an output to an input."""
    canvas = window.canvas
    view = canvas.viewer
    start = view.mapFromScene(canvas.nodes[source.id].ports[(False, out)].centre())
    end = view.mapFromScene(canvas.nodes[target.id].ports[(True, entry)].centre())
    qtbot.mousePress(view.viewport(), Qt.MouseButton.LeftButton, pos=start)
    for step in range(1, 6):
        qtbot.mouseMove(view.viewport(), start + (end - start) * step / 5)
    qtbot.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, pos=end)


def shape(window, port, *, out=True):
    """What the inspector shows for a port, as text."""
    name = f"shape_{'out' if out else 'in'}_{port}"
    found = window.inspector.page.findChild(QLabel, name)
    return found.full_text() if found is not None else ""


def type_into(field, text):
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def press(qtbot, window, text):
    button = next(b for b in window.messages.buttons() if b.text().strip() == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def chain(window, qtbot):
    """Image, stem and C2f, wired."""
    document = window.workspace.new()
    stem = document.add("stem.conv_stem", title="Stem", at=(260, 0))
    block = document.add("block.csp.c2f", title="Block", at=(520, 0))
    document.connect(document.data.nodes[0], stem)
    document.connect(stem, block)
    qtbot.waitUntil(lambda: window._result.get("nodes", {}).get(block.id, {}).get("status") == "ok", timeout=20_000)
    return window


def test_drop_two_nodes_wire_them_undo_save_reopen(window, qtbot, home):
    window.files.new()
    document = window.workspace.document
    QTest.qWait(50)
    stem = drop(window, "stem.conv_stem", 300, 300)
    block = drop(window, "block.csp.c2f", 560, 300)
    image = document.data.nodes[0]
    assert [n.component for n in document.data.nodes] == ["io.image_input", "stem.conv_stem", "block.csp.c2f"]
    window.canvas.fit()
    QTest.qWait(50)
    wire(window, qtbot, image, stem)
    wire(window, qtbot, stem, block)
    assert [w.ends for w in document.data.wires] == [
        (image.id, "out", stem.id, "x"),
        (stem.id, "out", block.id, "x"),
    ]
    window.canvas.select([block.id])
    qtbot.waitUntil(lambda: shape(window, "out") == "1 × 64 × 320 × 320", timeout=10_000)
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(document.data.wires) == 1
    qtbot.waitUntil(lambda: shape(window, "out") == "", timeout=5000)
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert len(document.data.wires) == 2
    window.workspace.save(home / "drawn.netwright")
    drawn = dump(document.data)
    window.files.close()
    assert window.pages.currentWidget() is window.welcome
    window.files.open(home / "drawn.netwright")
    assert dump(window.workspace.document.data) == drawn
    assert dump(Document.load(home / "drawn.netwright").data) == drawn
    assert len(window.canvas.wires) == 2


def test_an_edit_in_the_inspector_changes_the_shapes_downstream(chain, qtbot):
    window, document = chain, chain.workspace.document
    _, stem, block = document.data.nodes
    window.canvas.select([stem.id])
    page = window.inspector.page
    assert isinstance(page, NodePage)
    assert shape(window, "out") == "1 × 64 × 320 × 320"
    type_into(page.params.rows["out_channels"].editor.focusProxy(), "48")
    assert document.node(stem).params["out_channels"] == 48
    qtbot.waitUntil(lambda: shape(window, "out") == "1 × 48 × 320 × 320", timeout=5000)
    window.canvas.select([block.id])
    assert shape(window, "x", out=False) == "1 × 48 × 320 × 320"
    assert "48" in window.inspector.page.params._derived["in_channels"].full_text()
    window.commands["undo"].trigger()
    qtbot.waitUntil(lambda: shape(window, "x", out=False) == "1 × 64 × 320 × 320", timeout=5000)


def test_what_a_cell_sees_is_told_and_follows_the_model(chain, qtbot):
    window = chain
    document = window.workspace.document
    seen = lambda: [label.full_text() for label in window.inspector.page._field_labels.values()]  # noqa: E731
    window.canvas.select([document.data.nodes[2].id])
    qtbot.waitUntil(lambda: seen() == ["11 × 11, stride 2"], timeout=10_000)
    document.set_param(document.data.nodes[2], "depth", 2)
    qtbot.waitUntil(lambda: seen() == ["19 × 19, stride 2"], timeout=10_000)
    window.canvas.select([document.data.nodes[0].id])
    qtbot.waitUntil(lambda: seen() == ["1 × 1, stride 1"], timeout=10_000)


def test_nothing_one_or_many_selected(chain):
    window, document = chain, chain.workspace.document
    window.canvas.select([])
    page = window.inspector.page
    assert isinstance(page, DocumentPage)
    assert page.tiles["params"].text() == window.status.params.text().split(" parameters")[0]
    ids = [n.id for n in document.data.nodes[1:]]
    window.canvas.select(ids)
    page = window.inspector.page
    assert isinstance(page, ManyPage)
    total = sum(window._result["nodes"][i]["params"] for i in ids)
    assert page.tiles["params"].text() == wording.count(total)
    page.frozen.click()
    assert all(document.node(i).frozen for i in ids)
    document.undo()
    assert not any(document.node(i).frozen for i in ids)


def test_title_note_and_undo_names(chain, qtbot):
    window, document = chain, chain.workspace.document
    block = document.data.nodes[2]
    window.canvas.select([block.id])
    page = window.inspector.page
    page.title.setFocus()
    type_into(page.title, "Deep features")
    assert document.node(block).title == "Deep features"
    qtbot.waitUntil(lambda: window.commands["undo"].text() == "&Undo Rename Block", timeout=2000)
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: page.title.text() == "Block", timeout=2000)
    page.note.setFocus()
    QTest.keyClicks(page.note, "after the stem")
    page.title.setFocus()
    assert document.node(block).note == "after the stem"


def test_a_problem_is_listed_leads_to_its_node_and_is_mended(chain, qtbot):
    window, document = chain, chain.workspace.document
    image, stem, block = document.data.nodes
    concat = document.add("fusion.concat", title="Join", at=(780, 0))
    document.connect(stem, concat)
    document.connect(image, concat)
    qtbot.waitUntil(lambda: any(p.node == concat.id and p.fixes for p in window.problems.problems), timeout=10_000)
    row = next(r for r in window.problems.rows if r.problem.node == concat.id and r.fixes)
    window.canvas.select([block.id])
    qtbot.mouseClick(row, Qt.MouseButton.LeftButton, pos=QPoint(60, 8))
    assert window.canvas.selected_ids() == [concat.id]
    assert "Join" in window.inspector.page.title.text()
    qtbot.mouseClick(row.fixes[0], Qt.MouseButton.LeftButton)
    fixed = row.problem.code
    qtbot.waitUntil(
        lambda: not any(p.node == concat.id and p.code == fixed for p in window.problems.problems), timeout=10_000
    )
    document.undo()
    qtbot.waitUntil(lambda: any(p.code == fixed for p in window.problems.problems), timeout=10_000)


def test_the_engine_is_killed_and_comes_back(chain, qtbot):
    window, document = chain, chain.workspace.document
    stem = document.data.nodes[1]
    window.canvas.select([stem.id])
    os.kill(window.engine.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: window.engine.state == "restarting", timeout=5000)
    assert "restarting" in window.status.engine.text()
    assert "document is safe" in window.messages.text()
    document.set_param(stem, "out_channels", 24)  # the window is usable meanwhile
    qtbot.waitUntil(lambda: window.engine.state == "ready", timeout=60_000)
    qtbot.waitUntil(lambda: shape(window, "out") == "1 × 24 × 320 × 320", timeout=10_000)
    assert window.messages.message is None
    assert window.status.engine.text() == "Engine ready"


def test_a_model_with_errors_is_not_trained_but_explained(chain, qtbot):
    window = chain
    window.workspace.document.add("fusion.concat", at=(780, 0))
    qtbot.waitUntil(lambda: any(p.severity == "error" for p in window.problems.problems), timeout=10_000)
    qtbot.mouseClick(window.train_button, Qt.MouseButton.LeftButton)
    assert "cannot be trained yet" in window.messages.text()
    assert window.tabs.currentWidget() is window.problems
    assert window.train.watch.run is None


@pytest.mark.slow
def test_train_is_one_click_away_and_a_killed_trainer_offers_resume(window, qtbot, home):
    window.open_quick_start()
    document = small(window.workspace.document, epochs=100)
    window.workspace.save(home / "detector.netwright")
    qtbot.waitUntil(lambda: bool(window._result), timeout=20_000)
    qtbot.mouseClick(window.train_button, Qt.MouseButton.LeftButton)
    assert window.tabs.currentWidget() is window.train
    qtbot.waitUntil(lambda: steps(window.train) >= 20, timeout=60_000)
    assert window.train.watch.run.path.parent == home / "runs"
    assert window.train_button.text().strip() == "Training…"
    os.kill(window.train.trainer_pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: "ended unexpectedly" in window.messages.text(), timeout=10_000)
    assert document.data.nodes  # the window and its document live on
    press(qtbot, window, "Resume")
    qtbot.waitUntil(lambda: window.train.watch.state == "running", timeout=60_000)
    qtbot.mouseClick(window.train.bar.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.train.watch.state == "stopped", timeout=30_000)


def test_export_says_what_was_verified(window, qtbot, home):
    window.open_quick_start()
    small(window.workspace.document)
    window.commands["export_pytorch"].trigger()
    dialog = window.findChild(ExportDialog)
    target = home / "out"
    dialog.path.setText(str(target))
    qtbot.mouseClick(dialog.export, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Verified" in dialog.outcome.text(), timeout=90_000)
    assert (target / "model.py").is_file()
    dialog.path.setText("/proc/nowhere/out")
    qtbot.mouseClick(dialog.export, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "/proc/nowhere" in dialog.outcome.text(), timeout=90_000)
    assert "Choose another place" in dialog.outcome.text()
    dialog.close()


def test_advice_on_training_is_taken_as_one_step(window, qtbot):
    window.open_quick_start()
    document = window.workspace.document
    document.set_training(epochs=100, optimizer="adam")
    window.commands["advise_training"].trigger()
    panel = window.findChild(AdvisorPanel)
    assert panel.isVisible()
    before = document.data.training.model_copy()
    qtbot.mouseClick(panel.use, Qt.MouseButton.LeftButton)
    assert (document.data.training.optimizer, document.data.training.nominal_batch) == ("sgd", 64)
    assert not panel.use.isEnabled()
    document.undo()
    assert document.data.training == before
    assert panel.use.isEnabled()
    panel.close()


def test_a_selection_is_copied_as_code(window, qtbot):
    window.open_quick_start()
    nodes = {n.component: n.id for n in window.workspace.document.data.nodes}
    window.canvas.select([nodes["backbone.csp_darknet"], nodes["neck.pafpn"]])
    window.commands["copy_code"].trigger()
    qtbot.waitUntil(lambda: "class BackboneToNeck(nn.Module)" in QApplication.clipboard().text(), timeout=30_000)
    assert "of code" in window.messages.text()
    window.canvas.select([nodes["post.nms"]])
    window.commands["copy_code"].trigger()
    qtbot.waitUntil(lambda: "is no layer" in window.messages.text(), timeout=10_000)


def test_onnx_options_reach_the_file(window, qtbot, home):
    window.open_quick_start()
    small(window.workspace.document)
    window.commands["export_onnx"].trigger()
    dialog = window.findChild(ExportDialog)
    assert not dialog.options.isVisible()
    qtbot.mouseClick(dialog.more, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(dialog.options.isVisible)
    assert dialog.options.values() == OnnxOptions().model_dump()
    qtbot.mouseClick(dialog.options.editors["post"].findChild(QCheckBox), Qt.MouseButton.LeftButton)
    dialog.path.setText(str(home / "out.onnx"))
    qtbot.mouseClick(dialog.export, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Verified" in dialog.outcome.text(), timeout=120_000)
    assert "input batch x 3 x 64 x 64" in dialog.outcome.text()
    assert [o.name for o in onnx.load(home / "out.onnx").graph.output] == ["boxes", "scores"]
    dialog.close()


def test_welcome_cards_open_templates_and_closing_asks(quiet_window, qtbot):
    window = quiet_window
    assert window.pages.currentWidget() is window.welcome
    assert not window.train_button.isEnabled()
    card = next(c for c in window.welcome.cards() if c.template.name == "quick-start")
    qtbot.mouseClick(card, Qt.MouseButton.LeftButton)
    assert window.pages.currentWidget() is window.canvas
    assert window.heading.full_text() == "Quick start"
    assert window.train_button.isEnabled()
    window.workspace.document.set_training(epochs=3)
    qtbot.waitUntil(lambda: window.heading.full_text() == "Quick start •", timeout=2000)
    assert not window.close()
    assert "unsaved changes" in window.messages.text()
    press(qtbot, window, "Discard changes")
    assert not window.isVisible()


def test_every_control_has_a_name_and_can_be_reached(chain):
    window = chain
    window.canvas.select([chain.workspace.document.data.nodes[2].id])
    window.show_tab(window.train)
    kinds = (QAbstractButton, QLineEdit, QComboBox, QAbstractSpinBox)
    unnamed = [
        f"{type(w).__name__} in {type(w.parentWidget()).__name__}"
        for kind in kinds
        for w in window.findChildren(kind)
        if w.isVisible()
        and not w.accessibleName()
        and not w.objectName().startswith("qt_")  # Qt's own, such as the menu bar's overflow button
        and not (isinstance(w, QAbstractButton) and (w.text() or w.toolTip()))
        and not isinstance(w.parentWidget(), (QAbstractSpinBox, QComboBox, QTabBar, QLineEdit))
    ]
    assert unnamed == []
    window.palette_panel.search.setFocus()
    reached = set()
    for _ in range(80):
        reached.add(window.focusWidget())
        QTest.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
    page = window.inspector.page
    wanted = [row.editor.focusProxy() for row in page.params.rows.values()]
    assert set(wanted) <= reached
    assert {page.title, page.frozen, window.train.bar.start, window.palette_panel.tree} <= reached


def test_nothing_is_cut_off_at_1280_by_800(chain):
    window = chain
    window.canvas.select([chain.workspace.document.data.nodes[2].id])
    for tab in (window.problems, window.train):
        window.show_tab(tab)
        QTest.qWait(50)
        assert (window.width(), window.height()) == (1280, 800)
        inspector = window.inspector
        assert inspector.page.width() <= inspector.viewport().width()
        assert window.right.geometry().right() <= window.width()
        assert window.bottom.geometry().right() <= window.right.geometry().left()
        for text in window.inspector.page.findChildren(QLabel):
            if not isinstance(text, ElidedLabel) and text.isVisible() and text.text():
                assert text.width() >= text.minimumSizeHint().width(), text.text()
    assert window.canvas.width() > window.right.width() + window.left.width()


def test_the_theme_changes_live(quiet_window, qtbot):
    window = quiet_window
    window.open_quick_start()
    window.canvas.select([window.workspace.document.data.nodes[0].id])
    qtbot.mouseClick(window.theme_button, Qt.MouseButton.LeftButton)
    assert theme.current() is theme.LIGHT
    assert window.commands.submenus["theme"].actions()[2].isChecked()
    assert window.grab().toImage().pixelColor(window.width() // 2, 70).lightness() > 200
    theme.manager.set_theme("dark")
    assert window.grab().toImage().pixelColor(window.width() // 2, 70).lightness() < 60


def test_a_first_window_is_no_larger_than_the_screen(home):
    window = MainWindow()
    # The tests' screen has 800 x 800: smaller than the window likes, and narrower than it can be.
    available = window.screen().availableSize()
    assert window.width() == window.minimumWidth() > available.width()
    assert window.minimumHeight() < window.height() < available.height()
    window.close()


def test_a_window_that_is_gone_does_not_mind_another_theme(home):
    window = MainWindow()
    window.open_quick_start()
    window.close()
    window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    theme.manager.set_theme("light")
    assert theme.manager.set_theme("dark") is theme.DARK
