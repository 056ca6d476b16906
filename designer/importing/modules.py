"""Which of our components a module of a model table is, and with which settings.

Only modules whose definition equals ours are mapped. Anything else becomes a placeholder that keeps its name and
arguments, so that nothing of the table is lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from designer.importing.table import Row, Table


@dataclass(frozen=True)
class Made:
    """One node: component, settings, and what it is called before its row's number."""

    component: str
    params: dict[str, Any] = field(default_factory=dict)
    title: str = ""


YOLO_NORM = {"eps": 1e-3, "momentum": 0.03}
"""What the norms of every table's model are set to; the family's own components have it by default."""

Layers = tuple[list[Made], int, str]
"""Nodes in a chain, channels that leave it, and a sentence for the user or nothing."""


def layers_of(row: Row, widths: list[int], table: Table) -> Layers:
    """The nodes of a row.

    Args:
        row: of the table.
        widths: channels that arrive, by source.
        table: its scales and classes.

    Raises:
        ValueError: when the arguments do not fit the module.
    """
    name = row.module.removeprefix("torch.").removeprefix("nn.")
    make = MODULES.get(name)
    if make is None:
        return _placeholder(row, widths, table)
    return make(_Call(row, name, widths, table))


class _Call:
    """A row's arguments, read by place."""

    def __init__(self, row: Row, name: str, widths: list[int], table: Table) -> None:
        self.row, self.name, self.widths, self.table = row, name, widths, table

    def get(self, place: int, default: Any) -> Any:
        return self.row.args[place] if len(self.row.args) > place else default

    def whole(self, place: int, default: int | None = None) -> int:
        value = self.get(place, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"argument {place + 1} of {self.name} must be a whole number, got {value!r}")
        return value

    def yes(self, place: int, default: bool) -> bool:
        return bool(self.get(place, default))

    @property
    def out(self) -> int:
        """Channels that it gives, after the table's width."""
        return scaled(self.whole(0), self.table)

    def activation(self, place: int) -> dict[str, str]:
        """A setting where the row switches the activation off or the table names one."""
        if self.get(place, True) is not True:
            return {"activation": "none"}
        name = re.sub(r"^(torch\.)?(nn\.)?|\(.*\)$", "", self.table.activation).lower()
        known = {"relu": "relu", "silu": "silu", "leakyrelu": "leaky_relu", "mish": "mish", "hardswish": "hardswish"}
        return {"activation": known[name]} if name in known else {}


def scaled(channels: int, table: Table) -> int:
    """A row's channels times the table's width, up to a multiple of 8; the number of classes is left as it is."""
    if channels == table.classes:
        return channels
    return max(8, math.ceil(min(channels, table.most_channels) * table.width / 8) * 8)


def _repeated(made: Made, call: _Call, width: int) -> Layers:
    return [made] * call.row.repeats, width, ""


