"""Several nodes as one: ports at the border, files, the clipboard, and what is refused."""

import pytest

from designer.graph import Document
from designer.graph.clipboard import copy_nodes, paste_nodes
from designer.graph.drawn import spec_of_drawn
from designer.graph.errors import EditError
from designer.graph.grouping import group_nodes, title_for
from designer.graph.storage import dump, parse
from tests.ui.canvas_support import CATALOGUE


@pytest.fixture
def fork():
    """Image -> A -> B -> Concat -> Head, with a second way from A to Concat."""
    document = Document.new("Fork", CATALOGUE)
    image, a, b = document.add("io.image"), document.add("conv.conv", title="A"), document.add("conv.conv", title="B")
    concat, head = document.add("fusion.concat"), document.add("head.head")
    for one, other in ((image, a), (a, b), (b, concat), (a, concat), (concat, head)):
        document.connect(one, other)
    return document, image, a, b, concat, head


def ends(document):
    return {w.ends for w in document.data.wires}


def test_the_wires_at_the_border_become_ports_and_undo_brings_everything_back(fork):
    document, image, a, b, concat, head = fork
    document.add_group("Pair", [a, b])
    before = document.data.model_dump()
    made = group_nodes(document, [a, b], "Pair")
    spec = document.spec(made)
    assert [p.name for p in spec.inputs] == ["x"]
    assert [p.name for p in spec.outputs] == ["out", "out2"]
    assert ends(document) == {
        (image.id, "out", made.id, "x"), (made.id, "out", concat.id, "xs.0"), (made.id, "out2", concat.id, "xs.1"),
        (concat.id, "out", head.id, "x"),
    }  # fmt: skip
    assert document.data.groups[0].nodes == [made.id]
    assert document.problems() == []
    document.undo()
    assert document.data.model_dump() == before
    assert made.component not in document.catalogue
    document.redo()
    assert document.spec(made.id) == spec


def test_one_source_is_one_port_and_what_is_open_gets_one_too(fork):
    document, _, a, b, concat, _ = fork
    lone = document.add("conv.conv", title="Lone")
    made = group_nodes(document, [b, concat, lone], "Tail")
    drawn = document.data.composites[0]
    assert [(e.name, e.node, e.port) for e in drawn.inputs] == [
        ("x", b.id, "x"), ("x", concat.id, "xs.1"), ("x2", lone.id, "x"),
    ]  # fmt: skip
    assert [(e.name, e.node) for e in drawn.outputs] == [("out", concat.id), ("out2", lone.id)]
    assert [w.source for w in document.wires_into(made)] == [a.id]


@pytest.mark.parametrize(("chosen", "words"), [((2, 4), "comes back at Concat"), ((1, 2, 3), "inputs, heads")])
def test_what_cannot_be_one_node_is_refused_in_words_and_nothing_changes(fork, chosen, words):
    document = fork[0]
    before = document.data.model_dump()
    with pytest.raises(EditError, match=words):
        group_nodes(document, [fork[i] for i in chosen])
    assert document.data.model_dump() == before


def test_exposed_parameters_have_the_parts_values_as_defaults(fork):
    document, _, a, b, *_ = fork
    document.set_param(b, "out_channels", 96)
    made = group_nodes(document, [a, b], "Pair", {(b.id, "out_channels"): "width"})
    assert document.spec(made).defaults() == made.params == {"width": 96}
    document.set_param(made, "width", 0.5)
    assert [p.code for p in document.problems()] == ["param"]


def test_a_file_keeps_composites_one_a_line_and_other_files_stay_as_they_were(fork):
    document, _, a, b, *_ = fork
    assert '"composites"' not in dump(document.data)
    inner = group_nodes(document, [a], "Inner")
    group_nodes(document, [inner, b], "Outer")
    text = dump(document.data)
    assert parse(text) == document.data
    assert sum('"id": "composites.' in line for line in text.splitlines()) == 2
    again = Document(parse(text), CATALOGUE)
    assert again.problems() == []


def test_nodes_take_their_composites_to_another_document(fork):
    document, _, a, b, *_ = fork
    made = group_nodes(document, [group_nodes(document, [a], "Pair"), b], "Pair")
    other = Document.new("Other", CATALOGUE)
    other.add("conv.conv", title="Own")
    group_nodes(other, [other.data.nodes[0]], "Pair")
    pasted = paste_nodes(other, copy_nodes(document, [made.id]))
    count = len(other.data.composites)
    assert count == 3
    assert other.node(pasted[0]).component == other.data.composites[-1].id
    assert other.data.composites[-1].nodes[-1].component == other.data.composites[-2].id
    assert other.spec(pasted[0]).outputs == document.spec(made).outputs
    paste_nodes(other, copy_nodes(document, [made.id]))
    assert len(other.data.composites) == count
    other.undo()
    other.undo()
    assert len(other.data.composites) == 1


def test_a_composite_of_strange_data_is_still_a_component(fork):
    document, _, a, *_ = fork
    group_nodes(document, [a], "A")
    drawn = document.data.composites[0].model_copy(deep=True)
    drawn.inputs[0].kind = "smell"
    assert spec_of_drawn(drawn, CATALOGUE).inputs[0].kind == "any"


def test_a_composite_is_called_like_its_frame_or_its_ends(fork):
    document, _, a, b, *_ = fork
    assert title_for(document, [b, a]) == "A to B"
    document.add_group("Stem", [a, b])
    assert title_for(document, [b, a]) == "Stem"
