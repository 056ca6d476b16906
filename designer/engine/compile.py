"""Document -> torch: one submodule a node, named by its title, and a straight-line forward without any graph walk."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import fx, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from designer.engine.design import reached
from designer.engine.drawn import with_composites
from designer.engine.propagate import Cache, NodeResult, propagate
from designer.graph.errors import GraphError
from designer.graph.model import GraphData, Node, Wire
from designer.graph.view import bypass, topological
from nodes.sdk.build import TensorInfo, join, safe_name
from nodes.sdk.builder import Ref, Subgraph, SubNode
from nodes.sdk.discover import Registry, library


class Network(fx.GraphModule):
    """A GraphModule whose frozen nodes stay frozen: training mode does not reach their norms and dropouts."""

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        for name in self.meta.get("frozen", ()):  # `meta` survives deepcopy
            hold_still(self.get_submodule(name))
        return self


def hold_still(module: nn.Module) -> None:
    """Eval mode for whatever changes or varies in training. A head's own mode is left: it decides what it returns."""
    for part in module.modules():
        if isinstance(part, (_NormBase, _DropoutNd)):
            part.eval()


@dataclass(frozen=True)
class Head:
    """One head of a compiled document; `name` is its submodule's name."""

    node_id: str
    name: str
    module: nn.Module
    task: str


@dataclass
class Compiled:
    """A document as torch modules. Both models share their submodules, so they are in training or eval mode together.

    Attributes:
        model: the graph that is evaluated and exported, in eval mode. Takes images [B, C, H, W], RGB 0 to 1, and
            returns the outputs, a tuple when there are several.
        train_model: ends at the heads and returns a tuple with each head's raw output; None when there is no head.
        heads: in document order.
        outputs: names of what `model` returns, `node` or `node.port`.
        inputs: names of what both models take.
        input_shapes: of each input with batch 1.
        node_of: submodule name to node id.
        held: submodule name of each frozen node to those of its parameters that would learn if it were not.
    """

    model: Network
    train_model: Network | None
    heads: list[Head]
    outputs: list[str]
    inputs: list[str]
    input_shapes: list[tuple[int, ...]]
    node_of: dict[str, str]
    held: dict[str, list[nn.Parameter]] = field(default_factory=dict)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the first input."""
        return self.input_shapes[0]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the first input in pixels."""
        return self.input_shape[-2], self.input_shape[-1]

    def train(self) -> None:
        """Training mode for everything that is not frozen."""
        self.model.train()

    def eval(self) -> None:
        self.model.eval()


def compile_document(data: GraphData, registry: Registry | None = None, cache: Cache | None = None) -> Compiled:
    """Builds a document on the current default device, with weights drawn from torch's current random state.

    Disabled nodes are bypassed. Branches that lead to no head are left out where there are heads.

    Args:
        data: the document.
        registry: the components; the library by default.
        cache: of earlier propagations; saves time only.

    Raises:
        GraphError: when the document cannot run; its `problems` say why.
    """
    registry = with_composites(data, registry or library())
    found = propagate(data, registry, cache)
    if found.errors:
        more = f" (and {len(found.errors) - 1} more)" if len(found.errors) > 1 else ""
        raise GraphError(f"{data.name} cannot run: {found.errors[0].message}{more}", found.errors)
    return _Compiler(data, registry, found.nodes).compiled()


def module_names(data: GraphData) -> dict[str, str]:
    """Submodule name of each node: its title in lower case as an identifier, unique."""
    names: dict[str, str] = {}
    for node in data.nodes:
        # Python reads identifiers in their NFKC form, so that is the form to store them in.
        title = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", node.title or node.id).lower())
        names[node.id] = safe_name(title, {*names.values(), *_TAKEN})
    return names


_TAKEN = frozenset(vars(nn.Module())) | {"self", "meta", "made_with", "losses"}
"""What no submodule may be called, besides `dir(nn.Module)`: attributes of a GraphModule, a name in its forward, and a
method of exported code."""


