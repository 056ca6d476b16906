"""Writes docs/imports.md: models that entered, how much of each was mapped, and how far the outputs are from theirs.

    python docs/make_imports.py [NAME ...]

Takes some ten minutes on two cores; with names it only does those and keeps the other rows.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torchvision
from drawn_weights import draw_weights
from onnx import numpy_helper
from torch import nn

from designer.engine.compile import compile_document
from designer.engine.pretrained import load_pretrained
from designer.export import export_onnx
from designer.graph.onnx_options import OnnxOptions
from designer.graph.storage import read
from designer.graph.templates import templates
from designer.importing.model import import_graph, import_onnx
from designer.importing.module_reader import read_module
from designer.importing.writing import ModelImport, save_weights

PAGE = Path(__file__).with_name("imports.md")
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
HEAD = """# Imports

    netwright import model.onnx                                               # also File > Import, or dropped
    netwright import model.py --object build_model --size 3x224x224 --trust   # runs the file, in a process of its own
    netwright import yolov8.yaml --scale s

What is carried: shapes, settings, weights (in a safetensors file beside the document, named by each node). Groups of
operations are recognised as our blocks: a convolution with its norm and activation, SiLU, hard-swish, GELU, Mish, layer
norm, linear layers, squeeze and excitation, a classifier's head, ResNet's blocks, YOLO's C3, C2f and SPPF, the
inverted residuals of MobileNet and EfficientNet. A convolution of such a block whose norm a file has folded away gets
one that only adds its bias, so that the block can be trained. An operation without a component is kept as a placeholder
with its attributes and weights; the document then shows the model, but does not run until the placeholder is replaced.
Training: a model that ends in a classification head trains; any other needs a head first.

## What was tried

Written by `python docs/make_imports.py`. The largest difference of any output from onnxruntime's (for modules: from
torch's own), and the largest output beside it. The files of the onnx package carry constants for weights; drawn ones
are put in their place, as constants would hide a wrong order.

| model | from | operations | mapped | computed | placeholders | blocks | nodes | largest difference | largest output |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|
"""


def light(name: str, folder: Path) -> Path:
    """A file of the onnx package with drawn weights in place of its constants."""
    model = onnx.load(str(LIGHT / f"light_{name}.onnx"))
    shapes = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    spreads = {n.input[4] for n in model.graph.node if n.op_type == "BatchNormalization"}
    chance = np.random.default_rng(0)
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(int(v) for v in shapes[node.input[0]])
        fan = max(1, int(np.prod(shape[1:])))
        values = chance.normal(0, (2 / fan) ** 0.5 if len(shape) > 1 else 0.1, shape)
        if node.output[0] in spreads:
            values = chance.uniform(0.5, 1.5, shape)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, folder / f"{name}.onnx")
    return folder / f"{name}.onnx"


def template(name: str, folder: Path) -> Path:
    data = read(next(t.path for t in templates() if t.name == name))
    draw_weights(data, folder / "w.safetensors")
    export_onnx(data, folder / f"{name}.onnx", folder / "w.safetensors", options=OnnxOptions(post=False))
    return folder / f"{name}.onnx"


def vision(name: str) -> nn.Module:
    """A model of torchvision with drawn weights and norms that have seen something."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Linear) and not module.weight.any():  # the last layer of a transformer
            nn.init.normal_(module.weight)
    return model


def vision_onnx(name: str, folder: Path) -> Path:
    free = ({0: torch.export.Dim("batch", min=1)},)
    image = torch.rand(2, 3, 224, 224)
    path = folder / f"{name}.onnx"
    torch.onnx.export(
        vision(name), (image,), str(path), dynamo=True, external_data=False, verbose=False, dynamic_shapes=free
    )
    return path


