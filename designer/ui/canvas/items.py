"""What is drawn on the canvas: nodes and their ports, each painted whole by the node, and wires.

The items are NodeGraphQt's own classes with their drawing replaced: one item a node instead of ten (text, icon and
cross are children there), ports without content of their own, wires without arrows. CANVAS.md of the design measured
that this is what makes large graphs pan and zoom at the speed of the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from NodeGraphQt.constants import PortTypeEnum
from NodeGraphQt.qgraphics.node_abstract import AbstractNodeItem
from NodeGraphQt.qgraphics.pipe import PipeItem
from NodeGraphQt.qgraphics.port import PortItem
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from designer.graph.model import Node, Wire
from designer.ui.canvas.look import Look
from nodes.sdk.spec import ComponentSpec, port_index

if TYPE_CHECKING:
    from designer.ui.canvas.viewer import CanvasViewer

WIDTH = 188.0
HEADER = 46.0
ROW = 20.0
PORT = 5.0
"""Radius of a port; it can be grabbed from further away (`CanvasViewer.GRAB`)."""
FAR, NEAR = 0.3, 0.45
"""Scales below which only cards are drawn, and above which text of the second rank is."""


def scale_of(painter: QPainter) -> float:
    """How many device pixels a scene unit takes."""
    return painter.worldTransform().m11()


class CanvasPort(PortItem):
    """One input or output of a node. It has no content of its own: the node paints it."""

    def __init__(self, parent: NodeItem, name: str, kind: str, is_input: bool) -> None:
        super().__init__(parent)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemHasNoContents)
        self.setAcceptHoverEvents(False)
        self._name = name
        self.kind = kind
        self._port_type = PortTypeEnum.IN.value if is_input else PortTypeEnum.OUT.value
        self._multi_connection = not is_input
        self.is_input = is_input
        self.lit: bool | None = None
        """While a wire is dragged: whether it would fit here; None when none is."""

    def boundingRect(self) -> QRectF:
        return QRectF(-PORT, -PORT, 2 * PORT, 2 * PORT)

    def centre(self) -> QPointF:
        """In scene coordinates."""
        return self.scenePos()

    @property
    def key(self) -> tuple[str, str]:
        """Node id and wire-level port name."""
        return self.node.id, self._name


class NodeItem(AbstractNodeItem):
    """One component as a card: a stripe in its category's colour, title, what it is, ports on both sides."""

    def __init__(self, node: Node, spec: ComponentSpec | None, look: Callable[[], Look]) -> None:
        super().__init__(node.title)
        self.setCacheMode(QGraphicsItem.CacheMode.NoCache)
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemSendsGeometryChanges)
        self.id = node.id
        self.type_ = node.component
        self.data_node, self.spec, self._look = node, spec, look
        self.ports: dict[tuple[bool, str], CanvasPort] = {}
        self.severity = ""
        self.waiting = False
        self.size_text = ""
        self._width = WIDTH
        self.refresh()
        self.setPos(node.x, node.y)

    # -- content ---------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Takes over the node's title and parameters."""
        node, spec = self.data_node, self.spec
        self.name = node.title
        self.category = (spec.category if spec else node.component).replace(".", "/")
        what = spec.name if spec else node.component.rpartition(".")[2]
        self.subtitle = "  ".join([what] * (what.lower() != node.title.lower()) + key_values(node, spec))
        if spec is None:
            self.subtitle = f"unknown component {node.component}"
        self.update()

    def set_ports(self, inputs: list[tuple[str, str, str]], outputs: list[tuple[str, str, str]]) -> list[CanvasPort]:
        """Gives the node these ports: (name, kind, label) each. Ports that stay are kept with their wires.

        Returns:
            Ports that are gone; their wires must be gone already.
        """
        self.prepareGeometryChange()
        wanted = {(True, n): (k, label) for n, k, label in inputs} | {(False, n): (k, label) for n, k, label in outputs}
        gone = [self.ports.pop(key) for key in list(self.ports) if key not in wanted]
        for port in gone:
            port.setParentItem(None)
            if port.scene() is not None:
                port.scene().removeItem(port)
        self.labels = {key: label for key, (_, label) in wanted.items()}
        for (is_input, name), (kind, _) in wanted.items():
            if (is_input, name) not in self.ports:
                self.ports[is_input, name] = CanvasPort(self, name, kind, is_input)
        rows = max(len(inputs), len(outputs))
        self.compact = rows <= 1 and all(not label for label in self.labels.values())
        self._height = HEADER + (0 if self.compact else rows * ROW + 6)
        for is_input, names in ((True, [i[0] for i in inputs]), (False, [o[0] for o in outputs])):
            for row, name in enumerate(names):
                y = HEADER / 2 if self.compact else HEADER + (row + 0.5) * ROW
                self.ports[is_input, name].setPos(0 if is_input else self._width, y)
        for port in self.ports.values():
            port.redraw_connected_pipes()
        return gone

    def mousePressEvent(self, event: Any) -> None:
        viewer: CanvasViewer = self.scene().viewer()
        if viewer.is_wiring or event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        QGraphicsItem.mousePressEvent(self, event)

    def itemChange(self, change: QGraphicsItem.GraphicsItemChange, value: Any) -> Any:
        if change == QGraphicsItem.GraphicsItemChange.ItemPositionHasChanged:
            for port in self.ports.values():
                port.redraw_connected_pipes()
        elif change == QGraphicsItem.GraphicsItemChange.ItemSelectedHasChanged:
            self._properties["selected"] = bool(value)
            self.setZValue(2 if value else 1)
        return QGraphicsItem.itemChange(self, change, value)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def boundingRect(self) -> QRectF:
        return QRectF(-PORT - 2, -3, self._width + 2 * PORT + 4, self._height + 8)

    def shape(self) -> QPainterPath:
        path = QPainterPath()
        path.addRect(0, 0, self._width, self._height)
        return path

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        look, scale = self._look(), scale_of(painter)
        card = QRectF(0, 0, self._width, self._height)
        stripe = QColor(self.data_node.color or look.category(self.category))
        if scale < FAR:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.fillRect(card, look.selected if self.isSelected() else look.severity(self.severity) or look.card)
            painter.fillRect(QRectF(0, 0, self._width, 14), stripe)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        if self.data_node.disabled:
            painter.setOpacity(0.45)
        self._draw_card(painter, card, stripe, look)
        self._draw_texts(painter, look, scale)
        for (is_input, name), port in self.ports.items():
            self._draw_port(painter, port, self.labels.get((is_input, name), ""), look, scale)

    def _draw_card(self, painter: QPainter, card: QRectF, stripe: QColor, look: Look) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.shadow)
        painter.drawRoundedRect(card.translated(0, 2.5), 9, 9)
        edge = look.selected if self.isSelected() else look.severity(self.severity) or look.edge
        pen = QPen(edge, 2.0 if self.isSelected() or self.severity else 1.0)
        if self.spec is None:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(look.card)
        painter.drawRoundedRect(card, 8, 8)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(stripe)
        painter.drawRoundedRect(QRectF(9, 11, 4, HEADER - 22), 2, 2)
        if not self.compact:
            painter.setPen(QPen(look.edge, 1))
            painter.drawLine(QPointF(9, HEADER - 0.5), QPointF(self._width - 9, HEADER - 0.5))

    def _draw_texts(self, painter: QPainter, look: Look, scale: float) -> None:
        right = self._width - 12
        if self.severity:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(look.severity(self.severity) or look.edge)
            painter.drawEllipse(QPointF(right - 5, 16), 7, 7)
            painter.setPen(look.card)
            painter.setFont(look.bold)
            painter.drawText(QRectF(right - 12, 8, 14, 16), Qt.AlignmentFlag.AlignCenter, "!")
            right -= 20
        elif self.size_text and scale > NEAR:
            painter.setFont(look.small)
            painter.setPen(look.faint)
            width = look.small_metrics.horizontalAdvance(self.size_text)
            painter.drawText(QRectF(right - width, 8, width + 2, 16), Qt.AlignmentFlag.AlignVCenter, self.size_text)
            right -= width + 8
        if self.data_node.frozen:
            painter.setFont(look.small)
            painter.setPen(look.selected)
            painter.drawText(QRectF(right - 14, 8, 14, 16), Qt.AlignmentFlag.AlignCenter, "❄")
            right -= 18
        painter.setFont(look.bold)
        painter.setPen(look.muted if self.waiting else look.text)
        _text(painter, look.bold_metrics, QRectF(20, 7, right - 20, 18), self.name)
        if scale > FAR + 0.1:
            painter.setFont(look.small)
            painter.setPen(look.muted)
            _text(painter, look.small_metrics, QRectF(20, 24, self._width - 32, 16), self.subtitle)

    def _draw_port(self, painter: QPainter, port: CanvasPort, label: str, look: Look, scale: float) -> None:
        colour = look.kind(port.kind)
        at = port.pos()
        radius = PORT + 1.5 if port.lit else PORT
        painter.setOpacity(0.25 if port.lit is False else 0.45 if self.data_node.disabled else 1.0)
        painter.setPen(QPen(look.selected if port.lit else look.card, 2))
        painter.setBrush(colour if port.connected_pipes or port.lit else look.hollow(colour))
        painter.drawEllipse(at, radius, radius)
        if label and scale > NEAR - 0.15:
            painter.setFont(look.small)
            painter.setPen(look.muted)
            side = Qt.AlignmentFlag.AlignLeft if port.is_input else Qt.AlignmentFlag.AlignRight
            box = QRectF(12 if port.is_input else self._width / 2, at.y() - ROW / 2, self._width / 2 - 12, ROW)
            painter.drawText(box, side | Qt.AlignmentFlag.AlignVCenter, label)
        painter.setOpacity(1.0)


