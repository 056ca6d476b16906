"""What several tests of the window share."""

import json

from designer.graph.templates import load_template
from designer.train.events import EventWriter
from designer.train.run import RunFolder

STEPS = 24


def small(document, epochs=1):
    """The quick-start detector, cut down to seconds."""
    document.set_param(next(n for n in document.data.nodes if n.component == "io.image_input"), "height", 64)
    document.set_param(next(n for n in document.data.nodes if n.component == "io.image_input"), "width", 64)
    document.set_data(train_images=STEPS * 2, val_images=4)
    document.set_training(epochs=epochs, batch=2, workers=0, device="cpu", checkpoint_every=1)
    return document


def steps(dock):
    """How many points the loss curve has; the curves are made shortly after the dock is first seen."""
    series = dock.curves.loss.series.get("loss") if dock.curves is not None else None
    return len(series.x) if series else 0


QUALITY = {
    "epoch": 1, "step": 8, "best_score": 0.4, "matrix_names": ["cat", "dog", "background"],
    "matrix": [[8, 1, 1], [0, 5, 0], [2, 0, 0]],
    "classes": [
        {"name": "cat", "truths": 10, "ap": 0.5, "ap50": 0.7, "precision": 0.8, "recall": 0.6, "f1": 0.69},
        {"name": "dog", "truths": 5, "ap": 0.9, "ap50": 1.0, "precision": 1.0, "recall": 0.9, "f1": 0.95},
    ],
    "precision": {"all": [1 - i / 100 for i in range(101)], "cat": [1.0] * 101},
    "f1": {"all": [0.5] * 101, "cat": [0.4] * 101},
}  # fmt: skip


def made(root, name, epochs=2, best=0.5, ended=True, steps=8):
    """A run's folder as a trainer leaves it, without training."""
    document = small(load_template("quick-start"), epochs)
    run = RunFolder.create(root, document.data, name)
    writer = EventWriter(run.events_path)
    writer.write("start", device="cpu", batches=4, epochs=epochs, torch="x", params=1, images=8)
    for step in range(1, steps + 1):
        writer.write(
            "step", step=step, epoch=0, loss=2 / step, losses={"box": 1 / step, "cls": 1 / step}, lr=0.01,
            images_per_s=20.0, eta_s=1.0, grad_norm=3.0, waiting=0.1,
        )  # fmt: skip
    writer.write("metrics", epoch=0, step=4, values={"map": best, "map50": best})
    if ended:
        writer.write("finished", step=steps, epoch=epochs, values={})
    writer.close()
    run.evaluation_path.write_text(json.dumps(QUALITY))
    return run
