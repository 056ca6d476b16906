"""Metrics against pycocotools and by hand; the learning-rate schedule and the average by hand."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from designer.data.dataset import load_dataset, make_loader
from designer.data.masks import to_runs
from designer.graph.training import DataSettings, TrainingSettings
from designer.train.metrics import NAMES, CocoMap, TopK
from designer.train.optim import make_optimizer, schedule
from designer.train.tasks import evaluate
from designer.train.weights import Average
from nodes.types import Detections, MaskDetections


def test_map_equals_pycocotools():
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    torch.manual_seed(0)
    names = ["a", "b", "c"]
    ours = CocoMap(names)
    images, annotations, results = [], [], []
    for i in range(1, 21):
        count = int(torch.randint(0, 6, ()))
        corner = torch.rand(count, 2) * 150
        truth = torch.cat((corner, corner + 8 + torch.rand(count, 2) * 90), 1)
        labels = torch.randint(0, 3, (count,))
        found = truth.repeat_interleave(2, 0) + torch.randn(2 * count, 4) * 6
        found[:, 2:] = torch.maximum(found[:, 2:], found[:, :2] + 1)
        scores, found_labels = torch.rand(2 * count), labels.repeat_interleave(2)
        ours.add((256, 256), truth, labels, found, scores, found_labels)
        images.append({"id": i, "width": 256, "height": 256})
        for box, label in zip(truth.tolist(), labels.tolist(), strict=True):
            w, h = box[2] - box[0], box[3] - box[1]
            annotations.append({"id": len(annotations) + 1, "image_id": i, "category_id": label + 1, "iscrowd": 0,
                                "bbox": [box[0], box[1], w, h], "area": w * h})  # fmt: skip
        for box, score, label in zip(found.tolist(), scores.tolist(), found_labels.tolist(), strict=True):
            results.append({"image_id": i, "category_id": label + 1, "score": score,
                            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {}, "images": images, "annotations": annotations,
            "categories": [{"id": i + 1, "name": n} for i, n in enumerate(names)],
        }  # fmt: skip
        truth.createIndex()
        theirs = COCOeval(truth, truth.loadRes(results), "bbox")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    got = ours.compute()
    assert 0.1 < got["map"] < 0.9
    for name, value in zip(
        ("map", "map50", "map75", "map_small", "map_medium", "map_large"), theirs.stats[:6], strict=True
    ):
        assert got[name] == pytest.approx(value, abs=1e-6), name
    for i, name in enumerate(names):
        precision = theirs.eval["precision"][:, :, i, 0, 2]
        assert got["per_class"][name] == pytest.approx(precision[precision > -1].mean(), abs=1e-6)


def test_mask_map_equals_pycocotools():
    from pycocotools import mask as coco
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    torch.manual_seed(0)
    ours, images, annotations, results = CocoMap(["a", "b"], masks=True), [], [], []
    grid = torch.stack(torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij"))
    for i in range(1, 11):
        count = int(torch.randint(1, 5, ()))
        middle, radius = torch.rand(count, 2, 1, 1) * 90, torch.rand(count, 1, 1) * 30 + 4
        masks = (grid - middle).square().sum(1) < radius.square()
        moved = (grid - middle - torch.randn(count, 2, 1, 1) * 4).square().sum(1) < radius.square()
        masks, moved = masks[keep := masks.flatten(1).any(1) & moved.flatten(1).any(1)], moved[keep]
        labels, scores = torch.randint(0, 2, (len(masks),)), torch.rand(len(masks))
        runs, found = to_runs(masks), to_runs(moved)
        corners = [torch.from_numpy(coco.toBbox(each)).reshape(-1, 4) for each in (runs, found)]
        for each in corners:
            each[:, 2:] += each[:, :2]
        ours.add((96, 128), corners[0], labels, corners[1], scores, labels, (runs, found))
        images.append({"id": i, "width": 128, "height": 96})
        for run, label in zip(runs, labels.tolist(), strict=True):
            annotations.append({"id": len(annotations) + 1, "image_id": i, "category_id": label + 1, "iscrowd": 0,
                                "segmentation": run, "area": float(coco.area(run)),
                                "bbox": coco.toBbox(run).tolist()})  # fmt: skip
        for run, label, score in zip(found, labels.tolist(), scores.tolist(), strict=True):
            results.append({"image_id": i, "category_id": label + 1, "segmentation": run, "score": score,
                            "bbox": coco.toBbox(run).tolist()})  # fmt: skip
    got = ours.compute()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, "images": images, "annotations": annotations,
                         "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}  # fmt: skip
        truth.createIndex()
        for kind, prefix in (("segm", "mask_"), ("bbox", "")):
            left_out = "bbox" if kind == "segm" else "segmentation"
            found = truth.loadRes([{k: v for k, v in r.items() if k != left_out} for r in results])
            theirs = COCOeval(truth, found, kind)
            theirs.evaluate()
            theirs.accumulate()
            theirs.summarize()
            names = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
            for name, value in zip(names, theirs.stats[:6], strict=True):
                assert got[prefix + name] == pytest.approx(value, abs=1e-6), (kind, name)
    assert 0.1 < got["mask_map"] < 0.95
    assert set(got["per_class"]) == {"a", "b"}


class Finds(nn.Module):
    """Gives one batch's detections, whatever it sees."""

    def __init__(self, found) -> None:
        super().__init__()
        self.found = found

    def forward(self, images):
        return self.found


