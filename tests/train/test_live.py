"""What a trainer measures and says of itself: samples of every node by hand, faults, trackers, the record of a run."""

import json
import sys

import pytest
import torch
from torch import nn

from designer.data.dataset import load_dataset
from designer.engine.compile import compile_document
from designer.train.environment import environment
from designer.train.faults import EARLY, LATELY, ZERO_SAMPLES, ZERO_STEPS, FaultFinder
from designer.train.live import Live, find_not_finite
from designer.train.loop import Trainer
from designer.train.run import RunFolder
from designer.train.statistics import LEAST_STEPS, Statistics, facts
from designer.train.trackers import TrackerError, Trackers, check_tracker
from tests.train.test_training import events_of


def test_facts_by_hand():
    mean, std, zeros, norm = facts([torch.tensor([0.0, 0.0, 3.0]), torch.tensor([[5.0]])]).tolist()
    assert (mean, zeros, norm) == (2.0, 0.5, pytest.approx(34**0.5))
    assert std == pytest.approx((34 / 4 - 4) ** 0.5)
    assert facts([]) is None
    large = facts([torch.full((1_000_000,), 2.0)], thin=True).tolist()
    assert large == pytest.approx([2.0, 0.0, 0.0, 2000.0])


def test_a_sample_holds_weights_activations_and_gradients(tmp_path):
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[3.0, 0.0]])
    samples = Statistics({"n1": layer}, tmp_path / "statistics.json")
    for step in (0, LEAST_STEPS):
        with samples.watching(step):
            out = layer(torch.tensor([[1.0, 2.0]]))
        out.sum().backward()
        assert samples.finish(step, 1.0) == (step > 0)
    read = json.loads(samples.path.read_text())
    assert read["step"] == LEAST_STEPS
    assert read["nodes"]["n1"]["weights"] == {"mean": 1.5, "std": 1.5, "zeros": 0.5, "norm": 3.0}
    assert read["nodes"]["n1"]["activations"]["mean"] == 3.0
    assert read["nodes"]["n1"]["gradients"]["norm"] == pytest.approx(20**0.5)  # of two passes
    with samples.watching(LEAST_STEPS + 1):
        layer(torch.zeros(1, 2))
    assert not samples.finish(LEAST_STEPS + 1, 1.0)
    assert not layer._forward_hooks


def test_samples_grow_rare_where_they_cost_much(tmp_path):
    samples = Statistics({"n1": nn.Linear(2, 1)}, tmp_path / "statistics.json")
    with samples.watching(LEAST_STEPS):
        pass
    samples.finish(LEAST_STEPS, step_seconds=1e-6)
    with samples.watching(10 * LEAST_STEPS):
        pass
    assert not samples.finish(10 * LEAST_STEPS, 1e-6)


def finder(**changes):
    return FaultFinder({"n5": "Head", "n2": "Neck"}, 0.01, 2, {"head": "n5"}, frozenset({"n2", "n5"}), **changes)


def steps(found, count, loss=1.0, terms=(), waited=0.0):
    return [f for _ in range(count) for f in found.step(loss, dict(terms), waited, 1.0)]


def test_divergence_is_said_once():
    found = finder()
    assert steps(found, EARLY + LATELY, 1.0) == []
    assert steps(found, LATELY, 1.9) == []
    said = steps(found, 3 * LATELY, 5.0)
    assert [f.code for f in said] == ["divergence"]
    assert "0.01" in said[0].hint


def test_a_dead_head_and_a_node_without_gradient_are_named():
    found = finder()
    assert steps(found, 2 * ZERO_STEPS, terms={"box": 1.0, "dfl": 0.0}) == []  # may be turned off
    assert steps(found, ZERO_STEPS - 1, terms={"box": 0.0, "cls": 1.0}) == []
    said = steps(found, 2, terms={"box": 0.0, "cls": 1.0})
    assert [(f.code, f.node) for f in said] == [("dead_head", "n5")]
    assert said[0].message.startswith("Head: its box loss has been 0")
    still = {"n2": {"gradients": {"norm": 0.0}}, "n5": {"gradients": {"norm": 2.0}}, "n9": {}}
    said = [f for _ in range(ZERO_SAMPLES + 5) for f in found.sample(still)]
    assert [(f.code, f.node) for f in said] == [("no_gradient", "n2")]


def test_waiting_for_data_is_said_after_a_while():
    found = finder()
    assert steps(found, 9, waited=0.9) == []
    said = steps(found, 1, waited=0.9)
    assert "90%" in said[0].message
    assert "workers (now 2)" in said[0].hint
    assert steps(finder(), 30, waited=0.2) == []


def test_the_first_node_that_breaks_is_found(tmp_path, classifier):
    compiled = compile_document(classifier.data)
    live = Live(RunFolder(tmp_path), classifier.data, compiled, torch.device("cpu"))
    images = torch.rand(2, 3, 32, 32)

    def forward():
        logits = compiled.train_model(images)[0]
        return {"cls": logits.square().mean()}

    class Breaks(nn.Module):
        def forward(self, x):
            return x / 0

    module = next(name for name, node in compiled.node_of.items() if classifier.node(node).title == "SE")
    part = next(iter(dict(compiled.model.get_submodule(module).named_children())))
    setattr(compiled.model.get_submodule(module), part, Breaks())
    assert find_not_finite(compiled.model, forward)[0] == f"{module}.{part}"
    text = live.explain(forward, images, 0.01)
    assert text.startswith(f"“SE” ({part}) is the first whose output is not finite.")
    assert "Check the image files" in live.explain(forward, images / 0, 0.01)
    compiled.model.get_submodule(module).register_parameter("odd", nn.Parameter(torch.tensor([float("nan")])))
    assert "The weights of “SE” (odd)" in live.explain(forward, images, 0.01)