def row(
    title: str, source: str, found: ModelImport, folder: Path, theirs: Callable[[torch.Tensor], list[np.ndarray]]
) -> str:
    apart = largest = ""
    if not found.placeholders:
        save_weights(found, folder / "imported.safetensors")
        compiled = compile_document(found.data)
        load_pretrained(compiled, found.data)
        compiled.eval()
        torch.manual_seed(1)
        image = torch.rand(compiled.input_shape)
        with torch.no_grad():
            given = compiled.model(image)
        ours = [given] if isinstance(given, torch.Tensor) else list(given)
        expected = theirs(image)
        apart = f"{max(float(np.abs(a.numpy() - b).max()) for a, b in zip(ours, expected, strict=True)):.1g}"
        largest = f"{max(float(np.abs(b).max()) for b in expected):.2g}"
    blocks = sum(found.recognised.values())
    return (
        f"| {title} | {source} | {found.total} | {sum(found.mapped.values())} | {found.folded} "
        f"| {len(found.placeholders)} | {blocks} | {len(found.data.nodes)} | {apart} | {largest} |"
    )


def onnx_row(title: str, source: str, path: Path, folder: Path) -> str:
    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    entered = session.get_inputs()[0].name
    return row(title, source, import_onnx(path), folder, lambda image: session.run(None, {entered: image.numpy()}))


def module_row(name: str, folder: Path) -> str:
    model = vision(name)

    def theirs(image: torch.Tensor) -> list[np.ndarray]:
        with torch.no_grad():
            return [model(image).numpy()]

    return row(name, "torch module", import_graph(read_module(model, (3, 224, 224), name)), folder, theirs)


LIGHTS = (
    "resnet50", "densenet121", "vgg19", "squeezenet", "shufflenet", "inception_v1", "inception_v2", "bvlc_alexnet",
    "zfnet512",
)  # fmt: skip
TEMPLATES = (
    "yolov8n",
    "resnet50",
    "classifier-mobilenet-v3",
    "classifier-shufflenet-v2",
    "classifier-efficientnet",
    "yolov5n",
    "classifier-mobilenet-v2",
)
VISION = ("resnet18", "mobilenet_v3_small", "squeezenet1_1")
MODULES = (*VISION, "shufflenet_v2_x0_5", "efficientnet_b0", "convnext_tiny", "vit_b_32", "swin_t")


def cases() -> dict[str, Callable[[Path], str]]:
    found: dict[str, Callable[[Path], str]] = {}
    for name in LIGHTS:
        found[f"onnx:{name}"] = lambda f, n=name: onnx_row(n, "onnx package", light(n, f), f)  # type: ignore[misc]
    for name in TEMPLATES:
        found[f"template:{name}"] = lambda f, n=name: onnx_row(n, "our export", template(n, f), f)  # type: ignore[misc]
    for name in VISION:
        found[f"torchvision:{name}"] = lambda f, n=name: onnx_row(n, "torch.onnx", vision_onnx(n, f), f)  # type: ignore[misc]
    for name in MODULES:
        found[f"module:{name}"] = lambda f, n=name: module_row(n, f)  # type: ignore[misc]
    return found


SOURCES = {"onnx": "onnx package", "template": "our export", "torchvision": "torch.onnx", "module": "torch module"}


def main() -> None:
    known = cases()
    if unknown := set(sys.argv[1:]) - set(known):
        raise SystemExit(f"No such case: {', '.join(sorted(unknown))}. There are: {', '.join(known)}.")
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    kept: dict[str, str] = {}
    for line in lines:
        if m := re.match(r"\| ([\w-]+) \| ([\w. ]+) \| \d", line):
            kept |= {f"{key}:{m[1]}": line for key, source in SOURCES.items() if source == m[2]}
    for name in sys.argv[1:] or known:
        with tempfile.TemporaryDirectory() as place:
            kept[name] = known[name](Path(place))
        print(kept[name], flush=True)
        rows = "\n".join(kept[n] for n in known if n in kept)
        PAGE.with_suffix(".tmp").write_text(HEAD + rows + "\n", encoding="utf-8")
        os.replace(PAGE.with_suffix(".tmp"), PAGE)


if __name__ == "__main__":
    main()
