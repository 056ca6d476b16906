"""Figures of a data set, worked out by hand on a few boxes."""

import pytest
from PIL import Image

from designer.data.summary import summarise_data
from designer.graph.training import DataSettings


@pytest.fixture
def data(tmp_path):
    rows = {
        "train/a": "0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.02 0.1\n1 0.5 0.5 1 1\n",
        "train/b": "",
        "val/c": "0 .5 .5 .1 .1\n",
    }
    for name, text in rows.items():
        for top in ("images", "labels"):
            (tmp_path / top / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 100)).save(tmp_path / "images" / f"{name}.png")
        (tmp_path / "labels" / f"{name}.txt").write_text(text)
    (tmp_path / "images" / "train" / "b.png").write_bytes(b"no image")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return DataSettings(kind="yolo", path=str(tmp_path))


def test_figures_and_remarks(data):
    found = summarise_data(data, (400, 400), stride=16)
    train = found.train
    assert (train.images, train.objects, train.empty, train.unreadable) == (2, 3, 1, 1)
    assert (train.by_class, train.images_of_class, train.objects_per_image) == ([2, 1], [1, 1], [1, 0, 0, 1])
    assert train.image_sizes == [(200, 100, 1)]
    # 200 x 100 into 400 x 400: twice as large. 100 x 50, 4 x 10 and 200 x 100 pixels of the original.
    assert train.box_sides == [pytest.approx(s) for s in ((200, 100), (8, 20), (400, 200))]
    assert train.relative_sizes == pytest.approx([0.5, (40 / 20000) ** 0.5, 1])
    assert train.aspect_ratios == pytest.approx([2, 0.4, 2])
    assert train.by_size == {"small": 1, "medium": 1, "large": 1}
    few, unseen, tiny, broken = found.remarks
    assert few.startswith("2 of 2 classes have fewer than 10 training examples: cat (2), dog (1).")
    assert unseen == "The validation part shows none of dog, so nothing is measured for them."
    assert tiny.startswith("1 of 3 training boxes (33.3%) are narrower or lower than the head's smallest stride of 16")
    assert broken == "1 images cannot be read. The check of the data names them."


def test_it_can_be_cancelled(data):
    assert summarise_data(data, (64, 64), cancelled=lambda: True) is None
