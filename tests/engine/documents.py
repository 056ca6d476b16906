"""Small documents for the tests of the engine."""

from __future__ import annotations

from typing import Any

from designer.engine.propagate import Cache, Propagation, propagate
from designer.graph import Document
from designer.graph.model import Node
from designer.graph.problems import Problem
from nodes.sdk.discover import Registry, library


def new(height: int = 640, width: int = 640, registry: Registry | None = None) -> tuple[Document, Node]:
    """A document with an image input called Image."""
    document = Document.new("Test", (registry or library()).catalogue)
    return document, document.add("io.image_input", title="Image", height=height, width=width)


def chain(document: Document, start: Node, *components: tuple[str, str, dict[str, Any]]) -> list[Node]:
    """Adds (component, title, params) one behind the other."""
    added = []
    for component, title, params in components:
        node = document.add(component, title=title, **params)
        document.connect(start, node)
        added.append(start := node)
    return added


def run(document: Document, cache: Cache | None = None, registry: Registry | None = None) -> Propagation:
    return propagate(document.data, registry, cache)


def problems(document: Document, code: str, registry: Registry | None = None) -> list[Problem]:
    return [p for p in run(document, registry=registry).problems if p.code == code]


def shape(result: Propagation, node: Node, port: str = "out") -> tuple[int, ...]:
    info = result.nodes[node.id].outputs[port]
    return info.shape  # type: ignore[union-attr]
