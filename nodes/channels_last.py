"""Layers of transformers for tensors that are neither maps nor tokens: attention by itself, channels that come last."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nodes.sdk.declare import Dim, Range, component
from nodes.tensor import Any


@component("tensor", title="Scaled dot-product attention", paper="Vaswani et al. 2017, arXiv:1706.03762")
class DotProductAttention(nn.Module):
    """Blends values by how well queries and keys agree.

    Args:
        query: what asks, the tokens in the last axis but one.
        key: what is compared with it.
        value: what is blended.
        scale: factor before the softmax; 0 for 1 over the root of the width.
        causal: each token sees those before it and itself.

    Shapes: query [..., L, D], key [..., M, D], value [..., M, E] -> [..., L, E].
    """

    def __init__(self, scale: Annotated[float, Range(0, 1e6)] = 0.0, causal: bool = False) -> None:
        super().__init__()
        self.scale, self.causal = scale or None, causal

    def forward(self, query: Any, key: Any, value: Any) -> Any:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal, scale=self.scale)


@component("tensor", title="Linear (channels last)", aliases=("Dense", "Projection"))
class CellLinear(nn.Module):
    """A matrix product for each cell of a map whose channels come last, with a constant added.

    Args:
        out_features: values of a cell it gives.
        bias: adds a learned constant per value.

    Shapes: x [B, H, W, D] -> [B, H, W, out_features].
    """

    def __init__(
        self,
        in_features: Annotated[int, Dim("D")],
        out_features: Annotated[int, Range(1, 1_000_000)] = 256,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias)

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W E"]:
        return self.linear(x)


@component("tensor", title="Layer norm (channels last)", paper="Ba et al. 2016, arXiv:1607.06450", aliases=("LN",))
class CellNorm(nn.Module):
    """Brings each cell of a map whose channels come last to mean 0 and variance 1, then scales and shifts it.

    Args:
        eps: added to the variance.

    Shapes: x [B, H, W, D] -> [B, H, W, D].
    """

    def __init__(self, features: Annotated[int, Dim("D")], eps: Annotated[float, Range(1e-8, 0.1)] = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, eps)

    def forward(self, x: Float[Tensor, "B H W D"]) -> Float[Tensor, "B H W D"]:
        return self.norm(x)
