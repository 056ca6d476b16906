"""The canvas equals the document after any edit, draws large documents, and never lets a fault of painting out."""

import contextlib
import json
import logging
import random
import time

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QApplication

from designer.graph import Document
from designer.graph.errors import NetwrightError
from designer.graph.layout import layout
from designer.graph.model import GraphData
from designer.graph.templates import load_template
from designer.ui import theme
from designer.ui.canvas import CanvasView
from designer.ui.canvas.graph import UnknownNodeGraphQt, check_names
from designer.ui.canvas.look import LABEL_HEIGHT
from designer.ui.canvas.node_graph import PipeItem
from tests.ui.canvas_support import CATALOGUE, click, drag, drop, is_mirror, point

MAP = {"kind": "map", "shape": [1, 64, 80, 80], "dtype": "float32"}


def show(qtbot, document, catalogue=CATALOGUE, size=(1000, 700)):
    view = CanvasView(document, catalogue, theme.DARK)
    view.resize(*size)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    return view


def grid(count):
    """Nodes in rows of twenty, each wired to the one before."""
    document = Document.new("Grid", CATALOGUE)
    last = None
    for i in range(count):
        node = document.add("conv.conv", title=f"N{i}", at=(i % 20 * 300.0, i // 20 * 120.0))
        if last is not None:
            document.connect(last, node)
        last = node
    return document


class Fuzz:
    """Random edits: through the document, through the graph's slots as gestures reach them, and by undo."""

    def __init__(self, view, seed):
        self.view, self.random = view, random.Random(seed)
        self.steps = [
            *[self.add] * 5, *[self.connect] * 14, *[self.undo] * 2, self.drop, self.remove, self.move, self.drag,
            self.rename, self.param, self.disconnect, self.lift, self.slice, self.replace, self.paste, self.redo,
            self.redo, self.disable, self.catalogue, self.result, self.many,
            self.frame, self.note,
        ]  # fmt: skip

    @property
    def doc(self):
        return self.view.document

    def node(self):
        return self.random.choice(self.doc.data.nodes).id if self.doc.data.nodes else self.add()

    def component(self):
        return self.random.choice([*CATALOGUE, "gone.component"])

    def place(self):
        return self.random.uniform(-900, 900), self.random.uniform(-600, 600)

    def add(self):
        return self.doc.add(self.component(), at=self.place()).id

    def drop(self):
        drop(
            self.view,
            self.random.choice(list(CATALOGUE)),
            QPoint(self.random.randrange(900), self.random.randrange(600)),
        )

    def remove(self):
        self.view.select({self.node() for _ in range(self.random.randrange(1, 4))})
        self.view.delete_selected()

    def ports(self):
        return [p for item in self.view.nodes.values() for p in item.ports.values()]

    def connect(self):
        """From one port to another: mostly to a side where it may fit."""
        if len(ports := self.ports()) > 1:
            start = self.random.choice(ports)
            other_side = [p for p in ports if p.is_input != start.is_input]
            end = self.random.choice(other_side if other_side and self.random.random() < 0.9 else ports)
            self.view.graph._on_connection_changed([], [(start, end)])

    def disconnect(self):
        if self.doc.data.wires:
            self.doc.disconnect(self.random.choice(self.doc.data.wires))

    def lift(self):
        if self.view.wires:
            wire = self.random.choice(list(self.view.wires.values()))
            to = [(wire.output_port, self.random.choice(self.ports()))] if self.random.random() < 0.7 else []
            self.view.graph._on_connection_changed([(wire.input_port, wire.output_port)], to)

    def slice(self):
        some = [w for w in self.view.wires.values() if self.random.random() < 0.2]
        self.view.graph._on_connection_sliced([(w.input_port, w.output_port) for w in some])

    def move(self):
        self.doc.move({self.node(): self.place()})

    def drag(self):
        item = self.view.nodes[self.node()]
        before = {item: (item.x(), item.y())}
        item.moveBy(self.random.randrange(-50, 50), 7)
        self.view.graph._on_nodes_moved(before)

    def rename(self):
        self.doc.rename(self.node(), f"T{self.random.randrange(99)}")

    def param(self):
        self.doc.set_param(self.node(), "out_channels", self.random.randrange(512))

    def disable(self):
        self.doc.set_disabled(self.node(), self.random.random() < 0.5)
        self.doc.set_frozen(self.node(), self.random.random() < 0.5)

    def replace(self):
        self.doc.apply([{"op": "replace", "node": self.node(), "component": self.component()}], "Replace")

    def paste(self):
        self.view.select([self.node(), self.node()])
        self.view.duplicate()

    def frame(self):
        ids = {self.node() for _ in range(self.random.randrange(1, 4))}
        self.view.select(ids)
        self.random.choice([self.view.frame_selection, self.view.unframe])()
        self.view.titles.hide()

    def note(self):
        self.doc.add_group("Words", [], x=float(self.random.randrange(300)))
        if self.random.random() < 0.5:
            self.doc.set_group(self.random.choice(self.doc.data.groups), title="Other", color="#3b82f6")

    def many(self):
        """Several edits as one step, sometimes taken back because the last fails."""
        with self.doc.edit("Many"):
            for _ in range(4):
                self.random.choice([self.add, self.disconnect, self.move, self.rename])()
            if self.random.random() < 0.5:
                raise NetwrightError("given up")

    def catalogue(self):
        self.view.set_catalogue(CATALOGUE)

    def result(self):
        nodes = {n.id: {"status": "ok", "params": 7, "outputs": {"out": MAP, "p3": MAP}} for n in self.doc.data.nodes}
        fault = {"severity": "error", "message": "No.", "node": self.node(), "port": "x"}
        self.view.show_propagation({"nodes": nodes, "problems": [fault]})

    def undo(self):
        self.view.undo()

    def redo(self):
        self.view.redo()

    def step(self):
        with contextlib.suppress(NetwrightError):  # refused: neither the document nor the canvas may have changed
            self.random.choice(self.steps)()


@pytest.mark.parametrize("seed", [1, 2])
def test_after_every_random_edit_the_items_equal_the_document(qtbot, seed):
    view = show(qtbot, Document.new("Fuzz", CATALOGUE))
    fuzz = Fuzz(view, seed)
    for step in range(500):
        fuzz.step()
        assert is_mirror(view) == [], step
        if step % 50 == 0:
            view.grab()
    assert len(view.document.history.done) > 100
    assert len(view.wires) > 5
    assert view.graph.undo_stack().count() == 0  # NodeGraphQt's own history is not used
    while view.document.can_undo:
        view.undo()
    assert view.nodes == view.wires == {}
    assert view.viewer.all_nodes() == view.viewer.all_pipes() == []
    while view.document.can_redo:
        view.redo()
    assert is_mirror(view) == []


def test_another_document_takes_the_place_of_the_first(qtbot):
    first, second = grid(6), grid(3)
    view = show(qtbot, first)
    view.select_all()
    view.set_document(second)
    assert view.selected_ids() == []
    first.add("conv.conv")  # no longer watched
    assert is_mirror(view) == []
    assert len(view.nodes) == 3


def test_placeholders_and_dangling_wires_are_drawn_as_far_as_they_go(qtbot):
    data = GraphData.model_validate(
        {
            "nodes": [{"id": "a", "component": "no.such"}, {"id": "b", "component": "conv.conv"}],
            "wires": [
                {"id": "w1", "source": "a", "source_port": "strange", "target": "b", "target_port": "x"},
                {"id": "w2", "source": "a", "source_port": "strange", "target": "b", "target_port": "no_such_port"},
                {"id": "w3", "source": "gone", "source_port": "out", "target": "b", "target_port": "x"},
            ],
        }
    )
    view = show(qtbot, Document(data, CATALOGUE))
    assert view.wires.keys() == {"w1", "w2"}
    assert (True, "no_such_port") in view.nodes["b"].ports
    view.document.disconnect("w2")
    assert (True, "no_such_port") not in view.nodes["b"].ports
    view.document.remove("b")
    assert is_mirror(view) == []
    view.document.undo()
    assert is_mirror(view) == []


def test_ports_appear_when_the_catalogue_comes(qtbot):
    document = grid(2)
    document.catalogue = None
    view = show(qtbot, document, None)
    document.add("neck.fpn", title="FPN")
    assert view.nodes["n3"].ports == {}
    view.select(["n3"])
    document.catalogue = CATALOGUE
    view.set_catalogue(CATALOGUE)
    assert set(view.nodes["n3"].ports) == {(True, "c3"), (True, "c4"), (False, "p3"), (False, "p4")}
    assert view.selected_ids() == ["n3"]
    assert is_mirror(view) == []


def test_problems_are_badges_red_wires_and_tooltips(qtbot):
    document = grid(3)
    view = show(qtbot, document)
    messages = ["N1 takes 3 channels, gets 64.", "Large."]
    problems = [
        {"severity": "error", "message": messages[0], "node": "n2", "port": "x"},
        {"severity": "warning", "message": messages[1], "node": "n3", "port": None},
        {"severity": "error", "message": "The document has no head.", "node": None},
    ]
    nodes = {"n1": {"status": "ok", "outputs": {"out": MAP}}, "n2": {"status": "error"}, "n3": {"status": "waiting"}}
    view.show_propagation({"nodes": nodes, "problems": problems})
    assert [view.nodes[n].severity for n in ("n1", "n2", "n3")] == ["", "error", "warning"]
    first, second = view.wires.values()
    assert (first.reason, second.reason) == (messages[0], "")
    at = point(view, view.nodes["n2"].scene_card().center())
    assert messages[0] in view.viewer.tip_at(at)
    assert "1 × 64 × 80 × 80" in view.viewer.tip_at(point(view, view.nodes["n1"].ports[False, "out"].centre()))
    before = view.grab().toImage()
    view.show_propagation({"nodes": nodes, "problems": []})
    assert view.nodes["n2"].severity == first.reason == ""
    assert view.grab().toImage() != before


def test_a_fault_in_painting_is_logged_once_and_stays_inside(qtbot, caplog):
    view = show(qtbot, grid(3))
    view.nodes["n1"].node = None  # painting it fails now
    view.nodes["n1"].lines = None
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            view.viewer.viewport().update()
            QApplication.processEvents()
            view.grab()
    told = [r.message for r in caplog.records]
    assert len(told) == len(set(told)) == 2  # the node and its wire, once each
    assert all("cannot be drawn" in message for message in told)
    view.nodes["n1"].node = view.document.node("n1")
    view.viewer.labelled = None
    with caplog.at_level(logging.ERROR):
        view.grab()
    assert any("failed" in r.message for r in caplog.records)
    view.viewer.labelled = []


class Paints(QObject):
    def __init__(self, widget):
        super().__init__()
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _watched, event):
        self.count += event.type() == QEvent.Type.Paint
        return False


def test_a_large_document_from_afar_is_drawn_and_edited_like_any_other(qtbot):
    view = show(qtbot, grid(200))
    view.fit()
    assert view.viewer._is_far
    image = view.viewer.grab().toImage()
    fill = {image.pixelColor(point(view, i.scene_card().center())).name() for i in view.nodes.values()}
    assert len(fill) == 1  # every card is there, in its category's colour
    assert fill != {view.mirror.look.canvas.name()}
    at = point(view, view.nodes["n30"].scene_card().center())
    click(view, at)
    assert view.selected_ids() == ["n30"]
    assert view.viewer.grab().toImage().pixelColor(at) == view.mirror.look.accent
    paints = Paints(view.viewer.viewport())
    drag(view, at, at + QPoint(40, 30))
    QApplication.processEvents()
    assert paints.count > 0
    assert view.document.undo_name == "Move N29"
    view.document.remove("n100")
    view.document.add("conv.conv", at=(0, -9000))
    view.viewer.grab()
    assert is_mirror(view) == []
    drag(view, QPoint(2, 2), QPoint(view.viewer.width() - 3, view.viewer.height() - 3))
    assert len(view.selected_ids()) == len(view.nodes) - 1  # all but the one above the view
    view.viewer.look_at(QPointF(0, 0), 1.0)
    assert not view.viewer._is_far
    assert view.viewer.grab().toImage() != image


def test_in_a_large_document_shapes_get_their_places_as_they_come_into_sight(qtbot):
    view = show(qtbot, grid(300))
    nodes = {n.id: {"status": "ok", "outputs": {"out": MAP}} for n in view.document.data.nodes}
    view.show_propagation({"nodes": nodes, "problems": []})
    for node in ("n5", "n290"):
        view.viewer.look_at(view.nodes[node].scene_card().center(), 1.0)
        seen = view.viewer.seen()
        near = [w for w in view.wires.values() if seen.contains(w.boundingRect())]
        assert near
        qtbot.waitUntil(lambda near=near: all(w.label_at is not None and w.band.is_near for w in near))


def test_connecting_across_a_residual_chain_takes_no_time(qtbot):
    """NodeGraphQt's cycle check doubles its time at each block: 40 blocks would take days."""
    document = Document.new("Residual", CATALOGUE)
    view = show(qtbot, document)
    last = document.add("io.image")
    for _ in range(40):
        block, add = document.add("conv.conv"), document.add("fusion.concat")
        document.connect(last, block)
        document.connect(block, add)
        document.connect(last, add)
        last = add
    start = time.perf_counter()
    view.graph._light_ports(view.nodes["n1"].ports[False, "out"])
    view.graph._on_connection_changed(
        [], [(view.nodes["n1"].ports[False, "out"], view.nodes[last.id].ports[True, "xs.2"])]
    )
    assert time.perf_counter() - start < 0.25
    assert len(view.wires) == 121


def test_the_private_names_of_nodegraphqt_are_there_and_a_missing_one_is_named():
    check_names()
    with pytest.raises(UnknownNodeGraphQt, match=r"has no PipeItem\._gone.*pip install NodeGraphQt==0\.6\.44"):
        check_names({PipeItem: ("_input_port", "_gone")})
    with pytest.raises(UnknownNodeGraphQt, match=r"NodeGraph\._on_gone"):
        check_names({}, ("_on_gone",))


@pytest.fixture(scope="module")
def engine():
    """The real components and what the real engine says about a template."""
    from designer.engine.propagate import propagate
    from nodes.sdk.discover import library

    registry = library()

    def answer(name):
        document = load_template(name, registry.catalogue)
        return document, json.loads(json.dumps(propagate(document.data, registry).to_json()))

    return registry.catalogue, answer


@pytest.mark.parametrize("name", ["yolov8n-blocks", "yolov8n", "resnet50", "quick-start", "shapes-classifier"])
def test_templates_show_every_shape_and_nothing_overlaps(qtbot, engine, name):
    catalogue, answer = engine
    document, result = answer(name)
    assert result["problems"] == []
    view = show(qtbot, document, catalogue)
    view.show_propagation(result)
    view.arrange()
    view.zoom_100()
    cards = [item.scene_card() for item in view.nodes.values()]
    for i, card in enumerate(cards):
        assert not any(card.intersects(other) for other in cards[i + 1 :])
    boxes = []
    for wire in view.wires.values():
        ends = (wire.output_port.node.scene_card(), wire.input_port.node.scene_card())
        course = [wire.path().pointAtPercent(i / 200) for i in range(201)]
        assert not [c for c in cards if c not in ends and any(c.contains(p) for p in course)]  # none goes behind a card
        assert wire.label
        if wire.label_at is not None:
            width, height = wire.label_size()
            box = QPointF(width / 2, height / 2)
            boxes.append((wire.label_at - box, wire.label_at + box))
    assert len(boxes) >= 0.8 * len(view.wires)
    for i, (low, high) in enumerate(boxes):
        for card in cards:
            assert not (
                low.x() < card.right() and high.x() > card.left() and low.y() < card.bottom() and high.y() > card.top()
            )
        for low2, high2 in boxes[i + 1 :]:
            assert not (low.x() < high2.x() and high.x() > low2.x() and low.y() < high2.y() and high.y() > low2.y())


@pytest.mark.parametrize("shades", [theme.DARK, theme.LIGHT])
def test_texts_fit_their_cards(qtbot, shades):
    document = Document.new("Texts", CATALOGUE)
    document.add("conv.conv", title="A title that is far too long for any card to hold it whole")
    document.add("neck.fpn", title="W" * 60, at=(0, 200))
    document.add("conv.conv", title="Conv 3", at=(300, 0))
    view = show(qtbot, document)
    view.set_theme(shades)
    view.show_propagation({"nodes": {"n1": {"status": "ok", "params": 3157200}}, "problems": []})
    document.set_frozen("n1", True)
    look = view.mirror.look
    for scale in (0.4, 0.5, 0.6, 0.75, 1.0):
        view.viewer.look_at(QPointF(0, 0), scale)
        view.grab()
        for item in view.nodes.values():
            lines = item.lines
            assert lines.band is look.band(scale)
            assert QFontMetricsF(lines.title_font).horizontalAdvance(lines.title) <= item.width - 20
            assert lines.band.small_metrics.horizontalAdvance(lines.subtitle) <= item.width - 20
    start, _, end = view.nodes["n1"].lines.title.partition("…")
    assert min(len(start), len(end)) > 2
    assert view.nodes["n1"].name.startswith(start)
    assert view.nodes["n1"].name.endswith(end)
    assert view.nodes["n3"].lines.title == "Conv 3"
    assert "out 64" in view.nodes["n3"].lines.subtitle
    document.set_param("n3", "out_channels", 32)
    view.viewer.look_at(QPointF(0, 0), 1.0)
    view.grab()
    assert "out 32" in view.nodes["n3"].lines.subtitle
    assert look.small_metrics.height() <= LABEL_HEIGHT


def test_layout_goes_left_to_right_without_overlaps():
    document = Document.new("Layout", CATALOGUE)
    nodes = [document.add("io.image")] + [document.add("fusion.concat") for _ in range(30)]
    order = random.Random(3)
    for i, node in enumerate(nodes[1:], 1):
        for source in {order.randrange(max(0, i - 5), i) for _ in range(2)}:
            document.connect(nodes[source], node)
    sizes = {n.id: (188.0, 46.0 + 20 * len(document.wires_into(n))) for n in nodes}
    places = layout(document.data, sizes)
    assert places == layout(document.data, sizes)
    for wire in document.data.wires:
        assert places[wire.source][0] + sizes[wire.source][0] < places[wire.target][0]
    for a in nodes:
        for b in nodes:
            (ax, ay), (bx, by) = places[a.id], places[b.id]
            apart = ax + 188 <= bx or bx + 188 <= ax or ay + sizes[a.id][1] <= by or by + sizes[b.id][1] <= ay
            assert a is b or apart
    assert layout(GraphData(), {}) == {}
