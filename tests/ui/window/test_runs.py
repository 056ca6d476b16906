"""The Runs tab and the live views: found, searched, compared, noted, queued, deleted and brought back."""

import json
import os
import time

import pytest
from PySide6.QtCore import QPoint, Qt

from designer.graph.templates import load_template
from designer.train.events import EventWriter
from designer.train.queue import put_in_queue, queue_of
from designer.train.run import RunFolder, process_of, record_process
from designer.train.run_list import read_note, write_note
from designer.ui.live_tabs import LiveTabs
from designer.ui.message_bar import MessageBar
from designer.ui.runs_panel import RunsPanel
from designer.ui.saving import save_drawn
from designer.ui.series import MOST_POINTS, Series
from tests.ui.window.support import made, small


@pytest.fixture
def panel(home, qtbot):
    bar = MessageBar()
    made_panel = RunsPanel(bar)
    qtbot.addWidget(bar)
    qtbot.addWidget(made_panel)
    made_panel.resize(980, 260)
    runs = home / "runs"
    made(runs, "first", epochs=2, best=0.3)
    made(runs, "second", epochs=3, best=0.6)
    made(runs, "third", ended=False)
    made_panel.set_folder(runs)
    made_panel.show()
    qtbot.waitExposed(made_panel)
    return made_panel


def paths(panel, *names):
    found = {info.path for info in panel.model.infos if info.path.name.startswith(names)}
    assert len(found) == len(names)
    return found


def test_runs_are_shown_searched_and_sorted(panel):
    rows = [[panel.sorted.index(r, c).data() for c in range(4)] for r in range(panel.sorted.rowCount())]
    assert {row[1] for row in rows} == {"Finished", "Broke off"}
    assert sorted(row[2] for row in rows) == ["mAP50-95 0.300", "mAP50-95 0.500", "mAP50-95 0.600"]
    panel.search.setText("second finished")
    assert panel.sorted.rowCount() == 1
    assert panel.count.text() == "1 of 3 runs"
    panel.search.clear()
    panel.view.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert panel.sorted.index(0, 2).data() == "mAP50-95 0.600"


def test_the_figures_of_a_run_are_not_cut_off(panel):
    run = made(panel._root, "masks", epochs=300, ended=False)
    end = time.time() - 20 * 86_400
    lines = [
        {"type": "start", "time": end - 45_000, "device": "cpu", "batches": 4, "epochs": 300},
        {"type": "metrics", "time": end, "epoch": 299, "step": 9, "values": {"mask_map": 0.5}},
        {"type": "finished", "time": end, "step": 9, "epoch": 300, "values": {}},
    ]
    run.events_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    panel.refresh()
    row = next(r for r in range(panel.sorted.rowCount()) if panel.sorted.index(r, 0).data().startswith("masks"))
    shown = [panel.sorted.index(row, c).data() for c in range(6)]
    assert (shown[2], shown[3], shown[5]) == ("mask mAP50-95 0.500", "300 of 300", "12 h 30 min")
    for column in range(2, 6):
        assert panel.view.sizeHintForColumn(column) <= panel.view.columnWidth(column), shown[column]


def test_two_runs_are_compared(panel, qtbot):
    panel.select(paths(panel, "first", "second"))
    qtbot.mouseClick(panel.compare, Qt.MouseButton.LeftButton)
    page = panel.comparison
    rows = {row[0]: row[1:] for row in page.texts()}
    assert sorted(rows["Epochs planned"]) == ["2", "3"]
    assert sorted(rows["Best mAP50-95"]) == ["0.300", "0.600"]
    assert "The same model." in rows
    assert set(page.scores.series) == set(page.names)
    page.what.setCurrentIndex(page.what.findData("loss"))
    page.what.activated.emit(0)
    assert [len(series.x) for series in page.loss.series.values()] == [8, 8]
    qtbot.mouseClick(page.back, Qt.MouseButton.LeftButton)
    assert panel.comparison is None


def test_many_runs_are_compared_in_whole_words(panel, qtbot):
    for _ in range(3):
        made(panel._root, "mine")
    panel.refresh()
    same = {info.path for info in panel.model.infos if info.path.name.startswith("mine")}
    assert len({panel.sorted.index(r, 0).data() for r in range(panel.sorted.rowCount())}) == 6, "each has its own name"
    panel.select(same)
    qtbot.mouseClick(panel.compare, Qt.MouseButton.LeftButton)
    page = panel.comparison
    assert len(set(page.names)) == 3
    assert not any("mine" in name for name in page.names), "they share it"
    header = page.tree.header()
    for column in range(4):
        assert header.sectionSize(column) >= max(header.sectionSizeHint(column), page.tree.sizeHintForColumn(column))


