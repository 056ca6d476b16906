"""Parameters to the unit, MACs and shapes of real builds against measured rows (tests/data/reference.tsv)."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nodes.attention.cbam import CBAM
from nodes.attention.channel import SqueezeExcite
from nodes.backbones.csp_darknet import csp_darknet
from nodes.backbones.resnet import resnet
from nodes.conv import ConvDown
from nodes.csp import C2f
from nodes.fusion import Concat
from nodes.heads.yolov8 import YOLOv8Head
from nodes.necks.fpn import fpn
from nodes.necks.pafpn import pafpn
from nodes.pooling import SPPF
from nodes.resize import Upsample
from nodes.stems import ConvStem
from tests.nodes.fixtures import classifier, yolov8

ROWS = {
    (row["source"], row["variant"]): row
    for row in csv.DictReader(
        (Path(__file__).parents[1] / "data" / "reference.tsv").open(encoding="utf-8"), delimiter="\t"
    )
}

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One row: how to build it for input shapes, and what a second, non-square run gives.

    `build` takes the input shapes; `wide` and `wide_out` are the shapes of that second run.
    """

    source: str
    variant: str
    build: Callable[..., nn.Module]
    wide: tuple[Shape, ...]
    wide_out: tuple[Shape, ...]

    @property
    def row(self) -> dict[str, str]:
        return ROWS[self.source, self.variant]

    def shapes(self) -> list[Shape]:
        return [tuple(map(int, s.split("x"))) for s in self.row["input"].strip("[]").replace("+", ",").split(",")]


def module(cls: Any, *args: Any, **params: Any) -> Callable[..., nn.Module]:
    return lambda *shapes: cls(*args, **params)


def map_case(source: str, variant: str, build: Callable[..., nn.Module], channels: int, out: Shape) -> Case:
    """A block on maps; its second run is on 12 x 20 cells."""
    return Case(source, variant, build, ((1, channels, 12, 20),), (out,))


def model_case(
    source: str, variant: str, composite: Any, wide: Shape, wide_out: tuple[Shape, ...], **params: Any
) -> Case:
    return Case(source, variant, lambda *shapes: composite.build(*shapes, **params), (wide,), wide_out)


# 256 x 320 pixels have 32 x 40 + 16 x 20 + 8 x 10 = 1680 cells.
WIDE_IMAGE, WIDE_CELLS = (2, 3, 256, 320), 1680

CASES = [
    *(
        model_case("torchvision", f"resnet{d}", classifier, (2, 3, 160, 256), ((2, 1000),), depth=d)
        for d in (18, 34, 50, 101, 152)
    ),
    *(
        model_case(
            "ultralytics", f"yolov8{s}.yaml", yolov8, WIDE_IMAGE, ((2, WIDE_CELLS, 4), (2, WIDE_CELLS, 80)), size=s
        )
        for s in "nsml"
    ),
    Case(
        "torchvision",
        "FeaturePyramidNetwork([256,512,1024,2048],256)+LastLevelMaxPool",
        fpn.build,
        ((1, 256, 64, 96), (1, 512, 32, 48), (1, 1024, 16, 24), (1, 2048, 8, 12)),
        ((1, 256, 64, 96), (1, 256, 32, 48), (1, 256, 16, 24), (1, 256, 8, 12)),
    ),
    Case(
        "ultralytics",
        "Detect legacy=True(80,ch=(64,128,256)) yolov8n",
        module(YOLOv8Head, (64, 128, 256), (8, 16, 32)),
        ((1, 64, 8, 12), (1, 128, 4, 6), (1, 256, 2, 3)),
        ((1, 126, 4), (1, 126, 80)),
    ),
    Case(
        "ultralytics",
        "Detect legacy=False(80,ch=(64,128,256)) yolo11n",
        module(YOLOv8Head, (64, 128, 256), (8, 16, 32), separable=True),
        ((1, 64, 8, 12), (1, 128, 4, 6), (1, 256, 2, 3)),
        ((1, 126, 4), (1, 126, 80)),
    ),
    Case(
        "ultralytics",
        "Conv(3,64,3,2)",
        module(ConvStem, 3),
        ((1, 3, 96, 160),),
        ((1, 64, 48, 80),),
    ),
    map_case("ultralytics", "C2f(256,256,n=1)", module(C2f, 256, 256, shortcut=False), 256, (1, 256, 12, 20)),
    map_case("ultralytics", "C2f(256,256,n=1,shortcut=True)", module(C2f, 256, 256), 256, (1, 256, 12, 20)),
    map_case("ultralytics", "C2f(256,256,n=3,True)", module(C2f, 256, 256, depth=3), 256, (1, 256, 12, 20)),
    map_case("ultralytics", "Conv(256,256,3,2) = ConvDown", module(ConvDown, 256, 256), 256, (1, 256, 6, 10)),
    map_case("ultralytics", "SPPF(256,256,5)", module(SPPF, 256), 256, (1, 256, 12, 20)),
    map_case("torchvision", "SqueezeExcitation(256,16)", module(SqueezeExcite, 256), 256, (1, 256, 12, 20)),
    map_case("torchvision", "SqueezeExcitation(256,64)", module(SqueezeExcite, 256, 4), 256, (1, 256, 12, 20)),
    map_case("torch", "nn.Upsample(scale_factor=2,nearest)", module(Upsample), 256, (1, 256, 24, 40)),
    *(
        map_case(
            "repo Jongchan/attention-module", f"CBAM({c}) official (MLP with bias)", module(CBAM, c), c, (1, c, 12, 20)
        )
        for c in (64, 256)
    ),
    Case("ultralytics", "Concat(1)", module(Concat), ((1, 8, 5, 7), (1, 16, 5, 7), (1, 3, 5, 7)), ((1, 27, 5, 7),)),
]