def _text(painter: QPainter, metrics: QFontMetricsF, box: QRectF, text: str) -> None:
    elided = metrics.elidedText(text, Qt.TextElideMode.ElideRight, box.width())
    painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, elided)


def key_values(node: Node, spec: ComponentSpec | None) -> list[str]:
    """The parameters worth a glance on the card: sizes first, at most three, those at their default last."""
    values = []
    for name, value in node.params.items():
        param = spec.param(name) if spec else None
        if isinstance(value, (bool, float)) or (param is not None and param.derived):
            continue
        if isinstance(value, (int, str)):
            values.append((param is not None and value == param.default, f"{_SHORT.get(name, name)} {value}"))
    if {"height", "width"} <= node.params.keys():
        return [f"{node.params.get('channels', 3)} × {node.params['height']} × {node.params['width']}"]
    return [text for _, text in sorted(values, key=lambda v: v[0])][:2]


_SHORT = {
    "out_channels": "out",
    "num_classes": "classes",
    "kernel_size": "k",
    "stride": "s",
    "max_detections": "max",
    "pre_top_k": "top",
    "reg_max": "bins",
}


def label_of(name: str, spec: ComponentSpec | None, is_input: bool) -> str:
    """What stands beside a port: nothing for a lone one, the level or number otherwise."""
    ports = () if spec is None else spec.inputs if is_input else spec.outputs
    if len(ports) <= 1 and "." not in name:
        return ""
    return str(port_index(name) + 1) if "." in name else name


