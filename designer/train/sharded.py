"""Weights, gradients and optimizer spread over the processes (FSDP), with checkpoints like any other.

Reference: Zhao et al. 2023, arXiv:2304.11277; torch's `fully_shard`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from designer.train.weights import average_in

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
TO_ALL = StateDictOptions(full_state_dict=True)


class Sharded:
    """A model whose parameters are spread, node by node, and a whole copy of it for evaluation and checkpoints.

    Args:
        model: the compiled document; shares its nodes with `train_model`.
        train_model: what is trained.
        device: where each process computes.
        decay: of the moving average that is kept, spread as well; None for none.
    """

    def __init__(self, model: nn.Module, train_model: nn.Module, device: torch.device, decay: float | None) -> None:
        self.model, self.train_model, self.decay = model, train_model, decay
        self.whole = copy.deepcopy(model)
        mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
        for child in train_model.children():
            if any(True for _ in child.parameters()):
                fully_shard(child, mesh=mesh)
        fully_shard(train_model, mesh=mesh)
        self.averaged = 0
        self._kept = {name: value.detach().clone() for name, value in self._values()} if decay is not None else {}

    def _values(self) -> list[tuple[str, Tensor]]:
        return [*self.model.named_parameters(), *self.model.named_buffers()]

    def update_average(self) -> None:
        """One step of the moving average, of the part that this process holds."""
        if self.decay is None:
            return
        values = self._values()
        kept = [own(self._kept[name]) for name, _ in values]
        average_in(kept, [own(value) for _, value in values], self.averaged, self.decay)
        self.averaged += 1

    def to_measure(self) -> nn.Module:
        """The whole model with the averaged weights, or the trained ones where none are kept. Collective."""
        self.whole.load_state_dict(self._whole(self._kept or dict(self._values())), strict=False)
        return self.whole

    def state(self, optimizer: Optimizer) -> dict[str, Any]:
        """What a checkpoint holds of a model in one piece, on the CPU, to be used at the first process. Collective."""
        held: dict[str, Any] = get_optimizer_state_dict(self.model, optimizer, options=WHOLE)
        names = [name for group in held.get("param_groups", []) for name in group["params"]]
        place = {name: i for i, name in enumerate(names)}
        groups = [{**g, "params": [place[n] for n in g["params"]]} for g in held.get("param_groups", [])]
        trained, average = self._whole(dict(self._values())), self._whole(self._kept)
        return {
            "model": {name: value.detach().cpu() for name, value in trained.items()},
            "ema": {name: value.cpu() for name, value in average.items()} or None,
            "averaged": self.averaged,
            "optimizer": {"state": {place[n]: v for n, v in held.get("state", {}).items()}, "param_groups": groups},
        }

    def restore(self, state: dict[str, Any], optimizer: Optimizer) -> None:
        """Takes what `state` gave. Collective."""
        set_model_state_dict(self.model, state["model"], options=TO_ALL)
        if self._kept and state["ema"] is not None:
            self.averaged = int(state["averaged"])
            trained = {name: value.detach().clone() for name, value in self._values()}
            set_model_state_dict(self.model, state["ema"], options=TO_ALL)
            self._kept = {name: value.detach().clone() for name, value in self._values()}
            with torch.no_grad():
                for name, value in self._values():
                    own(value).copy_(own(trained[name]))
        names = {id(p): name for name, p in self.model.named_parameters()}
        order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
        saved = state["optimizer"]
        groups = [{**g, "params": [order[i] for i in g["params"]]} for g in saved["param_groups"]]
        by_name: dict[str, Any] = {"state": {order[i]: v for i, v in saved["state"].items()}, "param_groups": groups}
        set_optimizer_state_dict(self.model, optimizer, by_name, options=TO_ALL)

    def _whole(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        wanted = self.whole.state_dict()
        return {n: v.full_tensor() if isinstance(v, DTensor) else v for n, v in values.items() if n in wanted}


def own(value: Tensor) -> Tensor:
    """The part of a spread tensor that this process holds; of any other tensor all."""
    return value.to_local() if isinstance(value, DTensor) else value
