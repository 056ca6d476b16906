"""ResNet: its two residual blocks and the backbone drawn from them."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, TORCH_NORM
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite
from nodes.stems import ResNetStem

PAPER = "He et al. 2016, arXiv:1512.03385"


def _conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = kernel_size // 2 * dilation
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _projection(
    in_channels: int,
    out_channels: int,
    stride: int,
    eps: float = TORCH_NORM["eps"],
    momentum: float = TORCH_NORM["momentum"],
) -> nn.Module:
    """The skip path: nothing when the shape stays, else a 1x1 convolution with batch norm."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(_conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels, eps, momentum))


@component("block/residual", paper=PAPER, aliases=("ResNet block", "Residual"))
class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip connection: the block of ResNet-18 and -34.

    Args:
        out_channels: channels it gives.
        stride: 2 halves the size.
        dilation: 2 looks at every other cell, which widens the view without halving.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        stride: Annotated[int, Choices(1, 2)] = 1,
        dilation: Annotated[int, Range(1, 64)] = 1,
    ) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, out_channels, 3, stride, dilation)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv(out_channels, out_channels, 3, 1, dilation)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.skip = _projection(in_channels, out_channels, stride)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.skip(x))


@component("block/residual", paper=PAPER, aliases=("ResNet bottleneck", "Residual"))
class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a skip connection: the block of ResNet-50 and deeper.

    The 3x3 carries the stride (v1.5).

    Args:
        width: channels of the 3x3; it gives four times as many.
        stride: 2 halves the size.
        dilation: of the 3x3; 2 looks at every other cell, which widens the view without halving.
        activation: function after the first two norms; ReLU in the paper, and always after the sum.
        eps: added to the variance in the norms; 1e-3 in the YOLO family.
        momentum: share of each batch in the norms' running statistics; 0.03 in the YOLO family.

    Shapes: x [B, C, H, W] -> [B, 4*width, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        width: Annotated[int, Range(1, 16384, 8)] = 64,
        stride: Annotated[int, Choices(1, 2)] = 1,
        dilation: Annotated[int, Range(1, 64)] = 1,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "relu",
        eps: Annotated[float, Range(1e-8, 0.1)] = TORCH_NORM["eps"],
        momentum: Annotated[float, Range(0.001, 1)] = TORCH_NORM["momentum"],
    ) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = _conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width, eps, momentum)
        self.conv2 = _conv(width, width, 3, stride, dilation)
        self.bn2 = nn.BatchNorm2d(width, eps, momentum)
        self.conv3 = _conv(width, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels, eps, momentum)
        self.act = ACTIVATIONS[activation]()
        self.relu = nn.ReLU(inplace=True)
        self.skip = _projection(in_channels, out_channels, stride, eps, momentum)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        y = self.act(self.bn1(self.conv1(x)))
        y = self.act(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.skip(x))


@composite("backbone/resnet", title="ResNet stage", paper=PAPER)
def resnet_stage(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    block: Annotated[str, Choices("basic", "bottleneck")] = "bottleneck",
    width: Annotated[int, Range(1, 16384, 8)] = 64,
    depth: Annotated[int, Range(1, 100)] = 3,
    stride: Annotated[int, Choices(1, 2)] = 1,
    dilation: Annotated[int, Range(1, 64)] = 1,
) -> Float[Tensor, "B D H/s W/s"]:
    """Residual blocks of one width; the first carries the stride.

    Args:
        block: basic (18, 34) or bottleneck (50 and deeper).
        width: channels of the 3x3 convolutions.
        depth: number of blocks.
        stride: of the first block; 2 halves the size.
        dilation: of the 3x3 convolutions in place of halving; the first block has half of it.

    Shapes: x [B, C, H, W] -> [B, width or 4*width, H/stride, W/stride].
    """
    for i in range(depth):
        options = {"stride": stride if i == 0 else 1, "dilation": max(1, dilation // 2) if i == 0 else dilation}
        if block == "basic":
            x = g.add(BasicBlock, x, name=f"block{i}", out_channels=width, **options)
        else:
            x = g.add(Bottleneck, x, name=f"block{i}", width=width, **options)
    return x


DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@composite(
    "backbone",
    title="ResNet",
    outputs=("c2", "c3", "c4", "c5"),
    paper=PAPER,
    aliases=("ResNet-50", "ResNet-18", "Residual network"),
)
def resnet(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    depth: Annotated[int, Choices(*DEPTHS)] = 50,
    output_stride: Annotated[int, Choices(8, 16, 32)] = 32,
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """ResNet: a stem and four stages of residual blocks.

    Args:
        depth: layers with weights: 18 and 34 use basic blocks, 50 and deeper bottlenecks.
        output_stride: of the last map; at 16 or 8 the last stages dilate in place of halving, as segmentation wants it.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32, none above output_stride, with 64 to 512 (18, 34) or 256 to
    2048 channels.
    """
    block = "basic" if depth < 50 else "bottleneck"
    x = g.add(ResNetStem, x, name="stem")
    levels: list[Any] = []
    for i, blocks in enumerate(DEPTHS[depth]):
        dilation = max(1, (4 << i) // output_stride)
        stride = 2 if i > 0 and dilation == 1 else 1
        options = {"block": block, "width": 64 << i, "depth": blocks, "stride": stride, "dilation": dilation}
        x = g.add(resnet_stage, x, name=f"stage{i + 1}", **options)
        levels.append(x)
    return tuple(levels)
