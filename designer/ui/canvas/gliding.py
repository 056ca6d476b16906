"""Nodes glide to where the document has put them: what is seen of an edit that is done already."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QAbstractAnimation, QEasingCurve, QEvent, QObject, QPointF, QVariantAnimation

from designer.ui.canvas.items import NodeItem
from designer.ui.canvas.viewer import CanvasViewer

GLIDE_MS = 200
MOST = 300
"""Larger documents jump: a frame of so many nodes and their wires takes longer than the screen waits."""


class Glide(QObject):
    """One movement at a time. Anything that the user does meanwhile ends it, with every node at its place.

    Attributes:
        enabled: whether nodes glide at all.
    """

    def __init__(self, viewer: CanvasViewer) -> None:
        super().__init__(viewer)
        self.enabled = False
        self._from: dict[NodeItem, QPointF] = {}
        self._motion = QVariantAnimation(self)
        self._motion.setDuration(GLIDE_MS)
        self._motion.setStartValue(0.0)
        self._motion.setEndValue(1.0)
        self._motion.setEasingCurve(QEasingCurve.Type.InOutCubic)
        self._motion.valueChanged.connect(self._show)
        self._motion.finished.connect(self.finish)
        viewer.viewport().installEventFilter(self)
        viewer.installEventFilter(self)

    def start(self, before: Mapping[NodeItem, QPointF]) -> None:
        """Lets nodes, which are at their new places, come from these ones."""
        self.finish()
        moved = {item: at for item, at in before.items() if at != item.home}
        if self.enabled and moved and len(before) <= MOST:
            self._from = moved
            self._show(0.0)
            self._motion.start()

    @property
    def is_running(self) -> bool:
        return self._motion.state() == QAbstractAnimation.State.Running

    def finish(self) -> None:
        """Puts every node at its place."""
        self._motion.stop()
        arrived, self._from = self._from, {}
        for item in arrived:
            if item.scene() is not None:
                item.setPos(item.home)

    def _show(self, share: float) -> None:
        for item, start in self._from.items():
            if item.scene() is not None:
                item.setPos(start + (item.home - start) * share)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A press, a key or the wheel does not wait for the end."""
        kinds = (QEvent.Type.MouseButtonPress, QEvent.Type.KeyPress, QEvent.Type.Wheel, QEvent.Type.DragEnter)
        if self.is_running and event.type() in kinds:
            self.finish()
        return False
