"""Data of semantic segmentation: mask folders in their layouts, what values mean, each mistake named, augmentation."""

import numpy as np
import pytest
import torch
from PIL import Image

from designer.data.check import check_data
from designer.data.class_maps import read_masks
from designer.data.dataset import load_dataset, make_loader
from designer.data.errors import DataError
from designer.data.readers import kind_of
from designer.data.semantic import MapAugment, MapSample, painted, resized_classes
from designer.data.summary import summarise_data
from designer.graph.training import DataSettings, TrainingSettings, unaugmented
from tests.data.test_masks import SQUARE, coco, corners

OFF = unaugmented(TrainingSettings(close_mosaic=0))


def write_pair(root, name, values, part="", mode="L", size=None):
    """A picture of noise, and a mask whose left half has the first value and whose right half the second."""
    height, width = size or (40, 60)
    for kind in ("images", "masks"):
        (root / kind / part).mkdir(parents=True, exist_ok=True)
    Image.effect_noise((60, 40), 50).convert("RGB").save(root / "images" / part / f"{name}.png")
    left, right = np.array(values[0], np.uint8), np.array(values[1], np.uint8)
    pixels = np.empty((height, width, *left.shape), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    Image.fromarray(pixels).save(root / "masks" / part / f"{name}.png")


def settings(root):
    return DataSettings(kind="masks", path=str(root))


def values_of(records):
    return [sorted(np.unique(r.mask.read()).tolist()) for r in records]


def test_parts_and_names(tmp_path):
    for part in ("train", "val"):
        for i, pair in enumerate(((0, 1), (2, 255))):
            write_pair(tmp_path, f"{part}{i}", pair, part)
    (tmp_path / "classes.txt").write_text("sky\nwide road\ncar\n\n")
    train, val, names = read_masks(tmp_path)
    assert names == ["sky", "wide road", "car"]
    assert values_of(train.records) == values_of(val.records) == [[0, 1], [2, 255]]
    assert kind_of(tmp_path) == "masks"
    swapped = tmp_path / "swapped" / "train"
    write_pair(swapped, "a", (0, 1))
    train, val, names = read_masks(tmp_path / "swapped")
    assert (len(train.records), len(val.records), names) == (0, 1, ["class 0", "class 1"])


def test_two_levels_are_an_object_and_its_background(tmp_path):
    for i in range(10):
        write_pair(tmp_path, f"a{i}", (0, 255))
    train, val, names = read_masks(tmp_path)
    assert names == ["background", "object"]
    assert len(train.records), len(val.records) == (9, 1)
    assert values_of(train.records)[0] == [0, 1]
    assert "255 is taken for the class 'object'" in train.notes[0]
    write_pair(tmp_path, "b", (1, 255))  # now 255 is what it usually is
    assert read_masks(tmp_path)[2] == ["class 0", "class 1"]


def test_colours_are_named_in_the_list_of_classes(tmp_path):
    write_pair(tmp_path, "a", ((128, 64, 128), (0, 0, 9)))
    with pytest.raises(DataError, match="values of classes"):
        read_masks(tmp_path)
    (tmp_path / "classes.txt").write_text("road 128 64 128\nred car 255 0 0\nvoid 0 0 9\n")
    for name in "bc":
        write_pair(tmp_path, name, ((255, 0, 0), (128, 64, 128)))
    train, val, names = read_masks(tmp_path)
    assert names == ["road", "red car"]
    assert sorted(values_of([*train.records, *val.records])) == [[0, 1], [0, 1], [0, 255]]
    (tmp_path / "classes.txt").write_text("road 128 64 128\ncar\n")
    with pytest.raises(DataError, match=r"classes.txt:2: The line has no colour"):
        read_masks(tmp_path)


def test_a_palette_is_read_by_its_indices_and_voc_by_its_lists(tmp_path):
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for folder in ("JPEGImages", "SegmentationClass"):
        (tmp_path / folder).mkdir()
    for name in ("2007_1", "2007_2"):
        Image.new("RGB", (30, 20)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
        mask = Image.new("P", (30, 20), 15)
        mask.putpalette([0, 0, 0] * 15 + [192, 128, 128] * 241)
        mask.putpixel((0, 0), 255)
        mask.save(tmp_path / "SegmentationClass" / f"{name}.png")
    (lists / "train.txt").write_text("2007_1\n")
    (lists / "val.txt").write_text("2007_2\n")
    for kind in ("masks", "voc"):
        splits = load_dataset(DataSettings(kind=kind, path=str(tmp_path)), (32, 32), "semantic", OFF)
        assert (len(splits.train), len(splits.val), splits.class_names[15]) == (1, 1, "person")
        assert splits.val[0].true_classes.unique().tolist() == [15, 255]


def test_every_bad_mask_is_named(tmp_path):
    for name, pair in (("good", (0, 1)), ("value", (0, 7)), ("void", (255, 255)), ("cut", (0, 1)), ("none", (0, 1))):
        write_pair(tmp_path, name, pair)
    write_pair(tmp_path, "size", (0, 1), size=(40, 50))
    (tmp_path / "masks" / "cut.png").write_bytes(b"\x89PNG no")
    (tmp_path / "masks" / "none.png").rename(tmp_path / "masks" / "stray.png")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    report = check_data(settings(tmp_path))
    assert {(f.severity, f.file.removeprefix(f"{tmp_path}/"), f.what) for f in report.findings} == {
        ("error", "masks/value.png", "1200 pixels have the value 7, which is no class (0 to 1) and not 255, ignored."),
        ("error", "masks/cut.png", "The mask cannot be read."),
        ("error", "masks/size.png", "The mask has 50 x 40 pixels, its image 60 x 40."),
        ("error", "images/none.png", "The image has no mask (none.png)."),
        ("warning", "masks/void.png", "Every pixel of the mask is ignored."),
        ("warning", "masks/stray.png", "The mask has no image."),
    }
    splits = load_dataset(settings(tmp_path), (32, 32), "semantic", OFF)
    assert any("1 images have no mask and are left out" in note for note in splits.notes)
    names = {r.path.stem: i for i, r in enumerate(splits.train.records)}
    for name, what in (("value", "the value 7"), ("size", "50 x 40 pixels")):
        if name in names:
            item = splits.train[names[name]]
            assert item.image is None
            assert what in item.why


def test_figures_count_pixels(tmp_path):
    for part in ("train", "val"):
        write_pair(tmp_path, f"a{part}", (0, 1), part)
        write_pair(tmp_path, f"b{part}", (0, 255), part)
    found = summarise_data(settings(tmp_path), (32, 32))
    assert found.train.pixels_of_class == [2400, 1200]
    assert found.train.images_of_class == [2, 1]


def test_objects_are_painted_small_over_large():
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[0, 1, 1], masks[1] = 1, 1
    assert painted(masks, torch.tensor([4, 0]))[0].tolist() == [[1, 1, 1, 1], [1, 5, 1, 1], [1] * 4, [1] * 4]
    assert not painted(masks[:0], torch.zeros(0)).any()


def test_polygons_and_runs_become_class_maps(tmp_path):
    splits = load_dataset(coco(tmp_path, SQUARE), (40, 40), "semantic", OFF)
    assert splits.class_names == ["background", "box"]
    item = splits.val[0]
    assert corners(item.true_classes) == ([4, 8], [11, 23])
    assert item.true_classes[4:12, 8:24].unique().tolist() == [1]
    assert item.classes[:10].unique().tolist() == [255]  # the bar above
    assert corners(item.classes[10:30]) == ([4, 8], [11, 23])


def test_shapes_have_a_class_for_each_pixel():
    data = DataSettings(kind="shapes", classes=2, train_images=4, val_images=2)
    splits = load_dataset(data, (64, 96), "semantic", OFF)
    assert splits.class_names == ["background", "circle", "square"]
    batch = next(iter(make_loader(splits.train, "semantic", 4, shuffle=False)))
    assert batch.targets.dtype == torch.int64
    assert batch.targets.shape == (4, 64, 96)
    assert set(batch.targets.unique().tolist()) <= {0, 1, 2}


# -- augmentation ----------------------------------------------------------------------------------------------------


def half_red(size=(64, 64)) -> MapSample:
    """Black of class 0; a red block, not in the middle, of class 1."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    classes = torch.zeros(1, *size, dtype=torch.uint8)
    image[0, 10:40, 20:50], classes[0, 10:40, 20:50] = 250, 1
    return MapSample(image, classes)


@pytest.mark.parametrize(
    "strength",
    [{"flip": 1.0}, {"flip_vertical": 1.0}, {"rotate": 30.0}, {"translate": 0.3}, {"scale": 0.5}, {"mosaic": 1.0},
     {"crop": 1.0}, {"rotate": 45.0, "translate": 0.2, "scale": 0.4, "shear": 5.0, "flip": 0.5, "mosaic": 0.5}],
    ids=lambda s: "+".join(s),
)  # fmt: skip
def test_classes_move_with_their_pixels_and_what_comes_in_is_ignored(strength):
    source = half_red()
    augment = MapAugment(OFF.model_copy(update=strength), (64, 64), lambda _i: source, 1)
    for seed in range(10):
        torch.manual_seed(seed)
        made = augment(source, 0)
        assert set(made.classes.unique().tolist()) <= {0, 1, 255}  # never blended
        red, grey = made.image[0].int() - made.image[1].int() > 125, (made.image == 114).all(0)
        known = made.classes[0] != 255
        assert ((made.classes[0] == 1) == red)[known].float().mean() > 0.96
        assert (known | grey).float().mean() > 0.9  # but for a seam


def test_nothing_changes_without_augmentation_and_bars_are_ignored():
    source = half_red()
    made = MapAugment(OFF, (64, 64), lambda _i: source, 1)(source, 0)
    assert torch.equal(made.image, source.image)
    assert torch.equal(made.classes, source.classes)
    wide = half_red((32, 64))
    made = MapAugment(OFF, (64, 64), lambda _i: wide, 1)(wide, 0)
    assert (made.classes[0, :16] == 255).all()
    assert torch.equal(made.classes[0, 16:48], wide.classes[0])


def test_classes_are_resized_from_the_centres():
    classes = torch.arange(4, dtype=torch.uint8)[None, None].expand(1, 2, 4)
    assert resized_classes(classes, (2, 8))[0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resized_classes(classes, (1, 2))[0, 0].tolist() in ([1, 3], [0, 2])


def test_batches_depend_neither_on_workers_nor_on_the_cache(tmp_path):
    for i in range(6):
        write_pair(tmp_path, f"a{i}", (i % 2, 2))
    strong = TrainingSettings(mosaic=0.5, rotate=20, scale=0.3, close_mosaic=0, epochs=2)

    def batches(workers, cache):
        splits = load_dataset(settings(tmp_path), (48, 48), "semantic", strong.model_copy(update={"cache": cache}))
        loader = make_loader(splits.train, "semantic", 3, shuffle=True, workers=workers, seed=4)
        for _ in range(2):
            splits.train.epoch += 1
            loader.batch_sampler.generator.manual_seed(int(splits.train.epoch))
            for batch in loader:
                yield batch.images.clone(), batch.targets.clone()

    plain = list(batches(0, "off"))
    for other in (batches(2, "off"), batches(0, "ram")):
        for (images, targets), (images2, targets2) in zip(plain, other, strict=True):
            assert torch.equal(images, images2)
            assert torch.equal(targets, targets2)
