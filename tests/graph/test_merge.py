"""Two edits of one document merged: what one side changed arrives, what both did is listed, and it always loads."""

import contextlib
import json

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.grouping import group_nodes
from designer.graph.merge import merge
from designer.graph.plain_text import plain_text
from designer.graph.rewire import insert_on
from designer.graph.storage import dump, parse


def chain(length=5):
    """Image, then layers one after the other, the fourth fed by the second too."""
    document = Document.new("Net")
    nodes = [document.add("io.image_input", title="Image", height=64)]
    for number in range(1, length):
        nodes.append(document.add("conv.conv", title=f"Layer {number}", out_channels=16, kernel=3))
        document.connect(nodes[-2], nodes[-1], "out", "x")
    document.connect(nodes[2], nodes[4], "out", "skip")
    document.add_group("Trunk", nodes[1:3])
    return document.data


def edited(data, *acts):
    document = Document(data.model_copy(deep=True))
    for act in acts:
        act(document)
    return document.data


def param(node, name, value):
    return lambda d: d.set_param(node, name, value)


def test_edits_of_different_things_come_together():
    base = chain()
    ours = edited(base, param("n2", "out_channels", 32), lambda d: d.set_training(epochs=7))
    theirs = edited(
        base, param("n2", "kernel", 5), lambda d: d.rename("n3", "Middle"), lambda d: d.set_training(batch=4)
    )
    found = merge(base, ours, theirs)
    assert found.conflicts == ()
    assert found.data.node("n2").params == {"out_channels": 32, "kernel": 5}
    assert found.data.node("n3").title == "Middle"
    assert (found.data.training.epochs, found.data.training.batch) == (7, 4)


def test_what_both_changed_keeps_ours_and_is_said():
    base = chain()
    ours = edited(
        base, param("n2", "out_channels", 32), lambda d: d.set_data(path="/a"), lambda d: d.move({"n3": (1, 1)})
    )
    theirs = edited(
        base, param("n2", "out_channels", 64), lambda d: d.set_data(path="/b"), lambda d: d.move({"n3": (2, 2)})
    )
    found = merge(base, ours, theirs)
    assert [c.text for c in found.conflicts] == [
        "data, path: /a in ours, /b in theirs",
        "Layer 1, out_channels: 32 in ours, 64 in theirs",
    ]
    assert found.data == ours


def test_nodes_that_both_added_under_one_id_are_both_there():
    base = chain()

    def add(component, wire):
        def act(document):
            node = document.add(component, title="New")
            insert_on(document, wire, node.id)

        return act

    ours, theirs = edited(base, add("attention.se", "w1")), edited(base, add("attention.cbam", "w2"))
    found = merge(base, ours, theirs)
    assert found.conflicts == ()
    new = {n.component: n for n in found.data.nodes if n.title.startswith("New")}
    assert {c: n.title for c, n in new.items()} == {"attention.se": "New", "attention.cbam": "New 2"}
    for component, after in (("attention.se", "n2"), ("attention.cbam", "n3")):
        assert any(w.source == new[component].id and w.target == after for w in found.data.wires)
    assert len({w.id for w in found.data.wires}) == len(found.data.wires) == 7


def test_one_input_wired_twice_and_a_cycle_are_conflicts():
    base = chain()
    ours = edited(base, lambda d: d.connect("n1", "n5", "out", "skip"), lambda d: d.connect("n2", "n4", "out", "more"))
    theirs = edited(base, lambda d: d.connect("n3", "n5", "out", "skip"))
    theirs = edited(theirs, lambda d: d.connect("n1", "n5", "out", "skip"))
    assert merge(base, ours, theirs).conflicts == ()  # both came to the same
    theirs = edited(base, lambda d: d.disconnect(d.data.wires[-1].id))
    found = merge(base, ours, theirs)
    assert [c.text for c in found.conflicts] == ["Layer 4, input skip: Image.out in ours, not set in theirs"]
    loose = edited(base, lambda d: [d.disconnect(w.id) for w in list(d.data.wires)])
    found = merge(
        loose,
        edited(loose, lambda d: d.connect("n2", "n3", "out", "x")),
        edited(loose, lambda d: d.connect("n3", "n2", "out", "x")),
    )
    assert [c.text for c in found.conflicts] == [
        "Layer 1, wire Layer 2.out to Layer 1.x: closes a cycle in ours, wired in theirs"
    ]
    assert [w.target for w in found.data.wires] == ["n3"]