@pytest.mark.parametrize("task", ["detect", "segment"])
@pytest.mark.parametrize("crowds", [(), (2, 5)])
def test_sizes_and_crowds_are_those_that_a_coco_file_tells(tmp_path, task, crowds):
    """An object's area is its mask's in COCO's files, of any size beside its box; what is in a crowd is passed over."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    g = torch.Generator().manual_seed(0)
    side, areas = 128, [100.0, 2000.0, 9500.0, 900.0, 12000.0, 1024.5, None, 0]
    corner = torch.randint(0, 40, (8, 2), generator=g)
    boxes = torch.cat((corner, corner + torch.randint(20, 88, (8, 2), generator=g)), 1)
    found = (boxes + torch.randint(-6, 7, boxes.shape, generator=g)).clamp(0, side)
    scores, labels = torch.rand(8, generator=g), torch.tensor([0, 1] * 4)
    annotations = []
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        one = {"id": i + 1, "image_id": 1, "category_id": int(labels[i]) + 1, "iscrowd": 0,
               "bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]}  # fmt: skip
        if i in crowds:
            inside = np.zeros((side, side), np.uint8)
            inside[y1:y2, x1:x2] = 1
            flat = [0, *inside.flatten("F").tolist(), 1 - inside[-1, -1]]
            ends = [j for j in range(1, len(flat)) if flat[j] != flat[j - 1]]
            counts = [b - a for a, b in zip([1, *ends], [*ends, len(flat) - 1], strict=True)]
            one |= {"iscrowd": 1, "segmentation": {"size": [side, side], "counts": [c for c in counts if c]}}
        annotations.append({**one, "area": areas[i]} if areas[i] is not None else one)
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(tmp_path / "one.png")
    raw = {"info": {}, "images": [{"id": 1, "file_name": "one.png", "width": side, "height": side}],
           "annotations": annotations, "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}  # fmt: skip
    for part in ("train", "val"):
        (tmp_path / f"{part}.json").write_text(json.dumps(raw))
    splits = load_dataset(DataSettings(kind="coco", path=str(tmp_path)), (side, side), task)
    masks = torch.zeros(8, side, side)
    for mask, (x1, y1, x2, y2) in zip(masks, found.tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    model = Finds(Detections(found[None].float(), scores[None], labels[None]))
    if task == "segment":
        model = Finds(MaskDetections(found[None].float(), scores[None], labels[None], masks[None]))
    got = evaluate(
        model, make_loader(splits.val, task, 1, shuffle=False), task, splits.class_names, torch.device("cpu")
    )

    for annotation in annotations:  # where the file tells nothing, the object itself does
        if not annotation.get("area"):
            annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    results = [
        {"image_id": 1, "category_id": int(label) + 1, "score": float(score)}
        for label, score in zip(labels, scores, strict=True)
    ]
    for kind, prefix in (("bbox", ""), *((("segm", "mask_"),) if task == "segment" else ())):
        extra = [{"segmentation": run} for run in to_runs(masks)]
        if kind == "bbox":
            extra = [{"bbox": [x1, y1, x2 - x1, y2 - y1]} for x1, y1, x2, y2 in found.tolist()]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = raw
            truth.createIndex()
            theirs = COCOeval(truth, truth.loadRes([{**r, **e} for r, e in zip(results, extra, strict=True)]), kind)
            theirs.evaluate()
            theirs.accumulate()
            theirs.summarize()
        for name, value in zip(NAMES, theirs.stats[:6], strict=True):
            assert got[prefix + name] == pytest.approx(value, abs=1e-6), (kind, name)


def test_map_of_nothing():
    empty = CocoMap(["a"])
    assert empty.compute()["map"] == -1.0  # nothing to find
    none = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    empty.add((9, 9), torch.tensor([[0.0, 0, 5, 5]]), torch.tensor([0]), *none)
    assert empty.compute()["map"] == 0.0  # nothing found


def test_top_k_by_hand():
    measure = TopK()
    scores = torch.tensor([[9.0, 1, 2, 3, 4, 5], [9.0, 1, 2, 3, 4, 5], [0.0, 9, 8, 7, 6, 5]])
    measure.add(scores, torch.tensor([0, 1, 5]))  # first: top-1; second: last of six; third: fifth
    assert measure.compute() == {"top1": pytest.approx(1 / 3), "top5": pytest.approx(2 / 3)}
    few, other = TopK(), TopK()
    other.add(scores[:, :5], torch.tensor([0, 1, 4]))
    few.join(other)
    assert few.compute() == {"top1": pytest.approx(1 / 3)}  # of five classes all are among the first five


def test_schedule_by_hand():
    factor = schedule(TrainingSettings(epochs=10, warmup_epochs=1, schedule="cosine"), 100, 10)
    assert factor(0) == pytest.approx(1 / 11)
    assert factor(10) == pytest.approx(1.0)
    assert factor(55) == pytest.approx(0.505)  # half way between 1 and 0.01
    assert factor(100) == pytest.approx(0.01)
    step = schedule(TrainingSettings(warmup_epochs=0, schedule="step"), 100, 10)
    assert [step(s) for s in (0, 59, 61, 90)] == [1.0, 1.0, 0.1, 0.01]
    short = schedule(TrainingSettings(warmup_epochs=50), 9, 3)
    assert short(3) == pytest.approx(1.0)  # warm-up takes a third of a short run at most


def test_norms_and_biases_are_not_decayed():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    decayed, free = make_optimizer(model, TrainingSettings(weight_decay=0.1)).param_groups
    assert [p.ndim for p in decayed["params"]] == [4]
    assert [p.ndim for p in free["params"]] == [1, 1, 1]
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)


def test_average_by_hand():
    model = nn.BatchNorm1d(1)
    average = Average(model, 0.5)
    average.update()  # the first call copies
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.num_batches_tracked.fill_(7)
    average.update()  # n = 1: decay min(0.5, 2/11), so 1 * 2/11 + 3 * 9/11
    assert float(average.module.weight) == pytest.approx(2 / 11 + 27 / 11)
    assert int(average.module.num_batches_tracked) == 7
