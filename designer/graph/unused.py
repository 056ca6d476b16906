"""Settings of training that have no effect with the document as it is: the window hides them, a trainer says so."""

from __future__ import annotations

from collections.abc import Iterator

from designer.graph.model import GraphData
from designer.graph.training import AUGMENTATION, TrainingSettings

CLASSIFY = ("flip", "flip_vertical", "jitter", "rotate", "shear", "mixup", "cutmix", "crop_area")
"""What is done to the images of a classifier; to all others everything that their targets allow."""
NOT_FOR = {
    "detect": ("copy_paste", "cutmix"), "segment": ("cutmix",), "semantic": ("mixup", "cutmix", "copy_paste"),
}  # fmt: skip
_CALLED = {
    "detect": "a detector", "segment": "an instance segmenter", "semantic": "a semantic segmenter",
    "classify": "a classifier",
}  # fmt: skip


def applies(name: str, task: str) -> bool:
    """Whether an augmentation does anything to the images of a head of this task."""
    return name in CLASSIFY if task == "classify" else name not in NOT_FOR.get(task, ())


def no_mosaic(training: TrainingSettings) -> str:
    """Why no mosaic is made though it is wanted; empty where some are."""
    if not training.mosaic or training.close_mosaic < training.epochs:
        return ""
    return (
        f"No mosaic is made: the last {training.close_mosaic} epochs are without (Close mosaic), and there are "
        f"{training.epochs}."
    )


def without_effect(data: GraphData, task: str, processes: int = 1) -> Iterator[str]:
    """A sentence for each thing that was asked for and cannot come about.

    Args:
        data: the document.
        task: of its heads.
        processes: that train it.
    """
    training = data.training
    idle = [name for name in AUGMENTATION if getattr(training, name) and not applies(name, task)]
    if idle:
        titles = [str(TrainingSettings.model_fields[name].title) for name in idle]
        listed = " and ".join(", ".join(titles).rsplit(", ", 1))
        yield f"{listed} {'has' if len(idle) == 1 else 'have'} no effect on the images of {_CALLED[task]}."
    if applies("mosaic", task) and (why := no_mosaic(training)):
        yield why
    if training.unfreeze_after:
        if not any(node.frozen for node in data.nodes):
            yield "Unfreeze after has no effect: no node is frozen."
        elif training.unfreeze_after >= training.epochs:
            yield (
                f"The frozen nodes stay frozen: they would learn after {training.unfreeze_after} epochs, and there are "
                f"{training.epochs}."
            )
    if training.pretrained_factor != 1 and not any(node.weights for node in data.nodes):
        yield "Pretrained rate has no effect: no node starts from weights."
    if training.cache != "off" and task == "classify":
        yield "Cache has no effect: the crops of a classifier are cut out of whole images."
    if processes == 1 and training.strategy == "fsdp":
        yield "Strategy has no effect with one device."
    if processes == 1 and training.sync_norm:
        yield "Shared norms has no effect with one device."
