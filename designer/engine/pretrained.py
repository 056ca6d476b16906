"""Published weights into a compiled document, node by node, before it is trained or exported. Nothing is skipped
without a word: what was loaded, left out and missing is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from designer.engine.compile import Compiled
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData, Node
from nodes.sdk.discover import library
from nodes.weights import Carried, Pretrained, Rename, WeightsError, carry_over, download, for_component


@dataclass(frozen=True)
class Loaded:
    """The report of one node."""

    node: Node
    carried: Carried

    def text(self) -> str:
        return f"{self.node.title}: weights of {self.node.weights}: {self.carried.text()}."


def load_pretrained(compiled: Compiled, data: GraphData) -> list[Loaded]:
    """Fills every node that names a source of weights.

    Raises:
        NetwrightError: when the weights cannot be had, or are those of another model.
    """
    modules = {node_id: compiled.model.get_submodule(name) for name, node_id in compiled.node_of.items()}
    return [_load(node, modules[node.id]) for node in data.nodes if node.weights and node.id in modules]


def sources(component: str, params: dict[str, object]) -> list[str]:
    """Names of the published weights that fit a component with these settings, such as `torchvision:resnet50`."""
    spec = library().spec(component)
    return [p.name for p in for_component(spec.id, {**spec.defaults(), **params})]


def _load(node: Node, module: nn.Module) -> Loaded:
    spec = library().spec(node.component)
    fitting = for_component(spec.id, {**spec.defaults(), **node.params})
    kind, _, name = node.weights.partition(":")
    if kind == "file":
        state, rename = _from_file(Path(name).expanduser(), node, module, fitting)
    else:
        found = next((p for p in fitting if p.name == node.weights), None)
        if found is None:
            known = ", ".join(p.name for p in fitting) or "none"
            raise NetwrightError(
                f"{node.title}: there are no weights {node.weights} for a {spec.title} with these settings; known: "
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
            f"set the {spec.title} as they were trained."
        )
    return Loaded(node, carried)


def _from_file(
    path: Path, node: Node, module: nn.Module, fitting: list[Pretrained]
) -> tuple[dict[str, Tensor], Rename]:
    """A file's tensors, and of the known key maps (ours first) the one that finds a place for most of them."""
    state = read_state(path, node.title)
    own = module.state_dict().keys()
    maps: list[Rename] = [lambda key: key, *(p.rename for p in fitting)]
    return state, max(maps, key=lambda rename: sum(rename(key) in own for key in state))


def read_state(path: Path, title: str) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a torch file that holds nothing else. Runs no code of the file.

    Raises:
        NetwrightError: when it cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise NetwrightError(f"{title}: there is no file {path}. Choose where its weights are.") from None
    except Exception as error:  # every reader has its own
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise NetwrightError(
            f"{title}: {path} cannot be read as weights: {reason}. A .safetensors file, or a torch file with a plain "
            "state_dict, is needed."
        ) from None
    for key in ("state_dict", "model", "ema"):  # the usual wrappings
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    tensors = {k: v for k, v in held.items() if isinstance(v, Tensor)} if isinstance(held, dict) else {}
    if not tensors:
        raise NetwrightError(f"{title}: {path} holds no tensors by name. A plain state_dict is needed.")
    return tensors