def test_many_learning_rates_are_told_by_their_ends(tmp_path, classifier):
    live = Live(RunFolder(tmp_path), classifier.data, compile_document(classifier.data), torch.device("cpu"))
    assert "lrs" not in live.fields([0.1, 0.1])
    assert live.fields([0.1, 0.2, 0.1])["lrs"] == [0.2, 0.1]
    assert live.fields([0.1 * i for i in range(1, 9)])["lrs"] == [0.8, 0.1]


def test_a_run_tells_all_this(tmp_path, detector):
    detector.set_training(epochs=7, batch=8, eval_every=7, checkpoint_every=7)
    run = RunFolder.create(tmp_path, detector.data)
    Trainer(run).train()
    step = [e for e in events_of(run) if e["type"] == "step"][-1]
    assert step["grad_norm"] > 0
    assert 0 <= step["waiting"] <= 1
    nodes = json.loads(run.statistics_path.read_text())["nodes"]
    titles = {detector.node(node).title for node in nodes}
    assert {"Backbone", "Neck", "Head"} <= titles
    assert all(info["gradients"]["norm"] > 0 for info in nodes.values() if "weights" in info)
    quality = json.loads(run.evaluation_path.read_text())
    assert len(quality["matrix"]) == 4
    assert len(quality["f1"]["all"]) == 101
    made = json.loads(run.environment_path.read_text())
    assert made["packages"]["torch"] == torch.__version__
    assert (made["device"], made["images"]) == ("cpu", {"train": 32, "val": 8})


def test_a_loss_that_breaks_names_the_node_and_spares_the_weights(tmp_path, classifier):
    run = RunFolder.create(tmp_path, classifier.data)
    trainer = Trainer(run)
    name = next(n for n, node in trainer.compiled.node_of.items() if classifier.node(node).title == "CBAM")
    trainer.compiled.model.get_submodule(name).register_forward_hook(lambda _m, _a, out: out * float("inf"))
    with pytest.raises(Exception, match=r"The loss is .* at step 1 .*“CBAM”.*Lower the learning rate"):
        trainer.train()
    assert all(p.isfinite().all() for p in trainer.compiled.model.parameters())


def test_fingerprints_follow_document_and_data(classifier):
    place = torch.device("cpu")

    def made():
        data = classifier.data
        return environment(data, load_dataset(data.data, (32, 32), "classify", data.training), place)

    first = made()
    assert made() == first
    classifier.set_data(train_images=33)
    assert made()["data"] != first["data"]
    assert made()["document"] != first["document"]


def test_a_tracker_that_is_missing_is_said(classifier, tmp_path):
    check_tracker("none")
    with pytest.raises(TrackerError, match="pip install mlflow"):
        check_tracker("mlflow")
    classifier.set_training(tracker="wandb")
    with pytest.raises(TrackerError, match="pip install wandb"):
        Trackers(RunFolder(tmp_path), classifier.data)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_figures_go_to_an_installed_tracker(tmp_path, classifier, monkeypatch, name):
    """A stand-in package that writes down what it is called with."""
    calls = tmp_path / "calls"
    body = f"def note(what):\n    with open({str(calls)!r}, 'a') as file:\n        file.write(what + '\\n')\n"
    if name == "mlflow":
        body += "".join(
            f"def {f}(*args, **kwargs): note(f'{f} {{args}} {{kwargs}}')\n"
            for f in ("set_experiment", "start_run", "log_params", "log_metrics", "end_run")
        )
        body += "import types, pathlib\n"
        body += f"def search_runs(**kwargs):\n    found = pathlib.Path({str(calls)!r}).read_text()\n"
        body += "    run = types.SimpleNamespace(info=types.SimpleNamespace(run_id='the first'))\n"
        body += "    return [run] if 'start_run' in found else []\n"
    else:
        body += "class Run:\n    def log(self, values, step): note(f'log {values} {step}')\n"
        body += "    def finish(self): note('finish')\n"
        body += "def init(**kwargs): note(f'init {kwargs}'); return Run()\n"
    (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    classifier.set_training(tracker=name, epochs=3)
    run = RunFolder.create(tmp_path / "runs", classifier.data)
    for _ in range(2):  # the second time as when it is resumed
        trackers = Trackers(run, classifier.data)
        trackers.log({"train/loss": 0.5, "words": "left out"}, 7)
        trackers.close()
    sys.modules.pop(name)
    said = calls.read_text()
    assert "'training.epochs': 3" in said
    assert "{'train/loss': 0.5}" in said
    assert said.splitlines()[-1].startswith({"mlflow": "end_run", "wandb": "finish"}[name])
    starts = [line for line in said.splitlines() if line.startswith(("start_run", "init"))]
    same = "'run_id': 'the first'" if name == "mlflow" else f"'id': {run.path.name!r}"
    assert same in starts[1]