def run(case: Case, shapes: list[Shape] | tuple[Shape, ...]) -> tuple[nn.Module, list[Shape], float]:
    """Builds and runs on the meta device, in eval: the module, its output shapes, its GMACs."""
    with torch.device("meta"), torch.no_grad():
        built = case.build(*shapes).eval()
        with FlopCounterMode(display=False) as counter:
            out = built(*(torch.empty(s) for s in shapes))
    outputs = [out] if isinstance(out, Tensor) else list(out)
    return built, [tuple(t.shape) for t in outputs], counter.get_total_flops() / 2e9


def expected_shapes(case: Case) -> list[Shape]:
    """The row's own output shapes. YOLOv8's joined 84 x 8400 is our boxes and scores; FPN's pooled level left out."""
    text = case.row["output_shapes"]
    if "1x84x8400" in text:
        return [(1, 8400, 4), (1, 8400, 80)]
    parts = [p.partition("=")[2] or p for p in text.split(";") if not p.startswith("pool=")]
    return [tuple(map(int, p.split("x"))) for p in parts]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.source.split()[0]}-{c.variant}")
def test_row(case: Case) -> None:
    built, shapes, gmacs = run(case, case.shapes())
    assert sum(p.numel() for p in built.parameters()) == int(case.row["params"])
    assert gmacs == pytest.approx(float(case.row["gmacs"]), rel=5e-3)
    assert shapes == expected_shapes(case)
    again, wide, _ = run(case, case.wide)
    assert wide == list(case.wide_out)
    assert sum(p.numel() for p in again.parameters()) == int(case.row["params"])


def note_levels(row: dict[str, str], key: str) -> list[Shape]:
    """Feature shapes from a row: `features=64x112x112,...` of the note, or `feats=[1x64x80x80, ...]` of the outputs."""
    text = (row["note"] + ";" + row["output_shapes"]).partition(f"{key}=")[2].lstrip("[")
    listed = text.split("]")[0].split(" strides")[0].split(",")
    return [tuple(map(int, part.strip().split("x"))) for part in listed]


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_resnet_backbone_alone(depth: int) -> None:
    row = ROWS["timm", f"resnet{depth}"]
    with torch.device("meta"), torch.no_grad():
        backbone = resnet.build((1, 3, 224, 224), depth=depth)
        levels = backbone(torch.empty(1, 3, 224, 224))
    assert [tuple(t.shape[1:]) for t in levels] == note_levels(row, "features")[1:]
    counted = sum(p.numel() for p in backbone.parameters())
    assert counted == int(row["note"].partition("headless_params=")[2].partition(";")[0])
    assert sum(b.numel() for b in backbone.buffers() if b.dim()) == int(
        row["note"].partition("buffers=")[2].partition(";")[0]
    )


def test_parts_of_yolov8n() -> None:
    """The parts that the mmyolo row lists, which leaves the head's 16 fixed weights out."""
    row = ROWS["mmyolo 0.6.0", "yolov8/yolov8_n_syncbn_fast_8xb16-500e_coco.py"]
    parts = dict(p.split("=") for p in row["note"].split("parts: ")[1].split(";")[0].split(","))
    with torch.device("meta"):
        model = yolov8.build((1, 3, 640, 640))
    counted = {
        name: sum(p.numel() for p in getattr(model, name).parameters() if p.requires_grad)
        for name in ("backbone", "neck", "head")
    }
    assert counted == {"backbone": int(parts["backbone"]), "neck": int(parts["neck"]), "head": int(parts["bbox_head"])}


@pytest.mark.parametrize("size", "nsml")
def test_yolov8_neck_levels(size: str) -> None:
    row = ROWS["ultralytics", f"yolov8{size}.yaml"]
    with torch.device("meta"), torch.no_grad():
        _, *levels = csp_darknet.build((1, 3, 640, 640), size=size)(torch.empty(1, 3, 640, 640))
        out = pafpn.build(*(tuple(t.shape) for t in levels), size=size)(*levels)
    assert [tuple(t.shape) for t in out] == note_levels(row, "feats")


def test_yolov8x_is_as_large_as_published() -> None:
    with torch.device("meta"):
        model = yolov8.build((1, 3, 640, 640), size="x")
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == 68.2
