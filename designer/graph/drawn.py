"""Composites that are drawn: what the palette, the canvas and the checks know of them, without running anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast, get_args

from designer.graph.model import Drawn, Entry, GraphData
from nodes.sdk.spec import Catalogue, ComponentSpec, Param, Port, PortKind

if TYPE_CHECKING:
    from collections.abc import Iterator

CATEGORY = "composites"
"""Where drawn composites stand in the palette, and what their ids begin with."""


def with_drawn(catalogue: Catalogue | None, data: GraphData) -> Catalogue | None:
    """A catalogue with the composites of a document added; the catalogue itself where there are none."""
    if catalogue is None or not data.composites:
        return catalogue
    own = [composite.id for composite in data.composites]
    known = Catalogue(spec for spec in catalogue.values() if spec.id not in own)
    for composite in data.composites:  # one is made of those before it
        if not missing_parts(composite, known):
            known = Catalogue([*known.values(), spec_of_drawn(composite, known)])
    return known


def missing_parts(composite: Drawn, catalogue: Catalogue) -> list[str]:
    """Components that a composite is made of and that are not here; without them it stays a placeholder."""
    return sorted({node.component for node in composite.nodes if node.component not in catalogue})


def spec_of_drawn(composite: Drawn, catalogue: Catalogue) -> ComponentSpec:
    """A drawn composite as a component; an exposed parameter has the value of its part as default."""
    title = composite.title or composite.id.rpartition(".")[2]
    count = len(composite.nodes)
    return ComponentSpec(
        id=composite.id,
        name=composite.id.rpartition(".")[2],
        category=CATEGORY,
        summary=f"Made of {count} nodes of this document." if count != 1 else "Made of one node of this document.",
        title=title,
        inputs=tuple(_ports(composite.inputs)),
        outputs=tuple(_ports(composite.outputs)),
        params=tuple(_params(composite, catalogue)),
        composite=True,
    )


def _ports(entries: Iterable[Entry]) -> Iterator[Port]:
    for name, kind in {entry.name: entry.kind for entry in entries}.items():
        # A file may hold any word; what no component gives can be wired to anything and is judged inside.
        yield Port(name, cast(PortKind, kind) if kind in get_args(PortKind) else "any", "...")


def _params(composite: Drawn, catalogue: Catalogue) -> Iterator[Param]:
    nodes = {node.id: node for node in composite.nodes}
    for exposed in composite.params:
        node = nodes.get(exposed.node)
        spec = catalogue.get(node.component) if node is not None else None
        param = spec.param(exposed.param) if spec is not None else None
        if node is not None and param is not None and not param.derived:
            value = node.params.get(param.name, param.default)
            value = tuple(value) if isinstance(value, list) else value
            # A list of suggestions belongs to the part's own file.
            yield dataclasses.replace(param, name=exposed.name, default=value, suggest="")
