"""How large objects are is known of every kind of data with boxes, and of large ones from their summary."""

import json

import pytest
from PIL import Image

from designer.data.histograms import shorter_sides
from designer.data.summary import summarise_data
from designer.engine import box_sizes
from designer.engine.box_sizes import remember_sides, small_share
from designer.graph.training import DataSettings
from tests.data.test_voc import voc_object, write_voc


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def coco(root, count=8):
    """Every second object is 10 pixels high in images of 200 x 100, the others 50."""
    (root / "images").mkdir(parents=True)
    images = [{"id": i, "file_name": f"{i}.png", "width": 200, "height": 100} for i in range(count)]
    for image in images:
        Image.new("RGB", (200, 100)).save(root / "images" / image["file_name"])
    notes = [{"id": i, "image_id": i, "category_id": 1, "bbox": [5, 5, 60, 10 if i % 2 else 50]} for i in range(count)]
    found = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "cat"}]}
    (root / "train.json").write_text(json.dumps(found))
    return DataSettings(kind="coco", path=str(root))


def test_coco_files_are_read_where_they_are_small(tmp_path, monkeypatch):
    settings = coco(tmp_path / "data")
    # 10 of 200 pixels are 16 of 320.
    assert small_share(settings, (320, 320), 17) == 0.5
    assert small_share(settings, (320, 320), 15) == 0
    monkeypatch.setattr(box_sizes, "LARGEST", 10)
    other = coco(tmp_path / "other")
    assert small_share(other, (320, 320), 17) == 0
    summary = summarise_data(other, (320, 320))
    remember_sides(other, shorter_sides(summary.train, (320, 320)))
    assert small_share(other, (320, 320), 17) == pytest.approx(0.5, abs=0.1)  # without what is held out


def test_voc_annotations_are_read(tmp_path):
    objects = "".join(voc_object("cat", box) for box in ((0, 0, 4, 30), (0, 0, 40, 30)))
    write_voc(tmp_path, {"a": "<size><width>60</width><height>40</height></size>" + objects})
    settings = DataSettings(kind="voc", path=str(tmp_path))
    assert small_share(settings, (100, 100), 20) == 0.5
