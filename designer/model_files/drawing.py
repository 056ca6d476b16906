"""An ONNX graph as a drawing: a card a node with its weights folded in, wires with shapes, and their places."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx

from designer.graph.layout import layered
from designer.model_files.onnx_file import OnnxFile, type_name, value_info

KINDS: dict[str, tuple[str, ...]] = {
    "conv": ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "Gemm", "MatMul", "MatMulInteger",
             "QLinearMatMul", "Einsum", "LSTM", "GRU", "RNN"),
    "block": ("BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "LRN",
              "RMSNormalization", "LpNormalization", "MeanVarianceNormalization", "SkipLayerNormalization"),
    "stem": ("Relu", "LeakyRelu", "PRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Clip", "Elu", "Selu", "Gelu",
             "FastGelu", "QuickGelu", "Mish", "Softplus", "Erf", "ThresholdedRelu", "Swish"),
    "attention": ("Softmax", "LogSoftmax", "Attention", "MultiHeadAttention", "RotaryEmbedding", "Hardmax"),
    "pooling": ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxRoiPool", "RoiAlign",
                "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2"),
    "fusion": ("Concat", "Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Mean", "Where", "Pow"),
    "resize": ("Resize", "Upsample", "GridSample", "Pad", "DepthToSpace", "SpaceToDepth"),
    "neck": ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "GatherND",
             "GatherElements", "Expand", "Tile", "Shape", "Cast", "ScatterND", "ScatterElements", "Range"),
    "post": ("NonMaxSuppression", "TopK", "ArgMax", "ArgMin", "NonZero", "Loop", "If", "Scan", "SequenceAt"),
    "head": ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
}  # fmt: skip
"""The colour of an operator, by the component category whose colour it takes."""
_KIND = {op: kind for kind, ops in KINDS.items() for op in ops}

LINE, HEAD = 15.0, 30.0
"""Height of a line, and of a card with its title alone; canvas units."""
BOLD, LETTER = 8.6, 7.0
"""Widths of a letter of the title and of the lines."""
NARROWEST, WIDEST = 92.0, 220.0
GAPS = (46.0, 26.0)
"""Between rows, where a shape has room, and between the cards of a row."""
MOST_LANES = 30_000
"""Places kept free for long wires in all; the longest wires beyond that run where they will."""


@dataclass
class _Drawn:
    """One card on the way: `made` and `taken` are names of values."""

    id: str
    title: str
    kind: str
    taken: list[str]
    made: list[str]
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[float, float]:
        longest = max(len(self.title) * BOLD, *(len(line) * LETTER for line in self.lines), 0.0)
        return min(max(longest + 28, NARROWEST), WIDEST), HEAD + LINE * len(self.lines) + 4 * bool(self.lines)


def draw(file: OnnxFile, key: str = "") -> dict[str, Any]:
    """A graph of the file with a place for everything.

    Args:
        file: the model.
        key: which of its graphs.

    Returns:
        `nodes`: each `id`, `title`, `kind`, `x`, `y`, `width`, `height`, `lines` and what the side panel says of it.
        `wires`: each `source`, `target`, `value`, `points` from the one to the other.
        `values`: `dtype` and `shape` by name.
    """
    graph = file.graphs[key][1]
    values = _values(file, graph)
    cards = _cards(file, graph, values)
    maker = {value: card.id for card in cards for value in card.made}
    place = {card.id: i for i, card in enumerate(cards)}
    wires: dict[tuple[str, str], str] = {}
    for card in cards:
        for value in card.taken:
            if value in maker and place[maker[value]] < place[card.id]:
                wires.setdefault((maker[value], card.id), value)
    corners, lanes = _places(cards, list(wires))
    sizes = {card.id: card.size for card in cards}
    return {
        "nodes": [
            {
                "id": card.id, "title": card.title, "kind": card.kind, "lines": card.lines, "x": corners[card.id][0],
                "y": corners[card.id][1], "width": sizes[card.id][0], "height": sizes[card.id][1], **card.facts,
            }
            for card in cards
        ],
        "wires": [
            {"source": a, "target": b, "value": value, "points": _course(corners, sizes, a, b, lanes.get((a, b), []))}
            for (a, b), value in wires.items()
        ],
        "values": values,
    }  # fmt: skip


def _values(file: OnnxFile, graph: Any) -> dict[str, Any]:
    """What is known of every value by its name; functions know nothing of theirs."""
    known: dict[str, Any] = {}
    for group in ("input", "output", "value_info"):
        for value in getattr(graph, group, ()):
            if isinstance(value, onnx.ValueInfoProto):
                info = value_info(value)
                known[info.pop("name")] = info
    for tensor in getattr(graph, "initializer", ()):
        found = file.tensors[tensor.name]
        known[tensor.name] = {"dtype": found.dtype, "shape": list(found.shape)}
    return known


def _cards(file: OnnxFile, graph: Any, values: dict[str, Any]) -> list[_Drawn]:
    constants = {n.output[0]: n for n in graph.node if n.op_type == "Constant" and len(n.output) == 1}
    for name, node in constants.items():
        values.setdefault(name, {"dtype": "", "shape": None})["constant"] = ", ".join(
            text for _, text in _attributes(node)
        )
    folded = {*file.tensors, *constants}
    own = {t.name for t in getattr(graph, "initializer", ())}
    names = [(v if isinstance(v, str) else v.name) for v in graph.input]
    cards = [
        _Drawn(f"input {name}", name, "io", [], [name], _shape_lines(values, name), {"outputs": [["", name]]})
        for name in names
        if name not in own
    ]
    opsets = {o.domain: o.version for o in file.model.opset_import}
    for number, node in enumerate(graph.node):
        if node.op_type != "Constant" or node.output[0] not in constants:
            cards.append(_card(number, node, folded, values, opsets))
    names = [(v if isinstance(v, str) else v.name) for v in graph.output]
    made = {name for card in cards for name in card.made}
    cards += [
        _Drawn(f"output {name}", name, "io", [name], [], _shape_lines(values, name), {"inputs": [["", name]]})
        for name in names
        if name in made
    ]
    return cards


def _card(
    number: int, node: onnx.NodeProto, folded: set[str], values: Mapping[str, Any], opsets: Mapping[str, int]
) -> _Drawn:
    takes, gives = _port_names(node, opsets)
    inputs = [[takes(i), name] for i, name in enumerate(node.input) if name]
    weights = [(port, name) for port, name in inputs if name in folded]
    lines = [f"{port} {text}" for port, name in weights if (text := shape_text(values.get(name)))][:3]
    facts = {
        "name": node.name,
        "domain": node.domain,
        "note": node.doc_string,
        "attributes": _attributes(node),
        "inputs": inputs,
        "outputs": [[gives(i), name] for i, name in enumerate(node.output) if name],
        "graphs": [f"{number}/{a.name}" for a in node.attribute if a.type == onnx.AttributeProto.GRAPH],
    }
    taken = [name for _, name in inputs if name not in folded]
    kind = _KIND.get(node.op_type, "other")
    return _Drawn(f"n{number}", node.op_type, kind, taken, [n for n in node.output if n], lines, facts)


def _port_names(node: onnx.NodeProto, opsets: Mapping[str, int]) -> tuple[Any, Any]:
    """What the operator calls its inputs and outputs, from the number on."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    except onnx.defs.SchemaError:
        return (lambda i: f"input {i + 1}"), (lambda i: f"output {i + 1}")

    def named(ports: Any) -> Any:
        return lambda i: ports[min(i, len(ports) - 1)].name if ports else ""

    return named(schema.inputs), named(schema.outputs)


