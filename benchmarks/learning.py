"""How well YOLOv8n learns the drawn shapes in a fixed number of steps, with and without mosaic.

    python benchmarks/learning.py [--epochs 12] [--mosaic 0 1] [--seeds 0] [--write]

512 images of 160 pixels, batches of 16, AdamW, on the CPU, every step the trainer's own; mosaic is closed for the last
quarter. Printed is the mAP50-95 of 128 other images; `--write` appends the rows to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
import time
from pathlib import Path

import torch

from designer.graph.templates import load_template
from designer.train.loop import Trainer
from designer.train.run import RunFolder
from nodes.sdk.discover import library

TABLE = Path(__file__).with_name("RESULTS.md")
HEADER = """# What was measured

Rows that `python benchmarks/learning.py --write` appended: YOLOv8n on drawn shapes of 160 pixels, batches of 16, AdamW,
on the CPU; mAP50-95 of 128 images that were not trained on.

| date | torch | steps | mosaic | seed | mAP50-95 | CPU seconds |
|---|---|--:|--:|--:|--:|--:|
"""
SIDE, IMAGES, BATCH = 160, 512, 16


def learn(epochs: int, mosaic: float, seed: int, folder: Path) -> tuple[float, float, int]:
    """mAP50-95, CPU seconds and steps of one training."""
    document = load_template("yolov8n", library().catalogue)
    image = next(n for n in document.data.nodes if n.component == "io.image_input")
    head = next(n for n in document.data.nodes if n.component == "head.yolov8_head")
    for side in ("height", "width"):
        document.set_param(image, side, SIDE)
    document.set_param(head, "num_classes", 3)
    document.set_data(kind="shapes", classes=3, train_images=IMAGES, val_images=128)
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
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--mosaic", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    today = datetime.date.today().isoformat()
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            for mosaic in options.mosaic:
                value, seconds, steps = learn(options.epochs, mosaic, seed, Path(folder))
                cells = (
                    today,
                    torch.__version__,
                    f"{steps}",
                    f"{mosaic:g}",
                    f"{seed}",
                    f"{value:.3f}",
                    f"{seconds:.0f}",
                )
                row = f"| {' | '.join(cells)} |"
                print(row, flush=True)
                if options.write:
                    before = TABLE.read_text(encoding="utf-8") if TABLE.exists() else HEADER
                    TABLE.write_text(before + row + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
