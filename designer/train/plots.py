"""Pictures of a run: its curves, and what the model finds drawn on images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageColor
from torch import Tensor
from torchvision.io import write_png
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks, make_grid

from designer.data.semantic import BACKGROUND
from designer.train.events import METRICS

PALETTE = ("#4f9dff", "#ff7a59", "#2fbf71", "#c678dd", "#e5b53b", "#26c6da", "#ef5b8f", "#8bc34a", "#9e9eff", "#ffab40")


def plot_curves(events: Sequence[dict[str, Any]], path: Path) -> Path:
    """A PNG with the loss by step and the metrics by epoch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps = [e for e in events if e["type"] == "step" and e.get("loss") is not None]
    epochs = [e for e in events if e["type"] == "metrics"]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot([e["step"] for e in steps], [e["loss"] for e in steps], label="loss", color=PALETTE[0], linewidth=1.6)
    for i, name in enumerate(steps[0]["losses"] if steps else ()):
        left.plot(
            [e["step"] for e in steps],
            [e["losses"].get(name) for e in steps],
            label=name,
            color=PALETTE[i + 1],
            linewidth=0.9,
        )
    left.set(title="Training loss", xlabel="step")
    numbers = [n for n in METRICS if any(n in e["values"] for e in epochs)]
    for i, name in enumerate(numbers):
        right.plot(
            [e["epoch"] + 1 for e in epochs],
            [e["values"].get(name) for e in epochs],
            "o-",
            label=METRICS[name],
            color=PALETTE[i],
            markersize=3,
        )
    right.set(title="Validation", xlabel="epoch", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.has_data():
            axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def draw_found(
    image: Tensor,
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    names: Sequence[str],
    least: float = 0.25,
    side: int = 0,
    masks: Tensor | None = None,
) -> Tensor:
    """An image uint8 [3, H, W] with the boxes whose score is at least `least`, each with its class and score.

    Masks bool [N, H, W] are laid over the image, half transparent. An image whose shorter side is below `side` is
    enlarged, by a whole factor, so that its captions can be read.
    """
    factor = max(1, round(side / min(image.shape[-2:])))
    image = image.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    keep = (scores >= least).nonzero()[:, 0]
    if not len(keep):
        return image
    keep = keep[scores[keep].argsort()]  # the surest lie on top
    captions = [f" {names[int(k)]} {s:.2f} " for k, s in zip(labels[keep], scores[keep], strict=True)]
    colours = [PALETTE[int(k) % len(PALETTE)] for k in labels[keep]]
    if masks is not None:
        chosen = masks[keep].repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        image = draw_segmentation_masks(image, chosen, alpha=0.5, colors=colours)
    short = min(image.shape[-2:])
    return draw_bounding_boxes(
        image, boxes[keep] * factor, captions, colours, width=max(1, round(short / 200)), font=_font(),
        font_size=max(10, round(short / 30)), label_colors="#10141c", fill_labels=True,
    )  # fmt: skip


def draw_classes(image: Tensor, classes: Tensor, names: Sequence[str], side: int = 0, opacity: float = 0.5) -> Tensor:
    """An image uint8 [3, H, W] seen through the colours of the classes [H, W] of its pixels; background stays clear.

    An image whose shorter side is below `side` is enlarged, by a whole factor.
    """
    factor = max(1, round(side / min(image.shape[-2:])))
    image, classes = (t.repeat_interleave(factor, -2).repeat_interleave(factor, -1) for t in (image, classes))
    shown = [i for i, name in enumerate(names) if name != BACKGROUND]
    masks = torch.stack([classes == i for i in shown]) if shown else torch.zeros(0, *classes.shape, dtype=torch.bool)
    colours = [PALETTE[i % len(PALETTE)] for i in shown]
    return draw_segmentation_masks(image, masks, alpha=opacity, colors=colours) if masks.any() else image


def write_classes(classes: Tensor, path: Path) -> None:
    """A PNG whose values are class indices, with a palette so that it can be looked at."""
    picture = Image.fromarray(classes.numpy(), "P")
    colours = [ImageColor.getrgb(PALETTE[i % len(PALETTE)]) for i in range(256)]
    picture.putpalette([level for colour in [(0, 0, 0), *colours[1:]] for level in colour])
    picture.save(path)


def _font() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


def save_grid(images: Sequence[Tensor], path: Path, columns: int = 4) -> Path:
    """Images of one size in a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(make_grid(torch.stack(list(images)), columns, padding=4, pad_value=255), str(path))
    return path
