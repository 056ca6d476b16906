"""Where images enter a model."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Range, Unit, component


@component("io", role="input", aliases=("Input", "Placeholder"))
class ImageInput(nn.Module):
    """The image that the model takes: RGB, values 0 to 1.

    Args:
        channels: 3 for colour, 1 for grey.
        height: pixels; a detector wants a multiple of its largest stride.
        width: pixels; a detector wants a multiple of its largest stride.

    Shapes: -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Range(1, 1024)] = 3,
        height: Annotated[int, Range(1, 16384, 32), Unit("px")] = 640,
        width: Annotated[int, Range(1, 16384, 32), Unit("px")] = 640,
    ) -> None:
        super().__init__()
        self.shape = (1, channels, height, width)

    def forward(self) -> Float[Tensor, "B C H W"]:
        return torch.zeros(self.shape)
