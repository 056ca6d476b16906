"""Putting nodes on wires and taking them out: the rest of the chain stays wired."""

import itertools

import pytest

from designer.graph import Document
from designer.graph.errors import CannotConnect
from designer.graph.rewire import downstream, insert_on, remove_and_join
from tests.ui.canvas_support import CATALOGUE


def chain(*components):
    document = Document.new("Chain", CATALOGUE)
    nodes = [document.add(component) for component in components]
    for one, other in itertools.pairwise(nodes):
        document.connect(one, other)
    return document, nodes


def ends(document):
    return [w.ends for w in document.data.wires]


def test_a_node_on_a_wire_takes_over_both_of_its_ends():
    document, (image, concat) = chain("io.image", "fusion.concat")
    conv = document.add("conv.conv")
    before = document.data.model_dump()
    insert_on(document, document.data.wires[0], conv)
    assert ends(document) == [(image.id, "out", conv.id, "x"), (conv.id, "out", concat.id, "xs.0")]
    assert document.undo_name == "Insert Conv"
    document.undo()
    assert document.data.model_dump() == before


def test_a_node_that_does_not_fit_leaves_the_wire_alone():
    document, (_, conv) = chain("io.image", "conv.conv")
    post = document.add("post.nms")
    before = document.data.model_dump()
    with pytest.raises(CannotConnect, match="takes predictions"):
        insert_on(document, document.data.wires[0], post)
    with pytest.raises(CannotConnect, match="already"):
        insert_on(document, document.data.wires[0], conv)
    assert document.data.model_dump() == before


def test_taking_nodes_out_joins_what_they_stood_between():
    document, (image, one, two, last) = chain("io.image", "conv.conv", "conv.conv", "conv.conv")
    side = document.add("fusion.concat")
    document.connect(two, side)
    assert remove_and_join(document, [one, two.id]) == 2
    assert sorted(ends(document)) == [(image.id, "out", last.id, "x"), (image.id, "out", side.id, "xs.0")]
    assert document.undo_name == "Take out 2 nodes"
    document.undo()
    assert len(document.data.nodes) == 5
    assert len(document.data.wires) == 4


def test_a_kind_that_does_not_go_on_is_not_joined():
    document, (_, head, _post) = chain("conv.conv", "head.head", "post.nms")
    assert remove_and_join(document, [head]) == 0  # a map cannot go where predictions came from
    assert ends(document) == []


def test_a_bypassed_neighbour_stays():
    document, (_, one, two) = chain("io.image", "conv.conv", "conv.conv")
    document.set_disabled(two, True)
    remove_and_join(document, [one])
    assert ends(document) == [("n1", "out", two.id, "x")]
    assert two.disabled


def test_downstream_is_all_that_a_node_leads_to():
    document, nodes = chain("io.image", "conv.conv", "conv.conv")
    document.add("conv.conv")
    assert downstream(document, nodes[1]) == {nodes[1].id, nodes[2].id}
