"""Frames and notes: a titled group is drawn around its nodes, one without nodes is a note that stands by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath
from PySide6.QtWidgets import QGraphicsItem

from designer.graph.model import Group
from designer.ui.canvas.items import Host, NodeItem, guarded
from designer.ui.canvas.look import Look

FRAME_Z = -3.0
PAD, BAR = 22.0, 34.0
"""Room between a frame and its nodes; height of the bar with its title."""
NOTE_WIDTH, NOTE_LEAST = 220.0, 60.0
_TINT, _BAR_TINT = 0.10, 0.26
_Flag = QGraphicsItem.GraphicsItemFlag
_WRAP = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop


class FrameItem(QGraphicsItem):
    """A group of the document. Its bar answers the pointer; through the rest, what lies in it is reached.

    Attributes:
        content: the document's group; read at every `refresh`, never written.
        members: the items of its nodes.
    """

    broken: bool = False

    def __init__(self, group: Group, host: Host) -> None:
        super().__init__()
        self.content, self.host = group, host
        self.members: list[NodeItem] = []
        self.setFlags(_Flag.ItemIsSelectable | _Flag.ItemIsMovable | _Flag.ItemSendsGeometryChanges)
        self.setZValue(FRAME_Z)
        self._box, self._at = QRectF(), QPointF()

    @property
    def id(self) -> str:
        return self.content.id

    @property
    def is_note(self) -> bool:
        """Whether it holds no nodes, but words."""
        return not self.content.nodes

    def refresh(self, members: Iterable[NodeItem]) -> None:
        """Takes over the group's fields and nodes from the document."""
        self.members = list(members)
        for item in self.members:
            item.frame = self
        self.follow()
        self.update()

    def follow(self) -> None:
        """Lies around its nodes, or a note where the document says."""
        if self.is_note:
            width = self.content.width or NOTE_WIDTH
            text = QRectF(0, 0, width - PAD, 10_000)
            needed = self.host.look.note_metrics.boundingRect(text, int(_WRAP), self.content.title).height() + PAD
            box = QRectF(0, 0, width, max(self.content.height, needed, NOTE_LEAST))
            at = QPointF(self.content.x, self.content.y)
        else:
            whole = QRectF()
            for item in self.members:
                whole = whole.united(item.scene_card())
            whole.adjust(-PAD, -PAD - BAR, PAD, PAD)
            box, at = QRectF(0, 0, whole.width(), whole.height()), whole.topLeft()
        self._at = at
        if box != self._box:
            self.prepareGeometryChange()
            self._box = box
        if at != self.pos():
            self.setPos(at)
        self.host.touched(self)

    @property
    def home(self) -> QPointF:
        """Where the document has a note; a frame is always where its nodes are."""
        return QPointF(self.content.x, self.content.y) if self.is_note else self._at

    def scene_box(self) -> QRectF:
        """All of it, in the scene."""
        return self._box.translated(self.pos())

    def scene_bar(self) -> QRectF:
        """The part that can be grabbed, in the scene: a frame's title bar, a whole note."""
        return self.mapRectToScene(self.bar())

    def bar(self) -> QRectF:
        return self._box if self.is_note else QRectF(0, 0, self._box.width(), BAR)

    def colour(self, look: Look) -> QColor:
        if self.content.color:
            return QColor(self.content.color)
        return look.ink if self.is_note else look.faint

    def boundingRect(self) -> QRectF:
        return self._box.adjusted(-3, -3, 3, 3)

    def shape(self) -> QPainterPath:
        path = QPainterPath()
        path.addRect(self.bar())
        return path

    def itemChange(self, change: QGraphicsItem.GraphicsItemChange, value: Any) -> Any:
        if change == QGraphicsItem.GraphicsItemChange.ItemSelectedHasChanged:
            self.update()
        elif change == QGraphicsItem.GraphicsItemChange.ItemPositionChange and not self.is_note:
            return self._at  # a frame lies where its nodes are, whoever drags it
        return super().itemChange(change, value)

    @guarded
    def paint(self, painter: QPainter, scale: float) -> None:
        look = self.host.look
        colour = self.colour(look)
        edge = look.accent if self.isSelected() else look.blend(colour, look.canvas, 0.55)
        painter.setPen(look.pen(edge, 1.6))
        if self.is_note:
            painter.setBrush(look.blend(colour, look.card, _BAR_TINT * 0.7))
            painter.drawRoundedRect(self._box, 6, 6)
            painter.setPen(look.text)
            painter.setFont(look.note)
            painter.drawText(self._box.adjusted(PAD / 2, PAD / 2, -PAD / 2, 0), int(_WRAP), self.content.title)
            return
        painter.setBrush(look.blend(colour, look.canvas, _TINT))
        painter.drawRoundedRect(self._box, 10, 10)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.blend(colour, look.canvas, _BAR_TINT))
        painter.drawRoundedRect(QRectF(0, 0, self._box.width(), BAR).adjusted(1, 1, -1, 0), 9, 9)
        font, metrics = look.title_font(look.band(scale).title)
        painter.setPen(look.text)
        painter.setFont(font)
        room = self.bar().adjusted(14, 0, -10, 0)
        title = metrics.elidedText(self.content.title, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
