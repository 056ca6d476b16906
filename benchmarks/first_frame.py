"""Milliseconds from the start of the program to the first painted frame of the window.

    python benchmarks/first_frame.py [--rounds 7] [--json]

Beside it, in turn, a window with an empty canvas of NodeGraphQt in Fusion style, which is what no window of ours can be
quicker than; the ratio holds on a machine of any speed. Both count from the start of the process, with bytecode kept as
where Netwright is installed. The first round writes it, warms the page cache and is not counted. Bar: a median below
1,500 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

BAR = 1500
OURS = "from designer.ui.app import main; raise SystemExit(main(profile_startup=True))"
LEAST = """
import os, time
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
import psutil
print(f"first frame after {(time.time() - psutil.Process().create_time()) * 1000:.0f} ms")
"""


def first_frame(code: str, bytecode: str) -> int:
    """What one start says, in ms."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPYCACHEPREFIX": bytecode}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept)
    return int(done.stdout.split()[3])


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
        print(json.dumps({"ms": ours, "least_ms": least, "ratio": round(ratio, 2)}))
    else:
        print(f"first frame after {ours:.0f} ms, of an empty canvas after {least:.0f} ms; ratio {ratio:.2f}")
        print(f"bar {BAR} ms: {'met' if ours < BAR else 'MISSED'}")
    return 0 if ours < BAR else 1


if __name__ == "__main__":
    sys.exit(main())
