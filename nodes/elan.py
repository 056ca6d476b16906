"""Layer aggregation: YOLOv7's ELAN, its downsampling, and YOLOv9's GELAN."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, ConvNormAct
from nodes.rep import RepConv
from nodes.sdk.declare import Choices, Dim, Range, component

ELAN_PAPER = "Wang et al. 2022, arXiv:2211.04800; YOLOv7, arXiv:2207.02696"
GELAN_PAPER = "Wang et al. 2024, arXiv:2402.13616"


@component("block/elan", paper=ELAN_PAPER, aliases=("YOLOv7 block", "E-ELAN"))
class ELAN(nn.Module):
    """Efficient layer aggregation: a chain of 3x3 convolutions, whose links are kept and fused by a 1x1.

    YOLOv7 has 2 links of 2 convolutions in its backbone and 4 of 1, half as wide, in its neck; its tiny form 2 of 1.

    Args:
        out_channels: channels it gives.
        inner: channels of the two 1x1 paths.
        links: links in the chain.
        convs: 3x3 convolutions in a link.
        chain: channels of the chain; 0 for those of the paths.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 256,
        inner: Annotated[int, Range(1, 65536, 8)] = 64,
        links: Annotated[int, Range(1, 16)] = 2,
        convs: Annotated[int, Range(1, 8)] = 2,
        chain: Annotated[int, Range(0, 65536, 8)] = 0,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "silu",
    ) -> None:
        super().__init__()
        width = chain or inner
        self.side = ConvNormAct(in_channels, inner, 1, activation=activation)
        self.start = ConvNormAct(in_channels, inner, 1, activation=activation)
        self.chain = nn.ModuleList()
        for i in range(links):
            first = inner if i == 0 else width
            self.chain.append(
                nn.Sequential(
                    *(ConvNormAct(width if j else first, width, 3, activation=activation) for j in range(convs))
                )
            )
        self.fuse_all = ConvNormAct(2 * inner + links * width, out_channels, 1, activation=activation)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        kept = [self.side(x), self.start(x)]
        for link in self.chain:
            kept.append(link(kept[-1]))
        return self.fuse_all(torch.cat(kept[::-1], 1))


@component("downsample", title="ELAN downsample", paper=ELAN_PAPER, aliases=("MPConv", "YOLOv7 downsample"))
class ELANDown(nn.Module):
    """Halves the size on two paths, max-pool with a 1x1 and a strided 3x3, and concatenates them.

    Args:
        out_channels: channels it gives, an even number.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2]; H and W even.
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(2, 65536, 2)] = 256
    ) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"out_channels is {out_channels}, must be even. Use {out_channels + 1}.")
        half = out_channels // 2
        # Ceil mode: an odd size becomes that of the strided path.
        self.pooled = nn.Sequential(nn.MaxPool2d(2, 2, ceil_mode=True), ConvNormAct(in_channels, half, 1))
        self.strided = nn.Sequential(ConvNormAct(in_channels, half, 1), ConvNormAct(half, half, 3, 2))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return torch.cat([self.strided(x), self.pooled(x)], 1)


class RepBottleneck(nn.Module):
    """A RepConv and a 3x3 convolution, added to the input. x [B, C, H, W] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = RepConv(channels, channels)
        self.cv2 = ConvNormAct(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x))


@component("block/csp", title="RepCSP", paper=GELAN_PAPER, aliases=("YOLOv9 block",))
class RepCSP(nn.Module):
    """C3 whose bottlenecks begin with a re-parameterised convolution.

    Args:
        out_channels: channels it gives.
        depth: bottlenecks in the chain.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 1,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.cv1 = ConvNormAct(in_channels, half, 1)
        self.cv2 = ConvNormAct(in_channels, half, 1)
        self.cv3 = ConvNormAct(2 * half, out_channels, 1)
        self.m = nn.Sequential(*(RepBottleneck(half) for _ in range(depth)))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


@component("block/elan", paper=GELAN_PAPER, aliases=("RepNCSPELAN4", "ELAN1", "YOLOv9 block"))
class GELAN(nn.Module):
    """Generalised ELAN: half of a 1x1's channels passes, the other goes through two stages; a 1x1 fuses all four parts.

    Args:
        out_channels: channels it gives.
        width: channels of the first 1x1, an even number.
        inner: channels of both stages.
        depth: bottlenecks of the RepCSP in each stage; 0 has a 3x3 convolution alone (ELAN1).

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 256,
        width: Annotated[int, Range(2, 65536, 2)] = 128,
        inner: Annotated[int, Range(2, 65536, 8)] = 64,
        depth: Annotated[int, Range(0, 64)] = 1,
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"width is {width}, must be even. Use {width + 1}.")
        self.cv1 = ConvNormAct(in_channels, width, 1)
        self.cv2 = _stage(width // 2, inner, depth)
        self.cv3 = _stage(inner, inner, depth)
        self.cv4 = ConvNormAct(width + 2 * inner, out_channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        first, second = self.cv1(x).chunk(2, 1)
        third = self.cv2(second)
        return self.cv4(torch.cat([first, second, third, self.cv3(third)], 1))


def _stage(in_channels: int, channels: int, depth: int) -> nn.Module:
    if depth == 0:
        return ConvNormAct(in_channels, channels, 3)
    return nn.Sequential(RepCSP(in_channels, channels, depth), ConvNormAct(channels, channels, 3))
