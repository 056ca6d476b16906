"""Models that leave: code that runs alone and equals the document, ONNX that equals torch, no trace of a failure."""

import ast
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from designer.engine.compile import compile_document
from designer.export import export_onnx, export_pytorch
from designer.export.errors import ExportError
from designer.export.sources import collect, strip
from designer.export.weights import sample_image
from designer.graph.errors import GraphError, NetwrightError


def state_of(document):
    """A compiled document whose norms have seen images and whose head finds boxes of many sizes and scores.

    Fresh weights give every cell the same score and the same box: ties, of which runtimes may keep either.
    """
    torch.manual_seed(1)
    compiled = compile_document(document.data)
    compiled.train()
    with torch.no_grad():
        compiled.train_model(sample_image(compiled.input_shape, 8))
        for name, value in compiled.model.named_parameters():
            if "_towers" in name and name.endswith("2.weight"):
                value.mul_(20.0)
            elif "cls_towers" in name and name.endswith("2.bias"):
                value.zero_()
    compiled.eval()
    return compiled, compiled.model.state_dict()


@pytest.fixture
def weights(tmp_path, request):
    """Weights of a document as a safetensors file."""

    def write(document):
        compiled, state = state_of(document)
        path = tmp_path / "w.safetensors"
        save_file({k: v.contiguous() for k, v in state.items()}, path)
        return compiled, path

    return write


@pytest.mark.parametrize("which", ["detector", "classifier"])
def test_pytorch_folder_runs_alone_and_is_equal(tmp_path, request, weights, which):
    document = request.getfixturevalue(which)
    compiled, path = weights(document)
    report = export_pytorch(document.data, tmp_path / "out", path)
    assert report.max_abs_diff == 0.0
    assert load_file(tmp_path / "out" / "weights.safetensors").keys() == compiled.model.state_dict().keys()
    code = "import torch, model; m = model.load(); m.train(); print(type(m(torch.rand(2, 3, 64, 64))).__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True)
    assert done.stdout.strip() == "tuple", done.stderr
    for file in (tmp_path / "out").rglob("*.py"):
        text = file.read_text()
        assert not [
            w
            for w in ("netwright", "nodes.", "designer", "jaxtyping", "@component")
            if w in text.lower().replace("in netwright", "")
        ]
        ast.parse(text)
        assert max(map(len, text.splitlines()), default=0) <= 120
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "."]
    checked = subprocess.run(ruff, cwd=tmp_path / "out", capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("which", ["detector", "classifier"])
def test_onnx_equals_torch_at_any_batch(tmp_path, request, weights, which):
    document = request.getfixturevalue(which)
    compiled, path = weights(document)
    report = export_onnx(document.data, tmp_path / "m.onnx", path)
    assert report.compared > 0
    assert report.max_abs_diff < 1e-4
    assert report.boxes_max_abs_diff < 1e-3 * 64
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model)
    facts = {p.key: p.value for p in model.metadata_props}
    assert json.loads(facts["names"]) == ["circle", "square", "triangle"]
    assert json.loads(facts["image_size"]) == list(compiled.image_size)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == report.outputs
    for batch in (1, 2, 5):
        image = sample_image(compiled.input_shape, batch)
        out = session.run(None, {"image": image.numpy()})
        assert {len(o) for o in out} == {batch}
        if which == "classifier":
            compiled.eval()
            with torch.no_grad():
                np.testing.assert_allclose(out[0], compiled.model(image).numpy(), atol=1e-5)


def test_what_cannot_be_exported_leaves_nothing(tmp_path, detector, classifier, weights):
    _, path = weights(classifier)
    for export, target in ((export_pytorch, tmp_path / "out"), (export_onnx, tmp_path / "m.onnx")):
        with pytest.raises(ExportError, match="not this model's"):
            export(detector.data, target, path)
        with pytest.raises(NetwrightError, match="no such checkpoint"):
            export(detector.data, target, tmp_path / "none.pt")
        assert not target.exists()
    detector.disconnect(detector.data.wires[0])
    with pytest.raises(GraphError, match="not wired"):
        export_pytorch(detector.data, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match="holds other things already"):
        export_pytorch(classifier.data, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "w.safetensors"]


def test_an_earlier_export_is_replaced(tmp_path, classifier):
    for _ in range(2):
        report = export_pytorch(classifier.data, tmp_path / "out")
    assert "model.py" in report.files
    assert "predict.py" in report.files
    assert not [f for f in report.files if "__pycache__" in f]


def test_sources_keep_what_is_used_and_drop_declarations():
    files = collect([("nodes.csp", "C2f")])
    assert sorted(files) == ["conv.py", "csp.py", "reparam.py"]
    assert "def fuse(model" not in files["reparam.py"]  # nothing here calls it
    assert "class ConvDown" not in files["conv.py"]
    assert "in_channels: int," in files["csp.py"]
    assert "from layers.conv import ConvNormAct" in files["csp.py"]
    assert '"""YOLOv8\'s CSP block' in files["csp.py"]  # docstrings travel


def test_strip_edits_text_and_nothing_else():
    source = (
        "# kept: a comment with µ\n"
        "@component('a')\n"
        "class A:\n"
        "    @staticmethod\n"
        "    def f(x: Float[Tensor, 'B C'], n: Annotated[int, Range(1, 2)] = 1,  # why\n"
        "          y: tuple[Float[Tensor, 'B'], ...] = ()) -> dict[str, Float[Tensor, 'B']]: ...\n"
    )
    assert strip(source) == (
        "# kept: a comment with µ\n"
        "class A:\n"
        "    @staticmethod\n"
        "    def f(x: Tensor, n: int = 1,  # why\n"
        "          y: tuple[Tensor, ...] = ()) -> dict[str, Tensor]: ...\n"
    )