def _conv(call: _Call) -> Layers:
    kernel, stride = call.whole(1, 1), call.whole(2, 1)
    if (kernel, stride, call.get(3, None), call.row.repeats) == (6, 2, 2, 1):
        return [Made("stem.conv_stem", {"out_channels": call.out, "kernel_size": 6}, "Stem")], call.out, ""
    if kernel % 2 == 0 or call.get(3, None) not in (None, kernel // 2):
        return _placeholder(call.row, call.widths, call.table)
    groups = {"groups": call.whole(4, 1)} if call.whole(4, 1) != 1 else {}
    dilation = {"dilation": call.whole(5, 1)} if call.whole(5, 1) != 1 else {}
    settings = {"out_channels": call.out, "kernel_size": kernel, "stride": stride, **groups, **dilation}
    return _repeated(Made("conv.conv_norm_act", {**settings, **call.activation(6)}, "Conv"), call, call.out)


def _depthwise(call: _Call) -> Layers:
    settings = {"out_channels": call.out, "kernel_size": call.whole(1, 1), "stride": call.whole(2, 1)}
    settings["groups"] = math.gcd(call.widths[0], call.out)
    if call.whole(3, 1) != 1:
        settings["dilation"] = call.whole(3)
    return _repeated(Made("conv.conv_norm_act", {**settings, **call.activation(4)}, "DWConv"), call, call.out)


def _block(component: str, title: str, shortcut: bool) -> Callable[[_Call], Layers]:
    """A block whose repeats are its depth: [channels, shortcut]."""

    def make(call: _Call) -> Layers:
        settings = {"out_channels": call.out, "depth": call.row.repeats, "shortcut": call.yes(1, shortcut)}
        return [Made(component, settings, title)], call.out, ""

    return make


def _c3k2(call: _Call) -> Layers:
    nested = call.yes(1, False) or call.table.scale in ("m", "l", "x")
    settings = {
        "out_channels": call.out, "depth": call.row.repeats, "nested": nested, "ratio": float(call.get(2, 0.5)),
        "shortcut": call.yes(5, True),
    }  # fmt: skip
    return [Made("block.csp.c3k2", settings, "C3k2")], call.out, ""


def _c2f_cib(call: _Call) -> Layers:
    how = {"shortcut": call.yes(1, False), "large": call.yes(2, False)}
    return (
        [Made("block.csp.c2f_cib", {"out_channels": call.out, "depth": call.row.repeats, **how}, "C2fCIB")],
        call.out,
        "",
    )


def _gelan(call: _Call) -> Layers:
    depth = 0 if call.name == "ELAN1" else call.whole(3, 1)
    settings = {"out_channels": call.out, "width": call.whole(1), "inner": call.whole(2), "depth": depth}
    return _repeated(Made("block.elan.gelan", settings, call.name), call, call.out)


def _bottleneck(call: _Call) -> Layers:
    settings = {"out_channels": call.out, "shortcut": call.yes(1, True)}
    return _repeated(Made("block.csp.csp_bottleneck", settings, "Bottleneck"), call, call.out)


def _to(component: str, title: str, second: str = "", value: Any = None) -> Callable[[_Call], Layers]:
    """A module of channels and at most one more whole number."""

    def make(call: _Call) -> Layers:
        more = {second: call.whole(1, value)} if second else {}
        return _repeated(Made(component, {"out_channels": call.out, **more}, title), call, call.out)

    return make


def _spp(call: _Call) -> Layers:
    kernels = call.get(1, (5, 9, 13))
    return [Made("pooling.spp", {"out_channels": call.out, "kernel_sizes": tuple(kernels)}, "SPP")], call.out, ""


def _upsample(call: _Call) -> Layers:
    if call.get(0, None) is not None:
        raise ValueError("Upsample to a fixed size is not known here; give None and a scale")
    made = Made("resize.upsample", {"scale": call.whole(1, 2), "mode": str(call.get(2, "nearest"))}, "Upsample")
    return [made], call.widths[0], ""


def _pool(call: _Call) -> Layers:
    kernel = call.whole(0, 2)
    settings = {"kernel_size": kernel, "stride": call.whole(1, kernel), "padding": call.whole(2, 0)}
    return [Made("pooling.max_pool", settings, "MaxPool")], call.widths[0], ""


def _transposed(call: _Call) -> Layers:
    if call.get(3, 0) != 0:
        return _placeholder(call.row, call.widths, call.table)
    settings = {"out_channels": call.out, "kernel_size": call.whole(1, 2), "stride": call.whole(2, 2)}
    return [Made("resize.conv_transpose", settings, "Up")], call.out, ""


def _concat(call: _Call) -> Layers:
    if call.get(0, 1) != 1:
        raise ValueError("Concat joins along the channels here, so its argument is 1")
    return [Made("fusion.concat", {}, "Concat")], sum(call.widths), ""


def _detect(call: _Call) -> Layers:
    anchors = call.get(1, None)
    levels = len(call.widths)
    if isinstance(anchors, tuple) and anchors:
        flat = [v for row in anchors for v in (row if isinstance(row, tuple) else (row,))]
        if len(flat) % (2 * levels) == 0:
            head = Made("head.yolov5_head", {"num_classes": call.table.classes, "anchors": flat}, "Detect")
            return [head, Made("post.nms", {}, "NMS")], 0, ""
    settings = {"num_classes": call.table.classes, **_separable(call)}
    return [Made("head.yolov8_head", settings, "Detect"), Made("post.nms", {}, "NMS")], 0, ""


def _separable(call: _Call) -> dict[str, bool]:
    """Tables from YOLO11 on have depthwise convolutions in the towers of the classes."""
    newer = any(row.module in ("C3k2", "A2C2f") for row in call.table.rows)
    return {"separable": True} if newer else {}


def _pair_of_heads(call: _Call) -> Layers:
    head = Made("head.yolov10_head", {"num_classes": call.table.classes}, "Detect")
    return [head, Made("post.top_k", {}, "Top-k")], 0, ""


def _segment(call: _Call) -> Layers:
    settings = {"num_classes": call.table.classes, "prototypes": call.whole(1, 32), **_separable(call)}
    return [Made("head.yolo_seg_head", settings, "Segment"), Made("post.mask_nms", {}, "Mask NMS")], 0, ""


def _classify(call: _Call) -> Layers:
    conv = Made("conv.conv_norm_act", {"out_channels": 1280, "kernel_size": 1}, "Conv")
    head = Made("head.classification_head", {"num_classes": call.table.classes}, "Classify")
    return [conv, head], 0, ""


def _psa(call: _Call) -> Layers:
    if call.row.repeats != 1 or call.out != call.widths[0]:
        return _placeholder(call.row, call.widths, call.table)
    return [Made("attention.psa", {}, call.name)], call.out, ""


def _scdown(call: _Call) -> Layers:
    if call.whole(2, 2) != 2:
        return _placeholder(call.row, call.widths, call.table)
    settings = {"out_channels": call.out, "kernel_size": call.whole(1, 3)}
    return [Made("downsample.sc_down", settings, "SCDown")], call.out, ""


def _hg_stem(call: _Call) -> Layers:
    settings = {"out_channels": call.whole(1), "width": call.whole(0), **YOLO_NORM}
    return _repeated(Made("stem.hg_stem", settings, "HGStem"), call, call.whole(1))


def _hg_block(call: _Call) -> Layers:
    settings = {
        "out_channels": call.whole(1), "width": call.whole(0), "depth": call.row.repeats,
        "kernel_size": call.whole(2, 3), "light": call.yes(3, False), "shortcut": call.yes(4, False), **YOLO_NORM,
    }  # fmt: skip
    return [Made("block.hg.hg_block", settings, "HGBlock")], call.whole(1), ""


def _rep_c3(call: _Call) -> Layers:
    if call.get(1, 1.0) != 1:
        return _placeholder(call.row, call.widths, call.table)
    settings = {"out_channels": call.out, "depth": call.row.repeats, **YOLO_NORM}
    return [Made("block.rep.rep_csp_sum", settings, "RepC3")], call.out, ""


def _aifi(call: _Call) -> Layers:
    settings = {"hidden": call.whole(0, 2048), "heads": call.whole(1, 8), "dropout": float(call.get(2, 0))}
    return _repeated(Made("attention.aifi", settings, "AIFI"), call, call.widths[0])


def _resnet_layer(call: _Call) -> Layers:
    """Its convolutions have SiLU inside the blocks, and ReLU after each sum."""
    if call.whole(5, 4) != 4 or call.row.repeats != 1:
        return _placeholder(call.row, call.widths, call.table)
    width, inside = call.whole(1), {"activation": "silu", **YOLO_NORM}
    if call.yes(3, False):
        return [Made("stem.res_net_stem", {"out_channels": width, **inside}, "ResNet stem")], width, ""
    strides = [call.whole(2, 1)] + [1] * (call.whole(4, 1) - 1)
    blocks = [Made("block.residual.bottleneck", {"width": width, "stride": s, **inside}, "Bottleneck") for s in strides]
    return blocks, 4 * width, ""


def _rtdetr(call: _Call) -> Layers:
    names = ("feat_channels", "queries", "points", "heads", "layers", "feed_forward")
    if len(call.row.args) > 1 + len(names):
        return _placeholder(call.row, call.widths, call.table)
    settings = {name: call.whole(place) for place, name in enumerate(names, 1) if len(call.row.args) > place}
    head = Made("head.rtdetr_head", {"num_classes": call.table.classes, **settings}, "RTDETRDecoder")
    return [head, Made("post.top_k", {"max_detections": settings.get("queries", 300)}, "Top-k")], 0, ""


def _placeholder(row: Row, widths: list[int], table: Table) -> Layers:
    """A node that keeps name and arguments; its channels are guessed from the first argument."""
    first = row.args[0] if row.args else None
    wanted = first if isinstance(first, int) and not isinstance(first, bool) and first > 0 else None
    width = scaled(wanted, table) if wanted else sum(widths)
    settings = {"args": list(row.args), "repeats": row.repeats}
    word = re.sub(r"\W+", "_", row.module).strip("_").lower()
    note = f"{row.module} (row {row.index}) is no component here; a placeholder keeps its arguments."
    return [Made(f"imported.{word}", settings, row.module)], width, note


MODULES: dict[str, Callable[[_Call], Layers]] = {
    "Conv": _conv,
    "DWConv": _depthwise,
    "Bottleneck": _bottleneck,
    "C3": _block("block.csp.c3", "C3", True),
    "C2f": _block("block.csp.c2f", "C2f", False),
    "C3k2": _c3k2,
    "BottleneckCSP": _block("block.csp.bottleneck_csp", "BottleneckCSP", True),
    "SPPF": _to("pooling.sppf", "SPPF", "kernel_size", 5),
    "SPP": _spp,
    "SPPELAN": _to("pooling.sppf", "SPPELAN", "width"),
    "ELAN1": _gelan,
    "RepNCSPELAN4": _gelan,
    "C2fCIB": _c2f_cib,
    "Focus": _to("stem.focus_stem", "Focus"),
    "ADown": _to("downsample.a_down", "ADown"),
    "AConv": _to("downsample.a_conv", "AConv"),
    "C2PSA": _psa,
    "PSA": _psa,
    "SCDown": _scdown,
    "RepConv": _to("block.rep.rep_conv", "RepConv"),
    "Upsample": _upsample,
    "MaxPool2d": _pool,
    "ConvTranspose2d": _transposed,
    "Concat": _concat,
    "Detect": _detect,
    "v10Detect": _pair_of_heads,
    "Segment": _segment,
    "Classify": _classify,
    "HGStem": _hg_stem,
    "HGBlock": _hg_block,
    "RepC3": _rep_c3,
    "AIFI": _aifi,
    "ResNetLayer": _resnet_layer,
    "RTDETRDecoder": _rtdetr,
}
"""By the name in the table, without `nn.`."""
