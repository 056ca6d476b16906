"""Editing a document: every edit can be taken back, what cannot be wired is refused in words."""

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import designer.graph
from designer.graph import Document
from designer.graph.clipboard import copy_nodes, paste_nodes
from designer.graph.errors import CannotConnect, EditError, NetwrightError, UnknownNode
from designer.graph.storage import dump, parse
from designer.graph.view import bypass
from nodes.sdk.spec import Catalogue, ComponentSpec, Param, Port

MAP = Port("x", "map", "B C H W")
CATALOGUE = Catalogue(
    [
        ComponentSpec("io.image_input", "ImageInput", "io", "Image.", outputs=(Port("out", "map"),), role="input"),
        ComponentSpec(
            "conv.conv", "Conv", "conv", "Conv.", inputs=(MAP,), outputs=(Port("out", "map"),),
            params=(Param("width", "int", 64, 1, 512), Param("bias", "bool", True)),
        ),
        ComponentSpec(
            "fusion.concat", "Concat", "fusion", "Concat.", inputs=(Port("xs", "map", "B C_ H W", True),),
            outputs=(Port("out", "map"),),
        ),
        ComponentSpec(
            "head.vector", "Vector", "head", "Vector.", inputs=(MAP,), outputs=(Port("out", "vector"),),
        ),
    ]
)  # fmt: skip


@pytest.fixture
def doc():
    return Document.new("Test", CATALOGUE)


@pytest.fixture
def chain(doc):
    """image -> a -> b"""
    image, a, b = doc.add("io.image_input"), doc.add("conv.conv", title="a"), doc.add("conv.conv", title="b")
    doc.connect(image, a)
    doc.connect(a, b)
    return doc, image, a, b


def test_the_example_in_the_package_runs():
    assert doctest.testmod(designer.graph).failed == 0


def test_defaults_titles_and_ids(doc):
    a, b = doc.add("conv.conv"), doc.add("conv.conv", width=8)
    assert (a.title, b.title) == ("Conv", "Conv 2")
    assert (a.params, b.params) == ({"width": 64, "bias": True}, {"width": 8, "bias": True})
    doc.undo()
    assert doc.add("conv.conv").id not in (a.id, b.id)  # an id is never given out twice


def test_a_single_input_is_replaced_and_a_growing_one_grows(chain):
    doc, image, a, b = chain
    wire = doc.connect(image, b)
    assert [w.source for w in doc.wires_into(b)] == [image.id]
    assert doc.undo_name == "Connect ImageInput to b"
    doc.undo()
    assert [w.source for w in doc.wires_into(b)] == [a.id]
    concat = doc.add("fusion.concat")
    ports = [doc.connect(n, concat).target_port for n in (image, a, a)]
    assert ports == ["xs.0", "xs.1", "xs.2"]
    doc.disconnect(doc.wires_into(concat)[1])
    assert doc.connect(b, concat).target_port == "xs.3"  # gaps stay, order stays
    assert wire.id


def test_what_cannot_be_wired_is_refused_and_nothing_changes(chain):
    doc, image, a, b = chain
    vector = doc.add("head.vector")
    doc.connect(b, vector)
    before = dump(doc.data)
    for source, target, said in [
        (b, a, "close a loop: a already leads to b"),
        (a, a, "a cannot feed itself"),
        (vector, a, "Vector gives a vector, a takes a map"),
        (a, image, "has no input"),
    ]:
        with pytest.raises(CannotConnect, match=said):
            doc.connect(source, target)
    with pytest.raises(CannotConnect, match=r"has no output 'c5'\. It has: out"):
        doc.connect(a, b, "c5")
    with pytest.raises(UnknownNode):
        doc.connect(a, "n99")
    assert dump(doc.data) == before


def test_a_slider_drag_is_one_step_and_a_new_drag_another(chain):
    doc, _, a, _ = chain
    for value in range(65, 85):
        doc.set_param(a, "width", value)
    doc.seal()
    doc.set_param(a, "width", 100)
    doc.undo()
    assert a.params["width"] == 84
    doc.undo()
    assert a.params["width"] == 64
    assert doc.undo_name == "Connect a to b"


def test_an_edit_that_fails_is_taken_back_whole(chain):
    doc, _, a, _ = chain
    before = dump(doc.data)
    edits = [{"op": "set_param", "node": a.id, "name": "width", "value": 8}, {"op": "disconnect", "wire": "w99"}]
    with pytest.raises(NetwrightError):
        doc.apply(edits, "Fix")
    assert dump(doc.data) == before
    with pytest.raises(EditError, match="no edit 'explode'"):
        doc.apply([{"op": "explode"}], "Fix")
    with pytest.raises(EditError, match="epochs is 0"):
        doc.set_training(epochs=0)
    assert dump(doc.data) == before


def test_insert_on_a_wire_is_one_step(chain):
    doc, _, a, b = chain
    wire = doc.wires_into(b)[0]
    doc.apply([{"op": "insert", "wire": wire.id, "component": "conv.conv", "params": {"width": 3}}], "Insert Conv")
    made = doc.data.nodes[-1]
    assert [w.source for w in doc.wires_into(b)] == [made.id]
    assert [w.source for w in doc.wires_into(made)] == [a.id]
    assert made.params["width"] == 3
    doc.undo()
    assert len(doc.data.nodes) == 3


