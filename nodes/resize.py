"""Changing the size of maps without learned weights."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nodes.sdk.declare import Choices, Range, component


@component("resize", aliases=("Interpolate", "nn.Upsample"))
class Upsample(nn.Module):
    """Enlarges a map by a whole factor.

    Args:
        scale: how many times larger.
        mode: `nearest` repeats cells, `bilinear` blends them.

    Shapes: x [B, C, H, W] -> [B, C, H*scale, W*scale].
    """

    def __init__(
        self,
        scale: Annotated[int, Range(2, 32)] = 2,
        mode: Annotated[str, Choices("nearest", "bilinear")] = "nearest",
    ) -> None:
        super().__init__()
        self.scale, self.mode = scale, mode

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H*s W*s"]:
        return functional.interpolate(x, scale_factor=float(self.scale), mode=self.mode)


@component("resize", aliases=("Interpolate", "Resize to", "Upsample to"))
class MatchSize(nn.Module):
    """Resizes a map to the height and width of another, also where one is not a whole multiple of the other.

    Args:
        x: the map to resize.
        like: the map whose height and width it takes.
        mode: `nearest` repeats or drops cells, `bilinear` blends them.

    Shapes: x [B, C, H, W], like [B, D, I, J] -> [B, C, I, J].
    """

    def __init__(self, mode: Annotated[str, Choices("nearest", "bilinear")] = "nearest") -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Float[Tensor, "B C H W"], like: Float[Tensor, "B D I J"]) -> Float[Tensor, "B C I J"]:
        return functional.interpolate(x, size=like.shape[-2:], mode=self.mode)
