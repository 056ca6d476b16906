"""Document -> torch: one submodule a node, named by its title, and a straight-line forward without any graph walk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import fx, nn

from designer.engine.propagate import NodeResult, propagate
from designer.graph.errors import GraphError
from designer.graph.model import GraphData
from designer.graph.view import bypass, topological
from nodes.sdk.build import Info, join, safe_name
from nodes.sdk.builder import Ref, Subgraph, SubNode
from nodes.sdk.discover import Registry, library


@dataclass(frozen=True)
class Head:
    """One head of a compiled document; `name` is its submodule's name."""

    node_id: str
    name: str
    module: nn.Module
    task: str


@dataclass
class Compiled:
    """A document as torch modules.

    Attributes:
        model: the whole graph, for evaluation and export. Takes images [B, C, H, W], RGB 0 to 1.
        train_model: shares the same submodules, ends at the heads and returns a tuple with each head's raw output;
            None when there is no head.
        heads: in document order.
        outputs: names of what `model` returns, `node` or `node.port`.
        inputs: names of what `model` takes.
        image_size: height and width in pixels.
        input_shape: of one image with batch 1.
        node_of: submodule name to node id.
        frozen: submodules that do not learn.
    """

    model: fx.GraphModule
    train_model: fx.GraphModule | None
    heads: list[Head]
    outputs: list[str]
    inputs: list[str]
    image_size: tuple[int, int]
    input_shape: tuple[int, ...]
    node_of: dict[str, str]
    frozen: list[nn.Module] = field(default_factory=list)

    def train(self) -> None:
        """Training mode for everything that learns; frozen nodes stay in eval mode, so that their norms hold still."""
        self.model.train()
        if self.train_model is not None:
            self.train_model.train()
        for module in self.frozen:
            module.eval()
        for head in self.heads:
            head.module.training = True  # gives raw maps for the loss, frozen or not; its layers keep their mode

    def eval(self) -> None:
        self.model.eval()
        if self.train_model is not None:
            self.train_model.eval()


def compile_document(data: GraphData, registry: Registry | None = None) -> Compiled:
    """Builds a document on the current default device.

    Raises:
        GraphError: when the document cannot run; its `problems` say why.
    """
    registry = registry or library()
    found = propagate(data, registry)
    if found.errors:
        more = f" (and {len(found.errors) - 1} more)" if len(found.errors) > 1 else ""
        raise GraphError(f"{data.name} cannot run: {found.errors[0].message}{more}", found.errors)
    live = bypass(data, registry.catalogue)
    if not live.nodes:
        raise GraphError(f"{data.name} is empty. Add an image input and some components.")
    names = module_names(live)
    inputs = [n.id for n in live.nodes if registry.spec(n.component).role == "input"]
    modules: dict[str, nn.Module] = {}
    subnodes: dict[str, SubNode] = {}
    for node_id in topological(live):
        if node_id in inputs:
            continue
        node, arriving = live.node(node_id), _arriving(live, node_id, found.nodes)
        assert node is not None
        declared = registry[node.component]
        modules[names[node_id]] = registry.make(node.component, node.params, arriving, _size(found.nodes, inputs))
        if node.frozen:
            modules[names[node_id]].requires_grad_(False)
        wired = {w.target_port: _ref(w.source, w.source_port, names, inputs) for w in live.wires if w.target == node_id}
        subnodes[node_id] = SubNode(names[node_id], declared, node.params, wired)
    heads = [
        Head(n.id, names[n.id], modules[names[n.id]], registry.spec(n.component).task)
        for n in live.nodes
        if registry.spec(n.component).role == "head"
    ]
    ends = _outputs(live, registry, [h.node_id for h in heads], inputs)
    graph = _subgraph(list(subnodes.values()), [names[i] for i in inputs], {
        label: _ref(node, port, names, inputs) for label, (node, port) in _labels(ends, names).items()
    })  # fmt: skip
    class_name = "".join(w.capitalize() for w in safe_name(data.name, ()).split("_")) or "Model"
    model = join(graph, modules, class_name)
    train_model = None
    if heads:
        needed = _ancestors(live, [h.node_id for h in heads])
        part = [s for node_id, s in subnodes.items() if node_id in needed]
        raw = _subgraph(part, [names[i] for i in inputs], {h.name: Ref(h.name, "out") for h in heads})
        train_model = join(raw, {s.name: modules[s.name] for s in part}, class_name + "Training", always_tuple=True)
    first = next(iter(found.nodes[inputs[0]].outputs.values()))
    shape = first.shape  # type: ignore[union-attr]
    return Compiled(
        model=model,
        train_model=train_model,
        heads=heads,
        outputs=list(graph.outputs),
        inputs=list(graph.inputs),
        image_size=(shape[-2], shape[-1]),
        input_shape=shape,
        node_of={name: node_id for node_id, name in names.items()},
        frozen=[modules[names[n.id]] for n in live.nodes if n.frozen and n.id not in inputs],
    )


def module_names(data: GraphData) -> dict[str, str]:
    """Submodule name of each node: its title in lower case as an identifier, unique."""
    names: dict[str, str] = {}
    for node in data.nodes:
        names[node.id] = safe_name((node.title or node.id).lower(), names.values())
    return names


def _size(results: Mapping[str, NodeResult], inputs: list[str]) -> tuple[int, int] | None:
    if not inputs:
        return None
    info = next(iter(results[inputs[0]].outputs.values()))
    return (info.shape[-2], info.shape[-1])  # type: ignore[union-attr]


def _arriving(data: GraphData, node_id: str, results: Mapping[str, NodeResult]) -> dict[str, Info]:
    return {port: results[w.source].outputs[w.source_port] for port, w in data.inputs_of(node_id).items()}


def _ref(node: str, port: str, names: Mapping[str, str], inputs: list[str]) -> Ref:
    return Ref("", names[node]) if node in inputs else Ref(names[node], port)


def _subgraph(nodes: list[SubNode], inputs: list[str], outputs: dict[str, Ref]) -> Subgraph:
    return Subgraph(inputs=inputs, nodes=nodes, outputs=outputs)


def _ancestors(data: GraphData, ends: list[str]) -> set[str]:
    seen, stack = set(ends), list(ends)
    while stack:
        node = stack.pop()
        for wire in data.wires:
            if wire.target == node and wire.source not in seen:
                seen.add(wire.source)
                stack.append(wire.source)
    return seen


def _outputs(data: GraphData, registry: Registry, heads: list[str], inputs: list[str]) -> list[tuple[str, str]]:
    """What the model returns: unwired outputs of nodes nothing follows; with heads, only heads and what comes after."""
    wired = {w.source for w in data.wires}
    ends = [n for n in data.nodes if n.id not in wired and n.id not in inputs]
    if heads:
        after = [n for n in ends if n.id in heads or _ancestors(data, [n.id]) & set(heads)]
        ends = after or ends
    found = [(n.id, port.name) for n in ends for port in registry.spec(n.component).outputs]
    if not found:
        raise GraphError(f"{data.name} has no output: wire at least one component to the image input.")
    return found


def _labels(ends: list[tuple[str, str]], names: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    several = len({node for node, _ in ends}) < len(ends)
    return {f"{names[node]}.{port}" if several else names[node]: (node, port) for node, port in ends}
