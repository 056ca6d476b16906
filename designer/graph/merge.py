"""Two edits of one document merged node by node and setting by setting: what `netwright merge-driver` does for git.

Nodes, frames and composites are the same where their ids are; a wire is the value of the input that it feeds. Looks
(places, colours) never conflict. Where both sides changed one thing, ours is kept and the conflict is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from designer.graph.merge_sides import MISSING, Table, free_id, fresh_names, renamed, same_but_for_looks
from designer.graph.model import GraphData

LOOKS = ("x", "y", "width", "height", "color", "folded", "points")
_Input = tuple[str, str]


@dataclass(frozen=True)
class Conflict:
    """One thing that both sides changed, each in its own way.

    Attributes:
        where: the node, frame, composite or section.
        field: the setting, or what else of it.
        ours, theirs: what each side has; None where it has none. Ours is in the merged document.
    """

    where: str
    field: str
    ours: Any
    theirs: Any

    @property
    def text(self) -> str:
        """It in words: `Stem, out_channels: 32 in ours, 64 in theirs`."""
        return f"{self.where}, {self.field}: {_said(self.ours)} in ours, {_said(self.theirs)} in theirs"


@dataclass(frozen=True)
class Merged:
    """The merged document, which always loads, and what it could not decide."""

    data: GraphData
    conflicts: tuple[Conflict, ...]


def merge(base: GraphData, ours: GraphData, theirs: GraphData) -> Merged:
    """Does to `ours` what was done to `base` on the way to `theirs`."""
    merging = _Merging("")
    plain = [side.model_dump(mode="json") for side in (base, ours, theirs)]
    data = GraphData.model_validate(merging.graph(*plain))
    return Merged(data, tuple(merging.conflicts))


class _Merging:
    """Collects conflicts on the way; `inside` names the composite whose parts are merged."""

    def __init__(self, inside: str) -> None:
        self.inside = inside
        self.conflicts: list[Conflict] = []

    def graph(self, base: Table, ours: Table, theirs: Table) -> Table:
        """A document, or a composite: nodes and wires, the lists of things with ids, and all the rest by its keys."""
        theirs = renamed(theirs, fresh_names(base, ours, theirs))
        lists = [k for k in ("nodes", "groups", "composites") if k in ours]
        skip = {*lists, "wires"}
        plain, mine, other = ({k: v for k, v in side.items() if k not in skip} for side in (base, ours, theirs))
        made = self.table(self.inside or "Document", plain, mine, other)
        for section in lists:
            made[section] = self.items(section, *(side.get(section, []) for side in (base, ours, theirs)))
        _with_free_titles(made["nodes"], {n["id"] for side in (base, ours) for n in side["nodes"]})
        made["wires"] = self.wires(made["nodes"], base, ours, theirs)
        gone = {n["id"] for side in (base, ours, theirs) for n in side["nodes"]} - {n["id"] for n in made["nodes"]}
        for group in made.get("groups", []):
            group["nodes"] = [n for n in group["nodes"] if n not in gone]
        return {key: made[key] for key in [*ours, *(k for k in made if k not in ours)] if key in made}

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, where: str, field: str, base: Any, ours: Any, theirs: Any) -> Any:
        """One value: that of the side which changed it; a table by its keys, a list of words by its members."""
        if ours == theirs or theirs == base:
            return ours
        if ours == base:
            return theirs
        if all(isinstance(side, dict) for side in (ours, theirs)):
            return self.table(where, base if isinstance(base, dict) else {}, ours, theirs, field)
        if field in ("muted", "nodes") and isinstance(ours, list) and isinstance(theirs, list):
            return _members(base if isinstance(base, list) else [], ours, theirs)
        if field not in LOOKS:
            self.conflict(where, field, ours, theirs)
        return ours

    def table(self, where: str, base: Table, ours: Table, theirs: Table, of: str = "") -> Table:
        """Every key on its own. `of` is the field that holds this table."""
        made: Table = {}
        for key in _order(base, ours, theirs):
            sides = [side.get(key, MISSING) for side in (base, ours, theirs)]
            section = where if of or not isinstance(sides[1], dict) or self.inside else key
            found = self.value(section, key, *sides)
            if found is not MISSING:
                made[key] = found
        return made

    def conflict(self, where: str, field: str, ours: Any, theirs: Any) -> None:
        named = f"Composite {self.inside}, {where}" if self.inside and where != self.inside else where
        self.conflicts.append(
            Conflict(named, field, None if ours is MISSING else ours, None if theirs is MISSING else theirs)
        )

    # -- things with ids -----------------------------------------------------------------------------------------------

    def items(self, section: str, base: list[Table], ours: list[Table], theirs: list[Table]) -> list[Table]:
        """Nodes, frames or composites, each by its id."""
        tables = [{item["id"]: item for item in side} for side in (base, ours, theirs)]
        made = []
        for key in _order(*tables):
            found = self.item(section, *(table.get(key) for table in tables))
            if found is not None:
                made.append(found)
        return made

    def item(self, section: str, base: Table | None, ours: Table | None, theirs: Table | None) -> Table | None:
        if ours is None or theirs is None:
            there = ours or theirs
            if base is None or there is None:
                return there
            if not same_but_for_looks(base, there):
                words = ("removed", "changed") if ours is None else ("changed", "removed")
                self.conflict(_name(section, base), section.removesuffix("s"), *words)
                return ours
            return None
        where = _name(section, ours)
        base = base or {}
        if section == "composites":
            inner = _Merging(ours.get("title") or ours["id"])
            found = inner.graph({"nodes": [], "wires": [], **base}, ours, theirs)
            self.conflicts += inner.conflicts
            return found
        if section == "nodes" and self._other_component(base, ours, theirs):
            own = ("component", "params")
            mine, other = ({k: v for k, v in side.items() if k not in own} for side in (ours, theirs))
            self.conflict(where, "component and its settings", ours["component"], theirs["component"])
            return {**self.table(where, base, mine, other), "component": ours["component"], "params": ours["params"]}
        return self.table(where, base, ours, theirs, of=section)

    @staticmethod
    def _other_component(base: Table, ours: Table, theirs: Table) -> bool:
        """Whether a node became another component on one side while the other side changed it too."""
        kept = [base.get(k) for k in ("component", "params")]
        of_ours, of_theirs = ([side[k] for k in ("component", "params")] for side in (ours, theirs))
        return ours["component"] != theirs["component"] and kept not in (of_ours, of_theirs)

    # -- wires ---------------------------------------------------------------------------------------------------------

    def wires(self, nodes: list[Table], base: Table, ours: Table, theirs: Table) -> list[Table]:
        """What feeds each input is a value of it. A wire of a node that is gone goes with it; none closes a cycle."""
        titles = {n["id"]: n["title"] or n["id"] for side in (base, theirs, ours) for n in side["nodes"]}
        there = {n["id"] for n in nodes}
        tables = [_inputs(side["wires"]) for side in (base, ours, theirs)]
        made: list[Table] = []
        for key in _order(*tables):
            before, mine, other = (table.get(key, []) for table in tables)
            # A wire that went with its source says nothing about the input.
            mine = before if _fell_off(before, mine, ours) else mine
            other = before if _fell_off(before, other, theirs) else other
            found = self._input(titles, key, before, mine, other)
            for wire in found:
                if lost := [n for n in (wire["source"], wire["target"]) if n in titles and n not in there]:
                    self._lost(titles, wire, lost[0], before, mine)
                else:
                    made.append(wire)
        made = self._without_cycles(titles, made, {_end(w) for w in ours["wires"]})
        order = _order(*(map(_end, side["wires"]) for side in (base, ours, theirs)))
        return _numbered(sorted(made, key=lambda w: order.index(_end(w))))

    def _input(self, titles: Mapping[str, str], key: _Input, base: Any, ours: Any, theirs: Any) -> list[Table]:
        ends = [[(w["source"], w["source_port"]) for w in side] for side in (base, ours, theirs)]
        if ends[1] != ends[2] and ends[0] not in (ends[1], ends[2]):
            where = f"{titles.get(key[0], key[0])}"
            self.conflict(where, f"input {key[1]}", *(_fed(titles, side) for side in (ours, theirs)))
            return list(ours)
        if ends[1] == ends[2]:
            befores = base if ends[0] == ends[1] else [{}] * len(ours)
            return [self.table("Wire", b, o, t, of="wires") for b, o, t in zip(befores, ours, theirs, strict=True)]
        return list(theirs if ends[1] == ends[0] else ours)

    def _lost(self, titles: Mapping[str, str], wire: Table, lost: str, base: Any, ours: Any) -> None:
        """A wire that one side drew is lost where the other side removed its node."""
        if wire in base:
            return
        words = ("wired", "removed") if wire in ours else ("removed", "wired")
        self.conflict(f"{titles[lost]}", f"wire {_said_wire(titles, wire)}", *words)

    def _without_cycles(self, titles: Mapping[str, str], wires: list[Table], ours: set[tuple[str, ...]]) -> list[Table]:
        after: dict[str, list[str]] = {}
        mine = [w for w in wires if _end(w) in ours]
        for wire in mine:
            after.setdefault(wire["source"], []).append(wire["target"])
        refused: list[Table] = []
        for wire in (w for w in wires if _end(w) not in ours):
            if _reaches(after, wire["target"], wire["source"]):
                refused.append(wire)
                said = _said_wire(titles, wire)
                self.conflict(titles.get(wire["target"], ""), f"wire {said}", "closes a cycle", "wired")
            else:
                after.setdefault(wire["source"], []).append(wire["target"])
        return [w for w in wires if w not in refused]


def _order(base: Iterable[Any], ours: Iterable[Any], theirs: Iterable[Any]) -> list[Any]:
    """All keys: in the order of the side that changed it, ours before theirs."""
    base, ours, theirs = list(base), list(ours), list(theirs)
    first, second = (theirs, ours) if ours == base else (ours, theirs)
    return list(dict.fromkeys([*first, *second, *base]))


def _members(base: Sequence[Any], ours: Sequence[Any], theirs: Sequence[Any]) -> list[Any]:
    gone = [m for m in base if m not in ours or m not in theirs]
    return [m for m in _order(base, ours, theirs) if m not in gone]


def _inputs(wires: list[Table]) -> dict[_Input, list[Table]]:
    found: dict[_Input, list[Table]] = {}
    for wire in wires:
        found.setdefault((wire["target"], wire["target_port"]), []).append(wire)
    return found


def _fell_off(base: list[Table], side: list[Table], document: Table) -> bool:
    there = {n["id"] for n in document["nodes"]}
    return bool(base) and not side and all(w["source"] not in there and w["target"] in there for w in base)


def _numbered(wires: list[Table]) -> list[Table]:
    """Both sides may have given one id to wires of their own: the later one gets a free one."""
    taken, seen = {w["id"] for w in wires}, set()
    for wire in wires:
        if wire["id"] in seen:
            wire["id"] = free_id(wire["id"], taken)
        seen.add(wire["id"])
    return wires


def _with_free_titles(nodes: list[Table], known: set[str]) -> list[Table]:
    """Nodes that both sides added may have one title; later ones, whose ids are not in `known`, get a number."""
    taken, seen = {n["title"] for n in nodes}, set()
    for node in sorted(nodes, key=lambda n: n["id"] not in known):
        if node["title"] in seen and node["id"] not in known:
            node["title"] = free_id(node["title"] if node["title"][-1:].isdigit() else node["title"] + " 2", taken)
        seen.add(node["title"])
    return nodes


def _end(wire: Table) -> tuple[str, ...]:
    return wire["source"], wire["source_port"], wire["target"], wire["target_port"]


def _reaches(after: Mapping[str, list[str]], start: str, goal: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        if here == goal:
            return True
        waiting += [n for n in after.get(here, []) if n not in seen]
        seen.update(after.get(here, []))
    return False


def _name(section: str, item: Table) -> str:
    title = str(item.get("title") or item["id"])
    return {"groups": f"Frame {title}", "composites": f"Composite {title}"}.get(section, title)


def _fed(titles: Mapping[str, str], wires: list[Table]) -> str | None:
    return ", ".join(f"{titles.get(w['source'], w['source'])}.{w['source_port']}" for w in wires) or None


def _said_wire(titles: Mapping[str, str], wire: Table) -> str:
    ends = (titles.get(wire[side], wire[side]) + "." + wire[f"{side}_port"] for side in ("source", "target"))
    return " to ".join(ends)


def _said(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"
