"""Models that leave: code that runs alone and equals the document, ONNX that equals torch, no trace of a failure."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import designer.export
from designer.data.shapes import draw, draw_one
from designer.engine.compile import compile_document
from designer.export import export_onnx, export_program, export_pytorch, export_weights
from designer.export.errors import ExportError
from designer.export.onnx_check import compare
from designer.export.snippet import code_of
from designer.export.sources import collect, strip
from designer.export.weights import sample_image
from designer.graph.errors import EditError, GraphError, NetwrightError
from designer.graph.templates import load_template
from nodes.types import Detections

pytestmark = pytest.mark.usefixtures("one_onnx_table")


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
    checks = [["ruff", "check", "."], ["ruff", "format", "--check", "."]]
    if which == "detector":
        checks.append(["mypy", "--follow-imports=silent", "."])
    for check in checks:
        checked = subprocess.run([sys.executable, "-m", *check], cwd=tmp_path / "out", capture_output=True, text=True)
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
    (tmp_path / "mine" / "model.py").touch()  # anybody's folder may have one
    with pytest.raises(ExportError, match="holds other things already"):
        export_pytorch(classifier.data, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "w.safetensors"]


def test_an_earlier_export_is_replaced(tmp_path, classifier):
    for _ in range(2):
        report = export_pytorch(classifier.data, tmp_path / "out")
        (tmp_path / "out" / ".ruff_cache").mkdir()
        (tmp_path / "out" / "letterbox.py").touch()  # an earlier version wrote it
    assert "model.py" in report.files
    assert "predict.py" in report.files
    assert not [f for f in report.files if "__pycache__" in f]
    (tmp_path / "out" / "trained.safetensors").touch()  # a user's work in it is none of an export's
    with pytest.raises(ExportError, match=r"trained\.safetensors"):
        export_pytorch(classifier.data, tmp_path / "out")


def write_coco(folder, count, size=64):
    """Drawn shapes as a COCO folder with polygons; the file of annotations."""
    images, notes = [], []
    folder.mkdir()
    for i in range(count):
        pixels, boxes, labels, _ = draw(i, (size, size), split="train")
        Image.fromarray(pixels).save(folder / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": size, "width": size})
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
            x1, y1, x2, y2 = float(x1), float(y1), float(x2), float(y2)
            outline = [[x1, y1, x2, y1, x2, y2, x1, y2]]
            note = {"id": len(notes), "image_id": i, "category_id": int(label) + 5, "segmentation": outline}
            notes.append({**note, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0})
    names = ("circle", "square", "triangle")
    facts = {
        "images": images,
        "annotations": notes,
        "categories": [{"id": 5 + i, "name": n} for i, n in enumerate(names)],
    }
    (folder / "a.json").write_text(json.dumps(facts))
    return folder / "a.json"


def losses_of(text):
    return [float(value) for value in re.findall(r"loss ([0-9.]+)", text)]


def test_an_exported_detector_trains_by_itself(tmp_path, detector):
    export_pytorch(detector.data, tmp_path / "out")
    notes = write_coco(tmp_path / "images", 16)
    line = [sys.executable, "train.py", notes.parent, notes, "--epochs", "12", "--batch", "4", "--workers", "0"]
    done = subprocess.run(line, cwd=tmp_path / "out", capture_output=True, text=True)
    losses = losses_of(done.stdout)
    assert len(losses) == 12, done.stderr
    assert losses[-1] < 0.9 * losses[0]
    trained = load_file(tmp_path / "out" / "trained.safetensors")
    assert trained.keys() == load_file(tmp_path / "out" / "weights.safetensors").keys()


def test_an_exported_classifier_trains_by_itself(tmp_path, classifier):
    export_pytorch(classifier.data, tmp_path / "out")
    for i in range(18):
        pixels, label = draw_one(i, (32, 32), split="train")
        (tmp_path / "images" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / str(label) / f"{i}.png")
    line = [sys.executable, "train.py", tmp_path / "images", "--epochs", "3", "--batch", "6", "--workers", "0"]
    done = subprocess.run(line, cwd=tmp_path / "out", capture_output=True, text=True)
    assert len(losses_of(done.stdout)) == 3, done.stderr
    (tmp_path / "images" / "more").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "more" / "0.png")
    done = subprocess.run(line, cwd=tmp_path / "out", capture_output=True, text=True)
    assert "has 4 classes, the model 3" in done.stderr


def run_python(folder, *arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=folder, capture_output=True, text=True)


def test_an_exported_folder_learns_as_the_document_does(tmp_path):
    document = load_template("shapes-unet")
    document.data.training.optimizer, document.data.training.learning_rate = "adamw", 0.003
    document.data.training.clip_norm = 0.0
    export_pytorch(document.data, tmp_path / "out")
    code = (
        "import loop, model, sys; print(model.CLASS_NAMES)\n"
        "sys.argv = ['train.py']; made = loop.make_optimizer(model.load(), loop.settings('').rate)\n"
        "print(type(made).__name__, made.defaults['lr'], loop.LARGEST_NORM)"
    )
    done = run_python(tmp_path / "out", "-c", code)
    names, optimizer = done.stdout.splitlines()
    assert names == "['background', 'circle', 'square', 'triangle']", done.stderr
    assert optimizer == "AdamW 0.003 inf"
    assert "fmt: skip\nclass" not in (tmp_path / "out" / "layers" / "heads" / "semantic.py").read_text()


def test_a_prediction_takes_the_weights_that_training_wrote(tmp_path, classifier):
    export_pytorch(classifier.data, tmp_path / "out")
    Image.fromarray(draw_one(0, (32, 32), split="train")[0]).save(tmp_path / "0.png")
    state = load_file(tmp_path / "out" / "weights.safetensors")
    for name in state:
        if name.endswith("fc.bias"):
            state[name] = torch.tensor([0.0, 0.0, 100.0])
    save_file(state, tmp_path / "trained.safetensors")
    said = run_python(tmp_path / "out", "predict.py", tmp_path / "0.png", "--weights", tmp_path / "trained.safetensors")
    assert ": triangle 1.000" in said.stdout, said.stderr
    assert "required: IMAGE" in run_python(tmp_path / "out", "predict.py").stderr


def test_what_is_wrong_with_the_files_of_an_exported_folder_is_said_in_a_line(tmp_path, classifier, detector):
    out, damaged, empty = tmp_path / "out", tmp_path / "damaged.png", tmp_path / "empty"
    export_pytorch(classifier.data, out)
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    empty.mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "good.png")

    def last(*words):
        done = run_python(out, *words)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout, done.stderr.strip().splitlines()[-1]

    printed, said = last("predict.py", tmp_path / "none.png", damaged, tmp_path / "good.png")
    assert f"{tmp_path / 'none.png'} cannot be read: No such file or directory." in printed
    assert f"{damaged} cannot be read: it is damaged or no image." in printed
    assert f"{tmp_path / 'good.png'}: " in printed  # the others are done all the same
    assert said == "Not read: 2 of the images."
    assert last("predict.py", empty)[1].startswith(f"{empty} holds no image (.bmp")
    assert "cannot be read" not in run_python(out, "predict.py", tmp_path / "good.png").stdout
    weights = ("--weights", damaged)
    assert last("predict.py", tmp_path / "good.png", *weights)[1].startswith(
        f"{damaged} holds no weights of this model"
    )
    assert last("train.py", tmp_path / "nowhere")[1] == f"{tmp_path / 'nowhere'} does not exist."
    assert "needs a sub-folder with images for each class" in last("train.py", empty)[1]
    assert "Not a directory" in last("train.py", "model.py")[1]
    (empty / "square").mkdir()
    for i in range(3):
        shutil.copy(damaged, empty / "square" / f"{i}.png")
    said = last("train.py", empty, "--workers", "1")[1]
    assert said.endswith("cannot be read: it is damaged or no image. Replace it or take it out of the data.")
    shutil.rmtree(out)
    export_pytorch(detector.data, out)
    (tmp_path / "notes.json").write_text('{"images": []}')
    said = last("train.py", empty, tmp_path / "notes.json")[1]
    assert said == f"{tmp_path / 'notes.json'} is no COCO annotation file: KeyError('categories')"


def test_standalone_masks_follow_the_image(tmp_path):
    standalone = str(Path(designer.export.__file__).parent / "standalone")
    notes = write_coco(tmp_path / "images", 1)
    code = (
        f"import sys, random; sys.path.insert(0, {standalone!r})\n"
        "from coco import Coco, collate; from pathlib import Path\n"
        f"data = Coco(Path({str(notes.parent)!r}), Path({str(notes)!r}), (128, 64), masks=True)\n"
        "for flip in (0.1, 0.9):\n"
        "    random.random = lambda: flip\n"
        "    images, targets = collate([data[0]])\n"
        "    for box, mask in zip(targets['boxes'][0], targets['masks'][0]):\n"
        "        rows, columns = mask.nonzero(as_tuple=True)\n"
        "        found = [columns.min() * 4, rows.min() * 4, columns.max() * 4 + 4, rows.max() * 4 + 4]\n"
        "        assert max(abs(float(a) - float(b)) for a, b in zip(found, box)) <= 8, (found, box)\n"
        "print(images.shape, targets['masks'].shape[2:])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "torch.Size([1, 3, 128, 64]) torch.Size([32, 16])", done.stderr


def test_program_and_weights_alone(tmp_path, detector, weights):
    compiled, path = weights(detector)
    report = export_program(detector.data, tmp_path / "m.pt2", path)
    assert report.max_abs_diff < 1e-4
    image = sample_image(compiled.input_shape, 5)
    with torch.no_grad():
        expected = compiled.model(image)
        got = torch.export.load(tmp_path / "m.pt2").module()(image)
    found = compare(expected, Detections(*got), Detections._fields)
    assert found.compared > 0
    assert found.unmatched <= 0.05 * found.compared  # ties, of which either box may stay
    assert found.scores < 1e-4
    assert found.boxes < 1e-2
    export_weights(detector.data, tmp_path / "again.safetensors", path)
    again = load_file(tmp_path / "again.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in load_file(path).items())


def test_a_selection_as_code(detector):
    ids = {n.title: n.id for n in detector.data.nodes}
    text = code_of(detector.data, [ids["Image"], ids["Backbone"], ids["Neck"]])
    made = {}
    exec(compile(text, "pasted", "exec"), made)
    module = made["BackboneToNeck"]().eval()
    compiled = compile_document(detector.data)
    compiled.eval()
    state = compiled.model.state_dict()
    module.load_state_dict({k: v for k, v in state.items() if k.startswith(("backbone.", "neck."))})
    seen = []
    compiled.model.get_submodule("neck").register_forward_hook(lambda _m, _i, out: seen.extend(out))
    image = sample_image(compiled.input_shape)
    with torch.no_grad():
        compiled.model(image)
        assert all(torch.equal(a, b) for a, b in zip(module(image), seen, strict=True))
    with pytest.raises(EditError, match=r"Head is no layer: .* Select layers alone, or export a PyTorch folder"):
        code_of(detector.data, [ids["Neck"], ids["Head"]])


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
