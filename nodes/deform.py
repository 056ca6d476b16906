"""Convolutions whose sampling places are learned (DCNv2)."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from nodes.conv import ACTIVATIONS
from nodes.sdk.declare import Choices, Dim, Range, component

PAPER = "Zhu et al. 2019, arXiv:1811.11168"


@component("conv", title="Deformable conv", paper=PAPER, aliases=("DCNv2", "DeformConv2d"))
class DeformConv(nn.Module):
    """A convolution that samples each of its nine places where a second convolution says, and as strongly as it says.

    That second convolution starts at zero: no offset, half strength. Batch norm and an activation follow.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the kernel; odd.
        stride: 2 halves the size.
        activation: function after the norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Annotated[int, Choices(1, 3, 5, 7)] = 3,
        stride: Annotated[int, Choices(1, 2)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "silu",
    ) -> None:
        super().__init__()
        places = kernel_size * kernel_size
        self.where = nn.Conv2d(in_channels, 3 * places, kernel_size, stride, kernel_size // 2)
        nn.init.zeros_(self.where.weight)
        nn.init.zeros_(self.where.bias)  # type: ignore[arg-type]
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.03)
        self.act = ACTIVATIONS[activation]()
        self.places, self.stride, self.padding = places, (stride, stride), (kernel_size // 2, kernel_size // 2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        weight = self.conv.weight
        # Autocast reaches the convolution that says where, but not the one that samples: both take the weight's type.
        offset, strength = self.where(x).to(weight.dtype).split((2 * self.places, self.places), 1)
        y = deform_conv2d(
            x.to(weight.dtype), offset, weight, stride=self.stride, padding=self.padding, mask=torch.sigmoid(strength)
        )
        return self.act(self.bn(y))


@component("downsample", title="Deformable downsample", paper=PAPER, aliases=("DCN downsample",))
class DeformDown(DeformConv):
    """Halves the size with a deformable 3x3 convolution of stride 2, batch norm and SiLU.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 65536, 8)] = 64
    ) -> None:
        super().__init__(in_channels, out_channels, 3, 2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return super().forward(x)
