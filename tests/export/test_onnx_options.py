"""What an ONNX file can be asked for: free sizes, no NMS, a fixed batch, float16, 8 bits, a refusal in words."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from designer.engine.compile import compile_document
from designer.export import export_onnx
from designer.export.errors import ExportError
from designer.export.onnx import _Export
from designer.export.onnx_check import Difference, compare
from designer.export.onnx_report import OnnxReport
from designer.export.weights import sample_image
from designer.graph import Document
from designer.graph.errors import NetwrightError
from designer.graph.onnx_options import OnnxOptions, onnx_options
from designer.graph.templates import load_template
from nodes.reparam import fuse
from nodes.sdk.discover import library
from nodes.types import MaskPredictions, Predictions
from tests.export.test_export import weights  # noqa: F401  (a fixture)

pytestmark = pytest.mark.usefixtures("one_onnx_table")


def session_of(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def operators(path):
    return [n.op_type for n in onnx.load(path).graph.node]


def test_any_size_and_no_nms(tmp_path, detector, weights):  # noqa: F811
    compiled, path = weights(detector)
    report = export_onnx(detector.data, tmp_path / "m.onnx", path, options=OnnxOptions(free_size=True, post=False))
    assert report.input_shape == ["batch", 3, "height", "width"]
    assert report.outputs == ["boxes", "scores"]
    assert "Loop" not in operators(tmp_path / "m.onnx")
    assert report.boxes_max_abs_diff < 1e-3 * 64
    head = compiled.model.get_submodule("head")
    before = []
    head.register_forward_hook(lambda _m, _i, out: before.append(out))
    for size in ((64, 64), (96, 160), (32, 64)):
        image = sample_image((1, 3, *size), 2)
        with torch.no_grad():
            compiled.model(image)
        boxes, scores = session_of(tmp_path / "m.onnx").run(None, {"image": image.numpy()})
        np.testing.assert_allclose(boxes, before[-1].boxes.numpy(), atol=1e-3 * max(size))
        np.testing.assert_allclose(scores, before[-1].scores.numpy(), atol=1e-4)


def test_a_fixed_batch_is_fixed(tmp_path, classifier):
    report = export_onnx(classifier.data, tmp_path / "m.onnx", options=OnnxOptions(batch=4, opset=18))
    assert report.input_shape == [4, 3, 32, 32]
    model = onnx.load(tmp_path / "m.onnx")
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [4, 3, 32, 32]
    assert model.opset_import[0].version == 18


def test_float16_keeps_boxes_exact(tmp_path, detector, weights):  # noqa: F811
    compiled, path = weights(detector)
    half = export_onnx(detector.data, tmp_path / "h.onnx", path, options=OnnxOptions(precision="fp16"))
    assert half.size_bytes < 2.3 * sum(p.numel() for p in compiled.model.parameters())
    assert half.compared > 0
    assert half.unmatched <= 0.05 * half.compared
    assert half.max_abs_diff < 0.01
    assert half.boxes_max_abs_diff < 0.5
    kinds = {o.type.tensor_type.elem_type for o in onnx.load(tmp_path / "h.onnx").graph.output}
    assert onnx.TensorProto.FLOAT16 not in kinds


def test_eight_bits_say_what_they_cost(tmp_path, detector, weights):  # noqa: F811
    compiled, path = weights(detector)
    options = OnnxOptions(precision="int8", calibration=8, measure=4)
    report = export_onnx(detector.data, tmp_path / "q.onnx", path, options=options)
    assert report.size_bytes < 1.3 * sum(p.numel() for p in compiled.model.parameters())
    assert report.before["images"] == report.after["images"] == 4
    assert abs(report.before["map50"] - report.after["map50"]) < 0.2
    assert "4 validation images, torch -> this file" in report.text()
    model = onnx.load(tmp_path / "q.onnx")
    quantised = {n.op_type for n in model.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= quantised
    assert sorted(p.name for p in tmp_path.iterdir()) == ["q.onnx", "w.safetensors"]


def test_branches_are_merged(tmp_path, catalogue):
    doc = Document.new("Branches", catalogue)
    nodes = [doc.add("io.image_input", height=32, width=32), doc.add("backbone.efficient_rep")]
    nodes.append(doc.add("head.classification_head", num_classes=3))
    doc.connect(nodes[0], nodes[1])
    doc.connect(nodes[1], nodes[2], "p5")
    export_onnx(doc.data, tmp_path / "m.onnx", options=OnnxOptions(batch=1))
    convolutions = [m for m in fuse(compile_document(doc.data).model).modules() if isinstance(m, torch.nn.Conv2d)]
    assert operators(tmp_path / "m.onnx").count("Conv") == len(convolutions)
    assert "BatchNormalization" not in operators(tmp_path / "m.onnx")


def test_slim_and_openvino(tmp_path, detector, weights):  # noqa: F811
    pytest.importorskip("onnxslim")
    pytest.importorskip("openvino")
    _, path = weights(detector)
    report = export_onnx(detector.data, tmp_path / "m.onnx", path, options=OnnxOptions(slim=True, openvino=True))
    assert report.max_abs_diff < 1e-4
    assert report.openvino == tmp_path / "m.xml"
    assert report.openvino.with_suffix(".bin").is_file()
    assert report.openvino_diff < 1e-3


def test_refusals_say_what_to_do(tmp_path, catalogue, monkeypatch):
    with pytest.raises(NetwrightError, match="opset is 5"):
        onnx_options(opset=5)
    doc = Document.new("Fixed", catalogue)
    image, head = doc.add("io.image_input", height=64, width=64), doc.add("head.classification_head", num_classes=3)
    halved, quartered = (doc.add("conv.conv_norm_act", out_channels=8, stride=stride) for stride in (2, 4))
    enlarged, joined = doc.add("resize.interpolate", size=(32, 32)), doc.add("fusion.concat")
    doc.connect(image, halved)
    doc.connect(image, quartered)
    doc.connect(quartered, enlarged)
    doc.connect(halved, joined)
    doc.connect(enlarged, joined)
    doc.connect(joined, head)
    with pytest.raises(ExportError, match=r"64 x 64 pixels.*fixed size"):
        export_onnx(doc.data, tmp_path / "m.onnx", options=OnnxOptions(free_size=True))
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ExportError, match="pip install openvino"):
        export_onnx(doc.data, tmp_path / "m.onnx", options=OnnxOptions(openvino=True))
    assert not list(tmp_path.iterdir())


def test_a_score_that_one_runtime_cuts_counts_as_unmatched():
    boxes = torch.zeros(1, 3, 4)
    ours = Predictions(boxes, torch.tensor([[[0.5], [0.25], [0.0]]]))
    theirs = Predictions(boxes + 0.5, torch.tensor([[[0.0], [0.375], [0.0]]]))
    found = compare(ours, theirs, Predictions._fields)
    assert (found.scores, found.boxes, found.unmatched, found.compared) == (0.125, 0.5, 1, 15)


def test_scores_that_are_nothing_are_so_in_both_runtimes():
    """A detector that has learnt leaves most of its cells below 1e-8, where onnxruntime's sigmoid gives 0."""
    boxes = torch.zeros(1, 2, 4)
    ours, theirs = (Predictions(boxes, torch.tensor([[[0.5], [none]]])) for none in (1e-9, 0.0))
    assert compare(ours, theirs, Predictions._fields).unmatched == 0
    assert compare(theirs, ours, Predictions._fields).unmatched == 0


