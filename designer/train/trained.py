"""A run's model with its best weights, ready to evaluate, predict or export."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from designer.data.dataset import load_dataset, make_loader
from designer.data.images import read_image
from designer.data.masks import Runs, found_runs
from designer.data.records import image_files
from designer.data.transforms import class_map_of, classification_eval, letterbox, to_float
from designer.engine.compile import Compiled, compile_document
from designer.graph.errors import NetwrightError
from designer.train import checkpoint
from designer.train.metrics import real
from designer.train.run import RunFolder
from designer.train.tasks import detect, evaluate, first_tensor, task_of
from nodes.types import MaskDetections


@dataclass
class Trained:
    """A compiled document with trained weights on a device."""

    compiled: Compiled
    task: str
    class_names: list[str]
    device: torch.device


def load_trained(run: RunFolder, device: str = "") -> Trained:
    """The model of a run with its best averaged weights.

    Raises:
        NetwrightError: when there is no checkpoint, or it does not fit.
    """
    state = checkpoint.load(run.weights())
    compiled = compile_document(run.document())
    compiled.model.load_state_dict(state["ema"] or state["model"])
    compiled.eval()
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    compiled.model.to(place)
    return Trained(compiled, task_of(compiled), list(state["class_names"]), place)


def evaluate_run(run: RunFolder, on_batch: Any = lambda done, total: None) -> dict[str, Any]:
    """Metrics of a run's best checkpoint on its validation data."""
    trained, document = load_trained(run), run.document()
    splits = load_dataset(document.data, trained.compiled.image_size, trained.task, document.training)
    loader = make_loader(splits.val, trained.task, document.training.batch, shuffle=False)
    return evaluate(trained.compiled.model, loader, trained.task, trained.class_names, trained.device, on_batch)


def validation_data(run: RunFolder) -> Dataset[Any]:
    """The images that a run was measured on."""
    document, compiled = run.document(), compile_document(run.document())
    return load_dataset(document.data, compiled.image_size, task_of(compiled), document.training).val


@dataclass
class Found:
    """What was found in one image: boxes in its own pixels with scores and labels, or the scores of all classes.

    `masks` are run lengths in the image's own pixels, of a segmenter. `classes` uint8 [H, W] has the class of each of
    its pixels, of a semantic segmenter; `labels` are then the classes that are there, `scores` their shares of it.
    """

    path: Path
    image: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: list[Runs] | None = None
    classes: Tensor | None = None


def predict(trained: Trained, paths: Iterable[Path]) -> Iterable[Found]:
    """Runs a model on image files and on all images of folders, one at a time.

    Raises:
        NetwrightError: for a path that is not there or an image that cannot be read.
    """
    for path in files_of(paths):
        image = read_image(path)
        if image is None:
            raise NetwrightError(f"{path}: this image cannot be read. Leave it out, or convert it to PNG or JPEG.")
        yield find_in(trained, image, path)


@torch.no_grad()
def find_in(trained: Trained, image: Tensor, path: Path) -> Found:
    """Runs a model on an image uint8 [3, H, W], which `path` names."""
    size = trained.compiled.image_size
    if trained.task == "classify":
        small = classification_eval(size)(image)
        likely = first_tensor(trained.compiled.model(to_float(small[None]).to(trained.device)))  # [1, K] probabilities
        scores, labels = likely[0].cpu().sort(descending=True)
        return Found(path, image, torch.zeros(0, 4), scores[:5], labels[:5])
    boxed, _, fit = letterbox(image, torch.zeros(0, 4), size)
    if trained.task == "semantic":
        likely = first_tensor(trained.compiled.model(to_float(boxed[None]).to(trained.device)))
        classes = class_map_of(likely[0], fit, size)
        counts = classes.flatten().bincount(minlength=likely.shape[1])
        labels = counts.argsort(descending=True)
        labels = labels[counts[labels] > 0]
        return Found(path, image, torch.zeros(0, 4), counts[labels] / counts.sum(), labels, classes=classes)
    found = detect(trained.compiled.model, to_float(boxed[None]).to(trained.device))
    boxes, scores, labels = real(found, 0)
    masks = None
    if isinstance(found, MaskDetections):
        masks = found_runs(found.masks[0][found.labels[0] >= 0], fit, size)
    return Found(path, image, fit.undo(boxes), scores, labels.long(), masks)


def files_of(paths: Iterable[Path]) -> Iterable[Path]:
    """The image files among paths and in folders. Raises NetwrightError for what is not there, or without images."""
    for path in paths:
        if path.is_dir():
            found = image_files(path)
            if not found:
                raise NetwrightError(f"{path}: there is no image in this folder.")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise NetwrightError(f"{path}: there is no such file or folder.")
