"""What stands on a node's card and on a wire, as plain text. No Qt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from designer.graph.model import Node
from designer.ui import wording
from nodes.sdk.spec import ComponentSpec, PortKind, port_index

_SHORT = {
    "out_channels": "out",
    "num_classes": "classes",
    "kernel_size": "k",
    "stride": "s",
    "max_detections": "max",
    "pre_top_k": "top",
    "reg_max": "bins",
}


_BYTES = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "int16": 2, "int8": 1, "uint8": 1, "bool": 1}
"""Of an element; 4 for the others."""


@dataclass(frozen=True)
class PortText:
    """One port as it is drawn: wire-level name, kind, and what stands beside it."""

    name: str
    kind: PortKind
    label: str = ""


def subtitle(node: Node, spec: ComponentSpec | None) -> list[str]:
    """The second line of a card in order of importance: the component unless the title says it, key parameters."""
    if spec is None:
        return [node.component]
    if spec.role == "input" and {"height", "width"} <= node.params.keys():
        return [f"{node.params.get('channels', 3)} × {node.params['height']} × {node.params['width']}"]
    plain = node.title.lower().replace(" ", "")
    name = [] if plain.startswith(spec.title.lower().replace(" ", "")) else [spec.title]
    return (["bypassed"] if node.disabled else []) + name + key_values(node, spec)


def key_values(node: Node, spec: ComponentSpec) -> list[str]:
    """The parameters worth a glance: whole numbers and words, those that were changed from their default first."""
    values = []
    for name, value in node.params.items():
        param = spec.param(name)
        if isinstance(value, bool) or not isinstance(value, (int, str)) or (param is not None and param.derived):
            continue
        values.append((param is not None and value == param.default, f"{_SHORT.get(name, name)} {value}"))
    return [text for _, text in sorted(values, key=lambda v: v[0])]


def ports_of(
    spec: ComponentSpec | None, wired_in: Iterable[str], wired_out: Iterable[str]
) -> tuple[list[PortText], list[PortText]]:
    """A node's inputs and outputs: those of its component, a growing one as wired plus one spare.

    Ports that only a wire knows (an unknown component, a port that is gone) are shown too, so that no wire is lost.
    """
    if spec is None:
        return _loose(wired_in), _loose(wired_out)
    used = list(wired_in)
    inputs = [PortText(name, p.kind, _label(name, spec, True)) for p in spec.inputs for name in p.names(used)]
    outputs = [PortText(p.name, p.kind, _label(p.name, spec, False)) for p in spec.outputs]
    return (
        inputs + _loose(n for n in used if spec.input(n) is None),
        outputs + _loose(n for n in wired_out if spec.output(n) is None),
    )


def grows(spec: ComponentSpec | None) -> bool:
    """Whether a node's ports depend on its wires."""
    return spec is None or any(p.variadic for p in spec.inputs)


def _loose(names: Iterable[str]) -> list[PortText]:
    return [PortText(n, "any", n) for n in sorted(set(names))]


def _label(name: str, spec: ComponentSpec, is_input: bool) -> str:
    """Nothing beside a lone port; the number of a growing one, the name of others."""
    if "." in name:
        return str(port_index(name) + 1)
    return name if len(spec.inputs if is_input else spec.outputs) > 1 else ""


def wire_label(info: Mapping[str, Any] | None) -> str:
    """The shape that stands on a wire, without the batch: `64 × 80 × 80`; `8400 boxes` for detections."""
    if not info:
        return ""
    if "shape" in info:
        return " × ".join(str(size) for size in info["shape"][1:])
    fields = info.get("fields", {})
    if "boxes" in fields:
        return f"{fields['boxes'][1]} boxes"
    return next((f"{name} {' × '.join(map(str, sizes[1:]))}" for name, sizes in fields.items()), "")


def memory_of(info: Mapping[str, Any] | None) -> int:
    """Bytes that an output takes for one image; 0 where its shape is not known."""
    if not info:
        return 0
    sizes = [info["shape"]] if "shape" in info else list(info.get("fields", {}).values())
    return sum(math.prod(s) for s in sizes) * _BYTES.get(info.get("dtype", ""), 4)


def shape_line(name: str, info: Mapping[str, Any] | None) -> str:
    """One output in full, for a tooltip: `out  1 × 64 × 80 × 80  float32  1.56 MB`."""
    if not info:
        return name
    memory = wording.memory(memory_of(info))
    if "shape" in info:
        return "  ".join(filter(None, (name, wording.shape(info["shape"]), info.get("dtype", ""), memory)))
    fields = ", ".join(f"{n} {wording.shape(s)}" for n, s in info.get("fields", {}).items())
    return f"{name}  {fields}  {memory}"
