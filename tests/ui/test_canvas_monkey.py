"""A monkey at the canvas: random gestures by real events end in no exception and in a canvas equal to its document."""

import logging
import random

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from designer.graph import Document
from designer.ui import theme
from designer.ui.canvas import CanvasView
from tests.ui.canvas_support import CATALOGUE, LEFT, MIDDLE, NONE, drop, is_mirror

STEPS = 2500
"""About ten seconds for each seed."""
RIGHT = Qt.MouseButton.RightButton
SHIFT, ALT, CTRL = (
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
    Qt.KeyboardModifier.ControlModifier,
)
_Key = Qt.Key
KEYS = (
    *((_Key.Key_Z, CTRL), (_Key.Key_Z, CTRL), (_Key.Key_Z, CTRL | SHIFT), (_Key.Key_C, CTRL), (_Key.Key_V, CTRL)),
    *((_Key.Key_D, CTRL), (_Key.Key_A, CTRL), (_Key.Key_X, CTRL), (_Key.Key_X, NONE), (_Key.Key_Delete, NONE)),
    *((_Key.Key_G, CTRL), (_Key.Key_G, CTRL | SHIFT), (_Key.Key_N, CTRL | SHIFT), (_Key.Key_F, NONE)),
    *((_Key.Key_F, SHIFT), (_Key.Key_F, CTRL), (_Key.Key_0, CTRL), (_Key.Key_M, NONE), (_Key.Key_F2, NONE)),
    *((_Key.Key_Left, NONE), (_Key.Key_Down, SHIFT), (_Key.Key_Escape, NONE), (_Key.Key_Return, CTRL)),
    *((_Key.Key_L, CTRL), (_Key.Key_B, NONE), (_Key.Key_Left, CTRL | SHIFT), (_Key.Key_F, CTRL | ALT)),
)


