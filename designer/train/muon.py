"""Muon on weight matrices, AdamW on everything else, as one optimizer.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon: the momentum of a matrix is made nearly orthogonal before
it is applied. A convolution's kernels count as the matrix [out, in · height · width]. The first layer, the last node,
norms, biases and depthwise kernels go to AdamW, much as there. Steps are scaled to AdamW's size (Liu et al. 2025,
arXiv:2502.16982), so that both live with one learning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def orthogonalised(model: nn.Module) -> Iterator[str]:
    """Names of the parameters that go to Muon."""
    named = list(model.named_parameters())
    last = named[-1][0].partition(".")[0] if named else ""
    weights = [(name, p) for name, p in named if p.ndim in (2, 4)]
    for name, parameter in weights[1:]:
        if name.partition(".")[0] != last and parameter.shape[1] > 1:
            yield name


class MuonAndAdamW(Optimizer):
    """One optimizer with both inside.

    Args:
        groups: as torch's optimizers take them; those with `muon` true hold parameters of two or four dimensions.
        lr, momentum, nesterov: of Muon.
        betas: of AdamW.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, momentum: float, nesterov: bool, betas: tuple[float, float]
    ) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0, "muon": False})
        self._flat: list[tuple[nn.Parameter, nn.Parameter]] = []
        self._inner: dict[str, Optimizer] = {}
        matrices = [self._flattened(g) for g in self.param_groups if g["muon"]]
        rest = [_plain(g) for g in self.param_groups if not g["muon"]]
        if matrices:
            options: dict[str, Any] = {"momentum": momentum, "nesterov": nesterov, "adjust_lr_fn": "match_rms_adamw"}
            self._inner["muon"] = torch.optim.Muon(matrices, lr=lr, **options)
        if rest:
            self._inner["adamw"] = torch.optim.AdamW(rest, lr=lr, betas=betas)

    def _flattened(self, group: dict[str, Any]) -> dict[str, Any]:
        """The same group with matrices that share their memory with the parameters."""
        made = []
        for parameter in group["params"]:
            made.append(nn.Parameter(_as_matrix(parameter.detach()), requires_grad=False))
            self._flat.append((parameter, made[-1]))
        return {**_plain(group), "params": made}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Both, with the learning rates that the groups have now."""
        loss = closure() if closure is not None else None
        for parameter, matrix in self._flat:
            matrix.grad = _as_matrix(parameter.grad, parameter) if parameter.grad is not None else None
        for name, inner in self._inner.items():
            outer = (g for g in self.param_groups if g["muon"] == (name == "muon"))
            for group, own in zip(outer, inner.param_groups, strict=True):
                own["lr"] = group["lr"]
            inner.step()
        for _, matrix in self._flat:
            matrix.grad = None
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Of both, by name."""
        return {name: inner.state_dict() for name, inner in self._inner.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what `state_dict` gave. Raises KeyError when it is another optimizer's."""
        for name, inner in self._inner.items():
            inner.load_state_dict(state_dict[name])


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    return {key: group[key] for key in ("params", "lr", "weight_decay")}


def _as_matrix(value: Tensor, like: Tensor | None = None) -> Tensor:
    """A weight as [out, rest] in the order of its memory, a view; the order of a matrix's columns does not matter.

    Args:
        value: a weight or its gradient.
        like: the weight, whose order a gradient takes.
    """
    order = value if like is None else like
    if order.ndim == 4 and not order.is_contiguous():  # channels last
        value = value.permute(0, 2, 3, 1)
    return value.reshape(len(value), -1)
