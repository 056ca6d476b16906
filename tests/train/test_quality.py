"""Confusion matrix, precision-recall and F1 curves against cases worked by hand, and AP50 against COCO's."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from designer.data.records import Crowd
from designer.train.metrics import CocoMap, TopK
from designer.train.quality import (
    ImageBoxes,
    classification_quality,
    confusion,
    detection_quality,
    f1_by_score,
    matches,
    overlaps,
    precision_by_recall,
    save_quality,
)


def image(truth, truth_labels, boxes, labels, scores):
    corners = [np.array(b, float).reshape(-1, 4) for b in (truth, boxes)]
    return ImageBoxes(
        corners[0], np.array(truth_labels, int), corners[1], np.array(labels, int), np.array(scores, float)
    )


A, B, C = [0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]


def test_overlap_by_hand():
    assert overlaps(np.array([A], float), np.array([[5, 0, 15, 10], A, B], float)).tolist() == [[50 / 150, 1, 0]]


def test_each_true_box_is_taken_once_and_only_by_its_class():
    found = image([A, B], [0, 1], [A, [0, 0, 10, 9], B], [0, 0, 0], [0.9, 0.8, 0.7])
    assert matches(found).tolist() == [True, False, False]


def test_the_confusion_matrix_by_hand():
    # cat A found as cat, dog B found as cat, dog C missed, and a dog where nothing is; a faint one does not count.
    one = image([A, B, C], [0, 1, 1], [A, B, [80, 80, 90, 90], C], [0, 0, 1, 1], [0.9, 0.8, 0.7, 0.1])
    assert confusion([one], 2).tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_curves_by_hand():
    hits, scores = np.array([True, False, True]), np.array([0.9, 0.6, 0.3])
    # Three boxes, two right, of four objects: precision 1, 1/2, 2/3 at recall 1/4, 1/4, 1/2.
    curve = precision_by_recall(hits, 4)
    assert curve[0] == curve[25] == 1
    assert curve[26] == curve[50] == pytest.approx(2 / 3)
    assert curve[51] == curve[100] == 0
    f1, precision, recall = f1_by_score(hits, scores, 4)
    assert f1[0] == pytest.approx(2 * 2 / (3 + 4))
    assert f1[50] == pytest.approx(2 * 1 / (2 + 4))
    assert (precision[70], recall[70]) == (1, 0.25)
    assert (f1[100], precision[100]) == (0, 1)


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong():
    crowd = np.array([[100, 0, 200, 100]], float)
    found = image(
        [A], [0], [A, [110, 0, 120, 10], [90, 0, 104, 10], [150, 0, 160, 10]], [0, 0, 0, 1], [0.9, 0.8, 0.7, 0.6]
    )
    found = replace(found, crowds=crowd, crowd_labels=np.array([0]))
    # The second lies in the crowd. The third lies on its edge with 4 of 14, the fourth is of another class: both wrong.
    assert found.counted().scores.tolist() == [0.9, 0.7, 0.6]
    quality = detection_quality([found], ["cat", "dog"])
    assert quality["matrix"] == [[1, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert [entry["truths"] for entry in quality["classes"]] == [1, 0]


@pytest.mark.parametrize("crowded", [False, True])
def test_ap50_equals_cocos_and_the_best_score_is_found(crowded):
    torch.manual_seed(1)
    measure = CocoMap(["a", "b", "never there"])
    for _ in range(15):
        count = int(torch.randint(0, 5, ()))
        corner = torch.rand(count, 2) * 150
        truth, labels = torch.cat((corner, corner + 10 + torch.rand(count, 2) * 60), 1), torch.randint(0, 2, (count,))
        found = truth.repeat_interleave(2, 0) + torch.randn(2 * count, 4) * 5
        found[:, 2:] = torch.maximum(found[:, 2:], found[:, :2] + 1)
        crowds = [Crowd(int(i % 2), (20.0 * i, 30.0, 20.0 * i + 90, 150.0), {}) for i in range(3 * crowded)]
        measure.add((224, 224), truth, labels, found, torch.rand(2 * count), labels.repeat_interleave(2), crowds=crowds)
    quality = measure.quality()
    ap = [entry["ap50"] for entry in quality["classes"]]
    assert ap[2] is None
    assert np.mean(ap[:2]) == pytest.approx(measure.compute()["map50"], abs=1e-9)
    mean = quality["f1"]["all"]
    assert mean[round(quality["best_score"] * 100)] == max(mean)
    assert sum(map(sum, quality["matrix"][:-1])) == sum(entry["truths"] for entry in quality["classes"])


def test_nothing_found_and_nothing_there():
    nothing = detection_quality([image([], [], [], [], [])], ["a"])
    assert nothing["matrix"] == [[0, 0], [0, 0]]
    assert nothing["classes"][0]["ap50"] is None
    missed = detection_quality([image([A], [0], [], [], [])], ["a"])
    assert missed["matrix"] == [[0, 1], [0, 0]]
    assert missed["classes"][0]["ap50"] == 0


def test_a_classifiers_matrix_by_hand(tmp_path):
    quality = classification_quality(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), ["cat", "dog"])
    assert quality["matrix"] == [[1, 1], [0, 2]]
    assert quality["classes"][1] == {"name": "dog", "truths": 2, "precision": 2 / 3, "recall": 1, "f1": 0.8}
    measure = TopK(["cat", "dog"])
    measure.add(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0]))
    assert measure.quality()["matrix"] == [[1, 1], [0, 0]]
    save_quality(tmp_path / "evaluation.json", quality, {"per_class": {"cat": 0.5}}, 3, 40)
    read = json.loads((tmp_path / "evaluation.json").read_text())
    assert (read["epoch"], read["classes"][0]["ap"], read["classes"][1]["ap"]) == (3, 0.5, None)
