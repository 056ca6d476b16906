"""Cross-stage-partial blocks of the YOLO family."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.sdk.declare import Dim, Range, component


class YoloBottleneck(nn.Module):
    """Two 3x3 convolutions with a skip connection when the channels stay. x [B, C, H, W] -> [B, out, H, W]."""

    def __init__(self, channels: int, out_channels: int, shortcut: bool) -> None:
        super().__init__()
        self.cv1 = ConvNormAct(channels, out_channels, 3)
        self.cv2 = ConvNormAct(out_channels, out_channels, 3)
        self.add = shortcut and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.add else y


@component("block/csp", aliases=("CSP", "C2f", "YOLOv8 block"), paper="Wang et al. 2020, arXiv:1911.11929")
class C2f(nn.Module):
    """YOLOv8's CSP block: every bottleneck's result is kept and all are fused by a 1x1 convolution.

    A 1x1 convolution, split in two halves; `depth` bottlenecks chained on the second half; all (2 + depth) halves
    concatenated and fused.

    Args:
        out_channels: channels it gives.
        depth: bottlenecks in the chain.
        shortcut: whether each bottleneck adds its input; on in backbones, off in necks.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 1,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        self.cv1 = ConvNormAct(in_channels, 2 * half, 1)
        self.m = nn.ModuleList(YoloBottleneck(half, half, shortcut) for _ in range(depth))
        self.cv2 = ConvNormAct((2 + depth) * half, out_channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        kept = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            kept.append(block(kept[-1]))
        return self.cv2(torch.cat(kept, 1))
