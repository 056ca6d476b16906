"""What is read of somebody's model before it is drawn: a list of operations in the words of ONNX, and its constants.

Two readers write it, of ONNX files and of torch modules; `patterns.py` joins operations to blocks, `drawing.py` makes
nodes of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from designer.importing.table import ImportFailed

MOST_OPERATIONS = 20_000
IMAGES = 5
"""Images in the batch for which a model is read. With one it could not be told from other axes of size 1."""
LARGEST_TENSOR = 2**28
"""Numbers in a constant: 1 GB. VGG's largest layer has 103 million."""


@dataclass
class Op:
    """One operation.

    Attributes:
        kind: ONNX's name, or that of a block which `patterns.py` recognised.
        inputs: names of values; "" for one that is left out.
        outputs: names of values.
        attrs: plain data.
        name: what the file calls it.
        domain: whose operation it is; "" for ONNX's own.
        parts: the operations that a block stands for.
    """

    kind: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    domain: str = ""
    parts: list[Op] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many operations of the file it stands for."""
        return sum(part.size for part in self.parts) or 1


def block(kind: str, inputs: list[str], parts: list[Op], **attrs: Any) -> Op:
    """A block in place of its parts, the last of which gives the result."""
    return Op(kind, inputs, list(parts[-1].outputs), attrs, parts[0].name, parts=parts)


@dataclass
class OpGraph:
    """A model as operations in the order they run.

    Attributes:
        name: what it is called.
        ops: without those that depend on constants alone.
        inputs: name and shape of each image input, the batch first.
        outputs: names of values.
        constants: tensors by value name.
        learned: names of the constants that are parameters.
        shapes: of values, as far as they are known.
        opset: version of ONNX's operations.
        total: operations that the file has.
        folded: those that were computed while reading.
        notes: sentences for the user.
    """

    name: str
    ops: list[Op]
    inputs: dict[str, tuple[int, ...]]
    outputs: list[str]
    constants: dict[str, Tensor] = field(default_factory=dict)
    learned: set[str] = field(default_factory=set)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    opset: int = 20
    total: int = 0
    folded: int = 0
    notes: list[str] = field(default_factory=list)

    def rank(self, value: str) -> int:
        """Of a value whose shape is known, else 0."""
        return len(self.shapes.get(value, ()))

    def number(self, value: str) -> float | None:
        """A constant of one number."""
        found = self.constants.get(value)
        return float(found) if found is not None and found.numel() == 1 else None


class Links:
    """Who gives a value and who takes it."""

    def __init__(self, graph: OpGraph) -> None:
        self.giver = {value: op for op in graph.ops for value in op.outputs if value}
        self.takers: dict[str, list[Op]] = {}
        for op in graph.ops:
            for value in op.inputs:
                self.takers.setdefault(value, []).append(op)
        self.outputs = set(graph.outputs)

    def only(self, value: str, *kinds: str) -> Op | None:
        """The one operation that takes a value, if nothing else does and it is of one of these kinds."""
        found = self.takers.get(value, [])
        alone = len(found) == 1 and value not in self.outputs
        return found[0] if alone and found[0].kind in kinds else None

    def made_by(self, value: str, *kinds: str) -> Op | None:
        """The operation that gives a value, if it is of one of these kinds."""
        found = self.giver.get(value)
        return found if found is not None and found.kind in kinds else None


def in_order(ops: Sequence[Op], known: Iterable[str], source: object) -> list[Op]:
    """The operations so that each follows those that it takes from.

    Args:
        ops: in any order.
        known: values that are there from the start.
        source: the file, for the message.

    Raises:
        ImportFailed: for a loop, or a value that nothing gives.
    """
    given = {value for op in ops for value in op.outputs}
    ready = set(known)
    for op in ops:
        for value in op.inputs:
            if value and value not in given and value not in ready:
                raise ImportFailed(f"{source}: {said(op)} takes {value!r}, which nothing in the file gives.")
    waiting = {id(op): len({v for v in op.inputs if v and v not in ready}) for op in ops}
    takers: dict[str, list[Op]] = {}
    for op in ops:
        for value in dict.fromkeys(op.inputs):
            takers.setdefault(value, []).append(op)
    queue, done = [op for op in ops if not waiting[id(op)]], []
    for op in queue:  # grows while it is walked
        done.append(op)
        for value in dict.fromkeys(op.outputs):
            if value in ready:
                continue
            ready.add(value)
            for taker in takers.get(value, ()):
                waiting[id(taker)] -= 1
                if not waiting[id(taker)]:
                    queue.append(taker)
    if len(done) < len(ops):
        stuck = next(op for op in ops if waiting[id(op)])
        raise ImportFailed(f"{source}: the operations form a loop, {said(stuck)} waits for its own result.")
    place = {id(op): i for i, op in enumerate(ops)}
    straight = all(
        place[id(giver)] < place[id(op)] for giver in ops for value in giver.outputs for op in takers.get(value, ())
    )
    return list(ops) if straight else done


def needed(ops: Sequence[Op], outputs: Iterable[str]) -> list[Op]:
    """Those that lead to the outputs, in the same order."""
    wanted, kept = set(outputs), []
    for op in reversed(ops):
        if any(value in wanted for value in op.outputs):
            kept.append(op)
            wanted.update(op.inputs)
    return kept[::-1]


def said(op: Op) -> str:
    """An operation in a message."""
    return f"{kind_of(op)} {op.name!r}" if op.name else f"a {kind_of(op)}"


def kind_of(op: Op) -> str:
    """The kind of an operation with the domain that defines it, where that is not ONNX."""
    return f"{op.domain}.{op.kind}" if op.domain else op.kind


def axes_of(op: Op, graph: OpGraph) -> list[int]:
    """What a reduction goes over: an attribute in older opsets, an input in newer ones."""
    if len(op.inputs) > 1 and op.inputs[1] in graph.constants:
        return [int(a) for a in graph.constants[op.inputs[1]].flatten().tolist()]
    return list(op.attrs.get("axes") or ())


def is_global_average(op: Op, graph: OpGraph, keep: bool) -> bool:
    """Whether an operation gives the average of each channel; `keep`: as a map of one cell, else as a vector."""
    if op.kind == "GlobalAveragePool":
        return keep
    if op.kind != "ReduceMean" or bool(op.attrs.get("keepdims", 1)) is not keep:
        return False
    return sorted(a % 4 for a in axes_of(op, graph)) == [2, 3] and graph.rank(op.inputs[0]) in (0, 4)
