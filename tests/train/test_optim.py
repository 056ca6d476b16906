"""Optimizers, their groups and schedules, by figures worked by hand; batches that are summed; resumes to the bit."""

import itertools

import pytest
import torch
from torch import nn

from designer.engine.compile import compile_document
from designer.graph import Document
from designer.graph.training import TrainingSettings
from designer.train import checkpoint
from designer.train.loop import Trainer
from designer.train.muon import MuonAndAdamW, orthogonalised
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


def test_only_matrices_decay():
    """Scales of channels have three dimensions in some nets, and tables of positions have as many."""
    model = nn.Module()
    model.conv, model.norm, model.line = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5)
    model.scale, model.positions = nn.Parameter(torch.ones(4, 1, 1)), nn.Parameter(torch.zeros(1, 9, 4))
    groups = make_optimizer(model, TrainingSettings(weight_decay=0.1)).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert {name for name, p in model.named_parameters() if id(p) in decayed} == {"conv.weight", "line.weight"}


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


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "nominal_batch": 8, "layer_decay": 0.8, "schedule": "one-cycle"},
        {"optimizer": "sgd", "nesterov": False, "ema": False, "schedule": "step", "clip_norm": 0, "accumulate": 2},
        {"optimizer": "adamw", "nominal_batch": 8, "layer_decay": 0.8, "schedule": "one-cycle"},
        {"optimizer": "adam", "schedule": "linear", "pretrained_factor": 0.1},
        {"optimizer": "rmsprop", "nominal_batch": 8, "layer_decay": 0.8},
        {"optimizer": "sgd", "unfreeze_after": 2},
        {"optimizer": "muon", "unfreeze_after": 1, "accumulate": 2, "layer_decay": 0.8},
        {"optimizer": "adamw", "batch": 0, "epochs": 2},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_every_setting_resumes_to_the_bit(tmp_path, tiny, settings, monkeypatch):
    tiny.set_training(**{"learning_rate": 0.002, "epochs": 3, **settings})
    tiny.set_frozen(tiny.data.nodes[2], "unfreeze_after" in settings)
    whole = RunFolder.create(tmp_path / "a", tiny.data)
    expected = losses(whole)
    assert len(expected) == (15 if settings.get("batch") != 0 else 20)
    assert all(torch.isfinite(torch.tensor(expected)))
    parted = RunFolder.create(tmp_path / "b", tiny.data)
    first = Trainer(parted)
    monkeypatch.setattr(first.settings, "epochs", 1)  # the schedule is made: as if killed after the first epoch
    first.train()
    assert losses(parted, resume=True) == expected


def test_muon_takes_matrices_and_adamw_the_rest(tiny):
    model = compile_document(tiny.data).model
    taken = set(orthogonalised(model))
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert all(len(shapes[name]) in (2, 4) and shapes[name][1] > 1 for name in taken)
    nodes = {name.partition(".")[0] for name in taken}
    assert len(nodes) == 1  # the block: neither the first layer nor the head, as its authors advise
    optimizer = make_optimizer(model, TrainingSettings(optimizer="muon", learning_rate=0.01, weight_decay=0))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        step = (p.detach() - before[name]) / 0.01
        if name in taken:  # singular values near 1, times the scale that makes it as long as a step of AdamW
            rows, columns = step.flatten(1).shape
            values = torch.linalg.svdvals(step.flatten(1)) / (0.2 * max(rows, columns) ** 0.5)
            assert 0.5 < values.median() < 1.3
        else:  # the first step of AdamW is as long as the rate
            assert step.abs().median() == pytest.approx(1, abs=1e-2)


def test_a_matrix_is_a_view_in_either_layout():
    weight = torch.nn.Parameter(torch.randn(6, 4, 3, 3).to(memory_format=torch.channels_last))
    optimizer = MuonAndAdamW([{"params": [weight], "muon": True}], 0.1, 0.9, True, (0.9, 0.99))
    plain = torch.nn.Parameter(weight.detach().contiguous())
    other = MuonAndAdamW([{"params": [plain], "muon": True}], 0.1, 0.9, True, (0.9, 0.99))
    weight.grad = torch.randn(6, 4, 3, 3)
    plain.grad = weight.grad.clone()
    before = weight.detach().clone()
    optimizer.step()
    other.step()
    assert (weight - before).abs().max() > 0.01
    assert torch.allclose(weight, plain, atol=5e-3)  # the steps inside are in bfloat16


def test_frozen_nodes_learn_from_an_epoch_on(tmp_path, tiny):
    block = tiny.data.nodes[2]
    tiny.set_frozen(block, True)
    tiny.set_training(unfreeze_after=1, epochs=2, ema=False, weight_decay=0.1)
    run = RunFolder.create(tmp_path, tiny.data)
    trainer = Trainer(run)
    module = trainer.compiled.model.get_submodule(next(iter(trainer.compiled.held)))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    seen = []
    unfreeze = trainer._unfreeze

    def look():
        unfreeze()
        same = all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
        seen.append((trainer.epoch, same, {p.requires_grad for p in module.parameters()}))

    trainer._unfreeze = look
    events = _events(trainer, run)
    assert seen == [(0, True, {False}), (1, True, {True})]  # norms and their running averages too
    assert not any(torch.equal(value, before[name]) for name, value in module.state_dict().items() if value.ndim)
    assert [(e["epoch"], e["nodes"]) for e in events if e["type"] == "unfrozen"] == [(1, [block.id])]


@pytest.mark.slow
def test_where_compiling_fails_the_run_says_so_and_goes_on(tmp_path, tiny, monkeypatch):
    from torch._inductor import config

    tiny.set_disabled(tiny.data.nodes[2], True)  # what is small is compiled soon
    tiny.set_training(epochs=1)
    expected = losses(RunFolder.create(tmp_path / "a", tiny.data))
    tiny.set_training(compile=True)
    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(config, "force_disable_caches", True)
    run = RunFolder.create(tmp_path / "b", tiny.data)
    events = _events(Trainer(run), run)
    assert any("torch.compile does not work" in e["message"] for e in events if e["type"] == "warning")
    assert [e["loss"] for e in events if e["type"] == "step"] == expected