def test_a_node_removed_here_and_changed_there():
    base = chain()
    removed = edited(base, lambda d: d.remove("n3"))
    untouched = merge(base, removed, edited(base, lambda d: d.move({"n3": (9, 9)})))
    assert untouched.conflicts == ()
    assert untouched.data.node("n3") is None
    assert untouched.data.groups[0].nodes == ["n2"]
    changed = edited(base, param("n3", "kernel", 7))
    found = merge(base, removed, changed)
    assert [c.text for c in found.conflicts] == ["Layer 2, node: removed in ours, changed in theirs"]
    assert found.data == removed
    assert merge(base, changed, removed).data.node("n3").params["kernel"] == 7
    wired = edited(base, lambda d: d.connect("n3", d.add("conv.conv", title="Aside", id="n9"), "out", "x"))
    found = merge(base, removed, wired)
    assert [c.text for c in found.conflicts] == [
        "Layer 2, wire Layer 2.out to Aside.x: removed in ours, wired in theirs"
    ]


def test_another_component_here_and_other_settings_there():
    base = chain()
    ours = edited(base, lambda d: None)
    ours.node("n2").component, ours.node("n2").params = "conv.depthwise", {"kernel": 3}
    found = merge(base, ours, edited(base, param("n2", "out_channels", 8)))
    assert [c.where for c in found.conflicts] == ["Layer 1"]
    assert found.data.node("n2") == ours.node("n2")


def test_composites_merge_inside(catalogue):
    document = Document.new("Net", catalogue)
    a = document.add("stem.conv_stem", title="Stem")
    b = document.add("block.csp.c2f", title="Block")
    document.connect(a, b)
    group_nodes(document, [a.id, b.id], "Trunk")
    base = document.data
    ours, theirs = base.model_copy(deep=True), base.model_copy(deep=True)
    ours.composites[0].nodes[0].params["out_channels"] = 48
    theirs.composites[0].nodes[1].params["depth"] = 3
    found = merge(base, ours, theirs)
    assert found.conflicts == ()
    assert [
        n.params.get(k) for n, k in zip(found.data.composites[0].nodes, ("out_channels", "depth"), strict=True)
    ] == [
        48,
        3,
    ]
    theirs.composites[0].nodes[0].params["out_channels"] = 24
    assert [c.text for c in merge(base, ours, theirs).conflicts] == [
        "Composite Trunk, Stem, out_channels: 48 in ours, 24 in theirs"
    ]


def test_unknown_fields_travel():
    base = chain()
    theirs = edited(base)
    theirs.__pydantic_extra__["later"] = {"a": 1}
    theirs.node("n2").__pydantic_extra__["mark"] = True
    found = merge(base, edited(base, param("n2", "kernel", 1)), theirs)
    assert json.loads(dump(found.data))["later"] == {"a": 1}
    assert found.data.node("n2").__pydantic_extra__ == {"mark": True}


def test_a_document_in_words_has_no_places():
    base = chain()
    text = plain_text(base)
    assert (
        "Layer 4 (conv.conv)\n    out_channels: 16\n    kernel: 3\n    x <- Layer 3.out\n    skip <- Layer 2.out"
        in text
    )
    assert plain_text(edited(base, lambda d: d.move({"n2": (5, 5)}))) == text