class WireItem(PipeItem):
    """A curve from an output to an input, coloured by kind, with the tensor's shape on it."""

    def __init__(self, wire: Wire, source: CanvasPort, target: CanvasPort, look: Callable[[], Look]) -> None:
        super().__init__()
        self.wire_id = wire.id
        self._look = look
        self._dir_pointer.setVisible(False)
        self.setCacheMode(QGraphicsItem.CacheMode.NoCache)
        self.setZValue(0)
        self.label = ""
        self.reason = ""
        self.hovered = False
        self.set_connections(source, target)
        self.draw_path(target, source)

    def draw_path(self, start_port: Any, end_port: Any = None, cursor_pos: QPointF | None = None) -> None:
        """Follows the ports."""
        if self.input_port is None or self.output_port is None:
            return
        self.setPath(curve(self.output_port.centre(), self.input_port.centre()))

    def boundingRect(self) -> QRectF:
        return self.path().boundingRect().adjusted(-60, -12, 60, 12)

    def shape(self) -> QPainterPath:
        return _wide(self.path())

    def hoverEnterEvent(self, event: Any) -> None:
        self.hovered = True
        self.update()

    def hoverLeaveEvent(self, event: Any) -> None:
        self.hovered = False
        self.update()

    def itemChange(self, change: QGraphicsItem.GraphicsItemChange, value: Any) -> Any:
        return QGraphicsItem.itemChange(self, change, value)

    def reset(self) -> None:
        """NodeGraphQt restyles wires here; ours take their look when they are painted."""

    activate = highlight = reset

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        if self.input_port is None or self.output_port is None:
            return
        look, scale = self._look(), scale_of(painter)
        strong = self.isSelected() or self.hovered
        colour = look.danger if self.reason else look.selected if strong else look.kind(self.output_port.kind)
        pen = QPen(colour, 2.6 if strong else 1.8)
        if self.reason:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if scale < FAR:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            pen.setCosmetic(True)
            pen.setWidthF(1.0)
            painter.setPen(pen)
            painter.drawLine(self.output_port.centre(), self.input_port.centre())
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(pen)
        painter.drawPath(self.path())
        if self.label and scale > NEAR:
            self._draw_label(painter, look)

    def _draw_label(self, painter: QPainter, look: Look) -> None:
        start, end = self.output_port.centre(), self.input_port.centre()
        width = look.small_metrics.horizontalAdvance(self.label) + 12
        if end.x() - start.x() < width - 2 * PORT and not self.hovered:
            return
        middle = self.path().pointAtPercent(0.5)
        # Above a level wire, across a slanted one.
        lift = 11 if abs(end.y() - start.y()) < 12 else 0
        box = QRectF(middle.x() - width / 2, middle.y() - lift - 8.5, width, 17)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(look.canvas)
        painter.drawRoundedRect(box, 8, 8)
        painter.setFont(look.small)
        painter.setPen(look.danger if self.reason else look.muted)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self.label)


