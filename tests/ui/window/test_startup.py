"""The window starts without torch, quickly, and says how quickly."""

import re
import subprocess
import sys

from PySide6.QtWidgets import QLabel

from designer.graph.document import Document
from designer.graph.storage import dump

NO_TORCH = """
import sys
import designer.ui.app
from designer.ui.app import make_application
app = make_application()
from designer.ui.main_window import MainWindow
window = MainWindow()
window.open_quick_start()
window.train.make_curves()
heavy = {"torch", "torchvision", "accelerate", "onnx", "onnxruntime", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""

FIRST_FRAME = """
import sys
from designer.ui.app import main
assert main(profile_startup=True) == 0
later = {"torch", "numpy", "pyqtgraph", "networkx", "PIL", "yaml", "cv2", "optuna", "matplotlib"}
print(sorted(later & set(sys.modules)))
"""
"""How long it takes is measured by benchmarks/first_frame.py."""


def test_the_window_never_imports_torch(home):
    done = subprocess.run([sys.executable, "-c", NO_TORCH], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_first_frame_is_timed_and_comes_before_what_is_slow_to_import(home):
    done = subprocess.run([sys.executable, "-c", FIRST_FRAME], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    frame, imported = done.stdout.splitlines()
    assert re.fullmatch(r"first frame after \d+ ms", frame)
    assert imported == "[]"


def test_a_document_in_place_of_a_command_opens_it(home):
    (home / "mine.netwright").write_text(dump(Document().data))
    command = [sys.executable, "-c", "from designer.cli.app import main; main()", "mine.netwright", "--profile-startup"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("first frame after")


def said(widget):
    return " ".join(part.text() for part in widget.findChildren(QLabel))


def test_components_that_are_still_being_listed_are_not_called_missing(quiet_window, catalogue):
    """A first start has no list of the components yet; the engine sends it seconds after the window is up."""
    quiet_window.open_quick_start()
    node = quiet_window.workspace.document.data.nodes[1]
    quiet_window.canvas.select([node.id])
    assert quiet_window.canvas.nodes[node.id].tip() == node.component
    assert "Loading components" in said(quiet_window.inspector)
    assert "not installed" not in said(quiet_window.inspector)
    node.component = "conv.of_another_library"
    quiet_window.engine.take_catalogue({"components": catalogue.to_json()})
    assert "Loading" not in said(quiet_window.inspector)
    assert "not installed" in said(quiet_window.inspector)
