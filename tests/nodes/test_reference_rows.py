"""No row of the reference table is forgotten: each is held by a test, or listed here with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.nodes.test_reference import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "figures.md"

VARIANT = "a relative that the library does not draw yet; a timm backbone by name gives it"
TRANSFORMER = "transformers are not drawn yet"
HEAD = "a neck, head or whole detector that is not drawn yet"
OTHER = "another project's block of the same idea, with other layers"
SAME = "the same network as a row that is held, measured on another implementation or at another size"
OPEN = {
    r"ResNet\|(resnet50d|resnext50|wide_resnet50)": VARIANT,
    r"CSPNet\|(cspresnet50[dw]|cs3darknet)": VARIANT,
    r"Darknet\|darknetaa53": VARIANT,
    r"EfficientNet\|(tf_efficientnetv2|efficientnet_lite|efficientnet_v2)": VARIANT,
    r"EfficientNet\|tf_efficientnet_b0": SAME,
    r"MobileNet\|mobilenetv4": VARIANT,
    r"GhostNet\|(ghostnetv2|repghostnet)": VARIANT,
    r"GhostNet\|ghostnet 1.0": SAME,
    r"HRNet\|hrnet_w18_small": VARIANT,
    r"RepVGG\|mobileone": VARIANT,
    r"(VoVNet|Hybrid|SE/ECA/GE/CBAM nets|MaxViT|Other)\|": VARIANT,
    r"(ViT|Swin|DeiT|PVTv1|PVTv2|PVT|MobileViT|CMT|BiFormer|Yolos|Segformer)\|": TRANSFORMER,
    r"Attn:(MHA|Transformer\w*|BiLevelRouting|BoT|MSDeform)\|": TRANSFORMER,
    r"(DETR|ConditionalDETR|DeformableDETR|DAB-DETR|DABDETR|RT-DETR|RT-DETRv2|D-FINE|RF-DETR|DINO)\|":
        TRANSFORMER,
    r"(MaskFormer|Mask2Former)\|": TRANSFORMER,
    r"(Det:fasterrcnn|Det:maskrcnn|FasterRCNN|MaskRCNN|PAFPN|Head:(RPN|MaskRCNN|FasterRCNN))\|":
        "two-stage detectors are not drawn yet",
    r"Det:ssdlite320\|": HEAD,
    r"Det:retinanet\|.*_v2": "torchvision's second recipe, with GIoU and norms in the towers",
    r"Det:(retinanet|fcos|ssd300)\|": SAME,
    r"Neck:(NASFPN|RepPAN)\|": HEAD,
    r"(SOLOv2|NAS-FPN|VFNet|RTMDet|YOLOF)\|": HEAD,
    r"HRFPN\|": "its backbone, neck and head are held one by one",
    r"(YOLO-seg|YOLO-cls)\|": HEAD,
    r"(ATSS|RetinaNet|FCOS|SSD|Head:FCOSHead|Head:RetinaHead|Neck:CTResNetNeck)\|": SAME,
    r"CenterNet\|.*update": HEAD,
    r"Neck:FPN\|": SAME,
    r"(YOLOv5|YOLOv6\(ultralytics variant\)|YOLOv9|YOLOv10|YOLO11|YOLO12|YOLO26)\|": HEAD,
    r"YOLOv3\|(yolov3\.yaml|yolov3-)": "Ultralytics' own, with the head of YOLOv8",
    r"YOLOv3\|yolo/.*608": SAME,
    r"YOLOv8\|yolov8n-(p2|ghost)": VARIANT,
    r"mmyolo\|": HEAD,
    r"repo Gold-YOLO\|gold_yolo-l deployed": "its backbone and neck are held as they train",
    r"MHAF-YOLO\|yolov10n": HEAD,
    r"Block:(SlimNeck|RepHELAN)\|": HEAD,
    r"Block:CSP\|(Bottleneck|C3Ghost|C3TR)\b": OTHER,
    r"Block:Ghost\|Ghost(Conv|Bottleneck)": OTHER,
    r"Block:RepHMS\|ConvMS": OTHER,
    r"Util:Down\|DWConv": "a convolution in groups; its counts are worked by hand in test_layers",
    r"Util:(DCN|DFL|BlurPool|Conv)\|": OTHER,
    r"Util:Norm\|(FrozenBatchNorm2d|BatchNormAct2d)": OTHER,
    r"Util:(DropBlock|DropPath)\|": SAME,
    r"Attn:CBAM\|": OTHER,
    r"Attn:SE\|": OTHER,
    r"Attn:ECA\|CecaModule": OTHER,
    r"Attn:(GC|NonLocal|SK|CoordAttn)\|": VARIANT,
    r"Head:YOLOv8\|Detect\(80,ch=\(64,128,256\)\) yolov8n": "with YOLO11's lighter class towers",
}  # fmt: skip
"""Patterns of `family|variant|source` of rows that no test reads, and why."""

MEASURED = [f"{row['family']}|{key[1]}|{key[0]}" for key, row in ROWS.items() if row["measured"] == "yes"]


def held() -> set[str]:
    lines = PAGE.read_text(encoding="utf-8").partition("## As the papers")[0].splitlines()
    cells = [[c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {"|".join(c[:3]) for c in cells if len(c) == 5}


def test_every_measured_row_is_held_or_has_a_reason() -> None:
    on_page = held()
    forgotten = [r for r in MEASURED if r not in on_page and not any(re.match(p, r) for p in OPEN)]
    assert forgotten == []


@pytest.mark.parametrize("pattern", OPEN)
def test_no_reason_is_left_over(pattern: str) -> None:
    """A pattern whose rows are all held by now must go."""
    on_page = held()
    assert [r for r in MEASURED if re.match(pattern, r) and r not in on_page]