KEYS = [f"n{i}" for i in range(1, 6)]
EDITS = st.one_of(
    st.tuples(st.just("param"), st.sampled_from(KEYS), st.sampled_from(["kernel", "out_channels"]), st.integers(1, 4)),
    st.tuples(st.just("rename"), st.sampled_from(KEYS), st.sampled_from(["A", "B"])),
    st.tuples(st.just("move"), st.sampled_from(KEYS), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.sampled_from(KEYS)),
    st.tuples(st.just("add"), st.sampled_from(["conv.conv", "pooling.max"]), st.sampled_from(KEYS)),
    st.tuples(st.just("connect"), st.sampled_from(KEYS), st.sampled_from(KEYS), st.sampled_from(["x", "skip"])),
    st.tuples(st.just("disconnect"), st.integers(0, 5)),
    st.tuples(st.just("training"), st.integers(1, 3)),
    st.tuples(st.just("unframe")),
)


def act(document, edit):
    match edit:
        case ("param", node, name, value):
            document.set_param(node, name, value)
        case ("rename", node, title):
            document.rename(node, title)
        case ("move", node, x):
            document.move({node: (x, 0)})
        case ("remove", node):
            document.remove(node)
        case ("add", component, source):
            document.connect(source, document.add(component, title="New"), "out", "x")
        case ("connect", source, target, port):
            document.connect(source, target, "out", port)
        case ("disconnect", place):
            document.disconnect(document.data.wires[place].id)
        case ("training", epochs):
            document.set_training(epochs=epochs)
        case ("unframe",):
            document.remove_group(document.data.groups[0])


def changed(edits):
    document = Document(chain())
    for edit in edits:
        with contextlib.suppress(NetwrightError, IndexError):  # refused, as in the window
            act(document, edit)
    return document.data


@settings(max_examples=80, deadline=None)
@given(st.lists(EDITS, max_size=6))
def test_an_unchanged_side_gives_the_other(edits):
    base, side = chain(), changed(edits)
    for found in (merge(base, side, base), merge(base, base, side), merge(base, side, side)):
        assert found.conflicts == ()
        assert found.data == side


@settings(max_examples=100, deadline=None)
@given(st.lists(EDITS, max_size=6), st.lists(EDITS, max_size=6))
def test_the_result_always_loads_and_has_no_cycle(ours, theirs):
    found = merge(chain(), changed(ours), changed(theirs))
    again = parse(dump(found.data))
    assert again == found.data
    assert "dangling" not in {p.code for p in Document(again).problems()}
    assert nx.is_directed_acyclic_graph(Document(again).graph())
    assert len({(w.target, w.target_port) for w in again.wires}) == len(again.wires)


@settings(max_examples=80, deadline=None)
@given(st.lists(EDITS, max_size=5), st.lists(EDITS, max_size=5))
def test_edits_without_a_conflict_commute(ours, theirs):
    base, a, b = chain(), changed(ours), changed(theirs)
    one, other = merge(base, a, b), merge(base, b, a)
    assert bool(one.conflicts) == bool(other.conflicts)
    if not one.conflicts:
        assert _words(one.data) == _words(other.data)


def _words(data):
    """What a document says, without ids, order, places, and the numbers that titles get."""
    titles = {n.id: "New" if n.title.startswith("New") else n.title for n in data.nodes}
    nodes = sorted((titles[n.id], n.component, json.dumps(n.params, sort_keys=True)) for n in data.nodes)
    wires = sorted((titles[w.source], w.source_port, titles[w.target], w.target_port) for w in data.wires)
    groups = sorted((g.title, sorted(titles[n] for n in g.nodes)) for g in data.groups)
    return nodes, wires, groups, data.training, data.data


def test_a_side_that_changed_nothing_but_looks_is_no_conflict():
    base = chain()
    found = merge(base, edited(base, lambda d: d.move({"n2": (5, 5)})), edited(base, lambda d: d.move({"n2": (7, 7)})))
    assert found.conflicts == ()
    assert found.data.node("n2").x == 5


@pytest.mark.parametrize("section", ["training", "data"])
def test_settings_of_sections_are_named(section):
    base = chain()
    sides = []
    for value in (5, 4):
        side = base.model_copy(deep=True)
        setattr(getattr(side, section), "seed" if section == "training" else "classes", value)
        sides.append(side)
    found = merge(base, *sides)
    assert [c.where for c in found.conflicts] == [section]
