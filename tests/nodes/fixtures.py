"""Inputs for any component, made from the dims its spec declares, and whole models drawn from components."""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nodes.backbones.csp_darknet import csp_darknet
from nodes.backbones.resnet import resnet
from nodes.heads.classify import ClassificationHead
from nodes.heads.yolov8 import YOLOv8Head
from nodes.necks.pafpn import pafpn
from nodes.sdk.build import Info, info_of
from nodes.sdk.builder import Builder
from nodes.sdk.declare import composite
from nodes.sdk.spec import ComponentSpec, Port
from nodes.types import Detections, MaskDetections, MaskPredictions, Predictions
from nodes.yolo_sizes import YOLOV8

Map = Float[Tensor, "B C H W"]

EVEN, ODD = (32, 64), (37, 53)
"""Height and width of the largest map a component gets. EVEN survives five halvings, and is not square."""

SMALL = (8, 16)
"""The same for what does not halve its map five times, where only equality or the type of numbers matters."""

CELL = 8
"""Image pixels per cell of that map."""

LEAST = {"backbone.ssd_vgg": (300, 316)}
"""Height and width for components that need more than EVEN."""

LARGE = {"neck.hrfpn", "neck.gdfpn"}
"""Necks that make one cell of a map of eight: the last of five levels, the keys of an attention."""

WIRES = {"head.ssd_head": 6, "head.solo_head": 5}
"""Wires on a variadic port, where the default settings are for other than three."""

FEWER = {
    "head.rtdetr_head": {"layers": 2},
    "head.solo_head": {"feat_channels": 64, "tower_depth": 2},
    "neck.bifpn": {"cells": 1},
}
"""Settings of a component whose default has many equal layers, which take a minute."""

_SIZES = {"B": 2, "L": 12, "D": 32, "T": 64, "F": 16, "I": 24, "J": 40}


def letter_size(letter: str, size: tuple[int, int], batch: int) -> int:
    """The size that stands for a letter: H and W from `size`, channels of pyramid levels that differ (C2, C3, ...)."""
    known = {**_SIZES, "B": batch, "H": size[0], "W": size[1]}
    if letter in known:
        return known[letter]
    level = re.fullmatch(r"[A-Z](\d+)", letter)
    return 32 + 16 * int(level[1]) if level else 64


def dim_size(dim: str, size: tuple[int, int], batch: int) -> int:
    """The size of one entry of a dims string: `H`, `H/4` (rounded up, as strided convolutions do), `3`."""
    if "*" in dim:
        return math.prod(dim_size(part, size, batch) for part in dim.split("*"))
    letter, _, divisor = dim.partition("/")
    whole = int(letter) if letter.isdigit() else letter_size(letter, size, batch)
    return -(-whole // int(divisor or 1))


def inputs_for(spec: ComponentSpec, size: tuple[int, int] = EVEN, batch: int = 2) -> dict[str, Any]:
    """Random inputs by wire-level port name; a variadic port gets three wires, or as many as WIRES says."""
    generator = torch.Generator().manual_seed(0)
    size = LEAST.get(spec.id, size)
    values: dict[str, Any] = {}
    for port in spec.inputs:
        for i in range(WIRES.get(spec.id, 3) if port.variadic else 1):
            name = f"{port.name}.{i}" if port.variadic else port.name
            values[name] = _value(port, i, size, batch, generator)
    return values


def _value(port: Port, wire: int, size: tuple[int, int], batch: int, generator: torch.Generator) -> Any:
    if port.kind == "predictions":
        corners = torch.rand(batch, 50, 2, 2, generator=generator).sort(2).values * 100
        return Predictions(corners.flatten(2), torch.rand(batch, 50, 7, generator=generator))
    if port.kind == "detections":
        return Detections(torch.zeros(batch, 5, 4), torch.zeros(batch, 5), torch.full((batch, 5), -1))
    if port.kind == "mask_detections":
        masks = torch.rand(batch, 5, *size, generator=generator)
        return MaskDetections(torch.zeros(batch, 5, 4), torch.zeros(batch, 5), torch.full((batch, 5), -1), masks)
    if port.kind == "mask_predictions":
        corners = torch.rand(batch, 50, 2, 2, generator=generator).sort(2).values * 100
        scores = torch.rand(batch, 50, 7, generator=generator)
        maps = torch.randn(batch, 6, *size, generator=generator)
        return MaskPredictions(corners.flatten(2), scores, torch.randn(batch, 50, 6, generator=generator), maps)
    shape = []
    for dim in ("B C H W" if "..." in port.dims else port.dims).split():
        free = dim.endswith("_") and port.variadic  # differs from wire to wire: channels grow, sizes halve
        base = dim_size(dim.rstrip("_"), size, batch)
        shape.append(base if not free else base + 16 * wire if dim == "C_" else -(-base // 2**wire))
    if port.kind == "ids":
        return torch.randint(0, 10, shape, generator=generator)
    return torch.randn(shape, generator=generator)


def least_size(spec: ComponentSpec) -> tuple[int, int]:
    """Cells of the largest map that a component needs at least: a whole backbone has an image to halve five times."""
    return EVEN if spec.category == "backbone" or spec.id in LARGE else SMALL


def infos_of(spec: ComponentSpec, values: dict[str, Any]) -> dict[str, Info]:
    kinds = {port.name: port.kind for port in spec.inputs}
    return {name: info_of(value, kinds[name.partition(".")[0]]) for name, value in values.items()}


@composite("test")
def classifier(g: Builder, x: Map, depth: int = 50) -> Float[Tensor, "B K"]:
    """ResNet with its classification head."""
    *_, c5 = g.add(resnet, x, name="backbone", depth=depth)
    return g.add(ClassificationHead, c5, name="head")


@composite("test")
def yolov8(g: Builder, x: Map, size: str = "n", num_classes: int = 80) -> Predictions:
    """YOLOv8: backbone, neck, head."""
    assert size in YOLOV8
    _, p3, p4, p5 = g.add(csp_darknet, x, name="backbone", size=size)
    levels = g.add(pafpn, p3, p4, p5, name="neck", size=size)
    return g.add(YOLOv8Head, *levels, name="head", num_classes=num_classes)
