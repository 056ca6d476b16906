"""Advice on training: the rules by hand-made documents, applied as one step that can be undone."""

import pytest

from designer.graph import Document
from designer.graph.advisor import advise, as_fix, goal_of


@pytest.fixture
def made(catalogue):
    def make(*components, head="head.yolov8_head", **training):
        document = Document.new("Advised", catalogue)
        for component in (*components, head):
            document.add(component)
        document.set_training(**training)
        return document

    return make


def settings(document, catalogue, goal="auto"):
    return {p.field: p.value for p in advise(document.data, catalogue, goal)}


def test_from_scratch_takes_sgd(made, catalogue):
    found = settings(made("backbone.csp_darknet", epochs=100, batch=16), catalogue)
    assert found == {
        "optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.937, "weight_decay": 5e-4, "schedule": "cosine",
        "warmup_epochs": 3.0, "nominal_batch": 64, "ema": True,
    }  # fmt: skip


def test_the_rate_grows_with_the_step(made, catalogue):
    found = settings(made(epochs=100, batch=256), catalogue)
    assert (found["learning_rate"], found["warmup_epochs"]) == (0.04, 5.0)
    assert "nominal_batch" not in found
    summed = settings(made(epochs=100, batch=32, accumulate=4), catalogue)
    assert summed["learning_rate"] == 0.02
    classifier = settings(made(head="head.classification_head", epochs=90, batch=512), catalogue)
    assert (classifier["learning_rate"], classifier["momentum"], classifier["weight_decay"]) == (0.2, 0.9, 1e-4)


def test_short_training_and_transformers_take_adamw(made, catalogue):
    assert settings(made(epochs=10, batch=16), catalogue)["learning_rate"] == 1e-3
    for document in (
        made("neck.transformer_neck", epochs=72, batch=16),
        made(head="head.rtdetr_head", epochs=72, batch=16),
    ):
        found = settings(document, catalogue)
        assert (found["optimizer"], found["learning_rate"], found["warmup_epochs"]) == ("adamw", 1e-4, 5.0)


def test_fine_tuning_is_gentle_with_what_was_learnt(made, catalogue):
    document = made("backbone.resnet", epochs=50, batch=16)
    assert goal_of(document.data) == "scratch"
    document.set_weights(document.data.nodes[0], "torchvision:resnet50")
    assert goal_of(document.data) == "fine-tune"
    found = settings(document, catalogue)
    assert (found["optimizer"], found["learning_rate"], found["pretrained_factor"]) == ("adamw", 1e-4, 0.1)
    assert settings(document, catalogue, "scratch")["optimizer"] == "sgd"


def test_advice_is_one_step_and_is_then_followed(made, catalogue):
    document = made(epochs=100, batch=2, learning_rate=0.5)
    proposals = advise(document.data, catalogue)
    assert next(p for p in proposals if p.field == "batch").value == 4
    before = document.data.training.model_copy()
    fix = as_fix(proposals)
    document.apply(fix.edits, fix.label)
    assert document.data.training.learning_rate == 0.01
    assert not any(p.is_change for p in advise(document.data, catalogue))
    document.undo()
    assert document.data.training == before
