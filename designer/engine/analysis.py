"""What a node costs: parameters, multiply-accumulates and the memory that training keeps for its backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nodes.sdk.build import Info, call_order, info_of
from nodes.sdk.spec import ComponentSpec


@dataclass(frozen=True)
class Cost:
    """Figures of one node for one image.

    Attributes:
        params: elements of all parameters.
        trainable: those that a gradient reaches.
        macs: multiply-accumulates of convolutions and matrix products.
        activation_bytes: tensors that autograd keeps until the backward pass, parameters left out.
    """

    params: int
    trainable: int
    macs: int
    activation_bytes: int


def run(spec: ComponentSpec, module: nn.Module, inputs: Mapping[str, Info]) -> tuple[dict[str, Info], Cost]:
    """Runs a module that lives on the meta device once, in eval mode.

    Returns:
        What each output is, and what the node costs.
    """
    module.eval()
    own = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}
    arguments = [inputs[name].meta() for name in call_order(spec, inputs)]
    counter = FlopCounterMode(display=False)
    # The tensors must stay alive while storages are told apart by address, which a freed one would give to the next.
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            alive.append(tensor)
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), counter:
        for argument in arguments:
            if isinstance(argument, Tensor) and argument.is_floating_point():
                argument.requires_grad_()
        returned = module(*arguments)
    values = (returned,) if len(spec.outputs) == 1 else tuple(returned)
    infos = {port.name: info_of(value, port.kind) for port, value in zip(spec.outputs, values, strict=True)}
    parameters = list(module.parameters())
    cost = Cost(
        params=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        macs=counter.get_total_flops() // 2,
        activation_bytes=sum(kept.values()),
    )
    return infos, cost
