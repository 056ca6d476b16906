"""Frames and notes: a titled group is drawn around its nodes, one without nodes is a note that stands by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPolygonF
from PySide6.QtWidgets import QGraphicsItem

from designer.graph.model import Group
from designer.ui.canvas.items import HEADER, NODE_Z, WIDTH, Host, NodeItem, guarded
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

    @property
    def is_folded(self) -> bool:
        """Whether it is shown as one card in place of its nodes."""
        return self.content.folded and not self.is_note

    @property
    def moves_itself(self) -> bool:
        """Whether a drag moves it, and not its nodes."""
        return self.is_note or self.is_folded

    def severity(self) -> str:
        """The worst of its nodes' problems."""
        found = {item.severity for item in self.members}
        return next((s for s in ("error", "warning") if s in found), "")

    def border(self, *, is_input: bool) -> QPointF:
        """Where the wires of a folded frame's nodes enter or leave it, in the scene."""
        return self.mapToScene(QPointF(0 if is_input else self._box.width(), self._box.height() / 2))

    def fold_box(self) -> QRectF:
        """Where the sign is that folds it and unfolds it, in the item's coordinates; notes have none."""
        return QRectF() if self.is_note else QRectF(4, self.bar().center().y() - 11, 22, 22)

    def refresh(self, members: Iterable[NodeItem]) -> None:
        """Takes over the group's fields and nodes from the document."""
        self.members = list(members)
        for item in self.members:
            item.frame = self
        self.setZValue(NODE_Z if self.is_folded else FRAME_Z)
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
            if self.is_folded:
                middle = whole.center() - QPointF(WIDTH, HEADER) / 2
                box, at = QRectF(0, 0, WIDTH, HEADER), QPointF(round(middle.x()), round(middle.y()))
            else:
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
        return self._box if self.moves_itself else QRectF(0, 0, self._box.width(), BAR)

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
        elif change == QGraphicsItem.GraphicsItemChange.ItemPositionChange and not self.moves_itself:
            return self._at  # a frame lies where its nodes are, whoever drags it
        elif change == QGraphicsItem.GraphicsItemChange.ItemPositionHasChanged and self.is_folded:
            for item in self.members:
                item._pull_wires()
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
        if self.is_folded:
            worst = look.severity(self.severity())
            painter.setPen(look.pen(worst if worst is not None and not self.isSelected() else edge, 1.6))
            self._paint_folded(painter, look, colour, scale)
            return
        painter.setBrush(look.blend(colour, look.canvas, _TINT))
        painter.drawRoundedRect(self._box, 10, 10)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.blend(colour, look.canvas, _BAR_TINT))
        painter.drawRoundedRect(QRectF(0, 0, self._box.width(), BAR).adjusted(1, 1, -1, 0), 9, 9)
        font, metrics = look.title_font(look.band(scale).title)
        painter.setPen(look.text)
        painter.setFont(font)
        self._paint_sign(painter, look)
        painter.setPen(look.text)
        room = self.bar().adjusted(30, 0, -10, 0)
        title = metrics.elidedText(self.content.title, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)

    def _paint_folded(self, painter: QPainter, look: Look, colour: QColor, scale: float) -> None:
        """A card on a pile: the title, and how many nodes there are."""
        painter.setBrush(look.blend(colour, look.card, _TINT))
        painter.drawRoundedRect(self._box.adjusted(5, 5, 0, 0), 7, 7)
        painter.setBrush(look.blend(colour, look.card, _BAR_TINT))
        painter.drawRoundedRect(self._box.adjusted(0, 0, -5, -5), 7, 7)
        band = look.band(scale)
        room = self._box.adjusted(28, 0, -12, -5 if not band.has_subtitles else -22)
        font, metrics = look.fitting_font(self.content.title, room.width(), band.title)
        painter.setFont(font)
        painter.setPen(look.text)
        title = metrics.elidedText(self.content.title, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, title)
        if band.has_subtitles:
            painter.setFont(look.small)
            painter.setPen(look.muted)
            count = len(self.members)
            below = self._box.adjusted(28, 22, -12, -7)
            words = f"{count} node{'s' * (count != 1)}, folded"
            painter.drawText(below, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)
        self._paint_sign(painter, look)

    def _paint_sign(self, painter: QPainter, look: Look) -> None:
        """A triangle that points down at what is open, and to the right where something is folded."""
        at = self.fold_box().center()
        ends = ((-3, -5), (4, 0), (-3, 5)) if self.is_folded else ((-5, -3), (5, -3), (0, 4))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.muted)
        painter.drawPolygon(QPolygonF([at + QPointF(x, y) for x, y in ends]))
