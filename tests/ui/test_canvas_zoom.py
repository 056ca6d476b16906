"""What can be read at which zoom: a first look at a document shows names and shapes, in the size of the screen."""

import json

import pytest
from PySide6.QtCore import QPointF

from designer.graph import Document
from designer.graph.templates import load_template
from designer.ui import theme
from designer.ui.canvas import CanvasView
from tests.ui.canvas_support import CATALOGUE


@pytest.fixture(scope="module")
def answers():
    """The real components and what the real engine says about a template."""
    from designer.engine.propagate import propagate
    from nodes.sdk.discover import library

    registry = library()

    def answer(name):
        document = load_template(name, registry.catalogue)
        return registry.catalogue, document, json.loads(json.dumps(propagate(document.data, registry).to_json()))

    return answer


def show(qtbot, answers, name, size=(734, 441)):
    """A template in the canvas of a window of 1280 by 800."""
    catalogue, document, result = answers(name)
    view = CanvasView(document, catalogue, theme.DARK)
    view.resize(*size)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    view.show_propagation(result)
    return view


def boxes(view):
    """The shapes' boxes in scene units, by wire."""
    found = {}
    for key, wire in view.wires.items():
        if wire.label_at is not None:
            width, height = wire.label_size()
            found[key] = (wire.label_at - QPointF(width, height) / 2, wire.label_at + QPointF(width, height) / 2)
    return found


def test_the_quick_start_shows_every_shape_at_first_sight(qtbot, answers):
    view = show(qtbot, answers, "quick-start")
    scale = view.viewer.zoom
    assert scale < 0.55  # smaller than cards are drawn in full
    assert boxes(view).keys() == view.wires.keys()
    for wire in view.wires.values():
        assert wire.band is view.mirror.look.band(scale)
        assert wire.band.shape.pixelSize() * scale >= 9
        assert " " not in wire.label_text() or "boxes" in wire.label_text()
    view.grab()
    for item in view.nodes.values():
        assert item.lines.title_font.pixelSize() * scale >= 11
        assert item.lines.title == item.name  # not cut


@pytest.mark.parametrize("name", ["quick-start", "yolov8n", "yolov8n-blocks"])
@pytest.mark.parametrize("scale", [0.28, 0.34, 0.41, 0.5, 0.6, 0.75, 1.0])
def test_shapes_overlap_nothing_at_any_zoom(qtbot, answers, name, scale):
    view = show(qtbot, answers, name)
    view.viewer.look_at(QPointF(0, 0), scale)
    cards = [item.scene_card() for item in view.nodes.values()]
    places = list(boxes(view).values())
    assert places
    for i, (low, high) in enumerate(places):
        for card in cards:
            apart = low.x() >= card.right() or high.x() <= card.left() or low.y() >= card.bottom()
            assert apart or high.y() <= card.top()
        for low2, high2 in places[i + 1 :]:
            apart = low.x() >= high2.x() or high.x() <= low2.x() or low.y() >= high2.y()
            assert apart or high.y() <= low2.y()


def test_a_document_too_large_to_be_read_whole_opens_at_its_input(qtbot, answers):
    view = show(qtbot, answers, "yolov8n-blocks")
    seen = view.viewer.mapToScene(view.viewer.viewport().rect()).boundingRect()
    image = next(item for item in view.nodes.values() if item.spec.role == "input")
    assert view.viewer.zoom == pytest.approx(0.5)
    assert seen.contains(image.scene_card())
    assert len([i for i in view.nodes.values() if seen.contains(i.scene_card())]) >= 4
    readable = {k for k, (low, high) in boxes(view).items() if seen.contains(low) and seen.contains(high)}
    assert len(readable) >= 3
    view.fit()
    assert view.viewer.zoom < 0.5
    seen = view.viewer.mapToScene(view.viewer.viewport().rect()).boundingRect()
    assert all(seen.contains(item.scene_card()) for item in view.nodes.values())


def test_the_sizes_of_texts_follow_the_zoom_in_steps(qtbot, answers):
    view = show(qtbot, answers, "quick-start")
    look = view.mirror.look
    lows = [band.low for band in look.bands]
    assert lows == sorted(lows, reverse=True)
    assert look.band(2.5).is_near
    assert look.band(0.05).shape_height == 0
    changes = []
    view.viewer.band_changed.connect(lambda: changes.append(view.viewer.band.low))
    for scale in (1.0, 0.9, 0.8, 0.75, 0.5, 0.1):
        view.viewer.look_at(QPointF(0, 0), scale)
    assert changes == [0.85, 0.7, 0.48, 0.0]
    assert boxes(view) == {}  # too small to be read


def test_fit_shows_all_of_a_document_of_thousands_of_nodes(qtbot):
    document = Document.new("Large", CATALOGUE)
    with document.edit("Fill"):
        for number in range(3000):
            document.add("conv.conv", at=(number % 30 * 300, number // 30 * 130))
    view = CanvasView(document, CATALOGUE, theme.DARK)
    view.resize(1280, 800)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    view.fit()
    seen = view.viewer.seen()
    assert all(seen.contains(item.scene_card()) for item in view.nodes.values())
