"""PP-HGNetV2's stem and block, the backbone of RT-DETR and D-FINE: a chain of convolutions whose links are all kept.

Reference: PP-HGNetV2 of PaddleClas (Cui et al. 2021, arXiv:2109.15099, for the learned affine and the light
convolution); Zhao et al. 2024 (RT-DETR), arXiv:2304.08069.
"""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.sdk.declare import Choices, Dim, Range, component

PAPER = "PP-HGNetV2 (PaddleClas), as in Zhao et al. 2024, arXiv:2304.08069"
Eps = Annotated[float, Range(1e-8, 0.1)]
Momentum = Annotated[float, Range(0.001, 1)]


class LearnedAffine(nn.Module):
    """One learned factor and one learned shift for the whole map. x [B, C, H, W] -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x + self.bias


class _Layers:
    """Makes the convolutions of one stem or block: which norm they have, and whether an affine follows the ReLU."""

    def __init__(self, affine: bool, eps: float, momentum: float) -> None:
        self.affine, self.eps, self.momentum = affine, eps, momentum

    def conv(
        self, in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1, groups: int = 1
    ) -> ConvNormAct:
        """A convolution with norm, ReLU and affine."""
        made = ConvNormAct(in_channels, out_channels, kernel_size, stride, groups, "relu", self.eps, self.momentum)
        if self.affine:
            made.act = nn.Sequential(made.act, LearnedAffine())
        return made

    def corner(self, in_channels: int, out_channels: int) -> ConvNormAct:
        """A 2x2 convolution without padding."""
        made = self.conv(in_channels, out_channels)
        made.conv = nn.Conv2d(in_channels, out_channels, 2, bias=False)
        return made

    def light(self, in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
        """A 1x1 convolution without activation, then a depthwise one with ReLU."""
        pointwise = ConvNormAct(in_channels, out_channels, 1, activation="none", eps=self.eps, momentum=self.momentum)
        return nn.Sequential(pointwise, self.conv(out_channels, out_channels, kernel_size, groups=out_channels))


@component("stem", title="HG stem", paper=PAPER, aliases=("HGStem", "PP-HGNetV2 stem", "RT-DETR stem"))
class HGStem(nn.Module):
    """Two strided 3x3 convolutions; between them a max-pool beside two 2x2 convolutions, and a 1x1 sets the channels.

    Args:
        out_channels: channels it gives.
        width: channels inside, an even number.
        affine: a learned factor and shift behind every ReLU, as the small PP-HGNetV2 have it.
        eps: added to the variance in the norms; 1e-3 in the YOLO family.
        momentum: share of each batch in the norms' running statistics; 0.03 in the YOLO family.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/4, W/4].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 48,
        width: Annotated[int, Range(2, 65536, 8)] = 32,
        affine: bool = False,
        eps: Eps = TORCH_NORM["eps"],
        momentum: Momentum = TORCH_NORM["momentum"],
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"width is {width}, must be even. Use {width + 1}.")
        layers = _Layers(affine, eps, momentum)
        self.down = layers.conv(in_channels, width, 3, 2)
        self.corner1 = layers.corner(width, width // 2)
        self.corner2 = layers.corner(width // 2, width)
        self.join = layers.conv(2 * width, width, 3, 2)
        self.last = layers.conv(width, out_channels)
        self.pool = nn.MaxPool2d(2, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/4 W/4"]:
        # A row and a column of zeros after the last keep the size under each window of 2x2.
        x = functional.pad(self.down(x), (0, 1, 0, 1))
        inner = functional.pad(self.corner1(x), (0, 1, 0, 1))
        return self.last(self.join(torch.cat((self.pool(x), self.corner2(inner)), 1)))


@component("block/hg", title="HG block", paper=PAPER, aliases=("HGBlock", "PP-HGNetV2 block", "RT-DETR block"))
class HGBlock(nn.Module):
    """A chain of convolutions; the input and every link are concatenated, squeezed by a 1x1 and widened by another.

    Args:
        out_channels: channels it gives, an even number.
        width: channels of the chain.
        depth: convolutions in the chain.
        kernel_size: of the chain; odd.
        light: links of a 1x1 and a depthwise convolution in place of dense ones.
        shortcut: whether the input is added where the channels stay.
        affine: a learned factor and shift behind every ReLU, as the small PP-HGNetV2 have it.
        eps: added to the variance in the norms; 1e-3 in the YOLO family.
        momentum: share of each batch in the norms' running statistics; 0.03 in the YOLO family.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 128,
        width: Annotated[int, Range(1, 65536, 8)] = 48,
        depth: Annotated[int, Range(1, 64)] = 6,
        kernel_size: Annotated[int, Choices(3, 5, 7)] = 3,
        light: bool = False,
        shortcut: bool = False,
        affine: bool = False,
        eps: Eps = TORCH_NORM["eps"],
        momentum: Momentum = TORCH_NORM["momentum"],
    ) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"out_channels is {out_channels}, must be even. Use {out_channels + 1}.")
        layers = _Layers(affine, eps, momentum)
        link = layers.light if light else layers.conv
        self.chain = nn.ModuleList(link(width if i else in_channels, width, kernel_size) for i in range(depth))
        self.squeeze = layers.conv(in_channels + depth * width, out_channels // 2)
        self.excite = layers.conv(out_channels // 2, out_channels)
        self.add = shortcut and in_channels == out_channels

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        kept = [x]
        for link in self.chain:
            kept.append(link(kept[-1]))
        y = self.excite(self.squeeze(torch.cat(kept, 1)))
        return x + y if self.add else y
