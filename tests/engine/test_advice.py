"""Advice: each rule speaks when it should, is silent when it should, is mended by its fix and muted by the other."""

import importlib.util
from pathlib import Path

import pytest

from designer.engine.advice import rules
from designer.engine.propagate import propagate
from designer.graph import Document
from designer.graph.storage import dump, parse
from nodes.sdk.discover import library

ROOT = Path(__file__).parents[2]


def classifier(width: int = 32, norm: bool = True) -> Document:
    doc = Document.new("Mine", library().catalogue)
    image = doc.add("io.image_input", height=64, width=64)
    block = doc.add("conv.conv_norm_act" if norm else "conv.conv", title="Block", out_channels=width)
    head = doc.add("head.classification_head", num_classes=3)
    doc.connect(image, block)
    doc.connect(block, head)
    return doc


def said(doc: Document, code: str) -> list:
    return [p for p in propagate(doc.data).problems if p.code == code]


def test_a_batch_of_one_matters_only_with_batch_norms():
    doc = classifier()
    doc.set_training(batch=1)
    (problem,) = said(doc, "batch_of_one")
    assert problem.severity == "advice"
    assert problem.message.startswith("The batch is one image and the model has 1 batch norms. Their mean")
    doc.apply(problem.fixes[0].edits, problem.fixes[0].label)
    assert doc.data.training.batch == 8
    assert not said(doc, "batch_of_one")
    plain = classifier(norm=False)
    plain.set_training(batch=1)
    assert not said(plain, "batch_of_one")


@pytest.mark.parametrize(("width", "better"), [(30, 32), (33, 40), (32, None), (12, None)])
def test_channels_that_are_no_multiple_of_eight(width, better):
    doc = classifier(width)
    found = said(doc, "channels_of_eight")
    assert [f.fixes[0].label for f in found] == ([f"Set out_channels to {better}"] if better else [])


@pytest.mark.parametrize(
    ("optimizer", "rate", "usual"), [("adamw", 0.01, "0.001"), ("sgd", 0.01, ""), ("sgd", 0.5, "0.01")]
)
def test_a_learning_rate_beyond_the_usual(optimizer, rate, usual):
    doc = classifier()
    doc.set_training(optimizer=optimizer, learning_rate=rate)
    assert [p.fixes[0].label for p in said(doc, "learning_rate")] == (
        [f"Set the learning rate to {usual}"] if usual else []
    )


@pytest.mark.parametrize(("side", "speaks"), [(0.05, True), (0.3, False)])
def test_boxes_smaller_than_two_cells(tmp_path, detector, side, speaks):
    labels = tmp_path / "labels" / "train"
    labels.mkdir(parents=True)
    for i in range(5):
        (labels / f"{i}.txt").write_text(f"0 0.5 0.5 {side} 0.9\n1 0.5 0.5 0.8 0.8\n")
    (tmp_path / "data.yaml").write_text("names: [a, b, c]\n")
    detector.set_data(kind="yolo", path=str(tmp_path / "data.yaml"))
    found = said(detector, "small_boxes")
    assert bool(found) is speaks
    if speaks:
        assert "50% of the objects are smaller than 16 px" in found[0].message
        doc_height = detector.data.nodes[0].params["height"]
        detector.apply(found[0].fixes[0].edits, found[0].fixes[0].label)
        assert detector.data.nodes[0].params["height"] == 2 * doc_height


def small_objects(tmp_path, doc: Document, side: float) -> Document:
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / "a.txt").write_text(f"0 0.5 0.5 {side} 0.9\n")
    (tmp_path / "data.yaml").write_text("names: [a, b, c]\n")
    doc.set_data(kind="yolo", path=str(tmp_path / "data.yaml"))
    return doc


@pytest.mark.parametrize(
    ("component", "params", "side", "words"),
    [
        ("pooling.max_pool", {}, 0.1, "keeps the strongest cell"),
        ("pooling.avg_pool", {}, 0.1, ""),
        ("pooling.max_pool", {}, 0.9, ""),  # no small objects
        ("pooling.max_pool", {"kernel_size": 3, "stride": 1, "padding": 1}, 0.1, ""),
        ("conv.conv_norm_act", {"kernel_size": 7, "stride": 4}, 0.1, "4 times narrower in one step"),
        ("conv.conv_norm_act", {"kernel_size": 3, "stride": 2}, 0.1, ""),
    ],
)
def test_steps_that_lose_small_objects(tmp_path, component, params, side, words):
    doc = Document.new("Mine", library().catalogue)
    image, step = doc.add("io.image_input", height=128, width=128), doc.add(component, title="Step", **params)
    last, head = doc.add("conv.conv_norm_act", stride=2), doc.add("head.yolov8_head", num_classes=3)
    for a, b in ((image, step), (step, last), (last, head)):
        doc.connect(a, b)
    found = said(small_objects(tmp_path, doc, side), "coarse_steps")
    assert len(found) == bool(words)
    assert not words or (words in found[0].message and "smaller than 32 pixels" in found[0].message)


