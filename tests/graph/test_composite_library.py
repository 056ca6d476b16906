"""The user's library: saved as data, placed as a copy with its fingerprint, updated where the library has another."""

import json
from itertools import pairwise

import pytest

from designer.graph import Document
from designer.graph.composite_library import SUFFIX, CompositeLibrary, fingerprint
from designer.graph.grouping import group_nodes
from designer.graph.redefine import drawn, rename_port, show_param
from designer.graph.storage import dump, parse
from tests.ui.canvas_support import CATALOGUE


def chain(*titles):
    document = Document.new("Chain", CATALOGUE)
    nodes = [document.add("io.image"), *(document.add("conv.conv", title=t) for t in titles)]
    for one, other in pairwise(nodes):
        document.connect(one, other)
    return document, nodes


@pytest.fixture
def saved(tmp_path):
    """A library with Outer, made of Pair and another convolution; the document that they were drawn in."""
    document, nodes = chain("A", "B", "C")
    pair = group_nodes(document, nodes[1:3], "Pair")
    outer = group_nodes(document, [pair, nodes[3]], "Outer")
    library = CompositeLibrary(tmp_path / "mine")
    library.save(document, outer.component)
    return library, document, outer


def test_it_is_a_file_of_data_and_placing_copies_it_with_its_fingerprint(saved):
    library, document, outer = saved
    (path,) = library.place.glob("*")
    assert path.name == f"outer{SUFFIX}"
    assert [c["title"] for c in json.loads(path.read_text())["composites"]] == ["Pair", "Outer"]
    assert "library" not in path.read_text()
    assert outer.component in document.catalogue
    other = Document.new("Other", CATALOGUE)
    shown = library.with_entries(CATALOGUE).get("library.outer")
    assert (shown.title, shown.category, shown.composite) == ("Outer", "library", True)
    here = library.take(other, "library.outer")
    node = other.add(here)
    assert [c.title for c in other.data.composites] == ["Pair", "Outer"]
    assert other.data.composites[1].library == "outer"
    assert other.data.composites[1].library_hash == drawn(document, outer.component).library_hash
    assert other.spec(node).inputs == document.spec(outer).inputs
    assert library.take(other, "library.outer") == here  # the same version is there once
    assert library.problems(other) == library.problems(document) == []
    assert dump(parse(dump(other.data))) == dump(other.data)
    assert library.take(other, "conv.conv") == "conv.conv"


def test_a_fingerprint_is_of_what_a_composite_does_not_of_ids_and_places(saved):
    library, document, outer = saved
    whole = drawn(document, outer.component)
    other = Document.new("Other", CATALOGUE)
    group_nodes(other, [other.add("conv.conv")], "Pair")  # takes the inner one's id
    here = drawn(other, library.take(other, "library.outer"))
    assert here.nodes[1].component != whole.nodes[1].component
    assert fingerprint(here, other.data.composites) == fingerprint(whole, document.data.composites)
    moved = whole.model_copy(update={"nodes": [n.model_copy(update={"x": 99.0}) for n in whole.nodes]})
    assert fingerprint(moved, document.data.composites) == fingerprint(whole, document.data.composites)
    inner = drawn(document, whole.nodes[1].component)
    deeper = inner.nodes[0].model_copy(update={"params": {"out_channels": 8}})
    changed = [inner.model_copy(update={"nodes": [deeper, *inner.nodes[1:]]}), whole]
    assert fingerprint(whole, changed) != fingerprint(whole, document.data.composites)


def test_another_version_in_the_library_is_offered_and_one_step(saved):
    library, document, outer = saved
    other = Document.new("Other", CATALOGUE)
    image = other.add("io.image")
    node = other.add(library.take(other, "library.outer"))
    other.connect(image, node)
    tail, pair = drawn(document, outer.component).nodes
    show_param(document, outer.component, tail.id, "out_channels")
    rename_port(document, drawn(document, pair.component).id, "x", "image", is_input=True)
    library.save(document, outer.component)
    assert library.problems(document) == []
    (problem,) = library.problems(other)
    assert (problem.severity, problem.node) == ("advice", node.id)
    assert "another version" in problem.message
    assert "also changed" not in problem.message
    before = other.data.model_dump()
    other.apply(problem.fixes[0].edits, problem.fixes[0].label)
    assert other.undo_name == "Update to the library's version"
    assert other.spec(node).param("out_channels").default == 64
    assert [w.target for w in other.data.wires] == [node.id]
    assert library.problems(other) == []
    assert other.problems() == []
    other.undo()
    assert other.data.model_dump() == before
    show_param(other, node.component, drawn(other, node.component).nodes[0].id, "kernel_size")
    assert "also changed in this document" in library.problems(other)[0].message


def test_a_file_that_is_none_is_named_and_the_rest_stays(saved):
    library, _, _ = saved
    (library.place / f"broken{SUFFIX}").write_text("{")
    (library.place / f"empty{SUFFIX}").write_text(dump(Document.new("Empty").data))
    assert library.refresh()
    assert not library.refresh()
    assert set(library.entries) == {"outer"}
    assert "holds no composite" in library.broken[f"empty{SUFFIX}"]
    assert f"broken{SUFFIX}" in library.broken[f"broken{SUFFIX}"]
    assert library.name_for(library.entries["outer"].composites[-1], fresh=True) == "outer_2"
