"""Masks from files and drawn ones: polygons, runs, what is moved along, what is left out, batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from designer.data import shapes
from designer.data.dataset import DataSplits, load_dataset, make_loader
from designer.data.errors import DataError
from designer.data.masks import found_runs, from_runs, quarter, rasterise, to_runs
from designer.data.transforms import Fit
from designer.graph.training import DataSettings, TrainingSettings

PLAIN = TrainingSettings(flip=0, jitter=0)


def coco(folder: Path, *segmentations: Any) -> DataSettings:
    """One image of 40 x 20 px, an object of 8..24 x 4..12 px for each segmentation; the same for validation."""
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (40, 20), (200, 30, 90)).save(folder / "images" / "a.png")
    annotations = [
        {"id": i + 1, "image_id": 1, "category_id": 1, "bbox": [8, 4, 16, 8], "iscrowd": 0, **({"segmentation": s})}
        for i, s in enumerate(segmentations)
    ]
    whole = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 20}],
        "categories": [{"id": 1, "name": "box"}],
        "annotations": annotations,
    }
    for part in ("train", "val"):
        (folder / f"{part}.json").write_text(json.dumps(whole))
    return DataSettings(kind="coco", path=str(folder), train="train.json", val="val.json")


def opened(settings: DataSettings, training: TrainingSettings = PLAIN) -> DataSplits:
    return load_dataset(settings, (40, 40), "segment", training)


def corners(mask: torch.Tensor) -> tuple[list[int], list[int]]:
    """First and last row and column of a mask [H, W]."""
    first, last = mask.nonzero().aminmax(dim=0)
    return first.tolist(), last.tolist()


SQUARE = [[8, 4, 24, 4, 24, 12, 8, 12]]


def test_polygons_and_runs_give_the_same_mask(tmp_path: Path) -> None:
    """Runs go down the columns: 8 columns of 20 free, 4 free and 8 taken sixteen times with 12 between, the rest."""
    counts = [8 * 20 + 4, *[8, 12] * 15, 8, 8 + 16 * 20]
    runs = {"size": [20, 40], "counts": counts}
    item = opened(coco(tmp_path, SQUARE, runs)).val[0]
    true = from_runs(item.true_runs)
    assert true.shape == (2, 20, 40)
    assert corners(true[0]) == ([4, 8], [11, 23])
    assert torch.equal(true[0], true[1])
    # 40 x 20 into 40 x 40: ten rows of bars above and below, so rows 14 to 21; half of cell rows 3 and 5 is enough.
    assert item.masks.shape == (2, 10, 10)
    assert corners(item.masks[0]) == ([3, 2], [5, 5])


def test_what_is_wrong_with_outlines_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="segmentation of annotation 1 is neither polygons"):
        opened(coco(tmp_path / "a", [[1, 2, 3]]))
    with pytest.raises(DataError, match="All 1 objects are boxes without outlines"):
        opened(coco(tmp_path / "b", []))
    part = opened(coco(tmp_path / "c", SQUARE, []))
    assert part.notes == ["1 objects are boxes without outlines and are left out."] * 2
    assert len(part.val[0].labels) == len(part.val[0].masks) == 1
    item = opened(coco(tmp_path / "d", {"size": [9, 9], "counts": [81]})).val[0]
    assert item.image is None
    assert "for 9 x 9 pixels, the image has 20 x 40" in item.why


def test_yolo_polygons_are_fractions(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / "images" / part).mkdir(parents=True)
        (tmp_path / "labels" / part).mkdir(parents=True)
        Image.new("RGB", (40, 20)).save(tmp_path / "images" / part / "a.png")
        rows = "0 0.2 0.2 0.6 0.2 0.6 0.6 0.2 0.6\n0 0.5 0.5 0.1 0.1\n"
        (tmp_path / "labels" / part / "a.txt").write_text(rows)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [box]\n")
    item = opened(DataSettings(kind="yolo", path=str(tmp_path))).val[0]
    assert item.labels.tolist() == [0]
    assert corners(from_runs(item.true_runs)[0]) == ([4, 8], [11, 23])
    assert (torch.tensor(item.boxes[0]) - torch.tensor([8, 14, 24, 22])).abs().max() < 1e-3


def test_flip_moves_the_masks_along() -> None:
    settings = DataSettings(train_images=4)
    one, two = (load_dataset(settings, (64, 64), "segment", TrainingSettings(flip=f, jitter=0)).train for f in (0, 1))
    for i in range(4):
        assert torch.equal(one[i].masks.flip(-1), two[i].masks)
        assert one[i].true_runs == []


def test_drawn_masks_are_of_the_object_and_do_not_overlap() -> None:
    for index in range(8):
        _, boxes, labels, masks = shapes.draw(index, (64, 96), classes=6)
        assert masks.shape == (len(labels), 64, 96)
        assert masks.sum(0).max() == 1
        for (x1, y1, x2, y2), mask in zip(boxes, masks, strict=True):
            assert mask.sum() == mask[int(y1) : int(y2), int(x1) : int(x2)].sum() > 0
    item = load_dataset(DataSettings(val_images=8), (64, 96), "segment", PLAIN).val[7]
    _, _, _, masks = shapes.draw(7, (64, 96), split="val", classes=3)
    assert torch.equal(from_runs(item.true_runs), torch.from_numpy(masks).bool())


def test_batches_are_padded_like_their_boxes() -> None:
    data = load_dataset(DataSettings(train_images=6), (48, 64), "segment", PLAIN).train
    batch = next(iter(make_loader(data, "segment", 6, shuffle=False)))
    labels, masks = batch.targets["labels"], batch.targets["masks"]
    assert masks.shape == (*labels.shape, 12, 16)
    assert masks.dtype == torch.uint8
    assert (masks.flatten(2).amax(2)[labels >= 0] == 1).all()
    assert masks[labels < 0].sum() == 0
    assert make_loader(data, "segment", 6, shuffle=False).collate_fn([]).targets["masks"].shape[:2] == (0, 0)


def test_a_quarter_is_taken_where_half_is_covered() -> None:
    mask = torch.zeros(1, 8, 6, dtype=torch.uint8)
    mask[0, :2, :4] = 1  # half of the first cell
    mask[0, 4:, 4:] = 1  # a cell that the border cuts in half is judged by what is inside
    mask[0, 4:5, :4] = 1
    assert quarter(mask).tolist() == [[[1, 0], [0, 1]]]
    thin = torch.zeros(1, 8, 8, dtype=torch.uint8)
    thin[0, 1, :6] = 1  # nowhere half of a cell: what is covered most stays, so that no object vanishes
    assert quarter(thin).tolist() == [[[1, 0], [0, 0]]]
    assert quarter(thin * 0).sum() == 0


def test_masks_come_back_to_the_original_image() -> None:
    """20 x 40 px enlarged twofold in 80 x 80: 20 rows of bars. A cell of the 20 x 20 is 4 px, 2 of the original."""
    masks = torch.zeros(1, 20, 20)
    masks[0, 7:11, 4:12] = 1.0
    (runs,) = found_runs(masks, Fit(2.0, 0, 20, 20, 40), (80, 80))
    inside = from_runs([runs])[0]
    assert inside.shape == (20, 40)
    assert corners(inside) == ([4, 8], [11, 23])
    assert to_runs(inside[None]) == [runs]
    assert found_runs(masks[:0], Fit(2.0, 0, 20, 20, 40), (80, 80)) == []
    assert rasterise([runs], (20, 40), False, Path("x"))[0].bool().equal(inside)