def test_a_note_is_kept_and_a_deleted_run_comes_back(panel, qtbot):
    (path,) = paths(panel, "first")
    panel.select({path})
    panel.note.setFocus()
    qtbot.keyClicks(panel.note, "the baseline")
    panel.search.setFocus()
    panel.note.left.emit()
    assert read_note(RunFolder(path)) == "the baseline"
    panel.select({path})
    qtbot.mouseClick(panel.delete, Qt.MouseButton.LeftButton)
    assert not path.exists()
    assert panel.sorted.rowCount() == 2
    assert panel.trash.isVisible()
    assert "moved to the trash" in panel._messages.text()
    qtbot.mouseClick(panel._messages.buttons()[0], Qt.MouseButton.LeftButton)
    assert path.exists()
    assert panel.sorted.rowCount() == 3
    assert [info.path for info in panel.chosen()] == [path]


def test_the_queue_is_seen_and_reordered(panel, qtbot):
    root = panel.model.infos[0].path.parent
    waiting = [RunFolder.create(root, load_template("quick-start").data, name) for name in ("x", "y")]
    for run in waiting:
        put_in_queue(run)
    panel.refresh()
    panel.select({waiting[1].path})
    assert panel.resume.text().strip() == "Start now"
    qtbot.mouseClick(panel.earlier, Qt.MouseButton.LeftButton)
    assert queue_of(root)[0] == waiting[1].path.name
    row = panel.sorted.mapFromSource(panel.model.index(panel.model.row_of(waiting[1].path), 1))
    assert row.data() == "Queued (1)"
    qtbot.mouseClick(panel.unqueue, Qt.MouseButton.LeftButton)
    assert queue_of(root) == [waiting[0].path.name]


def test_live_tabs_show_the_run_and_its_evaluation(home, qtbot, tmp_path):
    from designer.train.events import EventTail

    run = made(home / "runs", "live")
    tabs = LiveTabs()
    qtbot.addWidget(tabs)
    tabs.resize(700, 260)
    tabs.show()
    tabs.show_events(EventTail(run.events_path).read(), run)
    assert tabs.norm.series["norm"].y == [3.0] * 8
    assert set(tabs.rates.series) == {"rate"}
    assert tabs.waiting.series["waiting"].y[-1] == 0.1
    assert tabs.memory.isHidden()
    assert tabs.classes.table.item(0, 0).text() == "cat"
    tabs.classes.table.sortItems(2, Qt.SortOrder.DescendingOrder)
    assert tabs.classes.as_csv().splitlines()[1] == "dog,5,0.900,1.000,1.000,0.900,0.950"
    assert tabs.matrix.matrix.said(0, 1) == "cat: 1 of 10 found as dog (10%)"
    assert tabs.matrix.matrix.said(0, 2) == "cat: 1 of 10 not found"
    assert tabs.matrix.matrix.said(2, 0) == "2 found as cat where nothing is"
    assert set(tabs.quality.f1.series) == {"all", "cat"}
    save_drawn(tabs.curves.loss, tmp_path / "loss.csv", tabs.curves.loss.as_csv)
    lines = (tmp_path / "loss.csv").read_text().splitlines()
    assert lines[:2] == ["curve,step,value", "loss,1,2"]
    save_drawn(tabs.curves.loss, tmp_path / "loss.png", tabs.curves.loss.as_csv)
    assert (tmp_path / "loss.png").read_bytes()[:4] == b"\x89PNG"
    tabs.reset()
    assert tabs.classes.table.rowCount() == 0
    assert not tabs.norm.series


def test_a_long_curve_keeps_its_shape_in_few_points():
    series = Series(smooth=True)
    for x in range(100_000):
        series.add(x, float(x))
    assert MOST_POINTS / 2 <= len(series.x) == len(series.y) == len(series.mean) <= MOST_POINTS
    assert series.x[-1] == pytest.approx(99_999, abs=100)
    assert series.y[-1] == pytest.approx(99_999, abs=100)
    assert series.y == sorted(series.y)


def test_a_second_document_waits_for_the_first(quiet_window, qtbot):
    window = quiet_window
    window.open_quick_start()
    small(window.workspace.document, epochs=50)
    first = made(window.workspace.runs_folder, "first", ended=False)
    record_process(first, os.getpid())  # as if it were being trained
    window.train.show_run(first)
    window.show_tab(window.train)
    assert window.train.watch.state == "running"
    qtbot.mouseClick(window.train.bar.queue, Qt.MouseButton.LeftButton)
    assert "waits in the queue" in window.messages.text()
    (name,) = queue_of(first.path.parent)
    window.train.advance_queue()
    assert queue_of(first.path.parent) == [name]
    first.process_path.unlink()
    try:
        qtbot.waitUntil(lambda: window.train.watch.run.path.name == name, timeout=10_000)
        assert window.train.watch.active
        assert queue_of(first.path.parent) == []
    finally:
        process = process_of(RunFolder(first.path.parent / name))
        if process is not None:
            process.kill()


