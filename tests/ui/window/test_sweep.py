"""The Sweep tab: parameters chosen, a sweep started by a real runner, trials in a table and as lines, values used."""

import json
from dataclasses import asdict, replace

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QLabel, QMenu

from designer.graph.space import find_parameter, parse_dimension
from designer.train.run import RunFolder, process_of
from designer.train.sweep import SweepConfig, SweepFolder, SweepStatus, Trial
from tests.ui.window.support import small


def told(root, document, states=("finished", "failed", "pruned", "finished")):
    """A sweep that was stopped after these trials."""
    space = [
        parse_dimension(find_parameter(document, name), text)
        for name, text in (("training.learning_rate", "1e-4..1e-2:log"), ("training.optimizer", "sgd,adamw"))
    ]
    sweep = SweepFolder.create(root, document.data, SweepConfig(name="Told", space=space, trials=9))
    trials = []
    for i, state in enumerate(states):
        values = {"training.learning_rate": 10 ** (-4 + i / 2), "training.optimizer": ("sgd", "adamw")[i % 2]}
        figure = None if state == "failed" else 0.5 + i / 10
        run = RunFolder.create(sweep.runs, document.data, f"trial-{i}").path.name if state == "finished" else ""
        trials.append(Trial(i, state, values, figure, "no memory" if state == "failed" else "", run, 2, 1.0, 5.0))
    sweep.trials_path.write_text(json.dumps(asdict(SweepStatus("stopped", "", "map", 3, trials))))
    return sweep


@pytest.fixture
def window(quiet_window, catalogue, qtbot):
    """A window with a small document that knows its components, the Sweep tab on show."""
    quiet_window.open_quick_start()
    small(quiet_window.workspace.document)
    quiet_window.workspace.set_catalogue(catalogue)
    quiet_window.sweep.catalogue_changed()
    quiet_window.commands["show_sweep"].trigger()
    qtbot.waitUntil(lambda: quiet_window.sweep.plot is not None, timeout=20_000)
    return quiet_window


def drag(plot, qtbot, start, end):
    """The mouse from one place of the plot to another, in its own coordinates."""

    def pixel(point):
        return plot.mapFromScene(plot._box.mapViewToScene(QPointF(*point)))

    qtbot.mousePress(plot.viewport(), Qt.MouseButton.LeftButton, pos=pixel(start))
    qtbot.mouseMove(plot.viewport(), pixel(end))
    qtbot.mouseRelease(plot.viewport(), Qt.MouseButton.LeftButton, pos=pixel(end))


def test_trials_are_shown_filtered_and_used(window, qtbot):
    panel, document = window.sweep, window.workspace.document
    panel.show_sweep(told(panel._root, document))
    rows = [[panel.sorted.index(r, c).data() for c in range(5)] for r in range(4)]
    assert rows[0] == ["1", "Finished", "0.5000", "0.0001", "sgd"]
    assert rows[1][1:3] == ["Failed", "–"]
    assert rows[3][2] == "★  0.8000"
    panel.view.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert [panel.sorted.index(r, 0).data() for r in range(4)] == ["4", "3", "1", "2"]
    assert "best mAP50-95 0.8000 (trial 4)" in panel.state.full_text()
    plot = panel.plot
    assert [axis.title for axis in plot.axes] == ["Learning rate", "Optimizer", "mAP50-95"]
    assert plot.axes[0].ticks()[1] == (pytest.approx(0.5), "0.001")
    assert [words for _, words in plot.axes[1].ticks()] == ["sgd", "adamw"]
    assert plot.places[0][:2] == [pytest.approx(0), 0.25]
    assert plot.places[1][2] is None  # it failed
    trials = [replace(trial, metric=0.0 if trial.number == 0 else trial.metric) for trial in panel.status.trials]
    plot.show_trials(plot._space, replace(panel.status, trials=trials))
    assert plot.axes[2].low == 0.0  # no mAP is less
    plot.show_trials(plot._space, panel.status)
    drag(plot, qtbot, (0, 0.6), (0, 1.05))
    assert [number for number in plot.places if plot.is_kept(number)] == [3]
    drag(plot, qtbot, (0, 0.3), (0, 0.3))
    assert all(plot.is_kept(number) for number in plot.places)
    place = (plot.places[3][0] + plot.places[3][1]) / 2
    drag(plot, qtbot, (0.5, place), (0.5, place))
    assert panel.chosen().number == 3
    assert plot.chosen == 3
    window.show_tab(panel)
    before = document.data.training.model_dump()
    qtbot.mouseClick(panel.use, Qt.MouseButton.LeftButton)
    assert document.data.training.learning_rate == pytest.approx(10**-2.5)
    assert document.data.training.optimizer == "adamw"
    assert document.undo_name == "Use the values of trial 4"
    window.commands["undo"].trigger()
    assert document.data.training.model_dump() == before
    count = len(window.workspace.documents)
    panel.view.doubleClicked.emit(panel.sorted.index(0, 0))
    assert len(window.workspace.documents) == count + 1


