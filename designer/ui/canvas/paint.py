"""Draws a node: a card with its texts and ports, or from afar a block with a large title."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

from designer.ui.canvas import cards
from designer.ui.canvas.look import TINT, Band, Look

if TYPE_CHECKING:
    from designer.ui.canvas.items import CanvasPort, NodeItem

TINTED = 0.55
"""Scale below which a card is filled with its category's colour: its stripe would be too thin to tell."""
_LINES = 1.12
"""Distance of two baselines, in heights of the upper line's font, where a card has two lines from afar."""
RADIUS = 8.0
_LEFT, _RIGHT = 20.0, 12.0
_TITLE_Y, _SUBTITLE_Y = 20.0, 36.0
"""Baselines."""
TITLE, SUBTITLE = QPointF(_LEFT, _TITLE_Y), QPointF(_LEFT, _SUBTITLE_Y)
"""Where the two lines of a card begin."""
_GAP = "  ·  "
_SIGN = 14.0
"""Width of the error and frozen signs."""
_Align = Qt.AlignmentFlag
# As plain numbers, made once: joining flags takes as long as drawing a word.
_ON_LEFT = int(_Align.AlignLeft | _Align.AlignVCenter) | int(Qt.TextFlag.TextDontClip)
_ON_RIGHT = int(_Align.AlignRight | _Align.AlignVCenter) | int(Qt.TextFlag.TextDontClip)


class Lines(NamedTuple):
    """The texts of a card as they fit at a range of scales, where the title's line ends and the size begins."""

    band: Band
    title: str
    title_font: QFont
    subtitle: str
    end: float
    size_at: float


def lines_of(item: NodeItem, look: Look, band: Band) -> Lines:
    """The texts of a card, elided to it; made when they are first drawn after a change."""
    if item.lines is not None and item.lines.band is band:
        return item.lines
    item.lines = _near_lines(item, look, band) if band.is_near else _far_lines(item, look, band)
    return item.lines


def _near_lines(item: NodeItem, look: Look, band: Band) -> Lines:
    wide = item.width - _RIGHT
    end = wide - (_SIGN + 4 if item.severity else 0)
    title = _title(item, look.title_metrics, end - (_SIGN + 4 if item.node.frozen else 0) - _LEFT)
    size_at = wide - look.small_metrics.horizontalAdvance(item.size_text)
    subtitle = _subtitle(item, look.small_metrics, size_at - (8 if item.size_text else 0) - _LEFT)
    return Lines(band, title, look.title, subtitle, end, size_at)


def _far_lines(item: NodeItem, look: Look, band: Band) -> Lines:
    """The title as large as it fits, and no larger than can be read well."""
    wide = item.width - 20 - (3 * _SIGN if item.node.frozen and band.has_ports else 0)
    font, metrics = look.fitting_font(item.name, wide, band.title)
    subtitle = _subtitle(item, band.small_metrics, wide) if band.has_subtitles else ""
    return Lines(band, _title(item, metrics, wide), font, subtitle, wide, wide)


def _title(item: NodeItem, metrics: QFontMetricsF, room: float) -> str:
    """Cut in the middle: the titles of a stage's parts differ at their ends."""
    return metrics.elidedText(item.name, Qt.TextElideMode.ElideMiddle, room)


def _subtitle(item: NodeItem, metrics: QFontMetricsF, room: float) -> str:
    """As many of the card's key values as there is room for."""
    parts = cards.subtitle(item.node, item.spec)
    text = parts[0] if parts else ""
    for part in parts[1:]:
        if metrics.horizontalAdvance(text + _GAP + part) > room:
            break
        text += _GAP + part
    return metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)


def draw_block(painter: QPainter, item: NodeItem, look: Look, band: Band) -> None:
    """A card from afar: its title as large as it fits, in its category's colour, with what else can be read."""
    lines = lines_of(item, look, band)
    if item.node.disabled or item.is_around:
        painter.setOpacity(0.45)
    colour = look.severity(item.severity) or item.stripe()
    tint = TINT if band.low < TINTED else TINT / 2
    painter.setPen(look.pen(look.accent, 5) if item.isSelected() else look.pen(look.blend(colour, look.card, 0.6), 2))
    painter.setBrush(look.blend(colour, look.card, tint) if item.heat is None else look.heat(item.heat))
    painter.drawRoundedRect(item.card, RADIUS, RADIUS)
    named = band.has_ports and not item.compact
    head = QRectF(0, 0, item.width, item.head) if named else item.card
    painter.setPen(look.text)
    painter.setFont(lines.title_font)
    if lines.subtitle:
        gap = lines.title_font.pixelSize() * _LINES / 2
        painter.drawText(head.translated(0, -gap / 2 - 1), _Align.AlignCenter, lines.title)
        painter.setFont(band.small)
        painter.setPen(look.muted if item.heat is None else look.text)
        painter.drawText(head.translated(0, gap), _Align.AlignCenter, lines.subtitle)
    else:
        painter.drawText(head, _Align.AlignCenter, lines.title)
    if item.node.frozen and band.has_ports:
        _draw_far_snowflake(painter, item, look, band)
    if not item.host.viewer.is_rough:
        opacity, size = painter.opacity(), max(1.0, 0.6 / max(band.low, 0.2))
        for port in item.ports.values():
            _draw_port(painter, item, port, look, opacity, size)
            if named and port.label:
                _name_port(painter, item, port, look, band.small)


