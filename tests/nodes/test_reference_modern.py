"""Attention, re-parameterised, large-kernel and high-resolution components against the table of measured rows."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from designer.engine import analysis
from designer.engine.propagate import propagate
from designer.graph.document import Document
from nodes.attention.bam import BAM
from nodes.attention.channel import ECA
from nodes.attention.gather_excite import GatherExcite
from nodes.attention.lka import LKA, LKAttention
from nodes.attention.psa import PSA
from nodes.backbones.hrnet import hrnet
from nodes.backbones.internimage import SIZES, InternImageBlock
from nodes.backbones.mhaf import mhaf
from nodes.backbones.resnet import Bottleneck
from nodes.backbones.van import SIZES as VAN_SIZES
from nodes.backbones.van import van
from nodes.backbones.yolo_ms import yolo_ms
from nodes.dcnv3 import DCNv3
from nodes.heads.classify import ClassificationHead
from nodes.heads.mhaf import MHAFHead
from nodes.msblock import MSBlock
from nodes.necks.mafpn import SIZES as NECKS
from nodes.necks.mafpn import mafpn
from nodes.rep import RepConv, RepVGGBlock
from nodes.reparam import fuse
from nodes.rephms import RepHMS, RepLKConv
from nodes.sdk.build import TensorInfo
from nodes.sdk.builder import Builder
from nodes.sdk.declare import composite
from tests.nodes.fixtures import Map
from tests.nodes.test_reference import ROWS, Case, Shape, expected_shapes, map_case, model_case, module, run
from tests.nodes.test_reference import test_row as check_row

Logits = Float[Tensor, "B K"]
REPVGG = {"a0": (48, (48, 96, 192, 1280), (2, 4, 14, 1)), "b0": (64, (64, 128, 256, 1280), (4, 6, 16, 1))}
HMS, MS, PAPER = "repo yang-0201/MHAF-YOLO", "repo YOLO-MS", "paper (rebuilt here from definition; 1810.12348)"


def params_of(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@composite("test")
def van_classifier(g: Builder, x: Map, size: str = "b0") -> Logits:
    """VAN and its classifier."""
    *_, c5 = g.add(van, x, name="backbone", size=size)
    return g.add(ClassificationHead, c5, name="head")


@composite("test")
def repvgg_classifier(g: Builder, x: Map, size: str = "a0") -> Logits:
    """A stem and stages of RepVGG blocks, the classifier."""
    stem, widths, depths = REPVGG[size]
    x = g.add(RepVGGBlock, x, out_channels=stem, stride=2)
    for width, depth in zip(widths, depths, strict=True):
        for i in range(depth):
            x = g.add(RepVGGBlock, x, out_channels=width, stride=1 if i else 2)
    return g.add(ClassificationHead, x, name="head")


class HRNetClassifier(nn.Module):
    """timm's classifier behind the four branches: each widened by a bottleneck, added downwards, then a 1x1."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.backbone = hrnet.build(shape, width=width)
        self.widen = nn.ModuleList(Bottleneck(width << i, 32 << i) for i in range(4))
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, 2 * c, 3, 2, 1), nn.BatchNorm2d(2 * c), nn.ReLU()) for c in (128, 256, 512)
        )
        self.last = nn.Sequential(nn.Conv2d(1024, 2048, 1), nn.BatchNorm2d(2048), nn.ReLU())
        self.head = ClassificationHead(2048)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = [widen(y) for widen, y in zip(self.widen, self.backbone(x), strict=True)]
        for down, y in zip(self.down, others, strict=True):
            first = y + down(first)
        return self.head(self.last(first))


def rephms(args: str, *settings: Any) -> Case:
    build = module(RepHMS, 128, 128, *settings)
    return map_case(HMS, f"RepHMS(in,out,width,depth,exp,k)=(128, 128, {args})", build, 128, (1, 128, 12, 20))


def msblock(kernel_size: int, squeeze: int) -> Case:
    name = (
        f"MSBlock(128,128,ks=[1, ({kernel_size}, {kernel_size}), ({kernel_size}, {kernel_size})],in_exp=3,mid_exp=2,"
        f"layers=3,in_down={squeeze})"
    )
    return map_case(MS, name, module(MSBlock, 128, 128, kernel_size, 3, squeeze), 128, (1, 128, 12, 20))


