"""What was drawn becomes a document with its weights in a safetensors file, and a report in words."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from designer.graph.model import GraphData, Node, Wire
from designer.graph.named_files import file_source
from designer.importing.drawing import Drawn, Made
from designer.importing.operations import OpGraph, kind_of, said
from designer.importing.table import ImportFailed
from designer.importing.table_document import COLUMN, LINE
from nodes.sdk.discover import library

MOST_NOTES = 12


@dataclass
class ModelImport:
    """A document made of somebody's model.

    Attributes:
        data: the document; its nodes name the weights once `save_weights` has written them.
        state: tensors by `node.key`.
        total: operations of the model, of which `folded` were computed while reading.
        mapped: how many operations of each kind became nodes.
        recognised: how many blocks of each kind were found.
        placeholders: kinds of the operations that have no component here, one entry each.
        notes: sentences.
    """

    data: GraphData
    state: dict[str, Tensor]
    total: int
    folded: int
    mapped: Counter[str]
    recognised: Counter[str]
    placeholders: list[str]
    notes: list[str]
    weights: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "operations": self.total, "folded": self.folded, "mapped": dict(self.mapped),
            "recognised": dict(self.recognised), "placeholders": self.placeholders, "tensors": len(self.state),
            "nodes": len(self.data.nodes), "weights": self.weights, "notes": self.notes,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The report for people."""
        kept = Counter(self.placeholders)
        found = [
            f"{self.total} operations: {sum(self.mapped.values())} mapped to components"
            + (f", {self.folded} constants, sums of shapes and pass-throughs computed" if self.folded else "")
            + (f", {len(self.placeholders)} kept as placeholders ({_counted(kept)})" if kept else "")
            + "."
        ]
        if self.recognised:
            found.append(f"Recognised: {_counted(self.recognised)}.")
        if self.state:
            numbers = sum(t.numel() for t in self.state.values())
            found.append(f"Carried: {len(self.state)} tensors with {numbers:,} numbers.")
        return found


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


def to_document(graph: OpGraph, drawn: Drawn) -> ModelImport:
    """Nodes with places, titles and wires. The outputs come last and in their order."""
    ends = [flow.node for flow in drawn.outputs]
    order = [i for i in range(len(drawn.nodes)) if i not in ends] + ends
    ids = {place: f"n{number}" for number, place in enumerate(order, 1)}
    titles, places = _titles(drawn.nodes), _places(drawn.nodes)
    data, state = GraphData(name=graph.name), {}
    for place in order:
        made = drawn.nodes[place]
        spec = library().catalogue.get(made.component)
        node = Node(
            id=ids[place], component=made.component, title=titles[place], x=places[place][0] * COLUMN,
            y=places[place][1] * LINE, params={**(spec.defaults() if spec else {}), **made.params},
        )  # fmt: skip
        if made.of and made.of != made.title:
            node.note = f"{made.of} of {graph.name}"
        data.nodes.append(node)
        state.update({f"{node.id}.{key}": value for key, value in made.state.items()})
        for port, flow in made.inputs.items():
            wire = Wire(
                id=f"w{len(data.wires) + 1}", source=ids[flow.node], source_port=flow.port, target=node.id,
                target_port=port,
            )  # fmt: skip
            data.wires.append(wire)
    notes = [*graph.notes, *drawn.notes, *_kept(drawn)]
    if len(notes) > MOST_NOTES:
        notes = [*notes[:MOST_NOTES], f"And {len(notes) - MOST_NOTES} more notes."]
    return ModelImport(
        data, state, graph.total, graph.folded, drawn.mapped, drawn.recognised, drawn.placeholders, notes
    )


def _kept(drawn: Drawn) -> list[str]:
    """A note for each reason: a detector's suppression alone has over a thousand operations without a component."""
    notes = []
    for reason, ops in sorted(drawn.kept.items(), key=lambda item: -len(item[1])):
        kinds = Counter(map(kind_of, ops)).most_common()
        names = {kind_of(op): said(op) for op in ops}
        who = ", ".join(f"{count} {kind}" if count > 1 else names[kind] for kind, count in kinds)
        are = "is a placeholder" if len(ops) == 1 else "are placeholders"
        if len(kinds) > 1:
            are = f"are {len(ops)} placeholders for one reason"
        notes.append(f"{who} {are}: {reason}.")
    return notes


def _titles(nodes: list[Made]) -> list[str]:
    """Unique titles: the component's, with a number where there are several."""
    several = Counter(made.title for made in nodes)
    seen: Counter[str] = Counter()
    titles = []
    for made in nodes:
        seen[made.title] += 1
        titles.append(f"{made.title} {seen[made.title]}" if several[made.title] > 1 else made.title)
    return titles


def _places(nodes: list[Made]) -> list[tuple[int, int]]:
    """A column and a line for each node: behind what it takes, on the line of the first of it if that is free."""
    places: list[tuple[int, int]] = []
    taken: set[tuple[int, int]] = set()
    lowest: dict[int, int] = {}
    for made in nodes:
        before = [places[f.node] for f in made.inputs.values()]
        column = 1 + max((c for c, _ in before), default=-1)
        line = before[0][1] if before else 0
        if (column, line) in taken:
            line = lowest[column] + 1
        taken.add((column, line))
        lowest[column] = max(line, lowest.get(column, 0))
        places.append((column, line))
    return places


def save_weights(found: ModelImport, path: Path) -> Path | None:
    """Writes the weights and has the nodes name them; the file is there whole or not at all.

    Args:
        found: an import, whose nodes get their `weights`.
        path: where to; a file of that name with another content is left, and a number is added.

    Raises:
        ImportFailed: when it cannot be written.
    """
    if not found.state:
        return None
    from safetensors.torch import save_file

    # A constant that is one number everywhere takes no memory until here.
    state = {key: value.detach().contiguous().clone() for key, value in found.state.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".netwright-", dir=path.parent) as place:
            made = Path(place) / path.name
            save_file(state, made)
            target, number = path, 2
            while target.exists() and _digest(target) != _digest(made):
                target = path.with_name(f"{path.stem}-{number}{path.suffix}")
                number += 1
            os.replace(made, target)
    except OSError as error:
        reason = error.strerror or error
        raise ImportFailed(f"{path}: the weights cannot be written: {reason}. Choose another place.") from None
    found.weights = str(target.resolve())
    for node in found.data.nodes:
        if any(key.startswith(f"{node.id}.") for key in found.state):
            node.weights = file_source(found.weights, node.id)
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
