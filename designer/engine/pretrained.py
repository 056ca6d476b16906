"""Published weights into a compiled document, node by node, before it is trained or exported. Nothing is skipped
without a word: what was loaded, left out and missing is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor, nn

from designer.engine.compile import Compiled
from designer.engine.state_files import State, read_state
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData, Node
from designer.graph.named_files import split_key
from nodes.sdk.discover import library
from nodes.weights import Carried, Pretrained, Rename, WeightsError, carry_over, download, for_component


@dataclass(frozen=True)
class Loaded:
    """The report of one node."""

    node: Node
    carried: Carried
    module: str

    @property
    def names(self) -> list[str]:
        """What was filled, as the compiled model calls it."""
        return [f"{self.module}.{key}" for key in self.carried.loaded]

    def text(self) -> str:
        return f"{self.node.title}: weights of {self.node.weights}: {self.carried.text()}."


def load_pretrained(compiled: Compiled, data: GraphData) -> list[Loaded]:
    """Fills every node that names a source of weights.

    Raises:
        NetwrightError: when the weights cannot be had, or are those of another model.
    """
    names = {node_id: name for name, node_id in compiled.node_of.items()}
    read = cache(read_state)  # many nodes may start from one file
    return [
        _load(node, names[node.id], compiled.model.get_submodule(names[node.id]), read)
        for node in data.nodes
        if node.weights and node.id in names
    ]


def sources(component: str, params: dict[str, object]) -> list[str]:
    """Names of the published weights that fit a component with these settings, such as `torchvision:resnet50`."""
    spec = library().spec(component)
    return [p.name for p in for_component(spec.id, {**spec.defaults(), **params})]


def _load(node: Node, name: str, module: nn.Module, read: Callable[[Path, str], State]) -> Loaded:
    component = library().catalogue.get(node.component)  # None for a drawn composite, which has no published weights
    title = component.title if component is not None else node.title
    fitting = for_component(component.id, {**component.defaults(), **node.params}) if component is not None else []
    kind, _, where = node.weights.partition(":")
    if kind == "file":
        path, key = split_key(where)
        state = read(Path(path).expanduser(), node.title).tensors
        if key:
            return _load_part(node, name, module, state, key)
        rename = _best_map(state, module, fitting)
    else:
        found = next((p for p in fitting if p.name == node.weights), None)
        if found is None:
            known = ", ".join(p.name for p in fitting) or "none"
            raise NetwrightError(
                f"{node.title}: there are no weights {node.weights} for a {title} with these settings; known: "
                f"{known}. Choose one of them, or a file: file:PATH."
            )
        try:
            state, rename = download(found), found.rename
        except WeightsError as error:
            raise NetwrightError(f"{node.title}: {error}") from None
    carried = carry_over(module, state, rename)
    if len(carried.missing) + len(carried.wrong) >= len(carried.loaded):
        raise NetwrightError(
            f"{node.title}: {node.weights} holds weights of another model: {carried.text()}. Choose other weights, or "
            f"set the {title} as they were trained."
        )
    return Loaded(node, carried, name)


def _load_part(node: Node, name: str, module: nn.Module, state: Mapping[str, Tensor], key: str) -> Loaded:
    """The tensors below one key. They were matched to the node once, so part of it is enough."""
    below = {k[len(key) + 1 :]: v for k, v in state.items() if k.startswith(f"{key}.")}
    carried = carry_over(module, below, lambda k: k)
    if not carried.loaded:
        raise NetwrightError(
            f"{node.title}: nothing of {node.weights} fits it any more: {carried.text()}. Set it as it was when the "
            "weights were loaded, or load them again."
        )
    return Loaded(node, carried, name)


def _best_map(state: Mapping[str, Tensor], module: nn.Module, fitting: list[Pretrained]) -> Rename:
    """Of the known key maps (ours first) the one that finds a place for most tensors."""
    own = module.state_dict().keys()
    maps: list[Rename] = [lambda key: key, *(p.rename for p in fitting)]
    return max(maps, key=lambda rename: sum(rename(key) in own for key in state))
