"""What augmentation does to pixels, boxes and masks: they stay together, chances are kept, seeds repeat."""

import json

import pytest
import torch
from PIL import Image
from torch import Tensor

from designer.data.augment import Augment, Sample, centred, cropped, cut, mix, mosaic, paste, scaled
from designer.data.dataset import load_dataset, make_loader
from designer.data.transforms import changed, colour
from designer.graph.training import AUGMENTATION, DataSettings, TrainingSettings, unaugmented

OFF = unaugmented(TrainingSettings())


def sample_with(*boxes, size=(64, 64), masks=True) -> Sample:
    """A black image with a rectangle of its own bright colour for each box, of class 0, 1, ..."""
    image = torch.zeros(3, *size, dtype=torch.uint8)
    drawn = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        image[:, y1:y2, x1:x2] = torch.tensor([250 - 60 * i, 60 * i, 200])[:, None, None]
        drawn[i, y1:y2, x1:x2] = 1
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Sample(image, corners, torch.arange(len(boxes)), drawn if masks else None)


def bounds(mask: Tensor) -> Tensor:
    rows, columns = mask.nonzero(as_tuple=True)
    return torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


def blue(sample: Sample) -> Tensor:
    """Where something was drawn."""
    return (sample.image[2].int() - sample.image[0].int() > 10) | (sample.image[2] > 150) & (sample.image[1] != 114)


@pytest.mark.parametrize(
    "strength",
    [{"flip": 1.0}, {"flip_vertical": 1.0}, {"rotate": 20.0}, {"translate": 0.3}, {"scale": 0.5}, {"shear": 10.0},
     {"rotate": 45.0, "translate": 0.2, "scale": 0.4, "shear": 5.0, "flip": 0.5}],
    ids=lambda s: "+".join(s),
)  # fmt: skip
def test_boxes_and_masks_stay_on_their_object(strength):
    settings = OFF.model_copy(update=strength)
    source = sample_with((20, 24, 40, 36))
    augment = Augment(settings, (64, 64), lambda _i: source, 1)
    moved = 0
    for seed in range(20):
        torch.manual_seed(seed)
        made = augment(source, 0)
        assert made.image.shape == (3, 64, 64)
        if not len(made.labels):
            continue
        moved += not torch.equal(made.image, source.image)
        assert torch.equal(made.masks[0].bool(), made.image[2] > 100) or (made.image[2] == 114).any()
        around = bounds(made.masks[0])
        inside = made.boxes[0]
        assert (around[:2] >= inside[:2] - 1.5).all()
        assert (around[2:] <= inside[2:] + 1.5).all()
        if not {"rotate", "shear"} & set(strength):  # an enclosing box of a turned one is wider than its mask
            assert (around - inside).abs().max() <= 1.5
    assert moved > 10


def test_everything_at_zero_changes_nothing():
    source = sample_with((5, 5, 20, 30), (40, 40, 60, 60))
    made = Augment(OFF, (64, 64), lambda _i: source, 1)(source, 0)
    for name in ("image", "boxes", "labels", "masks"):
        assert torch.equal(getattr(made, name), getattr(source, name))
    assert all(getattr(OFF, name) == 0 for name in AUGMENTATION)


def test_a_crop_fills_the_input_and_keeps_what_is_seen_enough():
    source = sample_with((0, 0, 40, 20), (36, 4, 56, 24), (60, 60, 64, 64))
    made = cropped(source, (0, 38, 32, 26), (64, 52))  # of the first box 2 of 40 columns are left
    assert made.image.shape == (3, 64, 52)
    assert made.labels.tolist() == [1]
    assert made.boxes.tolist() == [[0, 8, 36, 48]]
    assert (bounds(made.masks[0]) - made.boxes[0]).abs().max() <= 1
    assert (made.image[2] != 114).all()


def test_random_crops_move_boxes_and_masks_together():
    source = sample_with((20, 24, 40, 36))
    augment = Augment(OFF.model_copy(update={"crop": 1.0}), (96, 64), lambda _i: source, 1)
    sizes = set()
    for seed in range(20):
        torch.manual_seed(seed)
        made = augment(source, 0)
        assert made.image.shape == (3, 96, 64)
        if len(made.labels):
            assert (bounds(made.masks[0]) - made.boxes[0]).abs().max() <= 2
            sizes.add(round(float((made.boxes[0, 2:] - made.boxes[0, :2]).prod())))
    assert len(sizes) > 10


