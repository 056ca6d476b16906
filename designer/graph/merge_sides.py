"""What two sides of a merge have in common: things that both added under one id get ids of their own."""

from __future__ import annotations

import re
from typing import Any

Table = dict[str, Any]
MISSING: Any = type("_Missing", (), {"__repr__": lambda self: "MISSING"})()
"""In place of a value that a side does not have."""

_SEEN_ONLY = ("x", "y", "width", "height", "color")


def same_but_for_looks(one: Table, other: Table) -> bool:
    """Whether two states of a node, frame or composite differ at most in place and colour."""
    return {k: v for k, v in one.items() if k not in _SEEN_ONLY} == {
        k: v for k, v in other.items() if k not in _SEEN_ONLY
    }


def fresh_names(base: Table, ours: Table, theirs: Table) -> dict[str, dict[str, str]]:
    """New ids by section for what theirs added under an id that ours gave to something else.

    Documents number their nodes, so two edits of one document nearly always collide in this way.
    """
    fresh: dict[str, dict[str, str]] = {}
    for section in ("nodes", "groups", "composites"):
        known, mine, other = ({i["id"]: i for i in side.get(section, [])} for side in (base, ours, theirs))
        taken = {*known, *mine, *other}
        for key, item in other.items():
            if key in mine and key not in known and not same_but_for_looks(item, mine[key]):
                fresh.setdefault(section, {})[key] = free_id(key, taken)
    return fresh


def free_id(key: str, taken: set[str]) -> str:
    """The next id of this form that nobody has; it counts as taken from now on."""
    stem, number = re.fullmatch(r"(.*?)(\d*)", key, re.DOTALL).groups()  # type: ignore[union-attr]
    count = int(number or 1)
    while f"{stem}{count}" in taken or (not number and count == 1):
        count += 1
    taken.add(f"{stem}{count}")
    return f"{stem}{count}"


def renamed(side: Table, fresh: dict[str, dict[str, str]]) -> Table:
    """The same document with these ids changed wherever they are named."""
    if not fresh:
        return side
    nodes, composites = fresh.get("nodes", {}), fresh.get("composites", {})
    groups = fresh.get("groups", {})
    made = dict(side)
    made["nodes"] = [
        {**n, "id": nodes.get(n["id"], n["id"]), "component": composites.get(n["component"], n["component"])}
        for n in side["nodes"]
    ]
    made["wires"] = [
        {**w, "source": nodes.get(w["source"], w["source"]), "target": nodes.get(w["target"], w["target"])}
        for w in side["wires"]
    ]
    for section in ("inputs", "outputs", "params"):  # of a composite
        if section in side:
            made[section] = [{**entry, "node": nodes.get(entry["node"], entry["node"])} for entry in side[section]]
    if "groups" in side:
        made["groups"] = [
            {**g, "id": groups.get(g["id"], g["id"]), "nodes": [nodes.get(n, n) for n in g["nodes"]]}
            for g in side["groups"]
        ]
    if "composites" in side:
        made["composites"] = [
            {
                **c,
                "id": composites.get(c["id"], c["id"]),
                "nodes": [{**n, "component": composites.get(n["component"], n["component"])} for n in c["nodes"]],
            }
            for c in side["composites"]
        ]
    return made
