"""Parts of YOLOv3, YOLOv5, YOLOv7-tiny and YOLOX against the table of measured rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nodes.backbones.darknet import darknet
from nodes.backbones.yolov5 import yolov5_backbone
from nodes.backbones.yolov7 import yolov7_backbone
from nodes.necks.csp_pafpn import csp_pafpn
from nodes.necks.yolov3 import yolov3_neck
from nodes.necks.yolov7 import yolov7_neck
from tests.nodes.test_reference import ROWS, Case, run

IMAGE = (1, 3, 640, 640)


def params_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def levels(*channels: int, side: int = 80) -> list[tuple[int, ...]]:
    return [(1, c, side >> i, side >> i) for i, c in enumerate(channels)]


def built(composite: Any, *shapes: Any, **params: Any) -> nn.Module:
    with torch.device("meta"):
        return composite.build(*shapes, **params).eval()


def test_parts_of_yolov3() -> None:
    row = ROWS["mmdet 3.3.0", "yolo/yolov3_d53_8xb8-ms-416-273e_coco.py"]
    backbone = built(darknet, (1, 3, 416, 416))
    assert f"backbone={params_of(backbone)}," in row["note"]
    neck = Case("mmdet 3.3.0", "YOLOV3Neck(3,[1024,512,256],[512,256,128])", lambda *s: yolov3_neck.build(*s), (), ())
    module, shapes, gmacs = run(neck, neck.shapes())
    assert params_of(module) == int(neck.row["params"])
    assert gmacs == pytest.approx(float(neck.row["gmacs"]), rel=5e-3)
    assert neck.row["output_shapes"] == "[" + ", ".join("x".join(map(str, s)) for s in reversed(shapes)) + "]"
    assert run(neck, [(2, 256, 8, 12), (2, 512, 4, 6), (2, 1024, 2, 3)])[1] == [
        (2, 128, 8, 12), (2, 256, 4, 6), (2, 512, 2, 3)
    ]  # fmt: skip


def test_parts_of_yolov5n() -> None:
    note = ROWS["mmyolo 0.6.0", "yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py"]["note"]
    backbone = built(yolov5_backbone, IMAGE)
    assert f"backbone={params_of(backbone)}," in note
    with torch.device("meta"), torch.no_grad():
        given = backbone(torch.empty(2, 3, 96, 160))
    assert [tuple(x.shape) for x in given] == [
        (2, 32, 24, 40), (2, 64, 12, 20), (2, 128, 6, 10), (2, 256, 3, 5)
    ]  # fmt: skip
    neck = built(csp_pafpn, *levels(64, 128, 256))
    assert f"neck={params_of(neck)}," in note


def test_yolox_neck() -> None:
    row = ROWS["mmdet 3.3.0", next(v for s, v in ROWS if v.startswith("YOLOXPAFPN("))]
    case = Case(row["source"], row["variant"], lambda *s: csp_pafpn.build(*s, out_channels=128), (), ())
    module, shapes, gmacs = run(case, levels(128, 256, 512))
    assert params_of(module) == int(row["params"])
    assert gmacs == pytest.approx(float(row["gmacs"]), rel=5e-3)
    assert shapes == levels(128, 128, 128)
    assert run(case, [(2, 128, 8, 12), (2, 256, 4, 6), (2, 512, 2, 3)])[1][0] == (2, 128, 8, 12)


@pytest.mark.parametrize(
    ("size", "variant", "channels", "given"),
    [
        ("tiny", "yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco.py", (128, 256, 512), (128, 256, 512)),
        ("l", "yolov7/yolov7_l_syncbn_fast_8x16b-300e_coco.py", (512, 1024, 1024), (256, 512, 1024)),
    ],
)
def test_parts_of_yolov7(size: str, variant: str, channels: tuple[int, ...], given: tuple[int, ...]) -> None:
    note = ROWS["mmyolo 0.6.0", variant]["note"]
    backbone, neck = built(yolov7_backbone, IMAGE, size=size), built(yolov7_neck, *levels(*channels), size=size)
    assert f"backbone={params_of(backbone)},neck={params_of(neck)}," in note
    with torch.device("meta"), torch.no_grad():
        maps = backbone(torch.empty(2, 3, 96, 160))
        out = neck(*maps)
    cells = [(12, 20), (6, 10), (3, 5)]
    assert [tuple(x.shape) for x in maps] == [(2, c, *n) for c, n in zip(channels, cells, strict=True)]
    assert [tuple(x.shape) for x in out] == [(2, c, *n) for c, n in zip(given, cells, strict=True)]