def test_bars_are_on_both_sides():
    made = centred(sample_with((0, 0, 10, 20), size=(32, 64)), (64, 64))
    assert made.boxes.tolist() == [[0, 16, 10, 36]]
    assert made.image[:, :16].unique().tolist() == [114]
    assert bounds(made.masks[0]).tolist() == [0, 16, 10, 36]


def test_a_mosaic_by_hand():
    # Four images of 64 x 64 at half size around (row 40, column 24) of 64 x 64: the first lies at columns -8 to 24, so
    # 8 of its columns are cut off; the second at columns 24 to 56, both at rows 8 to 40; the others from row 40 on.
    one = sample_with((0, 32, 32, 64))  # half size: 0, 16, 16, 32; placed: -8, 24, 8, 40; cut: 0, 24, 8, 40
    two = sample_with((8, 8, 40, 40))  # half size: 4, 4, 20, 20; placed: 28, 12, 44, 28
    four = sample_with((0, 40, 20, 64), (0, 0, 60, 20))  # rows 60 to 72 of 64: a third is left; 24, 40, 54, 50
    made = mosaic([one, two, None, four], (64, 64), (40, 24), [0.5] * 4)
    assert made.boxes.tolist() == [[0, 24, 8, 40], [28, 12, 44, 28], [24, 60, 34, 64], [24, 40, 54, 50]]
    assert made.labels.tolist() == [0, 0, 0, 1]
    for box, mask in zip(made.boxes, made.masks, strict=True):
        assert torch.equal(bounds(mask), box)
    assert made.image[:, 40:, :24].unique().tolist() == [114]  # the unreadable one
    assert made.image[:, :8].unique().tolist() == [114]  # above both
    assert torch.equal(made.masks.any(0), blue(made))


def test_what_is_cut_to_a_sliver_is_dropped():
    kept = cut(Sample(torch.zeros(3, 10, 10), torch.tensor([[-9.0, 0, 1, 10], [-5, 0, 5, 10], [2, 2, 3, 9]]),
                      torch.tensor([0, 1, 2])), (10, 10))  # fmt: skip
    assert kept.labels.tolist() == [1]  # a tenth is left but one pixel wide; a half; one pixel wide
    assert kept.boxes.tolist() == [[0, 0, 5, 10]]
    assert len(cut(kept.chosen(torch.tensor([False])), (10, 10)).labels) == 0


def test_scaling_moves_boxes_and_masks():
    made = scaled(sample_with((16, 8, 48, 24), size=(32, 64)), 0.5)
    assert made.boxes.tolist() == [[8, 4, 24, 12]]
    assert bounds(made.masks[0]).tolist() == [8, 4, 24, 12]
    assert scaled(Sample(made.image, torch.zeros(0, 4), torch.zeros(0), made.masks[:0]), 2).masks.shape == (0, 32, 64)


def test_mixing_keeps_both():
    made = mix(sample_with((0, 0, 8, 8)), sample_with((32, 32, 40, 40), (0, 0, 4, 4)), 0.25)
    assert made.labels.tolist() == [0, 0, 1]
    assert made.image[:, 2, 2].tolist() == [round(250 * 0.25 + 190 * 0.75), 45, 200]
    assert made.image[:, 6, 6].tolist() == [62, 0, 50]


def test_pasting_covers_what_lies_below():
    under = sample_with((0, 0, 20, 20), (30, 30, 40, 40))
    over = sample_with((10, 0, 14, 20), (30, 30, 40, 40))  # hides a fifth of the first; the second wholly
    torch.manual_seed(0)
    made = {}
    for _ in range(40):
        found = paste(under, over)
        made[len(found.labels)] = found
    assert set(made) == {2, 3}  # the one that would hide all is never laid
    assert made[3].boxes[2].tolist() == [10, 0, 14, 20]
    assert int(made[3].masks[0].sum()) == 400 - 80
    assert made[3].image[:, 5, 12].tolist() == over.image[:, 5, 12].tolist()


