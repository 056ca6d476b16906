"""Two documents compared: what was changed by hand is what is said."""

from designer.graph.compare import differences, fingerprint
from designer.graph.document import Document


def drawn(catalogue, channels=16):
    document = Document.new("Net", catalogue)
    image = document.add("io.image_input", title="Image", at=(0, 0))
    stem = document.add("stem.conv_stem", title="Stem", out_channels=channels)
    block = document.add("block.csp.c2f", title="Block")
    document.connect(image, stem)
    document.connect(stem, block)
    return document


def texts(a, b):
    return [d.text for d in differences(a, b)]


def test_an_unchanged_document_has_no_difference(catalogue):
    document = drawn(catalogue)
    moved = document.data.model_copy(deep=True)
    moved.nodes[1].x, moved.nodes[1].note = 900, "a note"
    assert texts(document.data, moved) == []
    assert fingerprint(document.data) == fingerprint(moved)


def test_values_settings_and_wires_are_said_in_words(catalogue):
    document = drawn(catalogue)
    before = document.data.model_copy(deep=True)
    _image, stem, block = document.data.nodes
    document.set_param(stem, "out_channels", 32)
    document.set_frozen(block, True)
    document.rename(block, "Trunk")
    document.set_training(epochs=7)
    document.set_data(kind="coco", path="/data")
    document.disconnect(document.wires_into(block)[0])
    assert texts(before, document.data) == [
        "Stem: out_channels 16 -> 32",
        "Block: renamed Block -> Trunk",
        "Block: frozen off -> on",
        "Wire Stem.out to Block.x removed",
        "training: epochs 20 -> 7",
        "data: kind shapes -> coco",
        "data: path none -> /data",
    ]
    first = differences(before, document.data)[0]
    assert (first.node, first.field, first.old, first.new) == (stem.id, "out_channels", 16, 32)
    assert fingerprint(before) != fingerprint(document.data)


def test_nodes_that_came_and_went_have_their_place(catalogue):
    document = drawn(catalogue)
    before = document.data.model_copy(deep=True)
    block = document.data.nodes[2]
    added = document.add("attention.channel.squeeze_excite", title="SE")
    document.connect(block, added)
    assert texts(before, document.data) == [
        f"SE (attention.channel.squeeze_excite, layer 4) added after {block.title}.out"
    ]
    assert texts(document.data, before) == ["SE (attention.channel.squeeze_excite, layer 4) removed"]


def test_documents_drawn_apart_are_matched_by_title_and_component(catalogue):
    a, b = drawn(catalogue), drawn(catalogue, channels=24)
    for node in b.data.nodes:
        node.id = f"other-{node.id}"
    for wire in b.data.wires:
        wire.source, wire.target = f"other-{wire.source}", f"other-{wire.target}"
    renamed = b.data.nodes[2]
    renamed.title = "Another name"
    assert texts(a.data, b.data) == ["Stem: out_channels 16 -> 24", "Block: renamed Block -> Another name"]


def test_a_drawn_composite_is_compared_inside(catalogue):
    from designer.graph.grouping import group_nodes

    document = drawn(catalogue)
    group_nodes(document, [n.id for n in document.data.nodes[1:]], "Trunk")
    before = document.data.model_copy(deep=True)
    after = before.model_copy(deep=True)
    after.composites[0].nodes[0].params["out_channels"] = 99
    assert texts(before, after) == ["Composite Trunk: Stem: out_channels 16 -> 99"]
