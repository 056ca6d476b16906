"""Nodes and their ports on the canvas: what they hold and where it lies; `paint.py` draws it.

Nodes are NodeGraphQt's own class with its content replaced: one item each instead of ten (text, icon, cross and ports
are children there), which is what lets 1000 nodes pan at the speed of the screen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from designer.graph.model import Node
from designer.graph.problems import kind_words
from designer.ui.canvas import cards, paint
from designer.ui.canvas.look import Look
from designer.ui.canvas.node_graph import AbstractNodeItem
from nodes.sdk.spec import ComponentSpec, PortKind

if TYPE_CHECKING:
    from designer.ui.canvas.frames import FrameItem

WIDTH, HEADER, ROW, FOOT = 188.0, 46.0, 20.0, 6.0
"""Of a card: its width, the height of its head, of a row of ports, and what is left free under the last row."""
GRID = 24
"""Distance of the dots in the background."""
PORT = 4.5
"""Radius of a port; it can be grabbed from further away (`CanvasViewer.GRAB`)."""
MARGIN = 8.0
"""What is drawn around the card: ports, shadow, the halo of a selected node."""
WIRE_Z, NODE_Z, RAISED_Z = -1.0, 0.0, 1.0

_Change = QGraphicsItem.GraphicsItemChange
_Flag = QGraphicsItem.GraphicsItemFlag
_log = logging.getLogger(__name__)


class Frame(Protocol):
    """What an item is told about the frame that is being painted."""

    is_rough: bool
    snaps_now: bool
    labelled: list[Any]
    gathering: Any


class Host(Protocol):
    """What an item needs of the canvas that it is on."""

    look: Look

    @property
    def viewer(self) -> Frame:
        """The view that paints."""

    def touched(self, item: QGraphicsItem) -> None:
        """The item looks different or is elsewhere: what is drawn without it (far layer, labels) is stale."""


def guarded(draw: Callable[[Any, QPainter, float], None]) -> Callable[..., None]:
    """Makes a `paint` that no exception leaves: Qt would end the process, or the frame. A red box stands for the item.

    `draw` gets the painter and how many pixels a scene unit takes.
    """

    def wrapped(self: Any, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        try:
            draw(self, painter, painter.worldTransform().m11())
        except Exception:
            if not self.broken:
                _log.exception("%r cannot be drawn", self)
            self.broken = True
            painter.setPen(QColor("#d6303f"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.boundingRect())

    return wrapped


def guarded_draw(draw: Callable[[Any, QPainter, QRectF], None]) -> Callable[[Any, QPainter, QRectF], None]:
    """The same for what a view draws under and over its items: the frame goes on without it."""

    def wrapped(self: Any, painter: QPainter, rect: QRectF) -> None:
        try:
            draw(self, painter, rect)
        except Exception:
            if draw.__name__ not in _told:
                _told.add(draw.__name__)
                _log.exception("the canvas: %s failed", draw.__name__)

    return wrapped


_told: set[str] = set()


class CanvasPort:
    """One input or output of a node, which paints it and answers for it.

    No item of the scene: as NodeGraphQt's `PortItem`, the ports of 1000 nodes with 8 each took half of the time to open
    them, and Qt asks every item under a frame before it paints.

    Attributes:
        node: the card that it belongs to.
        at: its middle, in the card's coordinates.
        connected_pipes: the wires that hang on it (NodeGraphQt's name, which its pipes ask for).
        lit: while a wire is dragged, whether it would fit here; None when none is.
    """

    def __init__(self, node: NodeItem, text: cards.PortText, is_input: bool) -> None:
        self.node, self.is_input = node, is_input
        self.name, self.label = text.name, text.label
        self.kind: PortKind = text.kind
        self.at = QPointF()
        self.connected_pipes: list[Any] = []
        self.lit: bool | None = None

    def add_pipe(self, wire: Any) -> None:
        self.connected_pipes.append(wire)

    def remove_pipe(self, wire: Any) -> None:
        self.connected_pipes.remove(wire)

    def centre(self) -> QPointF:
        """In scene coordinates; of a node in a folded frame, where its wires enter or leave that frame."""
        frame = self.node.frame
        if frame is None or not frame.is_folded:
            return self.node.pos() + self.at
        return frame.border(is_input=self.is_input)

    @property
    def key(self) -> tuple[str, str]:
        """Node id and wire-level port name."""
        return self.node.id, self.name

    def tip(self) -> str:
        """What the pointer resting on the port tells: its shape where it is known, else what it takes."""
        info = self.node.outputs.get(self.name) if not self.is_input else None
        if info is None and self.connected_pipes:
            info = self.connected_pipes[0].info
        if info is not None:
            return cards.shape_line(self.name, info)
        return f"{self.name}: {'takes' if self.is_input else 'gives'} {kind_words(self.kind)}"


class NodeItem(AbstractNodeItem):
    """One component as a card: a stripe in its category's colour, title, key values, ports on both sides.

    Attributes:
        node: the document's node; read at every `refresh`, never written.
        ports: by (is input, wire-level name).
        severity: `error`, `warning` or nothing: the worst of the node's problems.
        messages: those problems in words.
        outputs: what the engine says each output is.
    """

    broken: bool = False
    under_pointer: bool = False
    head = HEADER
    """Height of the part of the card that the title has to itself."""

    def __init__(self, node: Node, spec: ComponentSpec | None, host: Host) -> None:
        # NodeGraphQt's constructor is passed over: every setter that it calls comes back through `itemChange`.
        QGraphicsItem.__init__(self)
        self._properties = {"id": node.id, "name": node.title, "type_": node.component, "selected": False}
        self.setFlags(_Flag.ItemIsSelectable | _Flag.ItemIsMovable | _Flag.ItemSendsGeometryChanges)
        self.setAcceptHoverEvents(True)
        self.node, self.spec, self.host = node, spec, host
        self.ports: dict[tuple[bool, str], CanvasPort] = {}
        self.severity = ""
        self.messages: Sequence[str] = ()
        self.outputs: Mapping[str, Any] = {}
        self.is_waiting = False
        self.is_thawed = False
        """Whether it is frozen no more in the run on show."""
        self.size_text = ""
        self.heat: float | None = None
        """0 to 1: how much it costs beside the costliest; None when cards have their categories' colours."""
        self.is_around = False
        """Whether it only shows what an opened composite is wired to."""
        self.compact = True
        self.frame: FrameItem | None = None
        """The frame around it."""
        self.lines: paint.Lines | None = None
        """Elided texts, made when they are first drawn after a change."""
        self._resize(0)
        self.setPos(node.x, node.y)
        self.refresh()

    # -- content -----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Takes over the node's fields from the document."""
        self._properties["name"] = self.node.title
        self.type_ = self.node.component
        self.category = self.spec.category if self.spec else self.node.component
        self.redraw()

    def redraw(self) -> None:
        """What the card shows has changed."""
        self.lines = None
        self.update()
        self.host.touched(self)

    def stripe(self) -> QColor:
        """The colour that tells the category, or the node's own."""
        return QColor(self.node.color) if self.node.color else self.host.look.category(self.category)

    def show_result(
        self, result: Mapping[str, Any], problems: Sequence[Mapping[str, Any]], size: str, heat: float | None = None
    ) -> None:
        """Takes over the engine's answer about this node; `size` stands in its corner."""
        severities = {p["severity"] for p in problems}
        severity = next((s for s in ("error", "warning") if s in severities), "")
        waiting = result.get("status") == "waiting"
        thawed = bool(result.get("thawed"))
        known = self.severity, self.is_waiting, self.is_thawed, self.size_text, self.heat
        changed = (severity, waiting, thawed, size, heat) != known
        self.is_thawed = thawed
        self.severity, self.is_waiting, self.size_text, self.heat = severity, waiting, size, heat
        self.messages = [p["message"] for p in problems]
        self.outputs = result.get("outputs", {})
        if changed:
            self.redraw()

    def set_ports(self, inputs: Sequence[cards.PortText], outputs: Sequence[cards.PortText]) -> None:
        """Gives the node these ports. Ports that stay keep their wires; wires of ports that go must be gone already."""
        wanted = {(True, p.name): p for p in inputs} | {(False, p.name): p for p in outputs}
        self.ports = {key: self._port(key, text) for key, text in wanted.items()}
        rows = max(len(inputs), len(outputs))
        self.compact = rows <= 1 and not any(p.label for p in wanted.values())
        self._resize(0 if self.compact else rows)
        for side, texts in ((True, inputs), (False, outputs)):
            for row, text in enumerate(texts):
                y = HEADER / 2 if self.compact else HEADER + (row + 0.5) * ROW
                self.ports[side, text.name].at = QPointF(0 if side else self._width, y)
        self._pull_wires()
        if self.frame is not None:
            self.frame.follow()
        self.redraw()

    def _port(self, key: tuple[bool, str], text: cards.PortText) -> CanvasPort:
        port = self.ports.get(key)
        if port is None:
            return CanvasPort(self, text, key[0])
        port.kind, port.label = text.kind, text.label
        return port

    def _resize(self, rows: int) -> None:
        self.prepareGeometryChange()
        self._width, self._height = WIDTH, HEADER + (rows * ROW + FOOT if rows else 0)
        self.card = QRectF(0, 0, self._width, self._height)
        self._bounds = self.card.adjusted(-MARGIN, -MARGIN, MARGIN, MARGIN)
        self._shape = QPainterPath()
        self._shape.addRect(self.card.adjusted(-PORT, 0, PORT, 0))

    @property
    def home(self) -> QPointF:
        """Where the document has it."""
        return QPointF(self.node.x, self.node.y)

    @property
    def is_folded(self) -> bool:
        """Whether its frame is shown as one card, and it is not."""
        return self.frame is not None and self.frame.is_folded

    def scene_card(self) -> QRectF:
        """The card in scene coordinates."""
        return self.card.translated(self.pos())

    def title_box(self) -> QRectF:
        """Where the title stands, in the item's coordinates."""
        return QRectF(16, 5, self.width - 28, 17)

    def port_near(self, point: QPointF, reach: float) -> tuple[float, CanvasPort] | None:
        """The nearest port within `reach` of a scene point, with its distance."""
        best: tuple[float, CanvasPort] | None = None
        for port in self.ports.values():
            gap = self.pos() + port.at - point
            distance = (gap.x() ** 2 + gap.y() ** 2) ** 0.5
            if distance <= reach and (best is None or distance < best[0]):
                best = distance, port
        return best

    def tip(self) -> str:
        """What the pointer resting on the node tells."""
        lines = list(self.messages) or ([self.spec.summary] if self.spec else cards.subtitle(self.node, None))
        if self.node.note:
            lines.append(self.node.note)
        return "\n".join(lines + [cards.shape_line(name, info) for name, info in self.outputs.items()])

    # -- events --------------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:
        QGraphicsItem.mousePressEvent(self, event)

    def hoverEnterEvent(self, event: Any) -> None:
        self.under_pointer = True
        self.update()

    def hoverLeaveEvent(self, event: Any) -> None:
        self.under_pointer = False
        self.update()

    def itemChange(self, change: QGraphicsItem.GraphicsItemChange, value: Any) -> Any:
        if change == _Change.ItemPositionChange and self.host.viewer.snaps_now:
            return QPointF(round(value.x() / GRID) * GRID, round(value.y() / GRID) * GRID)
        if change == _Change.ItemPositionHasChanged:
            self._pull_wires()
            self.host.touched(self)
            if self.frame is not None:
                self.frame.follow()
        elif change == _Change.ItemSelectedHasChanged:
            self._properties["selected"] = bool(value)
            self.setZValue(RAISED_Z if value else NODE_Z)
            self.host.touched(self)
        return QGraphicsItem.itemChange(self, change, value)

    def _pull_wires(self) -> None:
        for port in self.ports.values():
            for wire in port.connected_pipes:
                wire.follow()

    # -- drawing -------------------------------------------------------------------------------------------------------

    def boundingRect(self) -> QRectF:
        return self._bounds

    def shape(self) -> QPainterPath:
        return self._shape

    @guarded
    def paint(self, painter: QPainter, scale: float) -> None:
        look = self.host.look
        band = look.band(scale)
        if (frame := self.host.viewer.gathering) is not None:
            frame.nodes.append(self)
        elif band.is_near:
            paint.draw_node(painter, self, look)
        else:
            paint.draw_block(painter, self, look, band)
