"""ONNX files become documents that compute the same; what is damaged is refused in words."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from designer.engine.propagate import propagate
from designer.graph.model import GraphData
from designer.importing import ImportFailed
from designer.importing.model import import_onnx
from designer.importing.writing import save_weights
from tests.importing.onnx_files import Maker, furthest


def components(found):
    return Counter(n.component for n in found.data.nodes)


def test_blocks_are_recognised_and_compute_the_same(tmp_path):
    m = Maker()
    x = m.op("Relu", m.norm(m.op("Conv", "image", m.weight(8, 3, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2]), 8))
    conv = m.op("Conv", x, m.weight(8, 8, 3, 3), m.weight(8), pads=[1, 1, 1, 1])
    y = m.op("Mul", conv, m.op("Sigmoid", conv))
    y = m.op("Add", x, y)
    squeezed = m.op("Conv", m.op("GlobalAveragePool", y), m.weight(2, 8, 1, 1), m.weight(2))
    gate = m.op("Sigmoid", m.op("Conv", m.op("Relu", squeezed), m.weight(8, 2, 1, 1), m.weight(8)))
    y = m.op("Mul", y, gate)
    clip = m.op("Clip", m.op("Add", y, m.tensor(3.0)), m.tensor(0.0), m.tensor(6.0))
    y = m.op("Div", m.op("Mul", y, clip), m.tensor(6.0))
    erf = m.op("Add", m.op("Erf", m.op("Div", y, m.tensor(2**0.5))), m.tensor(1.0))
    y = m.op("Mul", m.op("Mul", y, erf), m.tensor(0.5))
    flat = m.op("Flatten", m.op("GlobalAveragePool", y))
    y = m.op("Softmax", m.op("Gemm", flat, m.weight(5, 8), m.weight(5), transB=1))
    found, apart = furthest(m.save(tmp_path / "net.onnx", y))
    assert apart < 1e-6
    assert found.recognised == {
        "Conv+norm+activation": 1, "Conv+activation": 1, "SqueezeExcite": 1, "HardSwish": 1, "Gelu": 1,
        "ClassificationHead": 1,
    }  # fmt: skip
    assert sum(found.mapped.values()) == found.total
    assert components(found)["conv.conv_norm_act"] == 1
    assert [p.message for p in propagate(found.data).errors] == []


def test_shape_arithmetic_is_folded_and_any_batch_runs(tmp_path):
    m = Maker(("n", 4, 8, 8))
    # Shuffled channels, as exporters write them: sizes are taken from the value itself.
    shape = m.op("Shape", "image")
    batch = m.op("Gather", shape, m.tensor(np.array(0)), axis=0)
    first = m.op("Unsqueeze", batch, m.tensor(np.array([0])))
    split = m.op("Concat", first, m.tensor(np.array([2, 2, 8, 8])), axis=0)
    x = m.op("Transpose", m.op("Reshape", "image", split), perm=[0, 2, 1, 3, 4])
    x = m.op("Reshape", x, m.op("Concat", first, m.tensor(np.array([4, 8, 8])), axis=0))
    # Tokens with the batch second, as torch's attention has them.
    tokens = m.op("Transpose", m.op("Reshape", x, m.tensor(np.array([0, 4, 64]))), perm=[2, 0, 1])
    rows = m.op("Reshape", tokens, m.tensor(np.array([-1, 4])))
    rows = m.op("Add", m.op("MatMul", rows, m.weight(4, 6)), m.weight(6))
    back = m.op("Reshape", rows, m.op("Concat", m.tensor(np.array([64])), first, m.tensor(np.array([6])), axis=0))
    found, apart = furthest(m.save(tmp_path / "shapes.onnx", m.op("Transpose", back, perm=[1, 0, 2])))
    assert apart < 1e-6
    assert found.folded == 6
    assert components(found)["basic.linear"] == 1


@pytest.mark.parametrize("opset", [9, 17])
def test_operations_with_settings(opset, tmp_path):
    m = Maker(opset=opset)
    x = m.op("Conv", "image", m.weight(6, 3, 2, 5), m.weight(6), auto_pad="SAME_UPPER", strides=[2, 1])
    x = m.op("PRelu", x, m.weight(6, 1, 1))
    x = m.op("LRN", x, size=3, alpha=0.01, beta=0.7, bias=2.0)
    a = m.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    b = m.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    c = m.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    c = m.op("Conv", c, m.weight(6, 1, 3, 3), group=6, pads=[2, 2, 2, 2], dilations=[2, 2])
    x = m.op("Concat", a, b, c, axis=1)
    x = m.op("ConvTranspose", x, m.weight(18, 2, 3, 3), strides=[2, 2], pads=[1, 1, 0, 0], group=2)
    x = m.op("LeakyRelu", x, alpha=0.3)
    x = m.op("HardSigmoid", m.op("Elu", x))
    x = m.op("InstanceNormalization", x, m.weight(4), m.weight(4))
    if opset < 11:
        x = m.op("Pad", x, pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="reflect")
        x = m.op("Upsample", x, m.tensor([1.0, 1.0, 2.0, 2.0]), mode="nearest")
        x = m.op("Slice", x, axes=[1, 3], starts=[1, -9], ends=[4, 9999])
        low, high = m.op("Split", x, axis=1, split=[1, 2], outputs=2)
        x = m.op("ReduceMean", m.op("Mul", low, high), axes=[3], keepdims=0)
        x = m.op("Softmax", x, axis=1)
    else:
        x = m.op("Pad", x, m.tensor(np.array([0, 0, 1, 2, 0, 0, 0, 1])), mode="reflect")
        x = m.op("Resize", x, "", m.tensor([1.0, 1.0, 2.0, 3.0]), mode="linear")
        x = m.op("Slice", x, *(m.tensor(np.array(v)) for v in ([3, -9], [0, 9999], [1, 3], [-2, 2])))
        low, high = m.op("Split", x, m.tensor(np.array([1, 1])), axis=1, outputs=2)
        x = m.op("ReduceSum", m.op("Max", low, high), m.tensor(np.array([3])), keepdims=0)
        x = m.op("LogSoftmax", x, axis=1)
    found, apart = furthest(m.save(tmp_path / "net.onnx", x))
    assert apart < 2e-5
    assert found.notes == []


def test_several_outputs_come_in_the_files_order(tmp_path):
    m = Maker()
    a = m.op("Relu", "image")
    b = m.op("Conv", a, m.weight(4, 3, 1, 1))
    found, apart = furthest(m.save(tmp_path / "net.onnx", b, a))
    assert apart < 1e-6
    assert [n.title for n in found.data.nodes][-2:] == ["Conv", f"Output {a}"]


def test_what_has_no_component_is_a_placeholder_that_keeps_everything(tmp_path):
    m = Maker()
    x = m.op("Fancy", "image", m.weight(100), m.tensor(np.array([1, 2])), domain="other", mode="odd", level=3)
    count, yes = m.tensor(np.array(2)), m.tensor(np.array(True))
    inner = helper.make_node("Add", ["state", "image"], ["next"])
    keep = helper.make_node("Identity", ["go"], ["going"])
    taken = (("i", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("state", TensorProto.FLOAT, None))
    given = (("going", TensorProto.BOOL, None), ("next", TensorProto.FLOAT, None))
    sides = [[helper.make_tensor_value_info(*one) for one in side] for side in (taken, given)]
    body = helper.make_graph([inner, keep], "body", *sides)
    x = m.op("Loop", count, yes, m.op("Relu", x), body=body)
    found = import_onnx(m.save(tmp_path / "net.onnx", m.op("Relu", x)))
    assert {"Fancy", "Loop"} <= set(found.placeholders)
    fancy = next(n for n in found.data.nodes if n.component == "imported.fancy")
    assert fancy.params == {"mode": "odd", "level": 3, "domain": "other", "input_2": [1, 2]}
    assert f"{fancy.id}.input_1" in found.state
    loop = next(n for n in found.data.nodes if n.component == "imported.loop")
    assert "Add" in loop.params["body"]
    assert {w.source for w in found.data.wires if w.target == loop.id} >= {"n1"}
    assert found.notes == [
        "other.Fancy 'Fancy_0', Loop 'Loop_2' are 2 placeholders for one reason: there is no component for it.",
        "2 Relu are placeholders: the shape of what arrives is not known.",
    ]
    save_weights(found, tmp_path / "net.safetensors")
    assert {p.code for p in propagate(found.data).errors} == {"unknown_component"}
    assert GraphData.model_validate(found.data.model_dump(mode="json")) == found.data


def test_placeholders_are_noted_by_reason_and_kind_with_their_number(tmp_path):
    m = Maker()
    x = m.op("Mean", m.op("Fancy", "image", domain="other"))
    for _ in range(40):
        x = m.op("NonZero", m.op("Shape", x))
    found = import_onnx(m.save(tmp_path / "net.onnx", x))
    assert len(found.placeholders) == 82
    assert found.notes == [
        "40 Shape, 40 NonZero, other.Fancy 'Fancy_0' are 81 placeholders for one reason: there is no component for it.",
        "Mean 'Mean_1' is a placeholder: the shape of what arrives is not known.",
    ]


def test_weights_beside_the_file_and_weights_that_are_missing(tmp_path):
    m = Maker()
    model = m.model(m.op("Conv", "image", m.weight(64, 3, 3, 3)))
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    found, apart = furthest(path)
    assert apart < 1e-6
    kept = Path(found.weights)
    assert save_weights(found, kept) == kept  # the same again is no second file
    (tmp_path / "net.data").unlink()
    with pytest.raises(ImportFailed, match=r"its weights are kept in net\.data, which is not in"):
        import_onnx(path)


def _bad(tmp_path, what):
    m = Maker()
    match what:
        case "text":
            (tmp_path / "net.onnx").write_text("hello, I am a text file\n" * 50)
            return tmp_path / "net.onnx"
        case "gone":
            return tmp_path / "net.onnx"
        case "cut":
            path = m.save(tmp_path / "net.onnx", m.op("Conv", "image", m.weight(8, 3, 3, 3)))
            path.write_bytes(path.read_bytes()[:-400])
            return path
        case "loop":
            m.nodes = [helper.make_node("Add", ["image", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
            return m.save(tmp_path / "net.onnx", "b")
        case "dangling":
            m.nodes = [helper.make_node("Add", ["image", "nowhere"], ["a"])]
            return m.save(tmp_path / "net.onnx", "a")
        case "huge input":
            m.shape = (1, 3, 2**20, 2**20)
            return m.save(tmp_path / "net.onnx", m.op("Relu", "image"))
        case "opset":
            m.opset = 9999
            return m.save(tmp_path / "net.onnx", m.op("Relu", "image"))
        case "huge tensor":
            path = m.save(tmp_path / "net.onnx", m.op("Conv", "image", m.weight(8, 3, 3, 3)))
            model = onnx.load(path)
            model.graph.initializer[0].dims[:] = [2**40, 2**20]
            onnx.save(model, path)
            return path
    raise AssertionError(what)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("text", "this is no ONNX file, or it is damaged"),
        ("gone", "there is no such file"),
        ("cut", "damaged or cut off"),
        ("loop", "the operations form a loop, a Add waits for its own result"),
        ("dangling", "a Add takes 'nowhere', which nothing in the file gives"),
        ("huge input", "larger than can be drawn"),
        ("opset", "written in opset 9999"),
        ("huge tensor", "the tensor 't0' would have 1099511627776 x 1048576 numbers, too many"),
    ],
)
def test_bad_files_are_refused_in_words(what, said, tmp_path):
    path = _bad(tmp_path, what)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ImportFailed, match=said):
        import_onnx(path)
    assert sorted(tmp_path.iterdir()) == before


def test_constants_that_would_fill_the_memory_are_not_made(tmp_path):
    m = Maker()
    many = m.op("ConstantOfShape", m.tensor(np.array([2**20, 2**20])))
    wide = m.op("Expand", m.tensor([1.0]), m.tensor(np.array([2**30, 2**10])))
    x = m.op("Add", m.op("Add", "image", many), wide)
    found = import_onnx(m.save(tmp_path / "net.onnx", x))
    assert "ConstantOfShape" in found.placeholders
    assert found.state == {}


def test_text_among_the_tensors(tmp_path):
    m = Maker()
    x = m.op("Relu", "image")
    m.tensors.append(helper.make_tensor("names", TensorProto.STRING, [2], [b"cat", b"dog"]))
    found = import_onnx(m.save(tmp_path / "net.onnx", x, m.op("Labels", x, "names", domain="other")))
    assert found.placeholders == ["Labels"]
