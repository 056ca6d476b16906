"""YOLOv6's blocks: chains of re-parameterised convolutions, plain for small models and cross-stage-partial for large.

Reference: Li et al. 2022, arXiv:2209.02976; 2023, arXiv:2301.05586.
"""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.rep import RepConv
from nodes.sdk.declare import Choices, Dim, Range, component

PAPER = "Li et al. 2022, arXiv:2209.02976; 2023, arXiv:2301.05586"


def rep_vgg(in_channels: int, out_channels: int, stride: int = 1) -> RepConv:
    """A RepVGG block with the norms of the YOLO family and ReLU; its identity branch exists where all stays."""
    stays = in_channels == out_channels and stride == 1
    return RepConv(in_channels, out_channels, stride, identity=stays, activation="relu")


@component("block/rep", title="Rep block", paper=PAPER, aliases=("RepBlock", "YOLOv6 block", "RepVGG stack"))
class RepBlock(nn.Sequential):
    """RepVGG blocks one after another; the first changes the channels. Deployed as one 3x3 each.

    Args:
        out_channels: channels it gives.
        depth: RepVGG blocks.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 2,
    ) -> None:
        super().__init__(*(rep_vgg(out_channels if i else in_channels, out_channels) for i in range(depth)))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return super().forward(x)


class RepPair(nn.Module):
    """Two 3x3 convolutions, added to their input times a learned factor. x [B, C, H, W] -> the same.

    Args:
        channels: of every layer.
        rep: re-parameterised convolutions with ReLU; plain ones with SiLU otherwise.
    """

    def __init__(self, channels: int, rep: bool) -> None:
        super().__init__()
        self.cv1, self.cv2 = (
            rep_vgg(channels, channels) if rep else ConvNormAct(channels, channels, 3) for _ in range(2)
        )
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv2(self.cv1(x)) + self.factor * x


@component("block/csp", title="Rep CSP pairs", paper=PAPER, aliases=("BepC3", "CSPStackRep", "YOLOv6 block"))
class RepPairCSP(nn.Module):
    """A cross-stage-partial block: one 1x1 path goes through pairs of 3x3 convolutions, one around; a 1x1 joins both.

    Args:
        out_channels: channels it gives.
        depth: 3x3 convolutions in the chain; every two make a pair, one pair at least.
        ratio: channels of the paths over those it gives: 2/3 in YOLOv6-M, 1/2 in L.
        rep: re-parameterised convolutions with ReLU; plain ones with SiLU otherwise.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 2,
        ratio: Annotated[float, Choices(0.5, 0.6667)] = 0.5,
        rep: bool = True,
    ) -> None:
        super().__init__()
        width = max(1, int(out_channels * (2 / 3 if ratio > 0.5 else 0.5)))
        act = {"activation": "relu" if rep else "silu"}
        self.cv1 = ConvNormAct(in_channels, width, 1, **act)  # type: ignore[arg-type]
        self.cv2 = ConvNormAct(in_channels, width, 1, **act)  # type: ignore[arg-type]
        self.chain = nn.Sequential(*(RepPair(width, rep) for _ in range(max(1, depth // 2))))
        self.cv3 = ConvNormAct(2 * width, out_channels, 1, **act)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.cv3(torch.cat((self.chain(self.cv1(x)), self.cv2(x)), 1))
