"""Advice about a design, a rule a file. A rule says what it found and why that matters; a document can mute it.

Imports no torch: the window lists the rules.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from designer.graph.model import GraphData, Node
from designer.graph.problems import Fix, Problem
from nodes.sdk.spec import Catalogue, ComponentSpec


@dataclass(frozen=True)
class Design:
    """What a rule may look at: a document that runs, without its disabled nodes, and the `NodeResult` of each node."""

    data: GraphData
    catalogue: Catalogue
    results: Mapping[str, Any]
    image_size: tuple[int, int] | None

    def nodes(self) -> Iterator[tuple[Node, ComponentSpec, Any]]:
        """Nodes of known components that run."""
        for node in self.data.nodes:
            spec, result = self.catalogue.get(node.component), self.results.get(node.id)
            if spec is not None and result is not None and result.status == "ok":
                yield node, spec, result


@dataclass(frozen=True)
class Rule:
    """One piece of advice.

    Attributes:
        code: stable name, stored where a document mutes it.
        title: what it is about, for a list.
        reason: why it matters, in a sentence or two.
        find: its problems in a design.
    """

    code: str
    title: str
    reason: str
    find: Callable[[Design], Iterator[Problem]]


@cache
def rules() -> tuple[Rule, ...]:
    """All rules, by title."""
    found = [importlib.import_module(m.name).RULE for m in pkgutil.iter_modules(__path__, f"{__name__}.")]
    return tuple(sorted(found, key=lambda rule: rule.title))


def advise(design: Design) -> list[Problem]:
    """What the rules that the document does not mute have to say; each can be muted by a fix."""
    muted = list(design.data.advice.muted)
    said = []
    for rule in rules():
        if rule.code not in muted:
            mute = Fix("Mute this advice", ({"op": "set_advice", "muted": [*muted, rule.code]},))
            for problem in rule.find(design):
                message = f"{problem.message} {rule.reason}"
                fixes = (*problem.fixes, mute)
                said.append(replace(problem, severity="advice", code=rule.code, message=message, fixes=fixes))
    return said