def draw_node(painter: QPainter, item: NodeItem, look: Look) -> None:
    """A card with everything on it."""
    if item.node.disabled or item.is_around:
        painter.setOpacity(0.5)
    _draw_card(painter, item, look)
    _draw_texts(painter, item, lines_of(item, look, look.bands[0]), look)
    opacity = painter.opacity()
    for port in item.ports.values():
        _draw_port(painter, item, port, look, opacity)
        if port.label:
            _name_port(painter, item, port, look, look.small)


def fill_of(item: NodeItem, look: Look) -> QColor:
    """What a card is filled with from near."""
    if item.heat is not None:
        return look.heat(item.heat)
    return look.blend(look.ice, look.card, 0.1) if item.node.frozen and not item.is_thawed else look.card


def edge_of(item: NodeItem, look: Look) -> QColor:
    """The colour of its rim from near."""
    loud = look.accent if item.isSelected() else look.severity(item.severity)
    return loud or (look.faint if item.under_pointer else look.edge)


def _draw_card(painter: QPainter, item: NodeItem, look: Look) -> None:
    card, selected = item.card, item.isSelected()
    painter.setPen(Qt.PenStyle.NoPen)
    if not look.theme.is_dark:
        painter.setBrush(look.shadow)
        painter.drawRoundedRect(card.translated(0, 2), RADIUS + 1, RADIUS + 1)
    if selected:
        painter.setBrush(look.halo)
        painter.drawRoundedRect(card.adjusted(-4, -4, 4, 4), RADIUS + 4, RADIUS + 4)
    is_loud = selected or look.severity(item.severity) is not None
    style = Qt.PenStyle.DashLine if item.spec is None or item.node.disabled else Qt.PenStyle.SolidLine
    painter.setPen(look.pen(edge_of(item, look), 1.6 if is_loud else 1.0, style))
    painter.setBrush(fill_of(item, look))
    painter.drawRoundedRect(card, RADIUS, RADIUS)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(item.stripe())
    painter.drawRoundedRect(QRectF(9, 11, 4, 24), 2, 2)
    if not item.compact:
        painter.fillRect(QRectF(1, 45, item.width - 2, 1), look.rule)


def _draw_texts(painter: QPainter, item: NodeItem, lines: Lines, look: Look) -> None:
    painter.setFont(look.title)
    painter.setPen(look.muted if item.is_waiting else look.text)
    painter.drawText(TITLE, lines.title)
    painter.setFont(look.small)
    painter.setPen(look.muted if item.heat is None else look.text)
    painter.drawText(SUBTITLE, lines.subtitle)
    if item.node.frozen:
        colour = look.faint if item.is_thawed else look.ice
        draw_snowflake(painter, QPointF(lines.end - _SIGN / 2 + 2, _TITLE_Y - 4.5), colour)
    badge = look.severity(item.severity)
    if badge is not None:
        draw_badge(painter, QPointF(item.width - _RIGHT - _SIGN / 2 + 2, _TITLE_Y - 4.5), badge, look)
    if item.size_text:
        painter.setPen(look.faint if item.heat is None else look.text)
        painter.drawText(QPointF(lines.size_at, SUBTITLE.y()), item.size_text)


def draw_badge(painter: QPainter, at: QPointF, colour: QColor, look: Look) -> None:
    """An exclamation mark in a disc."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(at, 7, 7)
    painter.setPen(look.pen(look.on_badge, 1.8))
    painter.drawLine(at + QPointF(0, -3.6), at + QPointF(0, 0.6))
    painter.drawPoint(at + QPointF(0, 3.7))


def draw_snowflake(painter: QPainter, at: QPointF, colour: QColor) -> None:
    """The sign of frozen weights; faint where a run has let them go."""
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


def _draw_far_snowflake(painter: QPainter, item: NodeItem, look: Look, band: Band) -> None:
    """The sign of frozen weights in the upper right corner of a block, as large on the screen as from near."""
    size = min(1.0 / max(band.low, 0.2), 2.0)
    painter.save()
    painter.translate(item.width - 8 * size, 8 * size)
    painter.scale(size, size)
    draw_snowflake(painter, QPointF(0, 0), look.faint if item.is_thawed else look.ice)
    painter.restore()


def _draw_port(
    painter: QPainter, item: NodeItem, port: CanvasPort, look: Look, opacity: float, size: float = 1.0
) -> None:
    """A disc, hollow without a wire. While a wire is dragged, ports that it fits are lit and the others fade."""
    colour, at = look.kind(port.kind), port.at
    painter.setOpacity(opacity * 0.25 if port.lit is False else opacity)
    if port.lit:
        painter.setPen(look.pen(look.halo, 5 * size))
        painter.setBrush(look.accent)
        painter.drawEllipse(at, 6 * size, 6 * size)
    elif port.connected_pipes:
        painter.setPen(look.pen(look.canvas, 2))
        painter.setBrush(colour)
        painter.drawEllipse(at, 5.2 * size, 5.2 * size)
    else:
        painter.setPen(look.pen(colour, 1.5 * size))
        painter.setBrush(look.canvas)
        painter.drawEllipse(at, 3.9 * size, 3.9 * size)
    painter.setOpacity(opacity)


def _name_port(painter: QPainter, item: NodeItem, port: CanvasPort, look: Look, font: QFont) -> None:
    painter.setFont(font)
    quiet = port.lit is False or not port.connected_pipes
    painter.setPen(look.text if item.heat is not None else look.faint if quiet else look.muted)
    left = 13 if port.is_input else item.width / 2
    box = QRectF(left, port.at.y() - 10, item.width / 2 - 13, 20)
    painter.drawText(box, _ON_LEFT if port.is_input else _ON_RIGHT, port.label)
