"""Images from files and their cache: the same pixels with and without, for all workers, and nothing stale."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from designer.data import images
from designer.data.dataset import load_dataset, make_loader
from designer.data.images import DiskCache, MemoryCache, read_image
from designer.graph.training import DataSettings, TrainingSettings

SIZE = (64, 64)


@pytest.fixture
def coco(tmp_path, monkeypatch):
    """Six photos larger than the input, the last one spoilt."""
    monkeypatch.setattr(images.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    random = np.random.default_rng(0)
    listed, notes = [], []
    for i in range(6):
        pixels = random.integers(0, 256, (90, 120 + i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.jpg")
        listed.append({"id": i, "file_name": f"{i}.jpg", "height": 90, "width": 120 + i})
        notes.append({"id": i, "image_id": i, "category_id": 1, "bbox": [10 + i, 8, 50, 32], "area": 1, "iscrowd": 0,
                      "segmentation": [[10 + i, 8, 60 + i, 8, 60 + i, 40, 10 + i, 40]]})  # fmt: skip
    (tmp_path / "5.jpg").write_bytes(b"no image")
    facts = {"images": listed, "annotations": notes, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(facts))
    return DataSettings(kind="coco", path=str(tmp_path / "annotations.json"))


def epochs(coco, kind, task, workers=0):
    """Two epochs of all images, boxes and masks, and the files that were skipped."""
    training = TrainingSettings(cache=kind, mosaic=0.5, seed=1, epochs=100)
    train = load_dataset(coco, SIZE, task, training).train
    loader = make_loader(train, task, 3, shuffle=False, workers=workers)
    made, skipped = [], []
    for epoch in range(2):
        train.epoch.fill_(epoch)
        for batch in loader:
            made += [batch.images, *batch.targets.values()]
            skipped += batch.skipped
    return made, skipped


@pytest.mark.parametrize(("kind", "task", "workers"), [("ram", "detect", 2), ("ram", "segment", 0),
                                                       ("disk", "segment", 0), ("disk", "detect", 2)])  # fmt: skip
def test_a_cache_changes_nothing(coco, kind, task, workers):
    plain, lost = epochs(coco, "off", task)
    for _ in range(2):  # the second time a disk cache is full already
        made, skipped = epochs(coco, kind, task, workers)
        assert all(torch.equal(a, b) for a, b in zip(plain, made, strict=True))
        assert skipped == lost
    assert [name[-5:] for name in lost] == ["5.jpg"] * 2


def test_memory_filled_by_workers_is_there_for_all(coco):
    train = load_dataset(coco, SIZE, "detect", TrainingSettings(cache="ram")).train
    assert train.cache.get(0) is None
    list(make_loader(train, "detect", 3, shuffle=False, workers=2))
    for i, record in enumerate(train.records):  # one of the six is held out
        found, number = train.cache.get(i), int(record.path.stem)
        assert found is None if number == 5 else found[1] == (90, 120 + number)


def test_memory_that_does_not_do_is_said():
    cache = MemoryCache(10, SIZE, room=4 * 3 * 64 * 64 + 5)
    assert "4 of 10 images" in cache.notes[0]
    image = torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8)
    cache.put(3, image, (480, 640))
    cache.put(4, image, (480, 640))
    assert torch.equal(cache.get(3)[0], image)
    assert cache.get(3)[1] == (480, 640)
    assert cache.get(4) is None
    assert not MemoryCache(4, SIZE, room=4 * 3 * 64 * 64).notes


def test_a_file_of_the_disk_cache_is_never_stale_nor_torn(tmp_path):
    path, folder = tmp_path / "a.png", tmp_path / "cache"
    Image.new("RGB", (8, 8), "red").save(path)
    image = read_image(path)
    DiskCache([path], SIZE, folder).put(0, image, (8, 8))
    again = DiskCache([path], SIZE, folder)
    assert torch.equal(again.get(0)[0], image)
    assert DiskCache([path], (32, 32), folder).get(0) is None  # for another input
    kept = next(folder.glob("*.npy"))
    kept.write_bytes(kept.read_bytes()[:-20])
    assert again.get(0) is None
    kept.write_bytes(b"")
    assert again.get(0) is None
    os.utime(path, ns=(1, 1))
    assert again.get(0) is None
    path.unlink()
    assert again.get(0) is None
    assert not list(folder.glob("*.part"))


def test_a_disk_that_is_full_or_shut_is_said(tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    monkeypatch.setattr(images, "SHARE", 0.0)
    cache = DiskCache(paths, SIZE, tmp_path / "cache")
    assert "0 of 3 more images" in cache.notes[0]
    cache.put(0, torch.zeros(3, 8, 8, dtype=torch.uint8), (8, 8))
    assert cache.get(0) is None
    shut = DiskCache(paths, SIZE, paths[0] / "inside a file")
    assert "no disk cache" in shut.notes[0]
    shut.put(0, torch.zeros(3, 8, 8, dtype=torch.uint8), (8, 8))
    assert shut.get(0) is None


@pytest.mark.parametrize(("mode", "name"), [("RGB", "a.jpg"), ("L", "a.jpg"), ("CMYK", "a.jpg"), ("RGBA", "a.png"),
                                            ("P", "a.png")])  # fmt: skip
def test_every_kind_of_image_reads_as_pillow_reads_it(tmp_path, mode, name):
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8)).convert(mode).save(tmp_path / name)
    with Image.open(tmp_path / name) as stored:
        wanted = np.array(stored.convert("RGB"))
    assert np.array_equal(read_image(tmp_path / name).permute(1, 2, 0).numpy(), wanted)


def test_sixteen_bits_become_eight_over_their_whole_range(tmp_path):
    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png").numpy()
    assert np.array_equal(read, np.stack([deep // 257] * 3))


def test_a_torn_photo_is_not_read(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    assert read_image(path) is None
    assert read_image(tmp_path / "not there.jpg") is None
