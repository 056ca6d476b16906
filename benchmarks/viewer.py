"""How quickly a model file is seen, and how smoothly it moves: python benchmarks/viewer.py [FILE...]

Without files: DenseNet-121 of 1,746 nodes, which comes with onnx, and YOLOv8n as this program exports it. Times are
milliseconds: of the engine as a clock on the wall has them, of all else processor time, which other work on the machine
does not lengthen; the median of five. Frames are of 1600 x 900 pixels.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import onnx
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QApplication, QScrollBar

from designer.engine.client import EngineClient
from designer.model_files.drawing import draw
from designer.model_files.opened import open_model
from designer.ui import theme
from designer.ui.model_view.graph_scene import GraphScene
from designer.ui.model_view.graph_view import GraphView

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light/light_densenet121.onnx"
FRAMES = 60


def main() -> None:
    app = QApplication.instance() or QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(name) for name in sys.argv[1:]] or [LIGHT, exported(Path(folder))]
        for path in files:
            started = time.perf_counter()
            client = EngineClient()
            shown = client.call("view_model", {"path": str(path)})
            cold = time.perf_counter() - started
            client.call("templates")  # answered once torch is there
            ready = time.perf_counter() - started
            client.close()
            nodes, wires = (len(shown["drawing"][k]) for k in ("nodes", "wires"))
            print(f"\n{path.name}: {nodes} cards, {wires} wires")
            print(f"  engine started, file answered {cold * 1000:8.0f}   (torch there after {ready * 1000:.0f})")
            print(f"  file read, shapes inferred    {timed(lambda path=path: open_model(path)):8.1f}")
            file = open_model(path)
            print(f"  drawing placed                {timed(lambda file=file: draw(file)):8.1f}")
            frames(app, shown["drawing"])


def frames(app: QApplication, drawing: dict) -> None:
    view = GraphView()
    view.resize(1600, 900)
    view.show()
    app.processEvents()

    def first() -> None:
        view.show_graph(GraphScene(drawing, theme.current()), "")
        view.viewport().repaint()

    print(f"  first picture in the window   {timed(first):8.1f}")
    middle = QPointF(800, 450)
    for name, scale in (("whole", 0.0), ("at 0.3", 0.3), ("at 0.6", 0.6), ("at 1.0", 1.0)):
        view.look_at(view.drawn.area.center(), scale) if scale else view.fit()
        bar = view.verticalScrollBar()

        def move(bar: QScrollBar = bar) -> None:
            bar.setValue(bar.value() + 9)
            app.processEvents()  # paints the strip that has come in

        def zoom_by(factor: float) -> None:
            view.zoom_by(factor, middle)
            view.viewport().repaint()

        pan = [one(move) for _ in range(FRAMES)]
        zoom = [one(partial(zoom_by, factor)) for factor in [1.02, 1 / 1.02] * (FRAMES // 2)]
        view._on_still()
        still = one(view.viewport().repaint)
        print(f"  {name:7} pan {spread(pan)}   zoom {spread(zoom)}   smooth, still {still:.1f}")


def exported(folder: Path) -> Path:
    from designer.export import export_onnx
    from designer.graph.templates import load_template

    return export_onnx(load_template("yolov8n").data, folder / "yolov8n.onnx").path


def one(act: Callable[[], object]) -> float:
    started = time.process_time()
    act()
    return (time.process_time() - started) * 1000


def timed(act: Callable[[], object]) -> float:
    return statistics.median(one(act) for _ in range(5))


def spread(times: list[float]) -> str:
    return f"{statistics.median(times):5.1f} (worst tenth {sorted(times)[int(len(times) * 0.9)]:5.1f})"


if __name__ == "__main__":
    main()