def same(source: str, variant: str, channels: int, cls: Any, *args: Any, **params: Any) -> Case:
    """A block that keeps channels and size."""
    return map_case(source, variant, module(cls, channels, *args, **params), channels, (1, channels, 12, 20))


CASES = [
    same("ultralytics", "RepConv(256,256,3,1)", 256, RepConv, 256),
    same("timm", "EcaModule(256) adaptive k", 256, ECA),
    same("timm", "EcaModule(64)", 64, ECA),
    same("timm", "EcaModule(512)", 512, ECA),
    same(
        "timm", "GatherExcite(256, extra_params=False, extent=0, use_mlp=False) GE-theta-minus plain", 256,
        GatherExcite, 20, 20, "theta-minus",
    ),
    same(PAPER, "GE-theta-minus E8 (no params) C=256", 256, GatherExcite, 20, 20, "theta-minus", 8),
    same(PAPER, "GE-theta-minus global (no params) C=256", 256, GatherExcite, 20, 20, "theta-minus"),
    same(PAPER, "GE-theta E8 (dw gather) C=256", 256, GatherExcite, 20, 20, "theta", 8),
    same(PAPER, "GE-theta E2 C=256", 256, GatherExcite, 20, 20, "theta", 2),
    same("repo Jongchan/attention-module", "BAM(64) r16, dilation 4 x2", 64, BAM),
    same("repo Jongchan/attention-module", "BAM(256) r16, dilation 4 x2", 256, BAM),
    *(same("repo VAN-Classification", f"LKA({c})", c, LKA) for c in (64, 256)),
    *(same("repo VAN-Classification", f"Attention({c})", c, LKAttention) for c in (64, 256)),
    same("ultralytics", "PSA(256,256)", 256, PSA),
    rephms("2, 1, 3, 5", 2, 1, 3.0, 5),
    rephms("3, 1, 3, 5", 3, 1, 3.0, 5),
    rephms("3, 1, 3, 7", 3, 1, 3.0, 7),
    rephms("4, 1, 2.5, 7", 4, 1, 2.5, 7),
    rephms("2, 1, 3, 9", 2, 1, 3.0, 9),
    rephms("3, 2, 2, 5", 3, 2, 2.0, 5),
    *(msblock(k, squeeze) for k in (3, 5, 7, 9) for squeeze in (1, 2)),
    same("repo OpenGVLab/InternImage", "DCNv3(64,k3,group=4)", 64, DCNv3, 4),
    same("repo OpenGVLab/InternImage", "DCNv3(256,k3,group=16)", 256, DCNv3, 16),
]  # fmt: skip

