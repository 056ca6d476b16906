"""HRNet: branches at several resolutions, side by side from the start to the end, that exchange what they see."""

from __future__ import annotations

from typing import Annotated, Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.backbones.resnet import resnet_stage
from nodes.conv import ConvNormAct, torch_norms
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite

PAPER = "Wang et al. 2020, arXiv:1908.07919"

BLOCKS = 4
"""Residual blocks of one branch in one module."""

MODULES = {2: 1, 3: 4, 4: 3}
"""Modules in a row in the stage with that many branches."""


def _started(module: nn.Module) -> None:
    """Kaiming weights, and torch's own norms."""
    torch_norms(module)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


@component("stem", title="HRNet stem", paper=PAPER)
class HRNetStem(nn.Sequential):
    """Two 3x3 convolutions of stride 2, each with batch norm and ReLU.

    Args:
        out_channels: channels that both give.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/4, W/4].
    """

    def __init__(
        self, in_channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 65536, 8)] = 64
    ) -> None:
        super().__init__(
            ConvNormAct(in_channels, out_channels, stride=2, activation="relu"),
            ConvNormAct(out_channels, out_channels, stride=2, activation="relu"),
        )
        _started(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/4 W/4"]:
        return super().forward(x)


@component("backbone/hrnet", title="HRNet transition", paper=PAPER)
class HRNetTransition(nn.Module):
    """Makes the first map of a new branch: a 3x3 convolution with batch norm and ReLU.

    Args:
        out_channels: channels of the branch.
        stride: 2 for a branch of half the resolution.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 18,
        stride: Annotated[int, Choices(1, 2)] = 1,
    ) -> None:
        super().__init__()
        self.block = ConvNormAct(in_channels, out_channels, stride=stride, activation="relu")
        _started(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return self.block(x)


@component("fusion", title="HRNet exchange", paper=PAPER, aliases=("Multi-resolution fusion", "HRNet fuse layer"))
class HRNetExchange(nn.Module):
    """Brings the maps of all branches to the size and channels of one of them and adds them; then ReLU.

    A coarser map gets a 1x1 convolution with batch norm and is enlarged to the nearest cell; a finer one goes through
    3x3 convolutions of stride 2 with batch norm, ReLU between, that halve it once for each step.

    Args:
        target: which branch's size and channels come out; 0 is the first.

    Shapes: xs [B, C_i, H_i, W_i], finest first, each half the size of the one before -> [B, C_target, H_target,
    W_target].
    """

    def __init__(
        self, channels: Annotated[tuple[int, ...], Dim("C_")], target: Annotated[int, Range(0, 7)] = 0
    ) -> None:
        super().__init__()
        if target >= len(channels):
            raise ValueError(
                f"target is {target}, there are {len(channels)} maps. Choose 0 to {len(channels) - 1}, or wire more."
            )
        self.target = target
        self.paths = nn.ModuleList(_path(channels, source, target) for source in range(len(channels)))
        self.relu = nn.ReLU()
        _started(self)

    def forward(self, *xs: Float[Tensor, "B C_ H_ W_"]) -> Float[Tensor, "B D I J"]:
        height, width = xs[self.target].shape[2:]
        maps = [path(x) for x, path in zip(xs, self.paths, strict=True)]
        total = maps[self.target]
        for source, y in enumerate(maps):
            if source > self.target:
                y = F.interpolate(y, (height, width), mode="nearest")
            if source != self.target:
                total = total + y
        return self.relu(total)


def _path(channels: tuple[int, ...], source: int, target: int) -> nn.Module:
    """What one map goes through before the sum, but for the enlarging."""
    if source == target:
        return nn.Identity()
    if source > target:
        return ConvNormAct(channels[source], channels[target], 1, activation="none")
    halvings = [
        ConvNormAct(channels[source], channels[source], stride=2, activation="relu") for _ in range(target - source - 1)
    ]
    return nn.Sequential(*halvings, ConvNormAct(channels[source], channels[target], stride=2, activation="none"))


def _modules(g: Builder, maps: list[Any], width: int) -> tuple[Any, ...]:
    """The modules of one stage: in each, every branch's residual blocks and then the exchange between branches."""
    for m in range(MODULES[len(maps)]):
        seen = [
            g.add(resnet_stage, x, name=f"module{m}_branch{i}", block="basic", width=width << i, depth=BLOCKS)
            for i, x in enumerate(maps)
        ]
        maps = [g.add(HRNetExchange, *seen, name=f"module{m}_out{i}", target=i) for i in range(len(maps))]
    return tuple(maps)


@composite("backbone/hrnet", outputs=("c2", "c3"), title="HRNet stage, 2 branches", paper=PAPER)
def hrnet_stage2(
    g: Builder,
    c2: Float[Tensor, "B C2 H W"],
    c3: Float[Tensor, "B C3 H/2 W/2"],
    width: Annotated[int, Range(1, 1024)] = 18,
) -> tuple[Float[Tensor, "B D2 H W"], Float[Tensor, "B D3 H/2 W/2"]]:
    """One module of two branches: four residual blocks each, then the exchange between them.

    Args:
        width: channels of the first branch; the second has twice as many.

    Shapes: c2 [B, width, H, W], c3 [B, 2*width, H/2, W/2] -> the same shapes.
    """
    return _modules(g, [c2, c3], width)


@composite("backbone/hrnet", outputs=("c2", "c3", "c4"), title="HRNet stage, 3 branches", paper=PAPER)
def hrnet_stage3(
    g: Builder,
    c2: Float[Tensor, "B C2 H W"],
    c3: Float[Tensor, "B C3 H/2 W/2"],
    c4: Float[Tensor, "B C4 H/4 W/4"],
    width: Annotated[int, Range(1, 1024)] = 18,
) -> tuple[Float[Tensor, "B D2 H W"], Float[Tensor, "B D3 H/2 W/2"], Float[Tensor, "B D4 H/4 W/4"]]:
    """Four modules of three branches: four residual blocks each, then the exchange between them.

    Args:
        width: channels of the first branch; each next one has twice as many.

    Shapes: c2 [B, width, H, W], c3 [B, 2*width, H/2, W/2], c4 [B, 4*width, H/4, W/4] -> the same shapes.
    """
    return _modules(g, [c2, c3, c4], width)


@composite("backbone/hrnet", outputs=("c2", "c3", "c4", "c5"), title="HRNet stage, 4 branches", paper=PAPER)
def hrnet_stage4(
    g: Builder,
    c2: Float[Tensor, "B C2 H W"],
    c3: Float[Tensor, "B C3 H/2 W/2"],
    c4: Float[Tensor, "B C4 H/4 W/4"],
    c5: Float[Tensor, "B C5 H/8 W/8"],
    width: Annotated[int, Range(1, 1024)] = 18,
) -> tuple[
    Float[Tensor, "B D2 H W"],
    Float[Tensor, "B D3 H/2 W/2"],
    Float[Tensor, "B D4 H/4 W/4"],
    Float[Tensor, "B D5 H/8 W/8"],
]:
    """Three modules of four branches: four residual blocks each, then the exchange between them.

    Args:
        width: channels of the first branch; each next one has twice as many.

    Shapes: c2 [B, width, H, W], c3 [B, 2*width, H/2, W/2], c4 [B, 4*width, H/4, W/4], c5 [B, 8*width, H/8, W/8] ->
    the same shapes.
    """
    return _modules(g, [c2, c3, c4, c5], width)


@composite(
    "backbone",
    outputs=("c2", "c3", "c4", "c5"),
    title="HRNet",
    paper=PAPER,
    aliases=("High-resolution network", "HRNet-W18", "HRNet-W32"),
)
def hrnet(
    g: Builder, x: Float[Tensor, "B C H W"], width: Annotated[int, Choices(18, 30, 32, 40, 44, 48, 64)] = 18
) -> tuple[
    Float[Tensor, "B C2 H/4 W/4"],
    Float[Tensor, "B C3 H/8 W/8"],
    Float[Tensor, "B C4 H/16 W/16"],
    Float[Tensor, "B C5 H/32 W/32"],
]:
    """HRNet: a stem, four bottlenecks, then stages of two, three and four branches that exchange what they see.

    The branch at stride 4 is kept from the start to the end.

    Args:
        width: channels of the finest branch; each coarser one has twice as many.

    Shapes: x [B, C, H, W] -> maps at strides 4, 8, 16, 32 with width, 2*width, 4*width and 8*width channels.
    """
    x = g.add(HRNetStem, x, name="stem")
    x = g.add(resnet_stage, x, name="stage1", block="bottleneck", width=64, depth=4)
    c2 = g.add(HRNetTransition, x, name="branch1", out_channels=width)
    c3 = g.add(HRNetTransition, x, name="branch2", out_channels=2 * width, stride=2)
    c2, c3 = g.add(hrnet_stage2, c2, c3, name="stage2", width=width)
    c4 = g.add(HRNetTransition, c3, name="branch3", out_channels=4 * width, stride=2)
    c2, c3, c4 = g.add(hrnet_stage3, c2, c3, c4, name="stage3", width=width)
    c5 = g.add(HRNetTransition, c4, name="branch4", out_channels=8 * width, stride=2)
    return g.add(hrnet_stage4, c2, c3, c4, c5, name="stage4", width=width)
