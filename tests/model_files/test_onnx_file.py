"""ONNX files looked at: small real files of every kind, and broken ones with a clear message."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from designer.graph.errors import NetwrightError
from designer.model_files.drawing import draw
from designer.model_files.onnx_file import read_onnx
from designer.model_files.opened import OpenedFiles, open_model
from designer.model_files.statistics import statistics
from designer.model_files.without_weights import without_weights

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light/light_densenet121.onnx"


def value(name, *sizes):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)


def model(weight, *, external=False):
    """A convolution with a large weight, a ReLU, a loop over a body."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Relu", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            value("x"),
        ],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), value("y")],
    )
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["conv"], name="first", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Constant", [], ["times"], value=numpy_helper.from_array(np.array(2, np.int64))),
        helper.make_node("Loop", ["times", "", "relu"], ["out"], body=body),
    ]
    graph = helper.make_graph(
        nodes, "net", [value("image", 1, 3, 8, 8)], [value("out")], [numpy_helper.from_array(weight, "weight")]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="a test")
    if external:
        onnx.external_data_helper.convert_model_to_external_data(made, location="weights.bin", size_threshold=0)
    return made


@pytest.fixture
def weight():
    return np.random.default_rng(0).normal(size=(512, 3, 3, 3)).astype(np.float32)


def test_large_weights_stay_on_the_disk_and_have_figures(tmp_path, weight):
    path = tmp_path / "net.onnx"
    onnx.save(model(weight), path)
    skeleton = without_weights(memoryview(path.read_bytes()))
    assert len(skeleton.model) < 2000 < weight.nbytes
    found = read_onnx(path)
    assert not found.model.graph.initializer[0].raw_data
    figures = statistics(found.tensors["weight"])
    assert figures.mean == pytest.approx(weight.mean(dtype=np.float64), abs=1e-9)
    assert figures.std == pytest.approx(weight.std(dtype=np.float64), rel=1e-9)
    assert (figures.low, figures.high, figures.zeros) == (weight.min(), weight.max(), 0)
    assert sum(figures.counts) == figures.count == weight.size


def test_the_drawing_folds_weights_in_and_knows_shapes(tmp_path, weight):
    path = tmp_path / "net.onnx"
    onnx.save(model(weight), path)
    drawing = draw(read_onnx(path))
    nodes = {n["title"]: n for n in drawing["nodes"]}
    assert set(nodes) == {"image", "Conv", "Relu", "Loop", "out"}
    assert nodes["Conv"]["lines"] == ["W 512×3×3×3"]
    assert nodes["Conv"]["attributes"] == [["kernel_shape", "3, 3"], ["pads", "1, 1, 1, 1"]]
    assert nodes["Conv"]["inputs"] == [["X", "image"], ["W", "weight"]]
    assert drawing["values"]["conv"] == {"dtype": "float32", "shape": [1, 512, 8, 8]}
    assert drawing["values"]["times"]["constant"].startswith("2 ")
    assert [(w["source"], w["target"]) for w in drawing["wires"]] == [
        ("input image", "n0"),
        ("n0", "n1"),
        ("n1", "n3"),
        ("n3", "output out"),
    ]
    assert nodes["image"]["y"] < nodes["Conv"]["y"] < nodes["Relu"]["y"]
    summary = open_model(path).summary()
    assert summary["graphs"] == {"": "net", "3/body": "body of Loop"}
    assert {n["title"] for n in draw(read_onnx(path), "3/body")["nodes"]} >= {"Relu", "Identity"}
    assert (summary["ops"]["Relu"], summary["parameters"], summary["metadata"]["producer"]) == (
        2,
        weight.size,
        "a test",
    )


def test_a_graph_of_1746_nodes_is_placed_without_overlaps():
    shown = OpenedFiles().show(LIGHT)
    nodes = shown["drawing"]["nodes"]
    assert len(nodes) == 1748
    rows = {}
    for node in nodes:
        rows.setdefault(node["y"], []).append(node)
    for row in rows.values():
        row.sort(key=lambda n: n["x"])
        assert all(a["x"] + a["width"] <= b["x"] for a, b in pairwise(row))
    places = {n["id"]: n for n in nodes}
    assert all(places[w["source"]]["y"] < places[w["target"]]["y"] for w in shown["drawing"]["wires"])
    assert len(json.dumps(shown)) < 3e6


def test_external_data_is_read_where_it_lies_and_missed_where_it_is_not(tmp_path, weight):
    path = tmp_path / "net.onnx"
    onnx.save(model(weight, external=True), path)
    assert statistics(read_onnx(path).tensors["weight"]).low == weight.min()
    (tmp_path / "weights.bin").unlink()
    found = read_onnx(path)
    assert "weights.bin is not there" in found.notes[0]
    assert len(draw(found)["nodes"]) == 5
    with pytest.raises(NetwrightError, match=r"Put it beside net\.onnx"):
        statistics(found.tensors["weight"])
    outside = onnx.load(path, load_external_data=False)
    outside.graph.initializer[0].external_data[0].value = "../elsewhere.bin"
    onnx.save(outside, path)
    (tmp_path.parent / "elsewhere.bin").write_bytes(b"0" * weight.nbytes)
    assert "outside the model's folder" in read_onnx(path).tensors["weight"].problem


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"This is a text, and a long one at that. " * 20, "no ONNX model"),
        (None, "was cut off"),
        (b"\x08\x07", "holds no graph"),
    ],
)
def test_broken_files_are_refused_in_words(tmp_path, weight, content, said):
    path = tmp_path / "bad.onnx"
    path.write_bytes(model(weight).SerializeToString()[:-100] if content is None else content)
    with pytest.raises(NetwrightError, match=said):
        open_model(path)


def test_a_weight_with_too_few_bytes_and_a_shape_that_cannot_be(tmp_path, weight):
    made = model(weight)
    made.graph.initializer[0].dims[0] = 4096
    path = tmp_path / "net.onnx"
    onnx.save(made, path)
    found = read_onnx(path)
    assert "where its shape needs" in found.tensors["weight"].problem
    assert len(draw(found)["nodes"]) == 5


def test_the_models_that_come_with_onnx_can_be_drawn():
    files = list((LIGHT.parent.parent / "simple").rglob("*.onnx"))
    assert len(files) > 20
    for path in files:
        found = read_onnx(path)
        for key in found.graphs:
            draw(found, key)
        json.dumps(found.summary())


def test_looking_at_a_file_needs_no_torch(tmp_path, weight):
    import subprocess

    path = tmp_path / "net.onnx"
    onnx.save(model(weight), path)
    code = (
        "import sys; from pathlib import Path; from designer.model_files.opened import OpenedFiles;"
        f"OpenedFiles().show(Path({str(path)!r})); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
