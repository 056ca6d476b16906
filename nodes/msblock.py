"""MSBlock of YOLO-MS: pieces of the channels see kernels of different size, one after the other."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct, torch_norms
from nodes.sdk.declare import Choices, Dim, Range, component

PAPER = "Chen et al. 2023, arXiv:2308.05480"


class InvertedBottleneck(nn.Sequential):
    """1x1 to twice the channels, depthwise k x k, 1x1 back; no skip connection. x [B, C, H, W] -> same."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        wide = 2 * channels
        super().__init__(
            ConvNormAct(channels, wide, 1),
            ConvNormAct(wide, wide, kernel_size, groups=wide),
            ConvNormAct(wide, channels, 1),
        )


@component("block/csp", paper=PAPER, aliases=("YOLO-MS block", "Multi-scale block"))
class MSBlock(nn.Module):
    """YOLO-MS's block: three pieces of the channels in a cascade, two of them through large-kernel bottlenecks.

    A 1x1 convolution to 3 * C / squeeze channels, split in three. The first piece is kept; each other one adds what
    the piece before gave and goes through `depth` inverted bottlenecks. All are concatenated and fused by a 1x1.
    Batch norm uses eps 1e-5 and momentum 0.1, unlike others of the YOLO family.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the depthwise kernels; it grows with the stage: 3, 5, 7, 9.
        depth: bottlenecks of each piece.
        squeeze: divides the pieces' channels; 1 in the backbone, 2 in the neck.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 128,
        kernel_size: Annotated[int, Choices(3, 5, 7, 9)] = 3,
        depth: Annotated[int, Range(1, 64)] = 3,
        squeeze: Annotated[int, Range(1, 16)] = 1,
    ) -> None:
        super().__init__()
        piece = 3 * in_channels // squeeze // 3
        if not piece:
            raise ValueError(f"squeeze is {squeeze}, must be at most the {in_channels} channels. Use 1.")
        self.cv1 = ConvNormAct(in_channels, 3 * piece, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(*(InvertedBottleneck(piece, kernel_size) for _ in range(depth))) for _ in range(2)
        )
        self.cv2 = ConvNormAct(3 * piece, out_channels, 1)
        torch_norms(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        kept, *pieces = self.cv1(x).chunk(3, 1)
        results = [kept]
        for piece, branch in zip(pieces, self.branches, strict=True):
            results.append(branch(piece + results[-1]))
        return self.cv2(torch.cat(results, 1))