def test_a_parameter_is_swept_from_its_own_menu(window, qtbot):
    document = window.workspace.document
    head = next(n for n in document.data.nodes if n.title == "Head")
    window.canvas.select([head.id])
    row = window.inspector.page.params.rows["reg_max"]
    from designer.ui.sweep_menu import SweepMenu

    menu = row.findChild(SweepMenu).menu_of(row.editor._field)
    entry = menu.actions()[-1]
    assert entry.text() == "Sweep over this…"
    assert len(menu.actions()) > 3  # what a text field's own menu has is still there
    window.show_tab(window.train)
    entry.trigger()
    panel = window.sweep
    assert panel.isVisible()
    assert [r.parameter.label for r in panel.form.rows] == ["Head: reg max"]
    assert panel.form.rows[0].field.text() == "8..32"
    window.train.form.sweep_wanted.emit("training.learning_rate")
    field = panel.form.rows[1].field
    field.setText("5..1")
    assert field.property("invalid") == "true"
    qtbot.mouseClick(panel.start_button, Qt.MouseButton.LeftButton)
    assert "the lower end comes first" in window.messages.text()
    assert panel.sweep is None
    qtbot.mouseClick(panel.form.rows[1].remove, Qt.MouseButton.LeftButton)
    panel.form._fill_menu()
    groups = {action.text(): action.menu() for action in panel.form.menu.actions()}
    assert isinstance(groups["Training"], QMenu)
    assert "Reg max" not in [action.text() for action in groups["Head"].actions()]
    window.files.new()
    assert not panel.form.rows
    window.workspace.go_to(window.workspace.documents[0])
    assert [r.parameter.label for r in panel.form.rows] == ["Head: reg max"]  # kept with its document


@pytest.mark.slow
def test_a_sweep_is_started_followed_and_stopped(window, qtbot):
    panel = window.sweep
    panel.sweep_over("training.learning_rate")
    panel.form.trials.setValue(3)
    window.workspace.document.set_training(epochs=200)
    qtbot.mouseClick(panel.start_button, Qt.MouseButton.LeftButton)
    sweep = panel.sweep
    try:
        qtbot.waitUntil(lambda: any(trial.epoch for trial in panel.model.trials), timeout=150_000)
        assert panel.stop.isVisible()
        assert "Sweeping" in panel.state.full_text()
        qtbot.mouseClick(panel.stop, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: panel.status.state == "stopped", timeout=60_000)
        assert panel.resume.isVisible()
        assert panel.model.trials[0].state == "running"  # resumed with the sweep
        assert (sweep.runs / panel.model.trials[0].run / "checkpoints" / "last.pt").is_file()
    finally:
        for worked in (sweep, *(sweep.run(trial) for trial in sweep.status().trials if trial.run)):
            if (process := process_of(worked)) is not None:
                process.kill()
    assert panel.sweeps.count() == 2


def test_a_narrow_window_shows_all_columns_of_the_table_or_the_lines(window, qtbot):
    """In 1280 px the table beside the lines had room for its first three columns."""
    panel = window.sweep
    panel.show_sweep(told(panel._root, window.workspace.document))
    qtbot.waitUntil(lambda: panel.as_plot.isVisible())
    assert not panel.plot.isVisible()
    seen = panel.view.viewport().width()
    titles = [panel.sorted.headerData(c, Qt.Orientation.Horizontal) for c in range(panel.sorted.columnCount())]
    assert titles[-3:] == ["Epochs", "Took", "Why"]
    ends = [panel.view.columnViewportPosition(c) + panel.view.columnWidth(c) for c in range(len(titles))]
    assert ends[titles.index("Took")] <= seen
    assert panel.view.columnViewportPosition(titles.index("Why")) < seen
    qtbot.mouseClick(panel.as_plot, Qt.MouseButton.LeftButton)
    assert panel.plot.isVisible()
    assert not panel.view.isVisible()
    window.resize(1920, 1080)
    qtbot.waitUntil(lambda: panel.view.isVisible() and panel.plot.isVisible())
    assert not panel.as_plot.isVisible()


def test_names_of_the_settings_stand_in_line(window, qtbot):
    form = window.sweep.form
    names = {made.text(): made for made in form.findChildren(QLabel)}
    tops = {text: names[text].mapTo(form, QPoint(0, 0)).y() for text in ("Trials", "At once", "Chosen by", "Ended by")}
    assert len(set(tops.values())) == 1, tops
