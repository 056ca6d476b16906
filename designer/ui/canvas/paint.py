"""Draws a node: a card with its texts and ports, or from afar a block with a large title."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter

from designer.ui.canvas import cards
from designer.ui.canvas.look import TINT, Look

if TYPE_CHECKING:
    from designer.ui.canvas.items import CanvasPort, NodeItem

BLOCK = 0.55
"""Scale below which a card is a block with a large title: its small text could not be read."""
RADIUS = 8.0
_LEFT, _RIGHT = 20.0, 12.0
_TITLE_Y, _SUBTITLE_Y = 20.0, 36.0
"""Baselines."""
_GAP = "  ·  "
_SIGN = 14.0
"""Width of the error and frozen signs."""
_Align = Qt.AlignmentFlag


class Lines(NamedTuple):
    """The texts of a card as they fit, and where the line of the title ends."""

    title: str
    subtitle: str
    end: float
    block: str
    block_font: QFont


def lines_of(item: NodeItem, look: Look) -> Lines:
    """Elides the texts to the card."""
    end = item.width - _RIGHT
    if item.severity:
        end -= _SIGN + 4
    elif item.size_text:
        end -= look.small_metrics.horizontalAdvance(item.size_text) + 8
    title_end = end - (_SIGN + 4 if item.node.frozen else 0)
    title = look.title_metrics.elidedText(item.name, Qt.TextElideMode.ElideRight, title_end - _LEFT)
    room = item.width - _LEFT - _RIGHT
    parts = cards.subtitle(item.node, item.spec)
    second = parts[0] if parts else ""
    for part in parts[1:]:
        if look.small_metrics.horizontalAdvance(second + _GAP + part) > room:
            break
        second += _GAP + part
    second = look.small_metrics.elidedText(second, Qt.TextElideMode.ElideRight, room)
    wide = item.width - 20
    font, metrics = next(((f, m) for f, m in look.blocks if m.horizontalAdvance(item.name) <= wide), look.blocks[-1])
    return Lines(title, second, end, metrics.elidedText(item.name, Qt.TextElideMode.ElideRight, wide), font)


def draw_block(painter: QPainter, item: NodeItem, look: Look) -> None:
    """A card from afar: its category's colour all over and the title as large as it fits."""
    if item.lines is None:
        item.lines = lines_of(item, look)
    colour = look.severity(item.severity) or item.stripe()
    selected = item.isSelected()
    if item.node.disabled:
        painter.setOpacity(0.45)
    painter.setPen(look.pen(look.accent, 5) if selected else look.pen(look.blend(colour, look.card, 0.6), 2))
    painter.setBrush(look.blend(colour, look.card, TINT))
    painter.drawRoundedRect(item.card, RADIUS, RADIUS)
    painter.setPen(look.text)
    painter.setFont(item.lines.block_font)
    painter.drawText(item.card, _Align.AlignCenter, item.lines.block)


def draw_node(painter: QPainter, item: NodeItem, look: Look, scale: float) -> None:
    """A card with everything on it."""
    if item.lines is None:
        item.lines = lines_of(item, look)
    if item.node.disabled:
        painter.setOpacity(0.5)
    _draw_card(painter, item, look)
    _draw_texts(painter, item, item.lines, look)
    opacity = painter.opacity()
    for port in item.ports.values():
        _draw_port(painter, item, port, look, opacity)


