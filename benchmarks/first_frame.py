"""Milliseconds from the start of the program to the first painted frame of the window.

    python benchmarks/first_frame.py [--rounds 7] [--json]

Beside it, in turn, a window with an empty canvas of NodeGraphQt in Fusion style, which is what no window of ours can be
quicker than; the ratio holds on a machine of any speed. Both are timed from here, from the start of their process to
their word, with bytecode kept as where Netwright is installed. The first round writes it, warms the page cache and is
not counted. Bar: a median below 1,500 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

BAR = 1500
OURS = "from designer.ui.app import main; raise SystemExit(main(profile_startup=True))"
LEAST = """
import os
os.environ["QT_PREFERRED_BINDING"], os.environ["QT_API"] = "PySide6", "pyside6"
from PySide6.QtWidgets import QApplication, QMainWindow
from NodeGraphQt import NodeGraph
app = QApplication([])
app.setStyle("Fusion")
window = QMainWindow()
graph = NodeGraph()
window.setCentralWidget(graph.widget)
window.resize(1280, 800)
window.show()
app.processEvents()
print("first frame")
"""


def first_frame(code: str, bytecode: str) -> float:
    """Milliseconds until a program says that its first frame is painted."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    kept |= {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONUNBUFFERED": "1"}
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=kept
    ) as program:
        assert program.stdout is not None
        said = program.stdout.readline()
        taken = (time.perf_counter() - began) * 1000
    if not said.startswith("first frame"):
        raise SystemExit(f"A program ended with {program.returncode} before its first frame.")
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as kept:
        pairs = [(first_frame(OURS, kept), first_frame(LEAST, kept)) for _ in range(options.rounds + 1)][1:]
    ours, least = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    if options.json:
        print(json.dumps({"ms": round(ours), "least_ms": round(least), "ratio": round(ratio, 2)}))
    else:
        print(f"first frame after {ours:.0f} ms, of an empty canvas after {least:.0f} ms; ratio {ratio:.2f}")
        print(f"bar {BAR} ms: {'met' if ours < BAR else 'MISSED'}")
    return 0 if ours < BAR else 1


if __name__ == "__main__":
    sys.exit(main())