def curve(start: QPointF, end: QPointF) -> QPainterPath:
    """A horizontal S from an output to an input; it swings out when the input lies to the left."""
    reach = max(36.0, min(abs(end.x() - start.x()) * 0.5, 140.0))
    path = QPainterPath(start)
    path.cubicTo(start.x() + reach, start.y(), end.x() - reach, end.y(), end.x(), end.y())
    return path


def _wide(path: QPainterPath) -> QPainterPath:
    from PySide6.QtGui import QPainterPathStroker

    stroker = QPainterPathStroker()
    stroker.setWidth(12)
    return stroker.createStroke(path)


def port_tuples(
    spec: ComponentSpec | None, wired_in: list[str], wired_out: list[str]
) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """The ports of a node: those of its component, growing ones as wired plus one spare, or as wired when unknown."""
    if spec is None:
        return [(n, "any", n) for n in sorted(wired_in)], [(n, "any", n) for n in sorted(wired_out)]
    inputs = [(name, p.kind) for p in spec.inputs for name in p.names(wired_in)]
    inputs += [(n, "any") for n in wired_in if spec.input(n) is None]
    outputs = [(p.name, p.kind) for p in spec.outputs]
    outputs += [(n, "any") for n in wired_out if spec.output(n) is None]
    return (
        [(n, k, label_of(n, spec, True)) for n, k in inputs],
        [(n, k, label_of(n, spec, False)) for n, k in outputs],
    )


def wire_text(info: Mapping[str, Any] | None) -> str:
    """The shape that stands on a wire, without the batch."""
    if not info:
        return ""
    if "shape" in info:
        return " × ".join(str(s) for s in info["shape"][1:])
    fields = info.get("fields", {})
    return f"{fields['boxes'][1]} boxes" if "boxes" in fields else ""
