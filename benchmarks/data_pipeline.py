"""Images a second that one worker makes for training, against torchvision's detection recipe written with its v2.

    python benchmarks/data_pipeline.py [rounds]        default: 6

Both read the same 640 px JPEGs: drawn shapes with noise, made at run time. Ours: decode, letterbox, mosaic, flip and
colour jitter, without a cache. Theirs: decode to a tensor, scale jitter, fixed-size crop, flip and resize as in
torchvision's reference recipe `lsj`, and the colour changes of its `ssd` recipe. They take turns in one process on one
thread; the median of each and their ratio are printed. Bar: a ratio of 1 or more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from designer.data import shapes
from designer.data.dataset import DetectionDataset
from designer.data.images import read_image
from designer.data.records import Record
from designer.data.transforms import as_boxes
from designer.graph.training import TrainingSettings

SIDE, IMAGES = 640, 24
BAR = 1.0


def write_images(folder: Path) -> list[Record]:
    """Landscape and portrait photos of drawn shapes."""
    records = []
    for i in range(IMAGES):
        size = (480, SIDE) if i % 3 else (SIDE, 480)
        pixels, boxes, labels, _ = shapes.draw(i, size, most=8)
        path = folder / f"{i}.jpg"
        Image.fromarray(pixels).save(path, quality=90)
        records.append(Record(path, tuple(boxes), tuple(labels)))
    return records


def ours(records: list[Record]) -> Callable[[int], object]:
    """What the trainer's worker does for an index."""
    settings = TrainingSettings(mosaic=1.0, flip=0.5, jitter=0.5, close_mosaic=0)
    return DetectionDataset(records, (SIDE, SIDE), settings).__getitem__


def theirs(records: list[Record]) -> Callable[[int], object]:
    """torchvision's transforms in the order of its references."""
    steps = v2.Compose([
        v2.RandomPhotometricDistort(p=0.5),
        v2.ScaleJitter((SIDE, SIDE), antialias=True),
        v2.RandomCrop((SIDE, SIDE), pad_if_needed=True, fill={tv_tensors.Image: 114, "others": 0}),
        v2.RandomHorizontalFlip(0.5),
        v2.SanitizeBoundingBoxes(),
    ])  # fmt: skip

    def make(index: int) -> object:
        record = records[index]
        image = read_image(record.path)
        assert image is not None
        boxes = as_boxes(torch.tensor(record.boxes), (image.shape[-2], image.shape[-1]))
        return steps({"image": tv_tensors.Image(image), "boxes": boxes, "labels": torch.tensor(record.labels)})

    return make


def main(rounds: int) -> int:
    """Prints both rates and the ratio; 1 when the bar is missed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        records = write_images(Path(folder))
        makers = {"ours": ours(records), "torchvision": theirs(records)}
        rates: dict[str, list[float]] = {name: [] for name in makers}
        for turn in range(rounds + 1):
            for name, make in makers.items():
                began = time.process_time()
                for index in range(IMAGES):
                    make(index)
                if turn:  # the first warms up
                    rates[name].append(IMAGES / (time.process_time() - began))
    middle = {name: statistics.median(found) for name, found in rates.items()}
    ratio = middle["ours"] / middle["torchvision"]
    for name, rate in middle.items():
        print(f"{name:12} {rate:7.1f} images/s (from {min(rates[name]):.1f} to {max(rates[name]):.1f})")
    print(f"ratio {ratio:.2f}, bar {BAR:.2f}: {'passed' if ratio >= BAR else 'missed'}")
    return 0 if ratio >= BAR else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 6))