class _Compiler:
    def __init__(self, data: GraphData, registry: Registry, results: Mapping[str, NodeResult]) -> None:
        self.data, self.live = data, bypass(data, registry.catalogue)
        self.registry, self.results = registry, results
        self.names = module_names(data)
        self.nodes = {n.id: n for n in self.live.nodes}
        self.into: dict[str, list[Wire]] = {n: [] for n in self.nodes}
        for wire in self.live.wires:
            self.into[wire.target].append(wire)
        self.inputs = [n for n in self.nodes if self._role(n) == "input"]
        self.held: dict[str, list[nn.Parameter]] = {}

    def _role(self, node_id: str) -> str:
        return self.registry.spec(self.nodes[node_id].component).role

    def compiled(self) -> Compiled:
        heads = [n for n in self.nodes if self._role(n) == "head"]
        ends = self._ends(heads)
        used = self._upstream(node for node, _ in ends)
        order = [n for n in topological(self.live) if n in used]
        inputs = [n for n in self.inputs if n in used]
        layers = [n for n in order if n not in inputs]
        modules = {n: self._module(n) for n in layers}
        title = "".join(word[:1].upper() + word[1:] for word in safe_name(self.data.name, ()).split("_"))
        outputs = {label: self._ref(node, port) for label, (node, port) in self._labels(ends).items()}
        model = self._network(layers, modules, inputs, outputs, title)
        train_model = None
        if heads:
            before = self._upstream(heads)
            raw = {self.names[h]: Ref(self.names[h], "out") for h in heads}
            part = [n for n in layers if n in before]
            train_model = self._network(part, modules, inputs, raw, f"{title}Training", always_tuple=True)
        model.eval()
        shapes = [cast(TensorInfo, next(iter(self.results[n].outputs.values()))).shape for n in inputs]
        return Compiled(
            model=model,
            train_model=train_model,
            heads=[Head(h, self.names[h], modules[h], self._task(h)) for h in heads],
            outputs=list(outputs),
            inputs=[self.names[n] for n in inputs],
            input_shapes=shapes,
            node_of={self.names[n]: n for n in layers},
            held=self.held,
        )

    def _task(self, node_id: str) -> str:
        return self.registry.spec(self.nodes[node_id].component).task

    def _ends(self, heads: list[str]) -> list[tuple[str, str]]:
        """What the model returns: the outputs of nodes that feed no other; with heads, of those from a head on."""
        feeding = {w.source for w in self.live.wires}
        ends = [n for n in self.nodes if n not in feeding and n not in self.inputs]
        if heads:
            following: dict[str, set[str]] = {}
            for wire in self.live.wires:
                following.setdefault(wire.source, set()).add(wire.target)
            after = reached(heads, following)
            ends = [n for n in ends if n in after]
        found = [(n, port) for n in ends for port in self.results[n].outputs]
        if not found:
            raise GraphError(f"{self.data.name} has no layers. Add a component and wire it to an image input.")
        return found

    def _upstream(self, nodes: Iterable[str]) -> set[str]:
        return reached(nodes, {n: {w.source for w in wires} for n, wires in self.into.items()})

    def _labels(self, ends: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
        count: dict[str, int] = {}
        for node, _ in ends:
            count[node] = count.get(node, 0) + 1
        return {f"{self.names[n]}.{port}" if count[n] > 1 else self.names[n]: (n, port) for n, port in ends}

    def _module(self, node_id: str) -> nn.Module:
        node: Node = self.nodes[node_id]
        arriving = {w.target_port: self.results[w.source].outputs[w.source_port] for w in self.into[node_id]}
        module = self.registry.make(node.component, node.params, arriving, self._image_size())
        if node.frozen:
            self.held[self.names[node_id]] = [p for p in module.parameters() if p.requires_grad]
            module.requires_grad_(False)
        return module

    def _image_size(self) -> tuple[int, int] | None:
        """Of the first image input, as in propagation."""
        if not self.inputs:
            return None
        info = cast(TensorInfo, next(iter(self.results[self.inputs[0]].outputs.values())))
        return info.shape[-2], info.shape[-1]

    def _ref(self, node_id: str, port: str) -> Ref:
        return Ref("", self.names[node_id]) if node_id in self.inputs else Ref(self.names[node_id], port)

    def _network(
        self,
        layers: list[str],
        modules: Mapping[str, nn.Module],
        inputs: list[str],
        outputs: dict[str, Ref],
        class_name: str,
        always_tuple: bool = False,
    ) -> Network:
        subnodes = []
        for node_id in layers:
            node, name = self.nodes[node_id], self.names[node_id]
            wired = {w.target_port: self._ref(w.source, w.source_port) for w in self.into[node_id]}
            subnodes.append(SubNode(name, self._declared(node), node.params, wired))
        graph = Subgraph([self.names[n] for n in inputs], subnodes, outputs)
        joined = join(graph, {self.names[n]: modules[n] for n in layers}, class_name, always_tuple)
        network = Network(joined, joined.graph, class_name)
        network.meta["frozen"] = [self.names[n] for n in layers if self.nodes[n].frozen]
        return network

    def _declared(self, node: Node) -> Any:
        return self.registry[node.component]
