"""Seconds from the Start button to the first loss, on a warm page cache.

    python benchmarks/cold_start.py [--template yolov8n] [--size 320] [--rounds 5] [--json]

Each round freezes the document into a run folder, starts a trainer, waits for the first `step` event of its
`events.jsonl` and kills it: once by the process that the window keeps ready while its Train tab is shown, once by a
process that is started then, as from a terminal or right after the window has opened. The first round warms the page
cache and is not counted. Bar: a median of 6 s, of the first way.
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
from typing import Any

from designer.graph.document import Document
from designer.graph.templates import load_template
from designer.train.events import EventTail
from designer.train.ready import ReadyTrainer
from designer.train.run import RunFolder, start_training

BAR = 6.0
WAYS = ("kept ready", "started then")
PATIENCE = 300.0
SETTLED = 0.05
"""Share of a processor below which the process that is kept ready has imported everything."""


def first_loss(document: Document, root: Path, *, ready: bool) -> dict[str, float]:
    """Seconds until the trainer's first events, by type."""
    keeper = ReadyTrainer()
    if ready:
        keeper.prepare()
        while keeper.process is None or keeper.process.cpu_percent(0.5) > 100 * SETTLED:
            pass
    began, clock = time.perf_counter(), time.time()
    run = RunFolder.create(root, document.data)
    process = keeper.start(run) or start_training(run)
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
        both = [
            {way: first_loss(document, Path(folder), ready=way == "kept ready") for way in WAYS}
            for _ in range(options.rounds + 1)
        ][1:]
    found: dict[str, dict[str, Any]] = {}
    for way in WAYS:
        losses = [r[way]["step"] for r in both]
        found[way] = {
            "start": round(statistics.median(r[way]["start"] for r in both), 2),
            "step": round(statistics.median(losses), 2),
            "rounds": [round(seconds, 2) for seconds in losses],
        }
    met = found["kept ready"]["step"] <= BAR
    if options.json:
        print(json.dumps({**found, "cores": os.cpu_count()}))
        return 0 if met else 1
    print(f"{options.template}, {options.size} px, batch {options.batch}, {os.cpu_count()} cores")
    for way, times in found.items():
        low, high = min(times["rounds"]), max(times["rounds"])
        print(
            f"{way:>16}: start event {times['start']:.2f} s, first loss {times['step']:.2f} s ({low:.2f} to {high:.2f})"
        )
    print(f"bar {BAR:.0f} s: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