def test_the_end_of_a_run_stands_while_its_trainer_leaves(quiet_window, qtbot):
    """A trainer takes seconds to go when the machine is busy; its run was taken for one that was started elsewhere."""
    window = quiet_window
    window.open_quick_start()
    run = made(window.workspace.runs_folder, "broken", ended=False)
    record_process(run, os.getpid())
    window.train.show_run(run)
    writer = EventWriter(run.events_path)
    writer.write("error", message="The data has gone.", hint="")
    qtbot.waitUntil(lambda: window.train.watch.state == "failed")
    window.train.advance_queue()
    assert window.train.watch.state == "failed"
    window.train.show_run(made(window.workspace.runs_folder, "other"))
    window.train.show_run(run)  # chosen again in the list
    assert window.train.watch.state == "failed"
    record_process(run, os.getpid())  # resumed from a terminal
    window.train.advance_queue()
    assert window.train.watch.state == "starting"
    writer.close()


def test_figures_of_a_run_reach_its_nodes(quiet_window, qtbot):
    window = quiet_window
    window.open_quick_start()
    run = made(window.workspace.runs_folder, "measured")
    head = next(n for n in window.workspace.document.data.nodes if n.title == "Head")
    figures = {"mean": 0.5, "std": 0.25, "zeros": 0.75, "norm": 4.0}
    run.statistics_path.write_text(json.dumps({"step": 20, "nodes": {head.id: {"activations": figures}}}))
    nodes = {n.id: {"status": "ok", "outputs": {}} for n in window.workspace.document.data.nodes}
    window._on_propagated({"nodes": nodes, "problems": [], "totals": {}})
    window.train.show_run(run)
    window.canvas.select([head.id])
    page = window.inspector.page
    assert not page.live.isHidden()
    assert page.live.cells["activations", "zeros"].text() == "75%"
    assert page.live.cells["gradients", "norm"].text() == "–"
    window.canvas.set_heat("live.activations.zeros")
    assert window.canvas.mirror.nodes[head.id].heat == 1.0
    assert window.canvas.mirror.nodes[head.id].size_text == "75%"
    assert window.canvas.legend.most.text() == "75%"
    window.train.said.emit("Head: its box loss has been 0 for 50 steps.", "warning", head.id)
    window.canvas.select([])
    qtbot.mouseClick(window.messages.buttons()[0], Qt.MouseButton.LeftButton)
    assert window.canvas.selected_ids() == [head.id]
    page = window.inspector.page
    window.train.show_run(made(window.workspace.runs_folder, "other"))
    assert page.live.isHidden()


def test_a_small_window_shows_how_long_runs_took_and_their_notes(panel, qtbot):
    """They were found by scrolling sideways only."""
    panel.resize(976, 260)  # in a window of 1280 px
    write_note(RunFolder(panel.model.infos[0].path), "warm-up of 3 epochs")
    panel.refresh()
    seen = panel.view.viewport().width()
    columns = {panel.model.headerData(c, Qt.Orientation.Horizontal): c for c in range(panel.model.columnCount())}
    ends = {name: panel.view.columnViewportPosition(c) + panel.view.columnWidth(c) for name, c in columns.items()}
    assert ends["Took"] < ends["Note"] <= seen
    for name in ("Run", "State", "Best", "Epochs", "Started", "Took"):
        assert panel.view.sizeHintForColumn(columns[name]) <= panel.view.columnWidth(columns[name]), name
    # A column that the user has dragged keeps its width.
    header = panel.view.horizontalHeader()
    edge = QPoint(header.sectionViewportPosition(columns["Run"]) + header.sectionSize(columns["Run"]) - 1, 8)
    qtbot.mousePress(header.viewport(), Qt.MouseButton.LeftButton, pos=edge)
    qtbot.mouseMove(header.viewport(), edge + QPoint(30, 0))
    qtbot.mouseRelease(header.viewport(), Qt.MouseButton.LeftButton, pos=edge + QPoint(30, 0))
    width = panel.view.columnWidth(columns["Run"])
    made(panel.model.infos[0].path.parent, "fourth")
    panel.refresh()
    assert panel.view.columnWidth(columns["Run"]) == width


def test_a_run_that_waits_has_buttons_that_can_be_read(panel, qtbot):
    panel.resize(976, 260)
    waits = made(panel.model.infos[0].path.parent, "waits", ended=False)
    put_in_queue(waits)
    panel.refresh()
    panel.select({waits.path})
    qtbot.waitUntil(panel.unqueue.isVisible)
    for button in (panel.resume, panel.delete, panel.curves, panel.document, panel.predict):
        assert button.width() >= button.sizeHint().width(), button.text()
    assert panel.resume.text().strip() == "Start now"
