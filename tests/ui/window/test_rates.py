"""The learning rate is found from the window: a real process, its curve, the suggestion taken over as one step."""

import psutil
import pytest

from designer.graph.templates import load_template
from designer.ui.rate_panel import RatePanel
from designer.ui.train_form import TrainForm
from tests.ui.window.support import small


@pytest.fixture
def panel(home, qtbot):
    made = RatePanel(small(load_template("quick-start")), None)
    made.show()
    yield made
    made.link.stop()


def test_a_sweep_is_shown_and_cancelled(panel, qtbot):
    assert not panel.use.isEnabled()
    qtbot.waitUntil(lambda: panel.progress.value() > 1, timeout=200_000)
    assert len(panel.plot.series["loss"].x) > 1
    process = psutil.Process(panel.link.pid)
    panel.cancel.click()
    assert panel.words.text() == "Cancelled."
    assert panel.again.isVisible()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_what_is_found_is_taken_over_as_one_step(panel):
    document = panel._document
    before = document.data.training.learning_rate
    panel.link.stop()
    panel._on_found({"rates": [1e-3, 1e-2], "smooth": [2.0, 1.0], "suggested": 0.0042, "why": "Because."})
    assert panel.use.text() == "Use 0.0042"
    assert panel.words.text() == "Because."
    assert document.data.training.learning_rate == before
    panel.use.click()
    assert document.data.training.learning_rate == 0.0042
    document.undo()
    assert document.data.training.learning_rate == before


def test_the_form_shows_what_has_an_effect(home, qtbot):
    document = load_template("quick-start")
    form = TrainForm()
    qtbot.addWidget(form)
    form.set_document(document)
    form.more.setChecked(True)

    def shown(name):
        form.refresh()
        return not form._advanced[name].isHidden()

    for optimizer, nesterov in (("sgd", True), ("adamw", False), ("rmsprop", False), ("muon", True)):
        document.set_training(optimizer=optimizer)
        assert shown("nesterov") is nesterov
    assert not shown("unfreeze_after")
    document.set_frozen(document.data.nodes[1], True)
    assert shown("unfreeze_after")
    document.set_training(ema=False, nominal_batch=64)
    assert not shown("ema_decay")
    assert not shown("accumulate")
    places = [form._grid.getItemPosition(form._grid.indexOf(form._advanced[name]))[:2] for name in form._used]
    assert places == [(form._first + i // 2, i % 2) for i in range(len(places))]
    document.set_training(batch=0)
    form.refresh()
    assert form.editors["batch"]._field.text() == "Auto"
    asked = []
    form.rate_wanted.connect(lambda: asked.append(True))
    form.find_rate.click()
    assert asked == [True]
