"""Compiled documents: equal to modules written by hand, well named, and at home in torch's own tools."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from designer.engine.compile import Compiled, compile_document, module_names
from designer.graph import Document
from designer.graph.errors import GraphError, NetwrightError
from designer.graph.templates import load_template
from nodes.backbones.resnet import Bottleneck
from nodes.conv import ConvDown, ConvNormAct
from nodes.fusion import Add, Concat
from nodes.heads.yolov8 import YOLOv8Head
from nodes.post.nms import NMS
from nodes.resize import Upsample
from nodes.sdk.discover import library
from nodes.stems import ConvStem
from tests.engine.documents import chain, new, run


class ByHand(nn.Module):
    """The document `branched` as one would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvStem(3, 8)
        self.left = ConvDown(8, 16)
        self.right = ConvNormAct(8, 16, 3, stride=2)
        self.sum = Add()
        self.up = Upsample(2)
        self.join = Concat()
        self.block = Bottleneck(24, 4)
        self.head = YOLOv8Head((16, 16), (2, 4), num_classes=3)
        self.nms = NMS()

    def raw(self, x: Tensor) -> tuple[Tensor, ...]:
        stem = self.stem(x)
        total = self.sum(self.left(stem), self.right(stem))
        joined = self.join(self.up(total), stem)
        return self.head(self.block(joined), total)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.nms(self.raw(x))


def branched() -> Document:
    document, image = new(64, 64)
    (stem,) = chain(document, image, ("stem.conv_stem", "Stem", {"out_channels": 8}))
    (left,) = chain(document, stem, ("downsample.conv_down", "Left", {"out_channels": 16}))
    (right,) = chain(document, stem, ("conv.conv_norm_act", "Right", {"out_channels": 16, "stride": 2}))
    total = document.add("fusion.add", title="Sum")
    document.connect(left, total)
    document.connect(right, total)
    (up,) = chain(document, total, ("resize.upsample", "Up", {}))
    joined = document.add("fusion.concat", title="Join")
    document.connect(up, joined)
    document.connect(stem, joined)
    (block,) = chain(document, joined, ("block.residual.bottleneck", "Block", {"width": 4}))
    head = document.add("head.yolov8_head", title="Head", num_classes=3)
    document.connect(block, head)
    document.connect(total, head)
    chain(document, head, ("post.nms", "NMS", {}))
    return document


@pytest.fixture
def pair() -> tuple[Compiled, ByHand]:
    torch.manual_seed(0)
    compiled, hand = compile_document(branched().data), ByHand()
    hand.load_state_dict(compiled.model.state_dict())  # strict: the keys are the same as well
    return compiled, hand


def test_eval_equals_the_hand_written_module_to_the_bit(pair):
    compiled, hand = pair
    images = torch.rand(2, 3, 64, 64)
    compiled.eval()
    for ours, theirs in zip(compiled.model(images), hand.eval()(images), strict=True):
        assert torch.equal(ours, theirs)


def test_training_equals_the_hand_written_module_to_the_bit(pair):
    compiled, hand = pair
    compiled.train()
    hand.train()
    ours = torch.optim.SGD(compiled.train_model.parameters(), 0.05, momentum=0.9)
    theirs = torch.optim.SGD(hand.parameters(), 0.05, momentum=0.9)
    targets = {"boxes": torch.tensor([[[4.0, 4, 40, 40]]] * 2), "labels": torch.tensor([[1], [2]])}
    for _ in range(3):
        images = torch.rand(2, 3, 64, 64)
        (raw,) = compiled.train_model(images)
        for optimizer, head, out in ((ours, compiled.heads[0].module, raw), (theirs, hand.head, hand.raw(images))):
            optimizer.zero_grad()
            sum(head.loss(out, targets).values()).backward()
            optimizer.step()
    for key, value in hand.state_dict().items():
        assert torch.equal(compiled.model.state_dict()[key], value), key


def test_both_models_share_their_weights(pair):
    compiled, _ = pair
    assert compiled.model.stem is compiled.train_model.stem
    assert not hasattr(compiled.train_model, "nms")
    assert [h.name for h in compiled.heads] == ["head"]
    assert compiled.heads[0].module is compiled.model.head
    assert compiled.outputs == ["nms"]
    assert compiled.inputs == ["image"]
    assert compiled.image_size == (64, 64)
    titles = {n.id: n.title for n in branched().data.nodes}
    assert {name: titles[node] for name, node in compiled.node_of.items()}["join"] == "Join"


def test_forward_is_straight_line_code(pair):
    compiled, _ = pair
    code = compiled.model.code
    assert "for " not in code
    assert "left = self.left(stem)" in code
    assert "right = self.right(stem);  stem = None" not in code  # the skip connection still needs it


@pytest.mark.parametrize("template", ["yolov8n", "resnet50", "shapes-classifier", "yolov8n-blocks"])
def test_parameters_are_those_of_the_propagation(template):
    document = load_template(template, library().catalogue)
    compiled = compile_document(document.data)
    assert sum(p.numel() for p in compiled.model.parameters()) == run(document).totals["params"]


def test_keys_of_a_composite_read_as_its_parts():
    compiled = compile_document(load_template("resnet50", library().catalogue).data)
    assert any(key.endswith(".stage3.block0.conv1.weight") for key in compiled.model.state_dict())


def test_deepcopy_export_and_compile(pair):
    compiled, _ = pair
    images = torch.rand(1, 3, 64, 64)
    copied = copy.deepcopy(compiled.model)
    assert copied.stem is not compiled.model.stem
    assert all(torch.equal(a, b) for a, b in zip(copied(images), compiled.model(images), strict=True))
    document = branched()
    document.remove(document.data.nodes[-1])  # without NMS, whose rows change places when scores are equal
    model = compile_document(document.data).model
    expected = model(images)
    exported = torch.export.export(model, (images,)).module()
    for other in (torch.compile(model, backend="eager", fullgraph=True), exported):
        for got, want in zip(other(images), expected, strict=True):
            torch.testing.assert_close(got, want)


