"""How messages call things: nodes, inputs, sizes."""

from __future__ import annotations

from collections.abc import Mapping

from designer.graph.model import Node
from nodes.sdk.build import Info, TensorInfo, in_port_order, shape_text
from nodes.sdk.spec import ComponentSpec, port_index


def name_of(node: Node, spec: ComponentSpec) -> str:
    """`Concat "cat_1"`; the title alone when it begins with the component's name, as `Concat 2` does."""
    plain = node.title.lower().replace(" ", "").startswith(spec.title.lower().replace(" ", ""))
    return node.title if plain else f'{spec.title} "{node.title}"'


def label(spec: ComponentSpec, port: str) -> str:
    """How a person calls an input: `input 2` of a growing port, `input p4` of a named one."""
    found = spec.input(port)
    return f"input {port_index(port) + 1}" if found is not None and found.variadic else f"input {port}"


def size(info: Info) -> str:
    """`40x40` of a map; the whole shape of anything else."""
    if isinstance(info, TensorInfo) and len(info.shape) == 4:
        return f"{info.shape[-2]}x{info.shape[-1]}"
    return shape_text(info)


def arriving(spec: ComponentSpec, inputs: Mapping[str, Info]) -> str:
    """`input 1 is 64 x 80 x 80, input 2 is ...`; says so when there is none."""
    listed = (f"{label(spec, port)} is {shape_text(inputs[port])}" for port in in_port_order(inputs))
    return ", ".join(listed) or "it has no inputs"
