"""The picture of two documents: well-formed, every state told in more than colour, readable in both themes."""

from xml.etree import ElementTree

import pytest

from designer.graph.diff_picture import DARK, LIGHT, diff_picture
from designer.graph.document import Document

SVG = "{http://www.w3.org/2000/svg}"


def pair():
    document = Document.new("Net & co")
    image = document.add("io.image_input", title="Image", at=(0, 0))
    stem = document.add("stem.conv_stem", title="Stem <1>", at=(300, 0), out_channels=64)
    block = document.add("block.csp.c2f", title="Block", at=(600, 0))
    document.connect(image, stem, "out", "x")
    document.connect(stem, block, "out", "x")
    before = document.data.model_copy(deep=True)
    document.set_param(stem, "out_channels", 32)
    document.remove(block)
    document.connect(stem, document.add("head.yolo", title="Head", at=(600, 300)), "out", "x")
    document.set_training(epochs=7)
    return before, document.data


def texts(svg):
    return [one.text for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("dark", [False, True])
def test_what_differs_is_written_and_drawn(dark):
    a, b = pair()
    svg = diff_picture(a, b, dark=dark)
    shades = DARK if dark else LIGHT
    found = texts(svg)
    assert {"Net & co", "unchanged 1", "added 1", "removed 1", "changed 1"} <= set(found)
    assert "out_channels 64 -> 32" in found
    assert "training: epochs 20 -> 7" in found
    assert found.count("+") == found.count("~") == 2  # on the card and in the legend
    wires = [p.get("stroke") for p in ElementTree.fromstring(svg).iter(f"{SVG}path")]
    assert wires == [shades.states[state][1] for state in ("same", "removed", "added")]
    dashes = [p.get("stroke-dasharray") for p in ElementTree.fromstring(svg).iter(f"{SVG}path")]
    assert dashes == [None, "6 4", None]


def test_cards_that_would_cover_each_other_are_arranged():
    a, b = pair()
    for node in b.nodes:
        node.x = node.y = 0
    cards = [r for r in ElementTree.fromstring(diff_picture(a, b)).iter(f"{SVG}rect") if float(r.get("width")) > 100]
    boxes = [[float(r.get(k)) for k in ("x", "y", "width", "height")] for r in cards if r.get("x")]
    assert len(boxes) == 4
    assert len({(x, y) for x, y, _, _ in boxes}) == 4
    assert "unchanged 0" in texts(diff_picture(*[Document.new("Empty").data] * 2))


def test_the_command_writes_it(tmp_path, capsys):
    from designer.cli.documents import diff_documents

    paths = [Document(data).save(tmp_path / f"{name}.netwright") for name, data in zip("ab", pair(), strict=True)]
    diff_documents(*paths, False, tmp_path / "out.svg", dark=True)
    assert "out_channels 64 -> 32" in texts((tmp_path / "out.svg").read_text(encoding="utf-8"))
    assert "out_channels 64 -> 32" in capsys.readouterr().out


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("shades", [LIGHT, DARK])
def test_texts_and_lines_can_be_read(shades):
    assert contrast(shades.text, shades.ground) >= 4.5
    assert contrast(shades.muted, shades.ground) >= 4.5
    assert contrast(shades.muted, shades.states["same"][0]) >= 4.5
    for fill, line in shades.states.values():
        assert contrast(shades.text, fill) >= 4.5
        assert contrast(line, shades.ground) >= 3