def _attributes(node: onnx.NodeProto) -> list[list[str]]:
    return [[a.name, _attribute(a)] for a in node.attribute]


def _attribute(one: onnx.AttributeProto) -> str:
    kinds = onnx.AttributeProto
    if one.type == kinds.GRAPH:
        return f"graph of {len(one.g.node)} nodes"
    if one.type == kinds.TENSOR:
        shape = "×".join(map(str, one.t.dims)) or "scalar"
        count = math.prod(one.t.dims)
        kind = type_name(one.t.data_type)
        if count > 16 or one.t.data_location == onnx.TensorProto.EXTERNAL:
            return f"{kind} {shape}"
        return f"{_listed(onnx.numpy_helper.to_array(one.t).reshape(-1).tolist())} ({kind} {shape})"
    value = onnx.helper.get_attribute_value(one)
    if isinstance(value, (list, tuple)) or (hasattr(value, "__len__") and not isinstance(value, (bytes, str))):
        return _listed(value)
    return _plain(value)


def _listed(values: Iterable[Any]) -> str:
    texts = [_plain(v) for v in values]
    return ", ".join(texts[:32]) + (f", … ({len(texts)})" if len(texts) > 32 else "")


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shape_lines(values: Mapping[str, Any], name: str) -> list[str]:
    return [text] if (text := shape_text(values.get(name))) else []


def shape_text(info: Mapping[str, Any] | None) -> str:
    """`1×3×640×640`; "" where the shape is not known."""
    sizes = (info or {}).get("shape")
    return "" if sizes is None else "×".join(map(str, sizes)) or "scalar"


def _places(cards: list[_Drawn], wires: list[tuple[str, str]]) -> tuple[dict[str, Any], dict[Any, Any]]:
    """Corners and lanes from top to bottom: `layered`, whose columns are our rows."""
    rows = _rows(cards, wires)
    spans = sorted((rows[b] - rows[a], a, b) for a, b in wires)
    total, short = 0, []
    for span, a, b in spans:
        total += span
        if total <= MOST_LANES:
            short.append((a, b))
    kept = set(short)
    sweeps = 12 if total < 6000 else 5
    sizes = {card.id: (card.size[1], card.size[0]) for card in cards}
    found = layered(rows, [w for w in wires if w in kept], sizes, GAPS, sweeps)
    corners = {key: (y, x) for key, (x, y) in found.corners.items()}
    return corners, {ends: [(y, x) for x, y in lane] for ends, lane in found.lanes.items()}


def _rows(cards: list[_Drawn], wires: list[tuple[str, str]]) -> dict[str, int]:
    """Nodes by their longest path from the inputs; what hangs on constants alone stands right above its first user."""
    before: dict[str, list[str]] = {card.id: [] for card in cards}
    after: dict[str, list[str]] = {card.id: [] for card in cards}
    for a, b in wires:
        before[b].append(a)
        after[a].append(b)
    row: dict[str, int] = {}
    live: set[str] = set()
    for card in cards:
        row[card.id] = max((row[b] + 1 for b in before[card.id]), default=0)
        if card.id.startswith("input ") or any(b in live for b in before[card.id]):
            live.add(card.id)
    for card in reversed(cards):
        if card.id not in live and after[card.id]:
            row[card.id] = min(row[b] for b in after[card.id]) - 1
    used = {number: i for i, number in enumerate(sorted(set(row.values())))}
    return {key: used[number] for key, number in row.items()}


def _course(
    corners: Mapping[str, Any], sizes: Mapping[str, Any], source: str, target: str, lane: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """From the middle of the source's lower edge to that of the target's upper one."""
    (x, y), (wide, high) = corners[source], sizes[source]
    (to_x, to_y), (to_wide, _) = corners[target], sizes[target]
    return [(x + wide / 2, y + high), *lane, (to_x + to_wide / 2, to_y)]
