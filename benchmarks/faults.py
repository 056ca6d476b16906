"""What kill -9 at random moments costs: trainers, engines and windows, so many of each, from a seed.

    python benchmarks/faults.py [kills] [seed]        default: 20 1

A trainer has to go on from a checkpoint that can be read, and its curve has to be whole at the end. A request to the
engine has to be answered however often its process dies. Of a window every edit has to be there again that was made
more than two seconds before, and the file must never be torn. Prints a table; the exit code is 1 where something was
lost.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from designer.graph.document import Document
from designer.graph.storage import find_autosave, read

GRACE = 2.0
"""Seconds of edits that a window may lose: it keeps its work a second after the last edit, and is then busy."""


def small(epochs: int) -> Document:
    from nodes.sdk.discover import library

    doc = Document.new("Small", library().catalogue)
    image = doc.add("io.image_input", height=32, width=32)
    stem = doc.add("stem.patch_stem", out_channels=16)
    head = doc.add("head.classification_head", num_classes=3)
    doc.connect(image, stem)
    doc.connect(stem, head)
    doc.set_training(epochs=epochs, batch=8, workers=0, device="cpu", eval_every=5)
    doc.set_data(train_images=64, val_images=8)
    return doc


def kill_trainers(kills: int, chance: random.Random, place: Path) -> tuple[int, str]:
    """How many kills were survived, and what is to be said of them."""
    from designer.train import checkpoint
    from designer.train.events import EventTail
    from designer.train.run import RunFolder, start_training

    run = RunFolder.create(place, small(100_000).data)
    survived, resumed, seen = 0, 0, 0
    process = start_training(run)

    def new_text() -> str:
        """What this trainer has said."""
        return run.events_path.read_text()[seen:] if run.events_path.exists() else ""

    for _ in range(kills):
        while '"type": "step"' not in new_text():
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 3))
        process.kill()
        process.wait()
        found, _ = checkpoint.load_last(run.last_path)
        whole = all(checkpoint.load(path)["model"] for path in run.checkpoints.glob("*.pt"))
        resumed += found is not None
        survived += whole and process.returncode == -signal.SIGKILL
        seen = run.events_path.stat().st_size
        process = start_training(run, resume=True)
    seen = run.events_path.stat().st_size
    while run.events_path.stat().st_size == seen:
        time.sleep(0.1)
    time.sleep(1)
    process.terminate()
    process.wait(120)
    events = EventTail(run.events_path).read()
    steps = [e["step"] for e in events if e["type"] == "step"]
    whole = steps == sorted(set(steps)) and events[-1]["type"] == "stopped"
    return survived if whole else 0, f"{resumed} resumed from a checkpoint, {steps[-1]} steps, curve whole: {whole}"


def kill_engines(kills: int, chance: random.Random) -> tuple[int, str]:
    from designer.engine.client import EngineClient
    from designer.graph.templates import load_template

    data = load_template("quick-start").data.model_dump()
    answered = 0
    for _ in range(kills):
        client = EngineClient()
        try:
            client.call("propagate", {"document": data}, 120)
            with ThreadPoolExecutor() as pool:
                answer = pool.submit(client.call, "propagate", {"document": data}, 120)
                time.sleep(chance.uniform(0, 0.3))
                if client.pid is not None:
                    os.kill(client.pid, signal.SIGKILL)
                answered += bool(answer.result()["nodes"])
        finally:
            client.close()
    return answered, "requests answered after it"


def kill_windows(kills: int, chance: random.Random, place: Path) -> tuple[int, str]:
    survived, most = 0, 0.0
    for number in range(kills):
        path = place / f"{number}.netwright"
        small(1).save(path)
        process = subprocess.Popen(
            [sys.executable, __file__, "window", str(path)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "XDG_CONFIG_HOME": str(place), "XDG_DATA_HOME": str(place)},
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        made: list[float] = []
        end = time.monotonic() + chance.uniform(1, 5)
        while time.monotonic() < end:
            made.append(float(process.stdout.readline().split()[1]))
        process.kill()
        killed = time.time()
        made += [float(line.split()[1]) for line in process.stdout.read().splitlines() if line.count(" ") == 1]
        kept = read(find_autosave(path) or path)  # raises for a torn one
        read(path)
        there = int(kept.nodes[0].x)
        lost = killed - made[there] if there < len(made) else 0.0
        most = max(most, lost)
        survived += lost < GRACE
    return survived, f"the oldest lost edit was {most:.1f} s old"


def edit_in_a_window(path: Path) -> None:
    """Moves a node every 50 ms and saves now and then; says each edit."""
    from PySide6.QtCore import QTimer

    from designer.ui.app import make_application
    from designer.ui.main_window import MainWindow

    app = make_application()
    window = MainWindow()
    window.show()
    document = window.workspace.open(path)
    count = 0

    def edit() -> None:
        nonlocal count
        count += 1
        document.move({document.data.nodes[0].id: (float(count), 0.0)})
        print(f"edit {time.time()}", flush=True)
        if count % 40 == 0:
            document.save(path)

    timer = QTimer()
    timer.timeout.connect(edit)
    timer.start(50)
    print("ready", flush=True)
    app.exec()


def main() -> int:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    whole = True
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cases: list[tuple[str, Any]] = [
            ("trainer", lambda chance: kill_trainers(kills, chance, place)),
            ("engine", lambda chance: kill_engines(kills, chance)),
            ("window", lambda chance: kill_windows(kills, chance, place)),
        ]
        print(f"{'killed':<9}{'times':>6}{'survived':>10}  seed {seed}")
        for name, case in cases:
            survived, said = case(random.Random(seed))
            whole = whole and survived == kills
            print(f"{name:<9}{kills:>6}{survived:>10}  {said}", flush=True)
    return 0 if whole else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["window"]:
        edit_in_a_window(Path(sys.argv[2]))
    else:
        sys.exit(main())