class Monkey:
    def __init__(self, view, seed):
        self.view, self.random = view, random.Random(seed)
        self.port = view.viewer.viewport()
        self.gestures = (
            *((self.drop_component,) * 6),
            *((self.drag,) * 14),
            *((self.wire,) * 12),
            *((self.key,) * 8),
            *((self.click,) * 5),
            *((self.double_click,) * 3),
            *((self.type,) * 6),
            *((self.wheel,) * 2),
            self.call,
            self.result,
            self.resize,
        )

    def place(self):
        """Mostly near something: a port, a card, a wire, the bar of a frame."""
        view, kind = self.view, self.random.randrange(8)
        nodes, wires, frames = list(view.nodes.values()), list(view.wires.values()), list(view.mirror.frames.values())
        scene = None
        if kind < 4 and nodes:
            item = self.random.choice(nodes)
            ports = list(item.ports.values())
            scene = self.random.choice(ports).centre() if ports and kind < 3 else item.scene_card().center()
        elif kind == 4 and wires:
            scene = self.random.choice(wires).path().pointAtPercent(self.random.random())
        elif kind == 5 and frames:
            scene = self.random.choice(frames).scene_bar().center()
        if scene is not None and self.port.rect().contains(at := view.viewer.mapFromScene(scene)):
            return at
        return QPoint(self.random.randrange(self.port.width()), self.random.randrange(self.port.height()))

    def drag(self):
        start, end = self.place(), self.place()
        button, keys = self.random.choice(
            [(LEFT, NONE)] * 8 + [(LEFT, SHIFT), (LEFT, CTRL), (MIDDLE, NONE), (RIGHT, CTRL), (LEFT, ALT | SHIFT)]
        )
        QTest.mousePress(self.port, button, keys, start)
        for i in range(1, 5):
            QTest.mouseMove(self.port, start + (end - start) * i / 4)
            if self.random.random() < 0.04:
                self.key()  # in the middle of it
        if self.random.random() < 0.97:
            QTest.mouseRelease(self.port, button, keys, end)

    def wire(self):
        """From an output to an input, as somebody would who wants a network."""
        ports = [p for item in self.view.nodes.values() for p in item.ports.values()]
        seen = {p: self.view.viewer.mapFromScene(p.centre()) for p in ports}
        seen = {p: at for p, at in seen.items() if self.port.rect().contains(at)}
        outputs, inputs = [p for p in seen if not p.is_input], [p for p in seen if p.is_input]
        if outputs and inputs:
            start, end = seen[self.random.choice(outputs)], seen[self.random.choice(inputs)]
            QTest.mousePress(self.port, LEFT, NONE, start)
            QTest.mouseMove(self.port, end)
            QTest.mouseRelease(self.port, LEFT, NONE, end)

    def key(self):
        key, keys = self.random.choice(KEYS)
        QTest.keyClick(self.focused(), key, keys)

    def focused(self):
        """Where keys go: an open line first, else the canvas."""
        view = self.view
        lines = [view.search.line, view.titles, view.find_bar.line]
        return next((line for line in lines if line.isVisible()), view.viewer)

    def type(self):
        if self.focused() is not self.view.viewer:
            QTest.keyClicks(self.focused(), self.random.choice(("conv", "n", "fpn", "Stem 3", "zz", "")))
            QTest.keyClick(self.focused(), self.random.choice((_Key.Key_Return, _Key.Key_Return, _Key.Key_Escape)))

    def click(self):
        QTest.mouseClick(self.port, LEFT, self.random.choice((NONE, NONE, SHIFT, CTRL)), self.place())

    def double_click(self):
        QTest.mouseDClick(self.port, LEFT, NONE, self.place())

    def drop_component(self):
        if len(self.view.nodes) < 40:
            drop(self.view, self.random.choice(list(CATALOGUE)), self.place())

    def wheel(self):
        at = QPointF(self.place())
        turn = QPoint(0, self.random.choice((-240, -120, 120, 240)))
        event = QWheelEvent(
            at, QPointF(), QPoint(), turn, Qt.MouseButton.NoButton, NONE, Qt.ScrollPhase.NoScrollPhase, False
        )
        QApplication.sendEvent(self.port, event)

    def call(self):
        names = sorted(self.view.commands().keys() - {"export_picture"})
        self.view.commands()[self.random.choice(names)]()
        self.view.colour_selection(self.random.choice(("", "#2f9e44")))
        self.view.set_heat(self.random.choice(("", "params", "macs")))

    def result(self):
        info = {"kind": "map", "shape": [1, 64, 80, 80], "dtype": "float32"}
        nodes = {
            n.id: {"status": "ok", "params": self.random.randrange(99), "outputs": {"out": info, "p3": info}}
            for n in self.view.document.data.nodes
        }
        self.view.show_propagation({"nodes": nodes, "problems": []})

    def resize(self):
        self.view.resize(self.random.randrange(500, 1000), self.random.randrange(300, 800))
        self.view.set_theme(self.random.choice((theme.DARK, theme.LIGHT)))

    def step(self):
        self.random.choice(self.gestures)()


@pytest.mark.parametrize("seed", [1, 2, 11])
def test_random_gestures_do_no_harm(qtbot, caplog, seed):
    view = CanvasView(Document.new("Monkey", CATALOGUE), CATALOGUE, theme.DARK)
    view.resize(900, 600)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    monkey = Monkey(view, seed)
    most = 0
    with caplog.at_level(logging.ERROR), qtbot.captureExceptions() as exceptions:
        for step in range(STEPS):
            monkey.step()
            if step % 10 == 0:
                QApplication.processEvents()
            assert not exceptions, step
            most = max(most, len(view.wires))
        QTest.keyClick(view.viewer, Qt.Key.Key_Escape)
        for button in (LEFT, MIDDLE, RIGHT):
            QTest.mouseRelease(monkey.port, button, NONE, QPoint(5, 5))
        view.search.close()
        view.titles._finish()
        view.glide.finish()  # what is laid out glides for a moment
        QApplication.processEvents()
        assert is_mirror(view) == []
        assert most > 8  # it has drawn networks, not only noise
        while view.document.can_undo:
            view.undo()
        QApplication.processEvents()
    assert not exceptions
    assert [r.message for r in caplog.records] == []
    assert view.document.data.nodes == view.document.data.wires == view.document.data.groups == []
    assert view.nodes == view.wires == view.mirror.frames == {}
    assert view.viewer.all_nodes() == view.viewer.all_pipes() == []
