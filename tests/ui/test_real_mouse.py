"""The whole window under a real X server, driven by the mouse and keys that xdotool sends to it, as a user does."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from designer.graph.document import Document
from designer.graph.storage import dump

PROGRAM = """
import json, sys
from pathlib import Path
from PySide6.QtCore import QPointF, QSocketNotifier
from designer.ui.app import make_application
app = make_application()
from designer.ui.main_window import MainWindow
window = MainWindow()
window.setGeometry(0, 0, 1280, 800)
window.files.open(Path(sys.argv[1]))
window.show()
window.start()
view = window.canvas

def place(x, y):
    at = view.viewer.viewport().mapToGlobal(view.viewer.mapFromScene(QPointF(x, y)))
    return [at.x(), at.y()]

def grip(node):
    at = view.nodes[node].scene_card().center()
    return place(at.x(), at.y())

def port(node, name, is_input):
    at = view.nodes[node].ports[is_input, name].centre()
    return place(at.x(), at.y())

def middle(wire):
    at = view.wires[wire].path().pointAtPercent(0.5)
    return place(at.x(), at.y())

def answer():
    line = sys.stdin.readline()
    if not line:
        window.workspace.close_all()
        window.close()
        app.quit()
        return
    print(json.dumps(eval(line)), flush=True)

listener = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read)
listener.activated.connect(answer)
app.exec()
"""


@pytest.fixture
def display(tmp_path):
    """A number of an X server of our own."""
    missing = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: there is no real mouse to test with")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.PIPE, text=True)
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    if not number:
        pytest.skip(f"Xvfb does not start here: {server.communicate()[1].strip()[-200:]}")
    yield f":{number}"
    server.terminate()
    server.wait()


class Desk:
    """The program, asked about by expressions; its mouse and keyboard."""

    def __init__(self, display, path, home):
        keep = {k: v for k, v in os.environ.items() if k not in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY")}
        self.environ = {**keep, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "HOME": str(home)}
        self.environ |= {"XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home)}
        self.errors = (home / "stderr.txt").open("w+")
        self.program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path)],
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def ask(self, expression):
        try:
            self.program.stdin.write(expression + "\n")
            self.program.stdin.flush()
            line = self.program.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            said = self.errors.read()
            if "could not load the Qt platform plugin" in said.lower() or (
                "xcb" in said and "not load" in said.lower()
            ):
                pytest.skip(f"Qt has no X support here: {said[-200:]}")
            raise AssertionError(f"the window ended: {said[-2000:]}")
        return json.loads(line)

    def wait(self, expression, seconds=30):
        ends = time.monotonic() + seconds
        while not self.ask(expression):
            assert time.monotonic() < ends, f"never came true: {expression}"
            time.sleep(0.02)

    def do(self, *words):
        subprocess.run(["xdotool", *map(str, words)], env=self.environ, check=True)

    def drag(self, start, end):
        """In steps, as a hand moves: Qt starts a drag by the way that was gone."""
        self.do("mousemove", *start, "mousedown", 1)
        for i in range(1, 7):
            at = [round(a + (b - a) * i / 6) for a, b in zip(start, end, strict=True)]
            self.do("mousemove", *at, "sleep", 0.02)
        self.do("mouseup", 1)

    def close(self):
        self.program.stdin.close()
        try:
            self.program.wait(10)
        except subprocess.TimeoutExpired:
            self.program.kill()
        self.errors.close()


@pytest.fixture
def desk(display, tmp_path):
    path = tmp_path / "mine.netwright"
    document = Document.new("Mine")
    document.add("io.image_input", title="Image", at=(-300, -150))
    document.add("conv.conv", title="Spare", at=(0, 150))
    document.save(path)
    made = Desk(display, path, tmp_path)
    yield made, path
    made.close()


def test_a_model_is_drawn_with_a_real_mouse_taken_back_and_saved(desk):
    desk, path = desk
    before = Document.load(path).data
    desk.wait("window.isVisible() and window.engine.catalogue is not None and window.engine.state == 'ready'", 60)
    desk.ask("window.left.hide() or window.bottom.hide() or window.right.hide()")
    desk.ask("view.viewer.look_at(QPointF(0, 0), 1.0)")

    desk.do("mousemove", *desk.ask("place(350, -127)"), "click", "--repeat", 2, "--delay", 60, 1)  # search and add
    desk.wait("view.search.isVisible()")
    desk.do("type", "--delay", 5, "conv")
    desk.wait("view.search.line.text() == 'conv'")
    desk.do("key", "Return")
    desk.wait("len(view.nodes) == 3")
    added = desk.ask("view.document.data.nodes[-1].id")
    assert desk.ask(f"view.document.node({added!r}).component") == "conv.conv"

    desk.drag(desk.ask("port('n1', 'out', False)"), desk.ask(f"port({added!r}, 'x', True)"))  # wire
    desk.wait("len(view.wires) == 1")

    desk.drag(desk.ask("grip('n2')"), desk.ask("middle(view.document.data.wires[0].id)"))  # insert on the wire
    desk.wait("len(view.wires) == 2")
    ends = desk.ask("[(w.source, w.target) for w in view.document.data.wires]")
    assert sorted(ends) == sorted([["n1", "n2"], ["n2", added]])

    desk.ask("view.fit()")
    left, top = desk.ask("place(view.mirror.area().left() - 30, view.mirror.area().top() - 30)")
    right, bottom = desk.ask("place(view.mirror.area().right() + 30, view.mirror.area().bottom() + 30)")
    desk.drag((left + 5, top), (right, bottom))  # rubber band
    desk.wait("len(view.selected_ids()) == 3")

    desk.do("key", "ctrl+c", "key", "ctrl+v")
    desk.wait("len(view.nodes) == 6 and len(view.wires) == 4")

    desk.do("key", "ctrl+s")
    desk.wait("not window.workspace.is_dirty")
    assert len(Document.load(path).data.nodes) == 6

    steps = desk.ask("len(view.document.history.done)")
    assert steps == 4
    for _ in range(steps):
        desk.do("key", "ctrl+z")
    desk.wait("not view.document.can_undo")
    desk.do("key", "ctrl+s")
    desk.wait("not window.workspace.is_dirty")
    assert dump(Document.load(path).data) == dump(before)
    assert path.with_name("mine.netwright.autosave").exists() is False
