"""Every component exported to PyTorch and to ONNX, in the smallest document that holds it; for make_exports.py."""

from __future__ import annotations

import ast
import hashlib
import re
import tempfile
from functools import cache
from pathlib import Path

from drawn_weights import draw_weights

from designer.export import export_onnx, export_pytorch
from designer.export.onnx_report import OnnxReport
from designer.export.pytorch import PytorchReport
from designer.graph.document import Document
from designer.graph.model import GraphData, Node
from designer.graph.onnx_options import OnnxOptions
from nodes.sdk.discover import library
from nodes.sdk.spec import ComponentSpec, Port

ROOT = Path(__file__).resolve().parents[1]
IMAGE = (64, 128)
"""Height and width of the image: five halvings leave two cells by four."""
LARGER = {
    "backbone.ssd_vgg": (320, 640),
    "neck.hrfpn": (128, 256),
    "neck.bifpn.bifpn_cell": (128, 256),
    "head.solo_head": (128, 256),
    "head.ssd_head": (256, 512),
}
"""The same for components that halve a map more often."""
STRIDES = {"H": 8, "H1": 16, "H3": 4, "I": 4}
"""Pixels per cell of maps whose height has this letter. A backbone's `H` is the image's."""
SIZES = {"D": 32, "T": 64, "F": 16, "H": 8, "W": 16}
CHANNELS = 64
WIRES = {"head.ssd_head": 6, "head.solo_head": 5}
"""Wires on a variadic port, where the default settings are for other than three."""
FEWER = {"head.rtdetr_head": {"layers": 2}}
"""Settings of a component whose default has many equal layers, which take a minute to write as ONNX."""
HEADS = {
    "predictions": ("head.yolov8_head",),
    "mask_predictions": ("head.yolo_seg_head",),
    "detections": ("head.yolov8_head", "post.nms"),
    "mask_detections": ("head.yolo_seg_head", "post.mask_nms"),
}
"""What gives a component predictions or detections to work on."""


def components() -> list[str]:
    """All that compute something, by id."""
    return sorted(s.id for s in library().catalogue.values() if s.role in ("layer", "head", "post"))


def image_of(component: str) -> tuple[int, int]:
    """Height and width of the image that a component is exported with."""
    return LARGER.get(component, IMAGE)


def document_of(component: str) -> GraphData:
    """An image, a convolution for each input that gives it the shape it needs, and the component."""
    spec = library().spec(component)
    document = Document.new(component, library().catalogue)
    height, width = image_of(component)
    image = document.add("io.image_input", height=height, width=width)
    node = document.add(component, **FEWER.get(component, {}))
    for port in spec.inputs:
        for wire in range(WIRES.get(component, 3) if port.variadic else 1):
            document.connect(_source(document, image, spec, port, wire), node, target_port=port.name)
    return document.data


def _source(document: Document, image: Node, spec: ComponentSpec, port: Port, wire: int) -> Node:
    if port.kind in HEADS:
        head, *after = (document.add(name) for name in HEADS[port.kind])
        for level in range(3):
            document.connect(_map(document, image, CHANNELS, 8 * 2**level), head)
        for node in after:
            document.connect(head, node)
        return after[-1] if after else head
    if spec.category == "backbone":
        return image
    _, *dims = ("B C H W" if "..." in port.dims else port.dims).split()
    if len(dims) == 3:
        stride = 2**wire if dims[1].endswith("_") and port.variadic else int(dims[1].partition("/")[2] or 1)
        stride *= STRIDES.get(dims[1].rstrip("_").partition("/")[0], STRIDES["H"])
        return _map(document, image, _channels(dims[0], wire if port.variadic else 0), stride)
    last = _map(document, image, _channels(dims[-1]), STRIDES["H"])
    for name in ("shape.map_to_tokens",) if len(dims) == 2 else ("pooling.global_avg_pool", "shape.flatten"):
        after = document.add(name)
        document.connect(last, after)
        last = after
    return last


def _map(document: Document, image: Node, channels: int, stride: int) -> Node:
    square = (stride, stride)
    conv = document.add("conv.free_conv", out_channels=channels, kernel_size=square, stride=square, padding=(0, 0))
    document.connect(image, conv)
    return conv


def _channels(dim: str, wire: int = 0) -> int:
    """The size of one entry of a dims string: `C`, `3`, `C_` that differs from wire to wire, `C2` of a level."""
    letter = dim.rstrip("_")
    level = re.fullmatch(r"[A-Z](\d+)", letter)
    whole = int(letter) if letter.isdigit() else CHANNELS + 16 * int(level[1]) if level else SIZES.get(letter, CHANNELS)
    return whole + 16 * wire if dim.endswith("_") else whole


def row(component: str) -> str:
    """One row of the table; raises ExportError where outputs differ."""
    folder, onnx = exported(document_of(component), OnnxOptions(post="post." in component))
    own = f"{folder.parameters:,} | {folder.max_abs_diff:.1g} | {onnx.max_abs_diff:.1g} | {boxes_of(onnx)}"
    return f"| {component} | {own} | {digest(component)} |"


def exported(data: GraphData, options: OnnxOptions, scale: float = 1.0) -> tuple[PytorchReport, OnnxReport]:
    """What a document's exports say of themselves, with drawn weights; the files are not kept."""
    with tempfile.TemporaryDirectory() as place:
        weights = Path(place) / "w.safetensors"
        draw_weights(data, weights, scale)
        folder = export_pytorch(data, Path(place) / "code", weights)
        return folder, export_onnx(data, Path(place) / "m.onnx", weights, options=options)


def boxes_of(report: OnnxReport) -> str:
    """The cell of the boxes' difference; empty without boxes."""
    return f"{report.boxes_max_abs_diff:.1g}" if any(o.endswith("boxes") for o in report.outputs) else ""


def digest(component: str) -> str:
    """Of the sources that a component is made of, so that a row is known to be of today's."""
    names = sorted(_needed(library()[component].__module__))
    return hashlib.sha256(b"".join(_file(name).read_bytes() for name in names)).hexdigest()[:8]


@cache
def _needed(module: str) -> frozenset[str]:
    """A module of components with all those of the library that it imports. The SDK, which makes them, is not meant."""
    return frozenset({module}).union(*map(_needed, _imports(module)))


def _imports(module: str) -> tuple[str, ...]:
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    return tuple(sorted(n for n in names if n.startswith("nodes.") and not n.startswith("nodes.sdk")))


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
