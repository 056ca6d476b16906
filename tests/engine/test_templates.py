"""The shipped templates are what their script draws, run as they are, and say so on the first look."""

import importlib.util
import json
from pathlib import Path

import pytest

from designer.engine.propagate import propagate
from designer.graph.storage import dump
from designer.graph.templates import SKETCHES, load_template, sketches, templates
from nodes.sdk.discover import library
from tests.nodes.test_reference import ROWS

ASSETS = Path(__file__).parents[2] / "assets"


def script(name, monkeypatch):
    monkeypatch.syspath_prepend(ASSETS)  # it imports its neighbours
    spec = importlib.util.spec_from_file_location(name, ASSETS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_are_what_the_script_draws(monkeypatch):
    made = script("make_templates", monkeypatch).TEMPLATES
    files = {t.name: t.path.read_text() for t in templates()}
    assert files.keys() == made.keys()
    assert {name: dump(draw().data) for name, draw in made.items()} == files


@pytest.mark.parametrize("name", [t.name for t in templates()])
def test_every_template_runs_without_a_word(name):
    result = propagate(load_template(name, library().catalogue).data)
    assert result.problems == []
    assert all(r.status == "ok" for r in result.nodes.values())


TOTALS = {
    **{f"yolov8{size}": ("ultralytics", f"yolov8{size}.yaml") for size in "nsm"},
    "yolov8n-blocks": ("ultralytics", "yolov8n.yaml"),
    "yolov3": ("mmdet 3.3.0", "yolo/yolov3_d53_8xb8-ms-416-273e_coco.py"),
    "yolov5n": ("mmyolo 0.6.0", "yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py"),
    "centernet-r18": ("mmdet 3.3.0", "centernet/centernet_r18_8xb16-crop512-140e_coco.py"),
    "retinanet-r50": ("mmdet 3.3.0", "retinanet/retinanet_r50_fpn_1x_coco.py"),
    "fcos-r50": ("torchvision", "fcos_resnet50_fpn (raw outputs)"),
    "atss-r50": ("mmdet 3.3.0", "atss/atss_r50_fpn_1x_coco.py"),
    "gfl-r50": ("mmdet 3.3.0", "gfl/gfl_r50_fpn_1x_coco.py"),
    "yolox-s": ("mmdet 3.3.0", "yolox/yolox_s_8xb8-300e_coco.py"),
    "yolov7-tiny": ("mmyolo 0.6.0", "yolov7/yolov7_tiny_syncbn_fast_8x16b-300e_coco.py"),
    "yolov7": ("mmyolo 0.6.0", "yolov7/yolov7_l_syncbn_fast_8x16b-300e_coco.py"),
    **{f"mhaf-yolo-{size}": ("repo yang-0201/MHAF-YOLO", f"MAF-YOLOv2-{size}.yaml") for size in "ns"},
    "yolo-ms": ("repo YOLO-MS", "yoloms/yoloms_syncbn_fast_8xb8-300e_coco.py"),
    "efficientdet-d0": ("effdet 0.4.1", "tf_efficientdet_d0"),
    "paa-r50": ("mmdet 3.3.0", "paa/paa_r50_fpn_1x_coco.py"),
    **{f"yolov8{size}-seg": ("ultralytics", f"yolov8{size}-seg.yaml") for size in "ns"},
    "solo-r50": ("mmdet 3.3.0", "solo/solo_r50_fpn_1x_coco.py"),
    "decoupled-solo-r50": ("mmdet 3.3.0", "solo/decoupled-solo_r50_fpn_1x_coco.py"),
    "ssd300": ("torchvision", "ssd300_vgg16 (raw outputs)"),
    "rtdetr-l": ("ultralytics", "rtdetr-l.yaml"),
    "resnet50": ("torchvision", "resnet50"),
}
"""The measured row of each whole model that has one."""


@pytest.mark.parametrize("name", TOTALS)
def test_whole_models_are_as_large_as_the_table_says(name):
    result = propagate(load_template(name, library().catalogue).data)
    assert result.totals["params"] == int(ROWS[TOTALS[name]]["params"])


@pytest.mark.parametrize(
    ("template", "source", "name"),
    [
        ("yolov6n", "repo meituan/YOLOv6", "yolov6n"),
        ("yolov6s", "repo meituan/YOLOv6", "yolov6s"),
        ("gold-yolo-n", "repo Gold-YOLO", "gold_yolo-n"),
    ],
)
def test_yolov6_and_gold_yolo_are_as_large_as_their_rows_without_fixed_numbers(template, source, name):
    """The originals keep the numbers 0 to 16 twice among their parameters; they are not trained. Deployed, Gold-YOLO
    keeps the norms of its fusions, two weights a channel where we have one bias; the row counts their buffers."""
    row = ROWS[source, f"{name} training graph"]
    totals = propagate(load_template(template, library().catalogue).data).totals
    assert totals["params"] == int(row["params"]) - 34
    assert f"trainable={totals['params']};" in row["note"]
    deployed = ROWS[source, f"{name} deployed (rep merged + BN fused)"]
    kept = int(deployed["note"].partition("buffers=")[2].partition(";")[0]) // 2 if "gold" in template else 0
    assert totals["deployed"] + kept == int(deployed["params"]) - 34


def test_yolov5s_is_as_large_as_published():
    result = propagate(load_template("yolov5s", library().catalogue).data)
    assert round(result.totals["params"] / 1e6, 1) == 7.2


def test_every_template_has_a_picture():
    assert set(sketches()) == {t.name for t in templates()}
    for name, picture in sketches().items():
        assert len(picture.nodes) >= len(load_template(name).data.nodes), name
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y, _ in picture.nodes), name
        assert all(0 <= a < len(picture.nodes) and picture.nodes[a][0] < picture.nodes[b][0] for a, b in picture.wires)


def test_a_picture_is_of_its_template(monkeypatch):
    template = next(t for t in templates() if t.name == "shapes-classifier")
    kept = json.loads(SKETCHES.read_text(encoding="utf-8"))[template.name]
    assert json.loads(json.dumps(script("make_sketches", monkeypatch).sketch(template))) == kept
