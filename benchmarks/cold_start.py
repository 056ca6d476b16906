"""Seconds from the Start button to the first loss, on a warm page cache.

    python benchmarks/cold_start.py [--template yolov8n] [--size 320] [--rounds 5] [--json]

Each round freezes the document into a run folder, starts the trainer as the window does, waits for the first `step`
event of its `events.jsonl` and kills it. The first round warms the page cache and is not counted. Bar: a median of 6 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from designer.graph.document import Document
from designer.graph.templates import load_template
from designer.train.events import EventTail
from designer.train.run import RunFolder, start_training

BAR = 6.0
PATIENCE = 300.0


def first_loss(document: Document, root: Path) -> dict[str, float]:
    """Seconds until the trainer's first events, by type."""
    began, clock = time.perf_counter(), time.time()
    run = RunFolder.create(root, document.data)
    process = start_training(run)
    tail, found = EventTail(run.events_path), {}
    try:
        while "step" not in found and time.perf_counter() - began < PATIENCE:
            for event in tail.read():
                if event["type"] == "error":
                    raise SystemExit(event["message"])
                found.setdefault(event["type"], event["time"] - clock)
            if process.poll() is not None and "step" not in found:
                raise SystemExit(f"The trainer ended: {run.log_path.read_text()}")
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", default="yolov8n")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    document = load_template(options.template)
    image = next(n for n in document.data.nodes if n.component == "io.image_input")
    for side in ("height", "width"):
        document.set_param(image, side, options.size)
    document.set_training(batch=options.batch, device="cpu")
    document.set_data(kind="shapes")
    with tempfile.TemporaryDirectory() as folder:
        rounds = [first_loss(document, Path(folder)) for _ in range(options.rounds + 1)][1:]
    middle = {name: round(statistics.median(r[name] for r in rounds), 2) for name in ("start", "step")}
    if options.json:
        print(json.dumps({**middle, "cores": os.cpu_count(), "rounds": [round(r["step"], 2) for r in rounds]}))
    else:
        low, high = min(r["step"] for r in rounds), max(r["step"] for r in rounds)
        print(f"{options.template}, {options.size} px, batch {options.batch}, {os.cpu_count()} cores")
        times = f"start event after {middle['start']:.2f} s, first loss after {middle['step']:.2f} s"
        print(f"{times} ({low:.2f} to {high:.2f})")
        print(f"bar {BAR:.0f} s: {'met' if middle['step'] <= BAR else 'MISSED'}")
    return 0 if middle["step"] <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