def test_dirty_follows_the_saved_state(chain, tmp_path):
    doc, _, a, _ = chain
    doc.save(tmp_path / "x.netwright")
    assert not doc.is_dirty
    doc.rename(a, "c")
    assert doc.is_dirty
    doc.undo()
    assert not doc.is_dirty
    doc.undo()
    doc.add("conv.conv")  # the saved state can no longer be reached
    doc.undo()
    assert doc.is_dirty


def test_copy_and_paste_keep_inner_wires_and_settings(chain):
    doc, _, a, b = chain
    doc.set_param(a, "width", 7)
    doc.set_frozen(a, True)
    made = paste_nodes(doc, copy_nodes(doc, [a.id, b.id]))
    first = doc.node(made[0])
    assert (first.params["width"], first.frozen, first.title) == (7, True, "a 2")
    assert [w.source for w in doc.wires_into(made[1])] == [made[0]]
    assert doc.wires_into(made[0]) == []
    doc.undo()
    assert len(doc.data.nodes) == 3
    with pytest.raises(NetwrightError):
        paste_nodes(doc, "no nodes at all")


def test_a_folded_frame_is_pasted_folded(chain):
    doc, (first, second) = chain[0], chain[1:3]
    doc.add_group("Trunk", [first, second], folded=True, color="#336699")
    paste_nodes(doc, copy_nodes(doc, [first.id, second.id]))
    assert [(g.title, g.folded, g.color) for g in doc.data.groups] == [("Trunk", True, "#336699")] * 2


def test_titles_are_free_again_after_a_deletion_and_a_renaming(doc):
    first, extra = doc.add("block.conv", title="Stem"), "Stem 2"
    assert doc.add("block.conv", title="Stem").title == extra
    doc.rename(first, "Other")
    assert doc.add("block.conv", title="Stem").title == "Stem"
    doc.undo()
    doc.undo()
    assert doc.add("block.conv", title="Stem").title == "Stem 3"
    doc.remove(first)
    assert doc.add("block.conv", title="Stem").title == "Stem"


def test_bypass_wires_past_a_disabled_node(chain):
    doc, image, a, b = chain
    doc.set_disabled(a, True)
    live = bypass(doc.data, CATALOGUE)
    assert [n.id for n in live.nodes] == [image.id, b.id]
    assert [w.ends for w in live.wires] == [(image.id, "out", b.id, "x")]


def test_connecting_in_many_residual_blocks_stays_quick(doc):
    """The cycle check looks at each node once; a path-by-path one doubles its time with every block."""
    last = doc.add("io.image_input")
    for _ in range(60):
        left, join = doc.add("conv.conv"), doc.add("fusion.concat")
        doc.connect(last, left)
        doc.connect(left, join)
        doc.connect(last, join)
        last = join
    assert doc.why_not(last, "out", doc.data.nodes[1], "x") is not None
    assert len(doc.order()) == 121


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "connect", "param", "move", "title", "cut", "undo", "redo", "group",
                               "data"]), st.integers(0, 10**6), st.integers(0, 10**6)),
    max_size=40,
)  # fmt: skip


def play(doc: Document, step: tuple[str, int, int]) -> None:
    what, i, j = step
    nodes, wires = doc.data.nodes, doc.data.wires
    if what == "add":
        doc.add(list(CATALOGUE)[i % 4], at=(i % 7, j % 7))
    elif what in ("undo", "redo"):
        getattr(doc, what)()
    elif what == "data":
        doc.set_data(classes=1 + i % 6)
    elif what == "cut" and wires:
        doc.disconnect(wires[i % len(wires)])
    elif nodes:
        a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
        if what == "remove":
            doc.remove(*{a.id, b.id})
        elif what == "connect":
            try:
                doc.connect(a, b)
            except CannotConnect:
                return
        elif what == "param":
            doc.set_param(a, "width", j)
        elif what == "move":
            doc.move({a.id: (i % 50, j % 50)})
        elif what == "title":
            doc.rename(a, f"t{j % 5}")
        elif what == "group":
            doc.add_group("g", {a.id, b.id})


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_any_edits_can_be_undone_redone_saved_and_replayed(steps):
    doc = Document.new("Random", CATALOGUE)
    start = dump(doc.data)
    mirror = Document.new("Random", CATALOGUE)
    doc.subscribe(lambda change: mirror._index.apply(_copied(change)))
    for step in steps:
        play(doc, step)
    end = dump(doc.data)
    assert dump(mirror.data) == end  # whoever applies the changes it is told has the document
    assert dump(parse(end)) == end
    depth = len(doc.history.done)
    while doc.can_undo:
        doc.undo()
    assert dump(doc.data) == start
    for _ in range(depth):
        doc.redo()
    assert dump(doc.data) == end
    assert len({n.id for n in doc.data.nodes}) == len(doc.data.nodes)


def _copied(change):
    """The change with its own copies of nodes, wires and groups, as another process would have them."""
    import copy

    return copy.deepcopy(change)