def _draw_card(painter: QPainter, item: NodeItem, look: Look) -> None:
    card, selected = item.card, item.isSelected()
    painter.setPen(Qt.PenStyle.NoPen)
    if not look.theme.is_dark:
        painter.setBrush(look.shadow)
        painter.drawRoundedRect(card.translated(0, 2), RADIUS + 1, RADIUS + 1)
    if selected:
        painter.setBrush(look.halo)
        painter.drawRoundedRect(card.adjusted(-4, -4, 4, 4), RADIUS + 4, RADIUS + 4)
    fill = look.blend(look.ice, look.card, 0.1) if item.node.frozen else look.card
    loud = look.accent if selected else look.severity(item.severity)
    edge = loud or (look.faint if item.under_pointer else look.edge)
    style = Qt.PenStyle.DashLine if item.spec is None or item.node.disabled else Qt.PenStyle.SolidLine
    painter.setPen(look.pen(edge, 1.6 if loud else 1.0, style))
    painter.setBrush(fill)
    painter.drawRoundedRect(card, RADIUS, RADIUS)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(item.stripe())
    painter.drawRoundedRect(QRectF(9, 11, 4, 24), 2, 2)
    if not item.compact:
        painter.fillRect(QRectF(1, 45, item.width - 2, 1), look.rule)


def _draw_texts(painter: QPainter, item: NodeItem, lines: Lines, look: Look) -> None:
    painter.setFont(look.title)
    painter.setPen(look.muted if item.is_waiting else look.text)
    painter.drawText(QPointF(_LEFT, _TITLE_Y), lines.title)
    painter.setFont(look.small)
    painter.setPen(look.muted)
    painter.drawText(QPointF(_LEFT, _SUBTITLE_Y), lines.subtitle)
    if item.node.frozen:
        draw_snowflake(painter, QPointF(lines.end - _SIGN / 2 + 2, _TITLE_Y - 4.5), look.ice)
    badge = look.severity(item.severity)
    if badge is not None:
        draw_badge(painter, QPointF(item.width - _RIGHT - _SIGN / 2 + 2, _TITLE_Y - 4.5), badge, look)
    elif item.size_text:
        painter.setPen(look.faint)
        painter.drawText(QPointF(lines.end + 8, _TITLE_Y), item.size_text)


def draw_badge(painter: QPainter, at: QPointF, colour: QColor, look: Look) -> None:
    """An exclamation mark in a disc."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(at, 7, 7)
    painter.setPen(look.pen(look.on_badge, 1.8))
    painter.drawLine(at + QPointF(0, -3.6), at + QPointF(0, 0.6))
    painter.drawPoint(at + QPointF(0, 3.7))


def draw_snowflake(painter: QPainter, at: QPointF, colour: QColor) -> None:
    """The sign of frozen weights."""
    painter.save()
    painter.translate(at)
    painter.setPen(QColor(colour))
    for _ in range(3):
        painter.drawLine(QPointF(0, -5.5), QPointF(0, 5.5))
        for end in (-5.5, 5.5):
            inner = end * 0.5
            painter.drawLine(QPointF(0, inner), QPointF(2, inner + end * 0.35))
            painter.drawLine(QPointF(0, inner), QPointF(-2, inner + end * 0.35))
        painter.rotate(60)
    painter.restore()


def _draw_port(painter: QPainter, item: NodeItem, port: CanvasPort, look: Look, opacity: float) -> None:
    colour, at = look.kind(port.kind), port.pos()
    painter.setOpacity(opacity * 0.25 if port.lit is False else opacity)
    if port.lit:
        painter.setPen(look.pen(look.halo, 5))
        painter.setBrush(look.accent)
        painter.drawEllipse(at, 6, 6)
    elif port._pipes:
        painter.setPen(look.pen(look.canvas, 2))
        painter.setBrush(colour)
        painter.drawEllipse(at, 5.2, 5.2)
    else:
        painter.setPen(look.pen(colour, 1.5))
        painter.setBrush(look.canvas)
        painter.drawEllipse(at, 3.9, 3.9)
    if port.label:
        painter.setFont(look.small)
        painter.setPen(look.muted if port._pipes else look.faint)
        if port.is_input:
            painter.drawText(QPointF(13, at.y() + 4), port.label)
        else:
            box = QRectF(item.width / 2, at.y() - 10, item.width / 2 - 13, 20)
            painter.drawText(box, _Align.AlignRight | _Align.AlignVCenter, port.label)
    painter.setOpacity(opacity)