MODELS = [
    *(model_case("timm", f"repvgg_{s}", repvgg_classifier, (), (), size=s) for s in REPVGG),
    *(model_case("repo VAN-Classification", f"van_{s}", van_classifier, (), (), size=s) for s in VAN_SIZES),
    *(Case("timm", f"hrnet_w{w}", partial(HRNetClassifier, width=w), (), ()) for w in (18, 30, 32, 48)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.source.split()[0]}-{c.variant}")
def test_row(case: Case) -> None:
    check_row(case)


@pytest.mark.parametrize("case", MODELS, ids=lambda c: c.variant)
def test_classifier(case: Case) -> None:
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == expected_shapes(case)
    again = Case(case.source, case.variant, lambda *_: built, (), ())
    assert run(again, [(2, 3, 160, 256)])[1] == [(2, 1000)]


@pytest.mark.parametrize(("size", "sides"), [("tiny", 224), ("small", 224), ("base", 224), ("tiny", 160)])
def test_internimage(size: str, sides: int) -> None:
    """Through the engine, which counts each block once however often it comes, and the sampling as well."""
    row = ROWS["repo OpenGVLab/InternImage", f"internimage_{size[0]}"]
    model = SIZES[size]
    doc = Document.new("InternImage")
    image = doc.add("io.image_input", height=sides, width=224)
    backbone = doc.add("backbone.internimage", size=size)
    widen = doc.add("conv.conv_norm_act", out_channels=12 * model.channels, kernel_size=1, activation="gelu")
    head = doc.add("head.classification_head", num_classes=1000)
    doc.connect(image, backbone, "out", "x")
    doc.connect(backbone, widen, "c5", "x")
    doc.connect(widen, head, "out", "x")
    found = propagate(doc.data)
    assert [p.message for p in found.problems if p.severity == "error"] == []
    levels = [found.nodes[backbone.id].outputs[f"c{i}"].shape for i in (2, 3, 4, 5)]
    assert levels == [(1, model.channels << i, sides >> i + 2, 224 >> i + 2) for i in range(4)]
    assert found.totals["params"] == int(row["params"])
    # Nine points in every cell of every block, each value blended of four.
    sampled = sum(4 * 9 * depth * h * w * c for depth, (_, c, h, w) in zip(model.depths, levels, strict=True))
    if sides == 224:
        assert (found.totals["macs"] - sampled) / 1e9 == pytest.approx(float(row["gmacs"]), rel=5e-3)


@pytest.mark.parametrize(
    ("variant", "name"),
    [("theta", "GE-theta global 20x20 dw C=256"), ("theta-plus", "GE-theta+ global (dw gather + 1x1 MLP r16) C=256")],
)
def test_a_learned_gather_over_the_whole_map_has_a_weight_for_every_place(variant: str, name: str) -> None:
    case = Case(PAPER, name, lambda s: GatherExcite(s[1], s[2], s[3], variant), (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == expected_shapes(case)
    wide, shapes, _ = run(case, [(1, 256, 12, 20)])
    assert params_of(built) - params_of(wide) == 256 * (20 * 20 - 12 * 20)
    assert shapes == [(1, 256, 12, 20)]


def test_internimage_layer() -> None:
    """The row has the channels last."""
    case = Case("repo OpenGVLab/InternImage", "InternImageLayer(64,groups=4)", module(InternImageBlock, 64), (), ())
    built, shapes, gmacs = run(case, [(1, 64, 56, 56)])
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == [(1, 64, 56, 56)]


def test_the_engine_counts_sampling_which_the_rows_leave_out() -> None:
    """DCNv3(64): four products for each of the nine points' 64 values at 400 places, above the row's figure."""
    with torch.device("meta"):
        built = DCNv3(64, 4)
    _, cost = analysis.run(DCNv3.__component__, built, {"x": TensorInfo((1, 64, 20, 20))})  # type: ignore[attr-defined]
    row = ROWS["repo OpenGVLab/InternImage", "DCNv3(64,k3,group=4)"]
    assert cost.macs == round(float(row["gmacs"]) * 1e9) + 4 * 9 * 64 * 400


@pytest.mark.parametrize(("args", "settings"), [
    ("2, 1, 3, 5", (2, 1, 3.0, 5)), ("3, 1, 3, 5", (3, 1, 3.0, 5)), ("3, 1, 3, 7", (3, 1, 3.0, 7)),
    ("4, 1, 2.5, 7", (4, 1, 2.5, 7)),
])  # fmt: skip
def test_rephms_with_merged_kernels(args: str, settings: Any) -> None:
    """The rows merge the large kernels only; whole deployment also folds each 1x1's norm: one bias, not two."""

    def merged(*_: Shape) -> nn.Module:
        block = RepHMS(128, 128, *settings).eval()
        for bottleneck in [b for chain in block.branches for b in chain]:
            for name in ("large1", "large2"):
                setattr(bottleneck, name, getattr(bottleneck, name).fuse())
        return block

    case = Case(HMS, f"RepHMS merged dw (128, 128, {args})", merged, (), ())
    built, shapes, gmacs = run(case, case.shapes())
    assert params_of(built) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == expected_shapes(case)
    norms = sum(m.num_features for m in built.modules() if isinstance(m, nn.BatchNorm2d))
    with torch.device("meta"):
        assert analysis.deployed(RepHMS(128, 128, *settings)) == params_of(built) - norms


class MHAFYolo(nn.Module):
    """The whole model; its head runs as in training, both of its heads."""

    def __init__(self, image: tuple[int, ...], size: str) -> None:
        super().__init__()
        self.backbone = mhaf.build(image, size=size)
        self.neck = mafpn.build(*(tuple(x.shape) for x in self.backbone(torch.empty(image))), size=size)
        self.head = MHAFHead(tuple(block.channels for block in NECKS[size].up), (8, 16, 32))

    def forward(self, x: Tensor) -> Any:
        return self.head(*self.neck(*self.backbone(x)))


@pytest.mark.parametrize("size", ["lite-n", "n", "s", "m"])
def test_mhaf_yolo_in_training_and_deployed(size: str) -> None:
    """Deployed, the originals keep the norms of the 1x1 convolutions inside RepHMS, which the row counts as buffers:
    two weights a channel where we have one bias. They also deploy both heads, of which one is used."""
    name, image = f"MAF-YOLOv2-{size}.yaml", (1, 3, 640, 640)
    row, fused = ROWS[HMS, name], ROWS[HMS, f"{name} fused (rep merged, conv+bn fused, both heads)"]
    with torch.device("meta"), torch.no_grad():
        model = MHAFYolo(image, size).eval()
        model.head.train()
        assert params_of(model) == int(row["params"])
        with FlopCounterMode(display=False) as counter:
            raw = model(torch.empty(image))
        assert counter.get_total_flops() / 2e9 == pytest.approx(float(row["gmacs"]), rel=5e-3)
        assert [tuple(m.shape) for m in raw] == 2 * [(1, 144, 80, 80), (1, 144, 40, 40), (1, 144, 20, 20)]
        model.head.eval()
        assert [tuple(m.shape) for m in model(torch.empty(2, 3, 256, 320))] == [(2, 1680, 4), (2, 1680, 80)]
        deployed = fuse(model)
        alone, second = params_of(deployed), params_of(fuse(model.head.many))
        assert [tuple(m.shape) for m in deployed(torch.empty(image))] == [(1, 8400, 4), (1, 8400, 80)]
    unfolded = int(fused["note"].partition("buffers=")[2].partition(";")[0]) // 2
    assert alone + unfolded == int(fused["note"].partition("without_one2many_head=")[2].partition(";")[0])
    assert alone + second - 16 + unfolded == int(fused["params"])  # the 16 fixed weights serve both


def test_parts_of_mhaf_yolo_n() -> None:
    row = ROWS[HMS, "MAFPN of MAF-YOLOv2-n (layers 11..35)"]
    with torch.device("meta"):
        model = MHAFYolo((1, 3, 640, 640), "n")
    assert params_of(model.neck) == int(row["params"])
    assert f"layers 0..10={params_of(model.backbone)};" in row["note"]
    assert f"v10Detect head={params_of(model.head)}" in row["note"]


def test_yolo_ms_backbone() -> None:
    row = ROWS[MS, "yoloms/yoloms_syncbn_fast_8xb8-300e_coco.py"]
    case = model_case(MS, row["variant"], yolo_ms, (), (), size="base")
    built, shapes, _ = run(case, [(1, 3, 640, 640)])
    assert f"parts: backbone={params_of(built)}," in row["note"]
    assert shapes == [(1, 128, 160, 160), (1, 256, 80, 80), (1, 512, 40, 40), (1, 1024, 20, 20)]
    assert run(case, [(1, 3, 96, 160)])[1][-1] == (1, 1024, 3, 5)


def test_hrnet_branches_are_mmdetections() -> None:
    row = ROWS["mmdet 3.3.0", "hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py"]
    case = model_case("mmdet 3.3.0", row["variant"], hrnet, (), ())
    built, shapes, _ = run(case, [(1, 3, 800, 1280)])
    assert f"parts: backbone={params_of(built)}," in row["note"]
    assert shapes == [(1, 18, 200, 320), (1, 36, 100, 160), (1, 72, 50, 80), (1, 144, 25, 40)]


def test_deployed_counts_by_hand() -> None:
    with torch.device("meta"):
        assert analysis.deployed(RepConv(256, 256)) == 256 * 256 * 9 + 256
        assert analysis.deployed(RepVGGBlock(64, 64, groups=2)) == 64 * 32 * 9 + 64
        assert analysis.deployed(RepLKConv(64, 9)) == 64 * 81 + 64
