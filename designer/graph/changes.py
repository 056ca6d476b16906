"""The primitive changes of a document: each can be inverted, and observers see each one as it is applied.

`index` is the place in the document's list, so that undo puts a thing back where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from designer.graph.model import Drawn, Group, Node, Wire


@dataclass(frozen=True)
class NodeAdded:
    node: Node
    index: int

    def inverse(self) -> Change:
        return NodeRemoved(self.node, self.index)


@dataclass(frozen=True)
class NodeRemoved:
    node: Node
    index: int

    def inverse(self) -> Change:
        return NodeAdded(self.node, self.index)


@dataclass(frozen=True)
class NodeChanged:
    """One field of a node; `field` is a field of `Node`, or `params.NAME`, or `position` with (x, y) values."""

    id: str
    field: str
    old: Any
    new: Any

    def inverse(self) -> Change:
        return NodeChanged(self.id, self.field, self.new, self.old)


@dataclass(frozen=True)
class WireAdded:
    wire: Wire
    index: int

    def inverse(self) -> Change:
        return WireRemoved(self.wire, self.index)


@dataclass(frozen=True)
class WireRemoved:
    wire: Wire
    index: int

    def inverse(self) -> Change:
        return WireAdded(self.wire, self.index)


@dataclass(frozen=True)
class WireChanged:
    """A field of a wire that is not one of its ends: its points."""

    id: str
    field: str
    old: Any
    new: Any

    def inverse(self) -> Change:
        return WireChanged(self.id, self.field, self.new, self.old)


@dataclass(frozen=True)
class GroupAdded:
    group: Group
    index: int

    def inverse(self) -> Change:
        return GroupRemoved(self.group, self.index)


@dataclass(frozen=True)
class GroupRemoved:
    group: Group
    index: int

    def inverse(self) -> Change:
        return GroupAdded(self.group, self.index)


@dataclass(frozen=True)
class GroupChanged:
    id: str
    field: str
    old: Any
    new: Any

    def inverse(self) -> Change:
        return GroupChanged(self.id, self.field, self.new, self.old)


@dataclass(frozen=True)
class CompositeAdded:
    """A composite was drawn; nodes of its id may follow."""

    composite: Drawn
    index: int

    def inverse(self) -> Change:
        return CompositeRemoved(self.composite, self.index)


@dataclass(frozen=True)
class CompositeRemoved:
    composite: Drawn
    index: int

    def inverse(self) -> Change:
        return CompositeAdded(self.composite, self.index)


@dataclass(frozen=True)
class SettingsChanged:
    """Fields of the training, data or advice section; `old` and `new` hold the fields that changed."""

    section: Literal["training", "data", "advice"]
    old: dict[str, Any]
    new: dict[str, Any]

    def inverse(self) -> Change:
        return SettingsChanged(self.section, self.new, self.old)


Change = (
    NodeAdded
    | NodeRemoved
    | NodeChanged
    | WireAdded
    | WireRemoved
    | WireChanged
    | GroupAdded
    | GroupRemoved
    | GroupChanged
    | CompositeAdded
    | CompositeRemoved
    | SettingsChanged
)


def merge(old: list[Change], new: list[Change]) -> list[Change] | None:
    """One step out of two when both change the same fields of the same things (a slider drag), else None."""
    if len(old) != len(new):
        return None
    merged: list[Change] = []
    for a, b in zip(old, new, strict=True):
        if isinstance(a, NodeChanged) and isinstance(b, NodeChanged) and (a.id, a.field) == (b.id, b.field):
            merged.append(NodeChanged(a.id, a.field, a.old, b.new))
        elif isinstance(a, WireChanged) and isinstance(b, WireChanged) and (a.id, a.field) == (b.id, b.field):
            merged.append(WireChanged(a.id, a.field, a.old, b.new))
        elif isinstance(a, GroupChanged) and isinstance(b, GroupChanged) and (a.id, a.field) == (b.id, b.field):
            merged.append(GroupChanged(a.id, a.field, a.old, b.new))
        elif (
            isinstance(a, SettingsChanged)
            and isinstance(b, SettingsChanged)
            and a.section == b.section
            and a.old.keys() == b.new.keys()
        ):
            merged.append(SettingsChanged(a.section, a.old, b.new))
        else:
            return None
    return merged
