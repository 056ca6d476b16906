"""Every composite unpacks: the same parameters, shapes and outputs, its wires where they were, one step back."""

from typing import Any

import pytest
import torch

from designer.engine.compile import compile_document
from designer.engine.expand import expand_node
from designer.engine.propagate import propagate
from designer.graph import Document
from designer.graph.errors import EditError
from designer.graph.storage import dump
from designer.graph.unpack import unpack
from nodes.sdk.discover import library
from tests.nodes.fixtures import LEAST

COMPOSITES = sorted(spec.id for spec in library().catalogue.values() if spec.composite)
CHANNELS = 16


def drawn(component: str) -> tuple[Document, str]:
    """The composite behind an image: a pyramid of strided convolutions where it takes several levels."""
    doc = Document.new("Mine", library().catalogue)
    spec = library().spec(component)
    height, width = LEAST.get(component, (128, 128))
    image = doc.add("io.image_input", height=height, width=width)
    node = doc.add(component, title="It")
    ports = [
        name
        for port in spec.inputs
        for name in ([f"{port.name}.{i}" for i in range(3)] if port.variadic else [port.name])
    ]
    source: Any = image
    if len(ports) == 1:
        start = _down(doc, image, 1) if "/" in spec.category else image  # a stage takes maps, a backbone the image
        doc.connect(start, node, target_port=ports[0])
        return doc, node.id
    for i, port in enumerate(ports):
        source = _down(doc, source, 2 if i == 0 else 1)
        doc.connect(source, node, target_port=port)
    return doc, node.id


def _down(doc: Document, source: Any, times: int) -> Any:
    for _ in range(times):
        made = doc.add("downsample.conv_down", out_channels=CHANNELS)
        doc.connect(source, made)
        source = made
    return source


@pytest.mark.parametrize("component", COMPOSITES)
@torch.no_grad()
def test_the_parts_are_the_whole(component):
    doc, node = drawn(component)
    before = dump(doc.data)
    spec = doc.spec(node)
    sink = doc.add("conv.conv", title="Sink", out_channels=8)
    doc.connect(node, sink, spec.outputs[-1].name)
    whole = propagate(doc.data)
    assert not whole.errors, whole.errors
    inside = expand_node(doc.data, node)
    torch.manual_seed(0)
    compiled = compile_document(doc.data)
    ids = unpack(doc, node, inside)
    parts = propagate(doc.data)
    assert not parts.errors, parts.errors
    assert parts.totals["params"] == whole.totals["params"]
    assert parts.totals["macs"] == whole.totals["macs"]
    unpacked = compile_document(doc.data)
    names = dict(zip((p["name"] for p in inside["nodes"]), ids, strict=True))
    module_of = {node_id: name for name, node_id in unpacked.node_of.items()}
    own = unpacked.model.state_dict()
    carried = {}
    for key, value in compiled.model.state_dict().items():
        first, _, rest = key.partition(".")
        if compiled.node_of[first] == node:
            part, _, rest = rest.partition(".")
            if names[part] not in module_of:
                continue  # leads to an output that nobody reads
            first = module_of[names[part]]
        carried[f"{first}.{rest}"] = value
    assert carried.keys() == own.keys()
    unpacked.model.load_state_dict(carried)
    image = torch.rand(1, 3, *LEAST.get(component, (128, 128)))
    torch.testing.assert_close(_last(unpacked, image), _last(compiled, image), rtol=0, atol=0)
    doc.undo()
    doc.undo()
    doc.undo()
    assert dump(doc.data) == before


def _last(compiled: Any, image: torch.Tensor) -> torch.Tensor:
    """What the sink behind the composite gives."""
    given = compiled.model(image)
    if isinstance(given, torch.Tensor):
        return given
    return dict(zip(compiled.outputs, given, strict=True))["sink"]


def test_a_bypassed_composite_is_refused_and_a_frozen_one_stays_frozen():
    doc, node = drawn("backbone.csp_darknet.csp_stage")
    inside = expand_node(doc.data, node)
    doc.set_disabled(node, True)
    with pytest.raises(EditError, match="It is bypassed"):
        unpack(doc, node, inside)
    doc.set_disabled(node, False)
    doc.set_frozen(node, True)
    ids = unpack(doc, node, inside)
    assert all(doc.node(i).frozen for i in ids)
    assert [doc.node(i).title for i in ids] == ["It down", "It c2f"]
