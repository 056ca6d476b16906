"""Cross-stage-partial blocks of the YOLO family."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ConvNormAct
from nodes.sdk.declare import Choices, Dim, Range, component


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


@component(
    "block/csp",
    title="YOLO bottleneck",
    aliases=("Bottleneck", "Darknet residual"),
    paper="Redmon and Farhadi 2018, arXiv:1804.02767",
)
class CSPBottleneck(nn.Module):
    """The YOLO family's residual block: two 3x3 convolutions, the first to a share of the channels.

    Args:
        out_channels: channels it gives.
        ratio: channels between the two, as a share of those it gives.
        shortcut: whether the input is added where the channels stay.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536)] = 64,
        ratio: Annotated[float, Range(0.125, 4.0)] = 0.5,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        inner = max(1, int(out_channels * ratio))
        self.cv1 = ConvNormAct(in_channels, inner, 3)
        self.cv2 = ConvNormAct(inner, out_channels, 3)
        self.add = shortcut and in_channels == out_channels

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
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


class KernelBottleneck(nn.Module):
    """Two convolutions with a skip connection when the channels stay. x [B, C, H, W] -> [B, C, H, W].

    Args:
        channels: of input and output.
        kernels: of the two convolutions.
        shortcut: whether the input is added.
        ratio: channels between the two, as a share.
    """

    def __init__(self, channels: int, kernels: tuple[int, int], shortcut: bool, ratio: float = 1.0) -> None:
        super().__init__()
        inner = int(channels * ratio)
        self.cv1 = ConvNormAct(channels, inner, kernels[0])
        self.cv2 = ConvNormAct(inner, channels, kernels[1])
        self.add = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.add else y


@component("block/csp", aliases=("CSP", "YOLOv5 block", "C3k"), paper="Wang et al. 2020, arXiv:1911.11929")
class C3(nn.Module):
    """YOLOv5's CSP block: one of two 1x1 paths goes through bottlenecks, a third 1x1 fuses both.

    Args:
        out_channels: channels it gives.
        depth: bottlenecks in the chain.
        shortcut: whether each bottleneck adds its input; on in backbones, off in necks.
        first_kernel: of each bottleneck's first convolution; 1 in YOLOv5, 3 in YOLO11's C3k.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 1,
        shortcut: bool = True,
        first_kernel: Annotated[int, Choices(1, 3, 5)] = 1,
    ) -> None:
        super().__init__()
        half = out_channels // 2
        second = max(3, first_kernel)
        self.cv1 = ConvNormAct(in_channels, half, 1)
        self.cv2 = ConvNormAct(in_channels, half, 1)
        self.cv3 = ConvNormAct(2 * half, out_channels, 1)
        self.m = nn.Sequential(*(KernelBottleneck(half, (first_kernel, second), shortcut) for _ in range(depth)))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


@component("block/csp", aliases=("YOLO11 block", "C3k2"), paper="Wang et al. 2020, arXiv:1911.11929")
class C3k2(nn.Module):
    """YOLO11's CSP block: as C2f, with narrow bottlenecks or with small C3 blocks in the chain.

    Args:
        out_channels: channels it gives.
        depth: links of the chain.
        nested: whether each link is a C3 of two 3x3 bottlenecks; else a bottleneck of half the channels.
        ratio: channels of the chain, as a share of `out_channels`.
        shortcut: whether each bottleneck adds its input.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(4, 65536, 8)] = 64,
        depth: Annotated[int, Range(1, 64)] = 1,
        nested: bool = False,
        ratio: Annotated[float, Range(0.1, 1)] = 0.5,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        half = int(out_channels * ratio)
        if half < 2:
            raise ValueError(
                f"ratio {ratio:g} of {out_channels} channels leaves {half} for the chain, it needs at least 2. "
                f"Use a ratio of {math.ceil(200 / out_channels) / 100:g} or more."
            )
        self.cv1 = ConvNormAct(in_channels, 2 * half, 1)
        self.m = nn.ModuleList(
            C3(half, half, 2, shortcut, 3) if nested else KernelBottleneck(half, (3, 3), shortcut, 0.5)
            for _ in range(depth)
        )
        self.cv2 = ConvNormAct((2 + depth) * half, out_channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        kept = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            kept.append(block(kept[-1]))
        return self.cv2(torch.cat(kept, 1))


@component("block/csp", aliases=("CSP", "YOLOv4 block"), paper="Wang et al. 2020, arXiv:1911.11929")
class BottleneckCSP(nn.Module):
    """The CSP block of the first YOLOv5: plain 1x1 convolutions end both paths, one norm follows their concatenation.

    Args:
        out_channels: channels it gives.
        depth: bottlenecks in the chain.
        shortcut: whether each bottleneck adds its input.

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
        self.cv1 = ConvNormAct(in_channels, half, 1)
        self.cv2 = nn.Conv2d(in_channels, half, 1, bias=False)
        self.cv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * half, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)
        self.cv4 = ConvNormAct(2 * half, out_channels, 1)
        self.m = nn.Sequential(*(YoloBottleneck(half, half, shortcut) for _ in range(depth)))

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        both = torch.cat([self.cv3(self.m(self.cv1(x))), self.cv2(x)], 1)
        return self.cv4(self.act(self.bn(both)))
