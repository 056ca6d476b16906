"""What was asked for and cannot come about is said, and nothing else is."""

import pytest

from designer.graph.document import Document
from designer.graph.unused import without_effect


@pytest.mark.parametrize("task", ["detect", "segment", "semantic", "classify"])
def test_a_plain_document_is_used_whole(task):
    assert list(without_effect(Document.new("Plain", None).data, task)) == []


@pytest.mark.parametrize(
    ("task", "settings", "said"),
    [
        ("detect", {"cutmix": 1}, ["CutMix has no effect on the images of a detector."]),
        ("semantic", {"mixup": 1, "cutmix": 1, "copy_paste": 0.5},
         ["Mixup, CutMix and Copy-paste have no effect on the images of a semantic segmenter."]),
        ("classify", {"mosaic": 1}, ["Mosaic has no effect on the images of a classifier."]),
        ("classify", {"cache": "ram"}, ["Cache has no effect: the crops of a classifier are cut out of whole images."]),
        ("detect", {"mosaic": 1, "epochs": 6},
         ["No mosaic is made: the last 10 epochs are without (Close mosaic), and there are 6."]),
        ("detect", {"mosaic": 1, "epochs": 6, "close_mosaic": 2}, []),
        ("detect", {"unfreeze_after": 3}, ["Unfreeze after has no effect: no node is frozen."]),
        ("detect", {"pretrained_factor": 0.1}, ["Pretrained rate has no effect: no node starts from weights."]),
        ("detect", {"strategy": "fsdp"}, ["Strategy has no effect with one device."]),
    ],
)  # fmt: skip
def test_what_cannot_come_about(task, settings, said):
    document = Document.new("Some", None)
    document.set_training(**settings)
    assert list(without_effect(document.data, task)) == said


def test_frozen_nodes_whose_time_does_not_come():
    document = Document.new("Frozen", None)
    document.set_frozen(document.add("conv.conv"), True)
    document.set_training(unfreeze_after=5, epochs=5)
    assert list(without_effect(document.data, "detect")) == [
        "The frozen nodes stay frozen: they would learn after 5 epochs, and there are 5."
    ]
    document.set_training(unfreeze_after=4)
    assert list(without_effect(document.data, "detect")) == []
    document.set_training(strategy="fsdp")
    assert list(without_effect(document.data, "detect", processes=2)) == []
