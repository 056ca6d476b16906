"""Pictures of the canvas: all of it, readable, as it looks, and with the document inside."""

import xml.etree.ElementTree as ElementTree

import pytest
from PySide6.QtCore import QPointF, QSize
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog

from designer.graph import Document
from designer.graph.errors import EditError
from designer.graph.picture import read_picture
from designer.ui import theme
from designer.ui.canvas import CanvasView, picture
from tests.ui.canvas_support import CATALOGUE

INFO = {"kind": "map", "shape": [1, 64, 80, 80], "dtype": "float32"}


def show(qtbot, count, shades=theme.LIGHT):
    document = Document.new("Row", CATALOGUE)
    document.add("io.image", title="Image", at=(0, 0))
    for i in range(1, count):
        document.connect(f"n{i}", document.add("conv.conv", title=f"Conv {i}", at=(i % 20 * 312, i // 20 * 120)))
    view = CanvasView(document, CATALOGUE, shades)
    view.resize(700, 500)
    qtbot.addWidget(view)
    view.show()
    qtbot.waitExposed(view)
    nodes = {n.id: {"status": "ok", "outputs": {"out": INFO}} for n in document.data.nodes}
    view.show_propagation({"nodes": nodes, "problems": []})
    return view


@pytest.mark.parametrize("shades", [theme.DARK, theme.LIGHT], ids=lambda t: t.name)
def test_a_png_shows_every_node_and_shape_and_holds_the_document(qtbot, tmp_path, shades):
    view = show(qtbot, 4, shades)
    view.select(["n2"])
    view.viewer.look_at(QPointF(5000, 5000), 0.1)  # what is on the screen does not matter
    path = tmp_path / "row.png"
    size = picture.save_picture(view, path)
    image = QImage(str(path))
    assert image.size() == size
    look, area = view.mirror.look, picture._area(view)
    for item in view.nodes.values():
        at = (item.scene_card().topLeft() + QPointF(94, 4) - area.topLeft()) * picture.SCALE
        assert image.pixelColor(at.toPoint()) == look.card  # selected or not
    middle = (QPointF(188 + 62, 23) - area.topLeft()) * picture.SCALE
    near = {
        image.pixelColor(round(middle.x()) + dx, round(middle.y()) + dy).name()
        for dx in range(-60, 60)
        for dy in range(-9, 9)
    }
    assert look.muted.name() in near  # the letters of a shape
    edge = round(picture.MARGIN * picture.SCALE / 2)
    assert {image.pixelColor(x, edge).name() for x in range(image.width())} == {look.canvas.name()}
    assert read_picture(path) == view.document.data
    assert view.selected_ids() == ["n2"]
    assert view.viewer.zoom == pytest.approx(0.1)
    assert all(wire.label_at is None for wire in view.wires.values())  # placed for the screen again


def test_a_svg_has_the_texts(qtbot, tmp_path):
    view = show(qtbot, 4)
    path = tmp_path / "row.svg"
    picture.save_picture(view, path)
    texts = {"".join(e.itertext()).strip() for e in ElementTree.parse(path).iter() if e.tag.endswith("text")}
    assert {"Image", "Conv 1", "Conv 3", "64 × 80 × 80"} <= texts


def test_a_large_document_is_drawn_from_near_within_bounds(qtbot, tmp_path, monkeypatch):
    view = show(qtbot, 200)
    view.fit()
    assert view.viewer._is_far
    monkeypatch.setattr(picture, "MOST", 2_000_000)
    size = picture.save_picture(view, tmp_path / "large.png")
    assert 1_800_000 < size.width() * size.height() < 2_100_000
    assert view.viewer._is_far
    image = QImage(str(tmp_path / "large.png"))
    colours = {image.pixelColor(x, 30).name() for x in range(size.width())}
    assert len(colours) > 5  # cards with texts, not plain blocks


def test_what_cannot_be_written_is_told(qtbot, tmp_path, monkeypatch):
    view = show(qtbot, 2)
    with pytest.raises(EditError, match=r"as \.png or \.svg"):
        picture.save_picture(view, tmp_path / "row.jpg")
    with pytest.raises(EditError, match="Choose another folder"):
        picture.save_picture(view, tmp_path / "none" / "row.png")
    said = []
    view.status.connect(said.append)
    answers = iter([("", ""), (str(tmp_path / "none" / "x.png"), ""), (str(tmp_path / "x.png"), "")])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: next(answers))
    for _ in range(3):
        view.commands()["export_picture"]()
    assert "Choose another folder" in said[0]
    assert said[1].startswith("Wrote x.png, ")
    assert QImage(str(tmp_path / "x.png")).size() != QSize()
    view.set_document(None)
    view.commands()["export_picture"]()
    assert "nothing to take a picture of" in said[-1]


def test_the_kind_that_is_chosen_says_the_scale_and_what_is_written(qtbot, tmp_path, monkeypatch):
    view = show(qtbot, 2)
    kinds = []

    def answer(name, which):
        def ask(_view, _title, _start, offered):
            kinds[:] = offered.split(";;")
            return str(tmp_path / name), next(k for k in kinds if which in k)

        monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
        view.commands()["export_picture"]()

    answer("one.png", "1 ×")
    answer("four", "4 ×")
    answer("drawn.png", "SVG")
    one, four = QImage(str(tmp_path / "one.png")), QImage(str(tmp_path / "four.png"))
    assert abs(four.width() - 4 * one.width()) <= 4
    assert (tmp_path / "drawn.svg").read_text().lstrip().startswith("<?xml")
    assert not (tmp_path / "drawn.png").exists()
