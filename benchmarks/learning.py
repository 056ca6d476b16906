"""How well YOLOv8n learns in a fixed number of steps: drawn shapes, with and without mosaic, and real nuclei.

    python benchmarks/learning.py [--data shapes nuclei] [--epochs 12] [--mosaic 0 1] [--seeds 0] [--write]

512 images of 160 pixels, batches of 16, AdamW, on the CPU, every step the trainer's own; mosaic is closed for the last
quarter. The shapes are tested on 128 others. The nuclei are those of one real image of a microscope, under tests/data:
cuttings of its left half, flipped both ways, and tested on cuttings of its right half.
Printed is the mAP50-95; `--write` appends the rows to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from designer.graph.document import Document
from designer.graph.templates import load_template
from designer.train.loop import Trainer
from designer.train.run import RunFolder
from nodes.sdk.discover import library

TABLE = Path(__file__).with_name("RESULTS.md")
NUCLEI = Path(__file__).parents[1] / "tests" / "data" / "nuclei"
HEADER = """# What was measured

Rows that `python benchmarks/learning.py --write` appended: YOLOv8n at 160 pixels, batches of 16, AdamW, on the CPU;
mAP50-95 of what was not trained on: 128 other images of drawn shapes, or the other half of a real image of nuclei.

| date | torch | data | steps | mosaic | seed | mAP50-95 | CPU seconds |
|---|---|---|--:|--:|--:|--:|--:|
"""
SIDE, IMAGES, BATCH = 160, 512, 16


def give_shapes(document: Document, folder: Path) -> None:
    document.set_data(kind="shapes", classes=3, train_images=IMAGES, val_images=128)


def give_nuclei(document: Document, folder: Path) -> None:
    """Square cuttings of the halves, whose nuclei are boxed where a quarter or more of them is inside."""
    pixels, numbers = (np.array(Image.open(NUCLEI / name)) for name in ("img2d.tif", "mask2d.tif"))
    pixels = (pixels / pixels.max() * 255).astype(np.uint8)
    whole = np.bincount(numbers.ravel())
    middle, last, draw = pixels.shape[1] // 2, pixels.shape[0] - SIDE, random.Random(0)
    corners = {
        "train": [(draw.randint(0, last), draw.randint(0, middle - SIDE)) for _ in range(IMAGES)],
        "val": [(top, left) for top in (0, last // 2, last) for left in (middle, pixels.shape[1] - SIDE)],
    }
    for part, places in corners.items():
        images, annotations = [], []
        for number, (top, left) in enumerate(places):
            name = folder / "nuclei" / part / f"{number:03}.png"
            name.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[top : top + SIDE, left : left + SIDE]).save(name)
            images.append({"id": number, "file_name": f"{part}/{name.name}", "height": SIDE, "width": SIDE})
            cutting = numbers[top : top + SIDE, left : left + SIDE]
            for nucleus in np.unique(cutting[cutting > 0]):
                rows, columns = np.nonzero(cutting == nucleus)
                if 4 * len(rows) >= whole[nucleus]:
                    box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
                    annotations.append(
                        {"id": len(annotations), "image_id": number, "category_id": 1, "bbox": [int(v) for v in box],
                         "area": len(rows), "iscrowd": 0}
                    )  # fmt: skip
        told = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "nucleus"}]}
        (folder / "nuclei" / f"{part}.json").write_text(json.dumps(told), encoding="utf-8")
    document.set_data(kind="coco", path=str(folder / "nuclei"))
    document.set_training(flip=0.5, flip_vertical=0.5)


GIVE = {"shapes": (give_shapes, 3), "nuclei": (give_nuclei, 1)}
"""What gives a document its data, and the number of classes."""


def learn(data: str, epochs: int, mosaic: float, seed: int, folder: Path) -> tuple[float, float, int]:
    """mAP50-95, CPU seconds and steps of one training."""
    give, classes = GIVE[data]
    document = load_template("yolov8n", library().catalogue)
    image = next(n for n in document.data.nodes if n.component == "io.image_input")
    head = next(n for n in document.data.nodes if n.component == "head.yolov8_head")
    for side in ("height", "width"):
        document.set_param(image, side, SIDE)
    document.set_param(head, "num_classes", classes)
    give(document, folder)
    document.set_training(
        epochs=epochs, batch=BATCH, optimizer="adamw", learning_rate=0.002, weight_decay=0.01, schedule="cosine",
        warmup_epochs=1, accumulate=1, nominal_batch=0, workers=0, device="cpu", seed=seed, eval_every=epochs,
        checkpoint_every=epochs, mosaic=mosaic, close_mosaic=max(1, epochs // 4),
    )  # fmt: skip
    began = time.process_time()
    trainer = Trainer(RunFolder.create(folder, document.data))
    values = trainer.train()
    return float(values["map"]), time.process_time() - began, trainer.step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=tuple(GIVE), default=list(GIVE))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--mosaic", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    today = datetime.date.today().isoformat()
    with tempfile.TemporaryDirectory() as folder:
        for data, seed, mosaic in itertools.product(options.data, options.seeds, options.mosaic):
            value, seconds, steps = learn(data, options.epochs, mosaic, seed, Path(folder))
            cells = (
                today, torch.__version__, data, str(steps), f"{mosaic:g}", str(seed), f"{value:.3f}", f"{seconds:.0f}",
            )  # fmt: skip
            row = f"| {' | '.join(cells)} |"
            print(row, flush=True)
            if options.write:
                before = TABLE.read_text(encoding="utf-8") if TABLE.exists() else HEADER
                TABLE.write_text(before + row + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
