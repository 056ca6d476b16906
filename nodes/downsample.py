"""Ways to halve a map besides the strided convolution: YOLOv9's, YOLOv10's, ResNet-D's, pooled and blended ones."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nodes.conv import ConvNormAct
from nodes.rep import RepConv
from nodes.sdk.declare import Dim, Range, component

YOLOV9 = "Wang et al. 2024, arXiv:2402.13616"
Out = Annotated[int, Range(2, 65536, 8)]


@component("downsample", paper=YOLOV9, aliases=("YOLOv9 downsample",))
class ADown(nn.Module):
    """Averages neighbours, then halves one half of the channels by a strided 3x3 and the other by max-pool and 1x1.

    Args:
        out_channels: channels it gives, an even number.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2]; C even, the odd cell of an odd size left out.
    """

    def __init__(self, in_channels: Annotated[int, Dim("C")], out_channels: Out = 256) -> None:
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % 2:
                raise ValueError(f"{name} is {channels}, must be even. Use {channels + 1}.")
        self.strided = ConvNormAct(in_channels // 2, out_channels // 2, 3, 2)
        self.pooled = ConvNormAct(in_channels // 2, out_channels // 2, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H_half W_half"]:
        first, second = functional.avg_pool2d(x, 2, 1).chunk(2, 1)
        return torch.cat([self.strided(first), self.pooled(functional.max_pool2d(second, 3, 2, 1))], 1)


@component("downsample", paper=YOLOV9, aliases=("YOLOv9 downsample",))
class AConv(nn.Module):
    """Averages neighbours, then a strided 3x3 convolution with batch norm and SiLU.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2], the odd cell of an odd size left out.
    """

    def __init__(self, in_channels: Annotated[int, Dim("C")], out_channels: Out = 256) -> None:
        super().__init__()
        self.conv = ConvNormAct(in_channels, out_channels, 3, 2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H_half W_half"]:
        return self.conv(functional.avg_pool2d(x, 2, 1))


@component("downsample", paper="Wang et al. 2024, arXiv:2405.14458", aliases=("YOLOv10 downsample",))
class SCDown(nn.Module):
    """A 1x1 convolution sets the channels, a strided depthwise one without activation halves the size.

    Args:
        out_channels: channels it gives.
        kernel_size: of the depthwise convolution; odd.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Out = 256,
        kernel_size: Annotated[int, Range(3, 11, 2)] = 3,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, must be odd. Use {kernel_size + 1}.")
        self.pointwise = ConvNormAct(in_channels, out_channels, 1)
        self.depthwise = ConvNormAct(out_channels, out_channels, kernel_size, 2, out_channels, "none")

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return self.depthwise(self.pointwise(x))


@component("downsample", paper="Xu et al. 2022, arXiv:2211.15444", aliases=("DAMO-YOLO downsample",))
class MPRep(nn.Module):
    """Two halves of the channels: max-pool and a 1x1, and a strided re-parameterised 3x3.

    Args:
        out_channels: channels it gives, an even number.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(self, in_channels: Annotated[int, Dim("C")], out_channels: Out = 256) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"out_channels is {out_channels}, must be even. Use {out_channels + 1}.")
        half = out_channels // 2
        self.pooled = nn.Sequential(nn.MaxPool2d(2, 2, ceil_mode=True), ConvNormAct(in_channels, half, 1))
        self.strided = RepConv(in_channels, half, stride=2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return torch.cat([self.pooled(x), self.strided(x)], 1)


@component("downsample", title="AvgPool + conv", paper="He et al. 2019, arXiv:1812.01187", aliases=("ResNet-D",))
class AvgPoolConv(nn.Module):
    """A 2x2 average pool, then a 1x1 convolution with batch norm: ResNet-D's skip path, which loses no cell.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2].
    """

    def __init__(self, in_channels: Annotated[int, Dim("C")], out_channels: Out = 256) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.conv = ConvNormAct(in_channels, out_channels, 1, activation="none", eps=1e-5, momentum=0.1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/2 W/2"]:
        return self.conv(self.pool(x))


@component("downsample", title="Bilinear + conv", aliases=("Interpolate down",))
class BilinearDown(nn.Module):
    """Blends to half the size, then a 3x3 convolution with batch norm and SiLU.

    Args:
        out_channels: channels it gives.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/2, W/2], the odd cell of an odd size left out.
    """

    def __init__(self, in_channels: Annotated[int, Dim("C")], out_channels: Out = 256) -> None:
        super().__init__()
        self.conv = ConvNormAct(in_channels, out_channels, 3)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H_half W_half"]:
        return self.conv(functional.interpolate(x, scale_factor=0.5, mode="bilinear"))
