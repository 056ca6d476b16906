"""Stems: the first layers, which turn an image into feature maps."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, TORCH_NORM, ConvNormAct
from nodes.sdk.declare import Choices, Dim, Range, Unit, component


@component("stem", aliases=("Stem", "YOLO stem"))
class ConvStem(ConvNormAct):
    """A convolution of stride 2 with batch norm and SiLU: the stem of the YOLO family.

    Args:
        out_channels: channels it gives; 64 times the width multiple in YOLO.
        kernel_size: 3, or 6 as in YOLOv5.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Annotated[int, Choices(3, 6)] = 3,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=2)
        if kernel_size == 6:
            self.conv = nn.Conv2d(in_channels, out_channels, 6, 2, 2, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return super().forward(x)


@component("stem", paper="He et al. 2016, arXiv:1512.03385", aliases=("7x7 stem",))
class ResNetStem(nn.Module):
    """7x7 convolution of stride 2, batch norm, activation and a 3x3 max-pool of stride 2.

    Args:
        out_channels: channels it gives.
        activation: function after the norm; ReLU in the paper.
        eps: added to the variance in the norm; 1e-3 in the YOLO family.
        momentum: share of each batch in the norm's running statistics; 0.03 in the YOLO family.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/4, W/4].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "relu",
        eps: Annotated[float, Range(1e-8, 0.1)] = TORCH_NORM["eps"],
        momentum: Annotated[float, Range(0.001, 1)] = TORCH_NORM["momentum"],
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.bn = nn.BatchNorm2d(out_channels, eps, momentum)
        self.act = ACTIVATIONS[activation]()
        self.pool = nn.MaxPool2d(3, 2, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/4 W/4"]:
        return self.pool(self.act(self.bn(self.conv(x))))


@component("stem", title="Focus stem", aliases=("Space to depth", "Pixel unshuffle", "YOLOv5 Focus"))
class FocusStem(nn.Module):
    """Each 2x2 square of pixels becomes four times the channels, then a 3x3 convolution: no pixel is skipped.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2]; the last row or column of an odd size left out.
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 65536, 8)] = 64
    ) -> None:
        super().__init__()
        self.conv = ConvNormAct(4 * in_channels, out_channels, 3)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H_half W_half"]:
        height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
        x = x[..., :height, :width]
        corners = (x[..., row::2, column::2] for column in (0, 1) for row in (0, 1))
        return self.conv(torch.cat(list(corners), 1))


@component("stem", title="Patch stem", paper="Dosovitskiy et al. 2021, arXiv:2010.11929", aliases=("Patchify", "ViT"))
class PatchStem(nn.Module):
    """Cuts the image into squares and projects each: a convolution whose stride is its kernel.

    Args:
        out_channels: channels it gives.
        patch: side of a square.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/patch, W/patch], rounded down.
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 96,
        patch: Annotated[int, Range(1, 64), Unit("px")] = 4,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, patch, patch)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H_patch W_patch"]:
        return self.conv(x)
