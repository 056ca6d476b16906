"""The document's data: what a `.netwright` file holds. Unknown fields are kept and written back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from designer.graph.training import AdviceSettings, DataSettings, TrainingSettings

VERSION = 1
"""Format version written by this program."""


class Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class Node(Part):
    """One component on the canvas. `component` may be unknown here; its node and wires are kept all the same."""

    id: str = Field(min_length=1)
    component: str = Field(min_length=1)
    title: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    x: float = 0.0
    y: float = 0.0
    color: str = ""
    note: str = ""
    weights: str = ""
    """Where its weights come from before training: `torchvision:resnet50`, `timm:...`, `file:PATH`, or
    `file:PATH#KEY` for what is below a key of the file; "" draws them. In a file, `./` is the document's folder."""
    frozen: bool = False
    disabled: bool = False


class Wire(Part):
    """From an output port of one node to an input port of another; a variadic input is `xs.0`, `xs.1`, ..."""

    id: str = Field(min_length=1)
    source: str
    source_port: str = "out"
    target: str
    target_port: str
    points: list[tuple[float, float]] = Field(default_factory=list)
    """Where it is led through on the canvas, from the source on."""

    @property
    def ends(self) -> tuple[str, str, str, str]:
        return self.source, self.source_port, self.target, self.target_port


class Group(Part):
    """A titled frame around nodes; without nodes a note, `title` being its words, at x and y."""

    id: str = Field(min_length=1)
    title: str = ""
    nodes: list[str] = Field(default_factory=list)
    color: str = ""
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    folded: bool = False
    """Whether the canvas shows a frame as one card."""


class Entry(Part):
    """A port of a drawn composite: `name` on its outside, `node` and `port` of the part that it belongs to.

    One that feeds several parts is there once for each, under one name.
    """

    name: str = Field(min_length=1)
    kind: str = "map"
    node: str
    port: str


class Exposed(Part):
    """A parameter of a part that the composite shows as its own, called `name`."""

    name: str = Field(min_length=1)
    node: str
    param: str


class Drawn(Part):
    """A composite that was drawn: parts, their wires, and what of them is seen from outside. Data only."""

    id: str = Field(min_length=1)
    title: str = ""
    nodes: list[Node] = Field(default_factory=list)
    wires: list[Wire] = Field(default_factory=list)
    inputs: list[Entry] = Field(default_factory=list)
    outputs: list[Entry] = Field(default_factory=list)
    params: list[Exposed] = Field(default_factory=list)
    library: str = ""
    """Name in the user's library that it was taken from or saved to; "" for one of this document alone."""
    library_hash: str = ""
    """Fingerprint of that version."""


class GraphData(Part):
    """A whole document as data."""

    version: int = VERSION
    name: str = "Untitled"
    nodes: list[Node] = Field(default_factory=list)
    wires: list[Wire] = Field(default_factory=list)
    groups: list[Group] = Field(default_factory=list)
    composites: list[Drawn] = Field(default_factory=list)
    training: TrainingSettings = Field(default_factory=lambda: TrainingSettings())
    data: DataSettings = Field(default_factory=lambda: DataSettings())
    advice: AdviceSettings = Field(default_factory=AdviceSettings)

    def node(self, node_id: str) -> Node | None:
        return next((n for n in self.nodes if n.id == node_id), None)

    def inputs_of(self, node_id: str) -> dict[str, Wire]:
        """The wires that arrive at a node, by target port."""
        return {w.target_port: w for w in self.wires if w.target == node_id}

    def outputs_of(self, node_id: str) -> Iterator[Wire]:
        return (w for w in self.wires if w.source == node_id)
