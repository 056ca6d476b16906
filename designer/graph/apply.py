"""Applies primitive changes to the data and keeps the look-up tables that make editing fast."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from designer.graph.changes import (
    Change,
    CompositeAdded,
    CompositeRemoved,
    GroupAdded,
    GroupChanged,
    GroupRemoved,
    NodeAdded,
    NodeChanged,
    NodeRemoved,
    SettingsChanged,
    WireAdded,
    WireChanged,
    WireRemoved,
)
from designer.graph.errors import EditError
from designer.graph.model import GraphData, Node, Wire
from designer.graph.training import Section


class _Absent:
    """Stands in a change for a parameter that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __reduce__(self) -> str:
        return "ABSENT"  # the one instance, also after a copy


ABSENT = _Absent()


class Index:
    """Nodes and wires by id, and the wires at each node. The only code that changes a document's data."""

    def __init__(self, data: GraphData) -> None:
        self.data = data
        self.nodes: dict[str, Node] = {n.id: n for n in data.nodes}
        self.wires: dict[str, Wire] = {w.id: w for w in data.wires}
        self._titles = Counter(n.title for n in data.nodes)
        self._numbered: dict[str, int] = {}
        """Of a title without its number: the number up to which all from 2 on are taken."""
        self.incoming: dict[str, dict[str, Wire]] = {n: {} for n in self.nodes}
        self.outgoing: dict[str, dict[str, Wire]] = {n: {} for n in self.nodes}
        for wire in data.wires:
            self._hook(wire)
        self._next = dict.fromkeys("nwg", 0)
        for taken in [i.id for i in data.nodes] + [i.id for i in data.wires] + [i.id for i in data.groups]:
            self._count(taken)

    def _count(self, taken: str) -> None:
        """An id that came from elsewhere is not given out again."""
        if match := re.fullmatch(r"([nwg])(\d+)", taken):
            self._next[match[1]] = max(self._next[match[1]], int(match[2]))

    def new_id(self, letter: str) -> str:
        """`n1`, `n2`, ...: never one that was given out before, so that undo and redo cannot collide."""
        self._next[letter] += 1
        return f"{letter}{self._next[letter]}"

    def free_title(self, base: str) -> str:
        """`base`, or with the next free number when it is taken."""
        if not self._titles[base]:
            return base
        stem = re.sub(r" \d+$", "", base)
        number = self._numbered.get(stem, 1) + 1
        while self._titles[f"{stem} {number}"]:
            number += 1
        self._numbered[stem] = number - 1
        return f"{stem} {number}"

    def _release(self, title: str) -> None:
        """One node less has this title."""
        self._titles[title] -= 1
        self._numbered.pop(re.sub(r" \d+$", "", title), None)

    def apply(self, change: Change) -> None:
        data = self.data
        match change:
            case NodeAdded(node, index):
                data.nodes.insert(index, node)
                self._count(node.id)
                self.nodes[node.id] = node
                self._titles[node.title] += 1
                self.incoming[node.id], self.outgoing[node.id] = {}, {}
            case NodeRemoved(node, index):
                del data.nodes[index]
                self._release(node.title)
                for table in (self.nodes, self.incoming, self.outgoing):
                    del table[node.id]
            case NodeChanged(node_id, field, old, new):
                if field == "title":
                    self._release(old)
                    self._titles[new] += 1
                _set_node(self.nodes[node_id], field, new)
            case WireAdded(wire, index):
                data.wires.insert(index, wire)
                self._count(wire.id)
                self.wires[wire.id] = wire
                self._hook(wire)
            case WireRemoved(wire, index):
                del data.wires[index]
                del self.wires[wire.id]
                self.incoming.get(wire.target, {}).pop(wire.id, None)
                self.outgoing.get(wire.source, {}).pop(wire.id, None)
            case WireChanged(wire_id, field, _, new):
                setattr(self.wires[wire_id], field, new)
            case GroupAdded(group, index):
                data.groups.insert(index, group)
                self._count(group.id)
            case GroupRemoved(_, index):
                del data.groups[index]
            case GroupChanged(group_id, field, _, new):
                setattr(next(g for g in data.groups if g.id == group_id), field, new)
            case CompositeAdded(composite, index):
                data.composites.insert(index, composite)
            case CompositeRemoved(_, index):
                del data.composites[index]
            case SettingsChanged(section, _, new):
                model = getattr(data, section)
                for name, value in new.items():
                    delattr(model, name) if value is ABSENT else setattr(model, name, value)

    def _hook(self, wire: Wire) -> None:
        if wire.target in self.incoming:
            self.incoming[wire.target][wire.id] = wire
        if wire.source in self.outgoing:
            self.outgoing[wire.source][wire.id] = wire

    def reaches(self, start: str, goal: str) -> bool:
        """Whether a path of wires leads from one node to another. Each node is looked at once."""
        seen, stack = {start}, [start]
        while stack:
            node = stack.pop()
            if node == goal:
                return True
            for wire in self.outgoing.get(node, {}).values():
                if wire.target not in seen:
                    seen.add(wire.target)
                    stack.append(wire.target)
        return False


def place_of(item: Any, items: Sequence[Any]) -> int:
    """Where this very item is. `list.index` would compare with all before it, field by field."""
    return next(i for i, other in enumerate(items) if other is item)


def _set_node(node: Node, field: str, value: Any) -> None:
    if field == "position":
        node.x, node.y = value
    elif field.startswith("params."):
        name = field.removeprefix("params.")
        if value is ABSENT:
            node.params.pop(name, None)
        else:
            node.params[name] = value
    else:
        setattr(node, field, value)


def check_section(model: Section, fields: dict[str, Any]) -> None:
    """Raises EditError when a field of the training or data section would get a value that is not allowed."""
    try:
        type(model).model_validate({**model.model_dump(), **fields})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise EditError(f"{name} is {first['input']!r}: {first['msg']}.") from None