def test_the_page_of_advice_is_what_its_script_writes():
    spec = importlib.util.spec_from_file_location("make_advice", ROOT / "docs" / "make_advice.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == module.PAGE.read_text(encoding="utf-8"), "run: python docs/make_advice.py"


def test_a_muted_rule_is_silent_in_this_document_and_its_file():
    doc = classifier(30)
    (problem,) = said(doc, "channels_of_eight")
    mute = problem.fixes[-1]
    assert mute.label == "Mute this advice"
    doc.apply(mute.edits, mute.label)
    assert not said(doc, "channels_of_eight")
    assert parse(dump(doc.data)).advice.muted == ["channels_of_eight"]
    doc.undo()
    assert said(doc, "channels_of_eight")
    assert '"advice"' not in dump(doc.data)


def test_every_rule_says_why():
    assert len({r.code for r in rules()}) == len(rules())
    assert all(r.reason.endswith(".") and r.title for r in rules())


def test_advice_waits_until_the_document_runs():
    doc = classifier(30)
    doc.set_param(doc.data.nodes[1], "out_channels", 30)
    doc.disconnect(doc.data.wires[1])
    assert not [p for p in propagate(doc.data).problems if p.code in {r.code for r in rules()}]


def chain(*parts: tuple[str, dict], side: int = 64) -> Document:
    """Image -> the parts -> a classification head; the parts are called P0, P1, ..."""
    doc = Document.new("Mine", library().catalogue)
    last = doc.add("io.image_input", title="Image", height=side, width=side)
    for i, (component, params) in enumerate(parts):
        node = doc.add(component, title=f"P{i}", **params)
        doc.connect(last, node)
        last = node
    doc.connect(last, doc.add("head.classification_head", num_classes=3))
    return doc


def mended(doc: Document, code: str) -> bool:
    """Whether the first fix of the one advice of this code leaves a document that runs and is silent."""
    (problem,) = said(doc, code)
    doc.apply(problem.fixes[0].edits, problem.fixes[0].label)
    return not said(doc, code) and not propagate(doc.data).errors


def test_a_bias_before_a_batch_norm():
    assert mended(chain(("conv.conv", {"out_channels": 16}), ("norm.batch_norm", {})), "bias_before_norm")
    assert not said(chain(("conv.conv", {"out_channels": 16}), ("norm.group_norm", {"groups": 4})), "bias_before_norm")
    both = chain(("conv.conv", {"out_channels": 16}), ("norm.batch_norm", {}))
    both.connect(both.data.nodes[1], both.add("conv.conv", title="Beside"))
    assert not said(both, "bias_before_norm")


def test_convolutions_that_are_one():
    pair = chain(("conv.conv", {"out_channels": 16}), ("conv.conv", {"out_channels": 32}))
    assert mended(pair, "linear_chain")
    wide = {"out_channels": 32}
    factorised = chain(("conv.conv_norm_act", wide), ("conv.conv", {"out_channels": 8}), ("conv.conv", wide))
    assert not said(factorised, "linear_chain")


def test_dropout_before_a_batch_norm():
    conv = ("conv.conv_norm_act", {"out_channels": 16})
    doc = chain(conv, ("regularise.dropout", {}), conv)
    assert mended(doc, "dropout_before_norm")
    assert len(doc.data.nodes) == 4
    assert not said(chain(conv, ("regularise.dropout", {})), "dropout_before_norm")


@pytest.mark.parametrize(("side", "speaks"), [(640, True), (64, False)])
def test_attention_over_too_many_cells(side, speaks):
    stem = {"out_channels": 64, "stride": 4, "kernel_size": 5}
    doc = chain(("conv.conv_norm_act", stem), ("attention.psa", {}), side=side)
    found = said(doc, "attention_tokens")
    assert bool(found) is speaks
    if speaks:
        assert found[0].message.startswith("P1: each of its 25,600 cells looks at all of them")


def test_resizing_by_no_whole_factor():
    (problem,) = said(chain(("resize.interpolate", {"scale": 1.5})), "uneven_resize")
    assert problem.message.startswith("P0: 64 x 64 becomes 96 x 96.")
    assert not said(chain(("resize.interpolate", {"scale": 2.0})), "uneven_resize")


def test_windows_smaller_than_their_step():
    doc = chain(("conv.conv", {"out_channels": 16, "stride": 2}))
    assert "never looks at 75% of the cells" in said(doc, "skipped_cells")[0].message
    assert mended(doc, "skipped_cells")
    assert doc.data.nodes[1].params["kernel_size"] == 3
    assert mended(chain(("pooling.max_pool", {"kernel_size": 2, "stride": 3})), "skipped_cells")
    assert not said(chain(("pooling.max_pool", {})), "skipped_cells")


def test_transposed_convolutions_that_paint_unevenly():
    doc = chain(("resize.conv_transpose", {"out_channels": 16, "kernel_size": 3, "stride": 2}))
    assert "kernels of 3 at steps of 2" in said(doc, "checkerboard")[0].message
    assert mended(doc, "checkerboard")
    assert doc.data.nodes[1].params["kernel_size"] == 4
    assert not said(chain(("resize.conv_transpose", {"out_channels": 16})), "checkerboard")


def test_one_cell_that_speaks_for_the_map():
    doc = chain(("pooling.global_max_pool", {}))
    assert "the strongest cell alone" in said(doc, "one_cell_speaks")[0].message
    both, image = chain(("pooling.global_max_pool", {})), 0
    mean = both.add("pooling.global_avg_pool")
    both.connect(both.data.nodes[image], mean)
    assert not said(both, "one_cell_speaks")
    assert not said(chain(("pooling.global_avg_pool", {})), "one_cell_speaks")