def test_frozen_nodes_hold_still_however_training_is_turned_on():
    document = branched()
    names = {n.title: n for n in document.data.nodes}
    document.set_frozen(names["Stem"], True)
    document.set_frozen(names["Head"], True)
    compiled = compile_document(document.data)
    for model in (compiled.model, compiled.train_model, copy.deepcopy(compiled.train_model)):
        model.train()
        assert not model.stem.bn.training
        assert model.left.bn.training
        assert not model.head.box_towers[0][0].bn.training
        assert not any(p.requires_grad for p in [*model.stem.parameters(), *model.head.parameters()])
        before = model.stem.bn.running_mean.clone()
        raw = (model(torch.rand(2, 3, 64, 64)) if model is not compiled.model else (None,))[0]
        assert torch.equal(model.stem.bn.running_mean, before)
        assert raw is None or len(raw) == 2  # raw maps, one a level
    compiled.train_model.train(False)
    assert not compiled.model.left.bn.training


def test_disabled_nodes_are_bypassed():
    document = branched()
    names = {n.title: n for n in document.data.nodes}
    document.set_disabled(names["Block"], True)
    compiled = compile_document(document.data)
    assert not hasattr(compiled.model, "block")
    assert "head = self.head(join, sum_1)" in compiled.model.code
    document.set_disabled(names["NMS"], True)
    assert compile_document(document.data).outputs == ["head"]


def test_several_inputs_and_outputs():
    document, left = new(32, 32)
    right = document.add("io.image_input", title="Depth", channels=1, height=32, width=32)
    joined = document.add("fusion.concat", title="Join")
    document.connect(left, joined)
    document.connect(right, joined)
    (backbone,) = chain(document, joined, ("backbone.csp_darknet", "Backbone", {}))
    (pool,) = chain(document, backbone, ("pooling.global_avg_pool", "Pool", {}))
    compiled = compile_document(document.data)
    assert compiled.inputs == ["image", "depth"]
    assert compiled.input_shapes == [(1, 3, 32, 32), (1, 1, 32, 32)]
    assert compiled.outputs == ["pool"]
    assert compiled.train_model is None
    assert compiled.heads == []
    document.remove(pool)
    compiled = compile_document(document.data)
    assert compiled.outputs == ["backbone.p2", "backbone.p3", "backbone.p4", "backbone.p5"]
    maps = compiled.model(torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32))
    assert [m.shape[-1] for m in maps] == [8, 4, 2, 1]


def test_two_heads_and_a_dead_branch():
    document, image = new(64, 64)
    (stem,) = chain(document, image, ("stem.conv_stem", "Stem", {}))
    chain(document, stem, ("head.classification_head", "First", {"num_classes": 2}))
    chain(document, stem, ("head.classification_head", "Second", {"num_classes": 3}))
    chain(document, stem, ("conv.conv", "Dead", {}))
    compiled = compile_document(document.data)
    assert compiled.outputs == ["first", "second"]
    assert not hasattr(compiled.model, "dead")
    compiled.train()
    assert [tuple(raw.shape) for raw in compiled.train_model(torch.rand(2, 3, 64, 64))] == [(2, 2), (2, 3)]
    assert {h.task for h in compiled.heads} == {"classify"}


def test_a_document_with_errors_is_refused_with_all_of_them():
    document, image = new(64, 64)
    chain(document, image, ("pooling.max_pool", "Pool", {"padding": 9}))
    chain(document, image, ("conv.conv", "Conv", {"stride": 99}))
    with pytest.raises(GraphError, match=r"^Test cannot run: Conv: stride is 99.* \(and 1 more\)$") as caught:
        compile_document(document.data)
    assert len(caught.value.problems) == 2
    assert isinstance(caught.value, NetwrightError)


@pytest.mark.parametrize("with_image", [False, True])
def test_an_empty_document_is_refused(with_image):
    document = new()[0] if with_image else Document.new("Empty", library().catalogue)
    with pytest.raises(GraphError, match=r"has no layers\. Add a component"):
        compile_document(document.data)


AWKWARD = [
    "forward", "class", "1x1 conv", "a.b", "a b", "A B", "Größe", "畳み込み", "conv²", "ﬁlter", "½", "training", "eval",
    "self", "meta", "state_dict", "", "_", "None", "made_with", "image", "İ", "x" * 300, "getitem", "torch",
]  # fmt: skip


def test_any_title_makes_a_model():
    document, image = new(16, 16)
    start = image
    for number, title in enumerate(AWKWARD):
        node = document.add("conv.conv", title=f"t{number}", out_channels=2)
        document.data.node(node.id).title = title  # the file may hold what the window would not let one type
        document.connect(start, node)
        start = node
    compiled = compile_document(document.data)
    assert compiled.model(torch.rand(1, 3, 16, 16)).shape == (1, 2, 16, 16)
    assert len(list(compiled.model.children())) == len(AWKWARD)
    copy.deepcopy(compiled.model)
    assert all(key.count(".") == 2 for key in compiled.model.state_dict())


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_module_names_are_new_identifiers(titles):
    document = Document.new("Names")
    for number, title in enumerate(titles):
        document.add("conv.conv", title=f"n{number}").title = title
    names = list(module_names(document.data).values())
    assert len(set(names)) == len(names)
    for name in names:
        assert name.isidentifier()
        assert not hasattr(nn.Module(), name)
        scope: dict[str, int] = {}
        exec(f"{name} = 1", scope)  # the name that Python stores is the name itself, in its normal form
        assert name in scope
