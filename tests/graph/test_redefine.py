"""A drawn composite is defined otherwise: nodes, wires and composites made of it follow, and undo takes it back."""

from itertools import pairwise

import pytest

from designer.graph import Document
from designer.graph.errors import EditError
from designer.graph.grouping import group_nodes
from designer.graph.redefine import hide_param, rename_port, show_param
from tests.ui.canvas_support import CATALOGUE


@pytest.fixture
def chain():
    """Image -> Pair (A, B) -> Tail."""
    document = Document.new("Chain", CATALOGUE)
    nodes = [document.add("io.image"), *(document.add("conv.conv", title=t) for t in ("A", "B", "Tail"))]
    for one, other in pairwise(nodes):
        document.connect(one, other)
    made = group_nodes(document, nodes[1:3], "Pair")
    document.history.done.clear()
    return document, made, nodes


def ends(document):
    return {w.ends for w in document.data.wires}


def test_a_shown_setting_is_a_parameter_with_the_parts_value_until_it_is_hidden(chain):
    document, made, (_, a, b, _) = chain
    before = document.data.model_dump()
    assert show_param(document, made.component, a.id, "out_channels") == "out_channels"
    assert show_param(document, made.component, b.id, "out_channels") == "b_out_channels"
    spec = document.spec(made)
    assert [(p.name, p.default) for p in spec.settings] == [("out_channels", 64), ("b_out_channels", 64)]
    document.set_param(made, "out_channels", 32)
    hide_param(document, made.component, "out_channels")
    assert "out_channels" not in made.params
    assert document.problems() == []
    document.undo()
    assert made.params["out_channels"] == 32
    for _ in range(3):
        document.undo()
    assert document.data.model_dump() == before
    assert document.spec(made).settings == ()


def test_a_port_is_renamed_with_its_wires_in_every_node(chain):
    document, made, (image, _, _, tail) = chain
    again = document.add(made.component)
    document.connect(tail, again)
    before = document.data.model_dump()
    rename_port(document, made.component, "x", "image", is_input=True)
    rename_port(document, made.component, "out", "features", is_input=False)
    assert ends(document) == {
        (image.id, "out", made.id, "image"), (made.id, "features", tail.id, "x"), (tail.id, "out", again.id, "image"),
    }  # fmt: skip
    assert document.problems() == []
    document.undo()
    document.undo()
    assert document.data.model_dump() == before
    document.redo()
    assert (image.id, "out", made.id, "image") in ends(document)


def test_a_composite_made_of_it_follows(chain):
    document, made, (_, a, _, tail) = chain
    outer = group_nodes(document, [made, tail], "Outer")
    inner = document.data.composites[0].id
    show_param(document, inner, a.id, "kernel_size")
    show_param(document, outer.component, made.id, "kernel_size")
    rename_port(document, inner, "x", "image", is_input=True)
    rename_port(document, inner, "out", "features", is_input=False)
    whole = document.data.composites[1]
    assert [(e.name, e.port) for e in whole.inputs] == [("x", "image")]
    assert [w.source_port for w in whole.wires] == ["features"]
    assert document.spec(outer).param("kernel_size") is not None
    hide_param(document, inner, "kernel_size")
    assert document.spec(outer).param("kernel_size") is None
    assert document.problems() == []


def test_what_cannot_be_is_refused_and_changes_nothing(chain):
    document, made, (_, a, _, _) = chain
    show_param(document, made.component, a.id, "out_channels")
    before = document.data.model_dump()
    with pytest.raises(EditError, match="shows another parameter as 'out_channels'"):
        show_param(document, made.component, a.id, "kernel_size", "out_channels")
    with pytest.raises(EditError, match="no part 'n99'"):
        show_param(document, made.component, "n99", "kernel_size")
    with pytest.raises(EditError, match="cannot be the name of a port"):
        rename_port(document, made.component, "x", "my port", is_input=True)
    with pytest.raises(EditError, match="no composite"):
        hide_param(document, "composites.gone", "x")
    assert document.data.model_dump() == before
