"""Takes the pictures of the documentation again: `make screenshots`. Needs no display; takes about a minute.

Each picture is of the real window with its engine, in a home of its own, so that nothing of yours is in it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HOME = tempfile.mkdtemp(prefix="netwright-pictures-")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "LOCALAPPDATA"):
    os.environ[name] = HOME

from PySide6.QtCore import QSettings  # noqa: E402 - the home has to be set before

from designer.ui import theme  # noqa: E402
from designer.ui.app import make_application  # noqa: E402
from designer.ui.main_window import MainWindow  # noqa: E402

FOLDER = Path(__file__).parent / "images"
SIZES = ((1280, 800), (1920, 1080))


def wait(app: object, until: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not until():
        app.processEvents()  # type: ignore[attr-defined]
        time.sleep(0.01)
        if time.monotonic() > end:
            sys.exit("The window did not get there in time.")
    for _ in range(30):  # whatever waits for a turn of the event loop, and for its paint
        app.processEvents()  # type: ignore[attr-defined]
        time.sleep(0.01)


def take(window: MainWindow, name: str) -> None:
    path = FOLDER / f"{name}-{window.width()}x{window.height()}.png"
    window.grab().save(str(path))
    print(path.relative_to(FOLDER.parent.parent))


def open_template(app: object, window: MainWindow, name: str) -> None:
    window.workspace.close()
    window.files.open_template(name)
    wait(app, lambda: window.status.params.text() != "")


def show_data(app: object, window: MainWindow) -> None:
    """The Data tab with the drawn shapes and what augmentation makes of one of them."""
    open_template(app, window, "quick-start")
    window.workspace.document.set_training(epochs=60, mosaic=1.0, rotate=8.0)
    window.canvas.fit()
    window.taller.setChecked(True)
    window.commands["show_data"].trigger()
    window.data.tabs.setCurrentWidget(window.data.preview)
    wait(app, lambda: any(not image.isNull() for image in window.data.preview.grid.images[-1:]))
    take(window, "data")
    window.taller.setChecked(False)
    window.commands["show_train"].trigger()


def main() -> None:
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, HOME)
    app = make_application()
    FOLDER.mkdir(exist_ok=True)
    for size in SIZES:
        theme.manager.set_theme("dark", remember=False)
        window = MainWindow()
        window.resize(*size)
        window.show()
        window.start()
        wait(app, lambda w=window: w.engine.state == "ready" and bool(w.engine.catalogue))
        take(window, "welcome")
        open_template(app, window, "quick-start")
        window.show_node("n2")
        window.canvas.fit()
        wait(app, lambda: True)
        wait(app, lambda w=window: w.engine.state == "ready")  # the inspector has asked for more by now
        take(window, "quick-start")
        open_template(app, window, "yolov8n-blocks")
        take(window, "yolov8n")
        window.canvas.fit()
        wait(app, lambda: True)
        take(window, "yolov8n-fit")
        window.canvas.zoom_100()
        window.canvas.centre_on(window.workspace.document.order()[6])
        wait(app, lambda: True)
        take(window, "yolov8n-near")
        show_data(app, window)
        open_template(app, window, "gold-yolo-n")
        neck = next(n for n in window.workspace.document.data.nodes if n.title == "Neck")
        window.canvas.select([neck.id])
        window.canvas.open_inside()
        wait(app, lambda w=window: len(w.canvas.nodes) > 10)
        take(window, "inside")
        open_template(app, window, "yolov8n-blocks")
        window.commands["show_layers"].trigger()
        theme.manager.set_theme("light", remember=False)
        wait(app, lambda: True)
        take(window, "layers-light")
        broken = window.workspace.document
        broken.set_param(broken.order()[4], "out_channels", 65537)
        broken.disconnect(broken.wires_into(broken.order()[6])[0])
        window.commands["show_problems"].trigger()
        wait(app, lambda w=window: len(w.problems.rows) > 1)
        take(window, "problems-light")
        window.workspace.close()
        window.close()


if __name__ == "__main__":
    main()