def test_a_detector_sure_of_its_background_leaves_without_suppression(tmp_path):
    document = load_template("quick-start", library().catalogue)
    torch.manual_seed(0)
    state = compile_document(document.data).model.state_dict()
    biases = [name for name, value in state.items() if name.endswith("bias") and value.shape == (3,)]
    assert len(biases) == 3  # one a stride, of three classes
    for name in biases:
        state[name] -= 60.0
    save_file({k: v.contiguous().clone() for k, v in state.items()}, tmp_path / "w.safetensors")
    options = OnnxOptions(post=False)
    report = export_onnx(document.data, tmp_path / "m.onnx", tmp_path / "w.safetensors", options=options)
    assert report.unmatched == 0


def test_predictions_that_a_head_has_chosen_may_change_places_and_nothing_else():
    torch.manual_seed(0)
    corners = torch.rand(1, 6, 4) * 40 + torch.tensor([0.0, 0.0, 50.0, 50.0])
    ours = MaskPredictions(corners, torch.rand(1, 6, 3) * 0.9 + 0.1, torch.eye(6)[None], torch.randn(1, 6, 8, 8))
    turned = [1, 0, 2, 3, 5, 4]  # every mask is its own prototype and goes with its box
    theirs = MaskPredictions(
        ours.boxes[:, turned], ours.scores[:, turned], ours.coefficients, ours.prototypes[:, turned]
    )
    assert compare(ours, theirs, MaskPredictions._fields) == Difference(0.0, 0.0, 0, 6)
    elsewhere = theirs._replace(boxes=theirs.boxes + torch.tensor([0.0, 0.0, 9.0, 0.0]))
    assert compare(ours, elsewhere, MaskPredictions._fields).boxes > 9
    other = theirs._replace(prototypes=ours.prototypes)
    assert compare(ours, other, MaskPredictions._fields).scores > 0.1


def test_maps_are_compared_in_parts_of_their_largest_value():
    ours, theirs = torch.tensor([[200.0, -400.0]]), torch.tensor([[200.0, -399.0]])
    assert compare(ours, theirs, ["out"]).scores == 1.0
    assert compare(ours, theirs, ["out"], of_head=False).scores == 1 / 400
    assert compare(ours / 800, theirs / 800, ["out"], of_head=False).scores == pytest.approx(1 / 800)
    masks = [MaskPredictions(torch.zeros(1, 2, 4), torch.zeros(1, 2, 1), c[None], c[None]) for c in (ours, theirs)]
    assert compare(*masks, MaskPredictions._fields).scores == 1 / 400


def test_a_model_may_differ_by_what_rounding_does_to_it_and_no_more(tmp_path):
    def refused(scores, boxes, rounding):
        report = OnnxReport(
            tmp_path / "m.onnx", 20, "fp32", 0, [], [], [], scores, boxes, 0, 100, 1.0, 1.0, 0.0
        )  # fmt: skip
        try:
            report.refuse_if_wrong(640, lambda: rounding)
        except ExportError as error:
            return "disagrees with torch" in str(error)
        return False

    calm, shaky = Difference(1e-5, 0.01, 0, 100), Difference(1e-3, 0.5, 0, 100)
    assert not refused(9e-4, 0.6, calm)
    assert refused(2e-3, 0.6, calm)
    assert refused(9e-4, 0.7, calm)
    assert not refused(3e-3, 1.9, shaky)
    assert refused(5e-3, 1.9, shaky)
    assert refused(3e-3, 2.1, shaky)
    assert refused(2e-2, 0.0, Difference(1.0, 0.0, 0, 100))  # never more than ten times the bar


def test_what_rounding_does_to_a_detector_is_little(tmp_path, detector, weights):  # noqa: F811
    _, path = weights(detector)
    made = _Export(detector.data, tmp_path / "m.onnx", path, None, OnnxOptions(post=False))
    moved = made._rounding()
    assert 0 < moved.scores < 1e-4
    assert 0 < moved.boxes < 0.05
