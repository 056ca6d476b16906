"""Optimizers, their groups and schedules, by figures worked by hand; batches that are summed; resumes to the bit."""

import itertools

import pytest
import torch

from designer.engine.compile import compile_document
from designer.graph import Document
from designer.graph.training import TrainingSettings
from designer.train import checkpoint
from designer.train.loop import Trainer
from designer.train.optim import batches_a_step, make_optimizer, rate_factors, schedule
from designer.train.run import RunFolder


def factors(kind, steps=100, epoch=10, **fields):
    factor = schedule(TrainingSettings(schedule=kind, **fields), steps, epoch)
    return [factor(step) for step in range(steps + 1)]


def test_schedules_by_hand():
    flat = {"warmup_epochs": 0}
    assert factors("constant", **flat)[50] == 1
    assert factors("linear", **flat)[50] == pytest.approx(1 - 0.99 / 2)
    assert factors("cosine", **flat)[50] == pytest.approx(0.505)
    assert factors("cosine", **flat)[100] == pytest.approx(0.01)
    assert [factors("step", **flat)[s] for s in (59, 60, 84, 85)] == [1, 0.1, 0.1, 0.01]
    cycle = factors("one-cycle", warmup_epochs=3)
    assert cycle[0] == pytest.approx(0.04)
    assert cycle[15] == pytest.approx(0.52)
    assert cycle[30] == 1
    assert cycle[65] == pytest.approx(0.5, abs=1e-5)
    assert cycle[100] < 1e-5


def test_warm_up_is_linear_and_at_most_a_third():
    warm = factors("constant", warmup_epochs=2)
    assert warm[:3] == pytest.approx([1 / 21, 2 / 21, 3 / 21])
    assert warm[19] == pytest.approx(20 / 21)
    assert warm[20] == 1
    assert factors("constant", warmup_epochs=9)[33] == 1


def test_the_nominal_batch_decides_where_it_is_given():
    assert batches_a_step(TrainingSettings(batch=16, accumulate=3)) == 3
    assert batches_a_step(TrainingSettings(batch=16, nominal_batch=64, accumulate=3)) == 4
    assert batches_a_step(TrainingSettings(batch=24, nominal_batch=64)) == 3
    assert batches_a_step(TrainingSettings(batch=128, nominal_batch=64)) == 1


@pytest.fixture
def tiny(catalogue):
    """Two convolutions and a classifier, 16 pixels."""
    document = Document.new("Tiny", catalogue)
    nodes = [
        document.add("io.image_input", height=16, width=16),
        document.add("stem.conv_stem", out_channels=8),
        document.add("block.csp.c2f", out_channels=8),
        document.add("head.classification_head", num_classes=3),
    ]
    for a, b in itertools.pairwise(nodes):
        document.connect(a, b)
    document.set_training(epochs=2, batch=4, workers=0, device="cpu", learning_rate=0.01)
    document.set_data(train_images=20, val_images=4)
    return document


def test_layers_and_loaded_weights_have_rates_of_their_own(detector):
    model = compile_document(detector.data).model
    settings = TrainingSettings(layer_decay=0.5, pretrained_factor=0.1)
    found = rate_factors(model, settings, ["backbone"])
    layers = list(dict.fromkeys(".".join(n.split(".")[: 1 if n.startswith("head") else 2]) for n in found))
    assert layers[0].startswith("backbone.")
    assert layers[-1] == "head"
    for place, layer in enumerate(reversed(layers)):
        loaded = 0.1 if layer.startswith("backbone") else 1
        own = {v for n, v in found.items() if n.startswith(layer + ".")}
        assert list(own) == pytest.approx([loaded * 0.5**place])
    optimizer = make_optimizer(model, settings, ["backbone"])
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(trainable)
    for group in optimizer.param_groups:
        assert {p.ndim > 1 for p in group["params"]} == {group["weight_decay"] > 0}


def test_what_is_left_of_an_epoch_steps_too(tmp_path, tiny):
    # 20 images are 5 batches of 4: with two summed that is 2 + 2 + 1, so 3 steps an epoch, 6 in all.
    tiny.set_training(nominal_batch=8)
    run = RunFolder.create(tmp_path, tiny.data)
    Trainer(run).train()
    state = checkpoint.load(run.last_path)
    assert state["averaged"] == 6
    assert state["step"] == 10


def losses(run, resume=False):
    return [e["loss"] for e in _events(Trainer(run, resume=resume), run) if e["type"] == "step"]


def _events(trainer, run):
    from designer.train.events import EventTail

    trainer.train()
    return EventTail(run.events_path).read()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adam", "rmsprop"])
def test_every_optimizer_resumes_to_the_bit(tmp_path, tiny, optimizer, monkeypatch):
    tiny.set_training(
        optimizer=optimizer, learning_rate=0.002, nominal_batch=8, layer_decay=0.8, schedule="one-cycle", epochs=3
    )
    whole = RunFolder.create(tmp_path / "a", tiny.data)
    expected = losses(whole)
    assert len(expected) == 15
    assert all(torch.isfinite(torch.tensor(expected)))
    parted = RunFolder.create(tmp_path / "b", tiny.data)
    first = Trainer(parted)
    monkeypatch.setattr(first.settings, "epochs", 1)  # the schedule is made: as if killed after the first epoch
    first.train()
    assert losses(parted, resume=True) == expected