def test_mosaic_ends_before_the_last_epochs():
    settings = OFF.model_copy(update={"mosaic": 1.0, "epochs": 10, "close_mosaic": 3})
    source = sample_with((10, 10, 30, 30), (40, 10, 60, 30))
    augment = Augment(settings, (64, 64), lambda _i: source, 4)
    assert not torch.equal(augment(source, 6).image, source.image)
    assert torch.equal(augment(source, 7).image, source.image)
    assert torch.equal(augment(source, 9).image, source.image)


@pytest.fixture
def coco(tmp_path):
    images, notes = [], []
    for i in range(8):
        sample = sample_with((4 + i, 8, 30, 40), size=(48, 64))
        Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(tmp_path / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": 48, "width": 64})
        notes.append({"id": i, "image_id": i, "category_id": 1, "bbox": [4 + i, 8, 26 - i, 32],
                      "segmentation": [[4 + i, 8, 30, 8, 30, 40, 4 + i, 40]], "area": 1, "iscrowd": 0})  # fmt: skip
    facts = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "thing"}]}
    (tmp_path / "annotations.json").write_text(json.dumps(facts))
    return DataSettings(kind="coco", path=str(tmp_path / "annotations.json"))


ALL = TrainingSettings(
    mosaic=0.5, mixup=0.3, copy_paste=0.5, rotate=10, translate=0.1, scale=0.3, shear=2, epochs=100, seed=3
)


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_the_same_seed_gives_the_same_batches(coco, task):
    def batches(workers, epoch, seed=3):
        settings = ALL.model_copy(update={"seed": seed})
        splits = load_dataset(coco, (64, 64), task, settings)
        splits.train.epoch.fill_(epoch)
        loader = make_loader(splits.train, task, 4, shuffle=True, workers=workers, seed=3)
        return torch.cat([b.images for b in loader]), [len(i.labels) for b in loader for i in b.items]

    one = batches(0, 0)
    assert torch.equal(one[0], batches(2, 0)[0])
    assert not torch.equal(one[0], batches(0, 1)[0])
    assert not torch.equal(one[0], batches(0, 0, seed=4)[0])
    assert max(one[1]) > 1  # some are mosaics


def test_workers_that_live_on_see_the_epoch(coco):
    splits = load_dataset(coco, (64, 64), "detect", ALL)
    loader = make_loader(splits.train, "detect", 4, shuffle=False, workers=1, seed=3)
    first = torch.cat([b.images for b in loader])
    splits.train.epoch.fill_(1)
    second = torch.cat([b.images for b in loader])
    splits.train.epoch.fill_(0)
    assert not torch.equal(first, second)
    assert torch.equal(first, torch.cat([b.images for b in loader]))


def test_colour_changes_by_hand():
    grey = torch.full((3, 2, 2), 100, dtype=torch.uint8)
    assert changed(grey, 1.2, 1.0, 1.7, 0.03).unique().tolist() == [120]  # no hue, no saturation
    assert changed(grey, 1.0, 1.5, 1.0, 0.0).unique().tolist() == [86]  # 127.5 + 1.5 * (100 - 127.5) = 86.25
    red = torch.tensor([200, 20, 20], dtype=torch.uint8)[:, None, None]
    assert (changed(red, 1.0, 1.0, 1.0, 0.0).int() - red.int()).abs().max() <= 1
    # Without saturation only the brightness is left: 0.299 * 200 + 0.701 * 20 = 73.8.
    assert changed(red, 1.0, 1.0, 0.0, 0.2).flatten().tolist() == [74] * 3
    assert changed(red, 3.0, 1.0, 1.0, 0.0)[0] == 255
    assert colour(0) == []


def test_colour_leaves_labels_boxes_and_masks():
    source = sample_with((5, 5, 20, 30), (40, 40, 60, 60))
    made = Augment(OFF.model_copy(update={"jitter": 1.0}), (64, 64), lambda _i: source, 1)(source, 0)
    assert not torch.equal(made.image, source.image)
    for name in ("boxes", "labels", "masks"):
        assert torch.equal(getattr(made, name), getattr(source, name))
