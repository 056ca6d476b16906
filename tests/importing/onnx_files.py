"""Small ONNX files for the tests, and whether a document computes the same as the file it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from designer.engine.compile import compile_document
from designer.engine.pretrained import load_pretrained
from designer.importing.model import import_onnx
from designer.importing.writing import ModelImport, save_weights


class Maker:
    """Writes an ONNX graph line by line."""

    def __init__(self, shape: tuple[Any, ...] = ("batch", 3, 16, 16), opset: int = 17) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.shape, self.opset, self.chance = shape, opset, np.random.default_rng(0)

    def weight(self, *shape: int, low: float = -0.5, high: float = 0.5) -> str:
        return self.tensor(self.chance.uniform(low, high, shape).astype(np.float32))

    def tensor(self, values: Any) -> str:
        array = np.asarray(values)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.tensors.append(numpy_helper.from_array(array, f"t{len(self.tensors)}"))
        return self.tensors[-1].name

    def op(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attrs: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(kind, list(inputs), names, name=f"{kind}_{len(self.nodes)}", domain=domain, **attrs)
        )
        return names[0] if outputs == 1 else names

    def norm(self, x: str, channels: int) -> str:
        scale, shift, mean = (self.weight(channels) for _ in range(3))
        return self.op("BatchNormalization", x, scale, shift, mean, self.weight(channels, low=0.5, high=1.5))

    def model(self, *outputs: str) -> onnx.ModelProto:
        entered = helper.make_tensor_value_info("image", TensorProto.FLOAT, self.shape)
        given = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        graph = helper.make_graph(self.nodes, "g", [entered], given, self.tensors)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("other", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def save(self, path: Path, *outputs: str) -> Path:
        onnx.save(self.model(*outputs), path)
        return path


def furthest(path: Path, found: ModelImport | None = None, folder: Path | None = None) -> tuple[ModelImport, float]:
    """The import of a file, and how far its outputs are from onnxruntime's, with two images if it takes them."""
    found = found or import_onnx(path)
    assert found.placeholders == [], found.notes
    save_weights(found, (folder or path.parent) / f"{path.stem}.safetensors")
    compiled = compile_document(found.data)
    load_pretrained(compiled, found.data)
    compiled.eval()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entered = session.get_inputs()[0]
    images = entered.shape[0] if isinstance(entered.shape[0], int) else 2
    torch.manual_seed(0)
    image = torch.rand((images, *compiled.input_shape[1:]))
    with torch.no_grad():
        ours = compiled.model(image)
    expected = session.run(None, {entered.name: image.numpy()})
    tensors = [ours] if isinstance(ours, torch.Tensor) else list(ours)
    assert [tuple(t.shape) for t in tensors] == [e.shape for e in expected]
    return found, max(float(np.abs(t.numpy() - e).max()) for t, e in zip(tensors, expected, strict=True))
