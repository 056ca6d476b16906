"""Composites opened on the canvas: the real engine's parts, shown with their shapes, and never edited."""

import json

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from designer.engine.expand import expand_node
from designer.engine.propagate import propagate
from designer.graph.templates import load_template
from designer.ui import theme
from designer.ui.canvas import CanvasView
from nodes.sdk.discover import library
from tests.ui.canvas_support import LEFT, NONE, drag, is_mirror, point


@pytest.fixture
def view(qtbot):
    """The quick start with an engine in the same process: what is wanted is answered at once."""
    catalogue = library().catalogue
    document = load_template("quick-start", catalogue)
    view = CanvasView(document, catalogue, theme.DARK)
    view.resize(900, 600)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)

    def answer(asked, node):
        if view.inside.enter(asked, node, expand_node(asked.data, node)):
            whole = view.inside.whole
            view.inside.show_result(whole, shapes(whole))

    view.inside_wanted.connect(answer)
    view.show_propagation(shapes(document))
    return view


def shapes(document):
    return json.loads(json.dumps(propagate(document.data).to_json()))


def open_node(view, title):
    item = next(i for i in view.nodes.values() if i.name == title)
    view.centre_on(item.id)
    at = point(view, item.mapToScene(QPointF(item.width / 2, item.height - 4)))
    QTest.mouseDClick(view.viewer.viewport(), LEFT, NONE, at)


def test_a_double_click_shows_the_parts_with_every_shape_and_escape_leaves(view):
    outer = view.document
    before = outer.data.model_dump()
    open_node(view, "Backbone")
    assert view.document is not outer
    names = {item.name for item in view.nodes.values()}
    assert {"stage1", "stage2", "Image", "Neck"} <= names  # its parts, and what it is wired to
    assert "Head" not in names
    around = {item.name for item in view.nodes.values() if item.is_around}
    assert around == {"Image", "Neck"}
    assert all(wire.label for wire in view.wires.values())
    cards = [item.scene_card() for item in view.nodes.values()]
    assert not any(a.intersects(b) for i, a in enumerate(cards) for b in cards[i + 1 :])
    assert is_mirror(view) == []
    assert view.inside.crumbs.isVisible()
    QTest.keyClick(view.viewer, Qt.Key.Key_Escape)
    assert view.document is outer
    assert not view.inside.crumbs.isVisible()
    assert outer.data.model_dump() == before
    assert all(wire.label for wire in view.wires.values())
    assert is_mirror(view) == []


def test_a_composite_in_a_composite_opens_in_turn_and_the_path_leads_back(view):
    outer = view.document
    open_node(view, "Backbone")
    inner = next(i for i in view.nodes.values() if i.spec.composite and not i.is_around)
    open_node(view, inner.name)
    assert view.inside.levels[0].title == "Backbone"
    assert len(view.inside.levels) == 2
    assert all(wire.label for wire in view.wires.values())
    view.inside.leave_to(1)
    assert "stage1" in {item.name for item in view.nodes.values()}
    assert all(wire.label for wire in view.wires.values())
    view.inside.leave_to(0)
    assert view.document is outer


def test_nothing_inside_can_be_changed_and_the_reason_is_told(view):
    outer = view.document
    before = outer.data.model_dump()
    open_node(view, "Backbone")
    said, chosen = [], []
    view.status.connect(said.append)
    view.selection_changed.connect(chosen.append)
    part = next(i for i in view.nodes.values() if not i.is_around)
    view.centre_on(part.id)
    where, inside = part.pos(), view.document.data.model_dump()
    grip = point(view, part.scene_card().center())
    drag(view, grip, grip + QPoint(60, 60))
    assert part.pos() == where
    assert "look inside Backbone. Unpack it" in said[-1]
    part.setSelected(True)
    for key in (Qt.Key.Key_Delete, Qt.Key.Key_X, Qt.Key.Key_Left, Qt.Key.Key_F2):
        QTest.keyClick(view.viewer, key)
    view.arrange()
    view.undo()
    assert view.document.data.model_dump() == inside
    assert outer.data.model_dump() == before
    assert view.selected_ids() == []  # nothing of the document is selected
    assert not any(chosen)
    view.copy()  # but parts can be copied
    view.inside.leave()
    view.paste()
    assert (
        view.document.data.nodes[-1].component
        == json.loads(QGuiApplication.clipboard().text())["nodes"][0]["component"]
    )


def test_a_change_of_the_document_leads_out(view):
    outer = view.document
    open_node(view, "Backbone")
    outer.move({"n1": (5, 5)})
    assert view.inside.levels  # it only looks different
    outer.set_param(next(n for n in outer.data.nodes if n.title == "Head"), "num_classes", 7)
    assert not view.inside.levels
    assert view.document is outer
    assert is_mirror(view) == []


def test_showing_a_node_of_the_document_leads_out_and_other_documents_take_over(view):
    open_node(view, "Backbone")
    view.select(["n5"])
    assert view.selected_ids() == ["n5"]
    assert not view.inside.levels
    open_node(view, "Backbone")
    view.set_document(load_template("yolov8n", library().catalogue))
    assert not view.inside.levels
    assert not view.inside.crumbs.isVisible()
    assert is_mirror(view) == []


def test_late_answers_and_bypassed_composites_open_nothing(view):
    outer = view.document
    backbone = next(n for n in outer.data.nodes if n.title == "Backbone")
    answer = expand_node(outer.data, backbone.id)
    outer.remove(backbone)
    assert not view.inside.enter(outer, backbone.id, answer)
    outer.undo()
    outer.set_disabled(backbone, True)
    said = []
    view.status.connect(said.append)
    assert not view.inside.enter(outer, backbone.id, answer)
    assert "is bypassed" in said[-1]
    assert view.document is outer


def test_selected_nodes_become_one_that_opens_and_comes_back(view):
    document = view.document
    before = document.data.model_dump()
    ids = [n.id for n in document.data.nodes if n.title in ("Backbone", "Neck")]
    view.select(ids)
    QTest.keyClick(view.viewer, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier)
    (made,) = (n for n in document.data.nodes if n.component.startswith("composites."))
    assert made.title == "Backbone to Neck"
    assert view.selected_ids() == [made.id]
    assert not is_mirror(view)
    assert len(view.nodes[made.id].ports) == 4
    view.show_propagation(shapes(document))
    view.inside_wanted.emit(document, made.id)
    assert {"backbone", "neck"} <= {item.name for item in view.nodes.values()}
    view.inside.leave_to(0)
    document.undo()
    assert document.data.model_dump() == before
    assert not is_mirror(view)
