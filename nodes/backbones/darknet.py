"""Darknet53 and its cross-stage-partial relatives: CSPDarknet53, CSPResNet-50 and CSPResNeXt-50."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.mobilenet import LEVELS, Pyramid
from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.cross_stage import DARKNET_PAPER, LEAKY, PAPER, Activation, csp_dark_stage, csp_resnet_stage, dark_stage
from nodes.pooling import MaxPool
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite

DARKNETS = {17: (1, 1, 1, 1, 1), 21: (1, 1, 1, 2, 2), 53: (1, 2, 8, 8, 4)}
"""Residual pairs of each stage, by depth."""


@composite(
    "backbone", title="Darknet", outputs=LEVELS, paper=DARKNET_PAPER,
    aliases=("Darknet53", "YOLOv3 backbone"),
)  # fmt: skip
def darknet(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    depth: Annotated[int, Choices(*DARKNETS)] = 53,
    activation: Activation = LEAKY,
) -> Pyramid:
    """Darknet: a 3x3 convolution and five stages of residual pairs; YOLOv3's backbone at depth 53.

    Args:
        depth: layers with weights.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 64, 128, 256, 512, 1024 channels.
    """
    x = g.add(ConvNormAct, x, name="stem", out_channels=32, activation=activation, **TORCH_NORM)
    levels: list[Any] = []
    for i, pairs in enumerate(DARKNETS[depth]):
        x = g.add(dark_stage, x, name=f"stage{i + 1}", out_channels=64 << i, depth=pairs, activation=activation)
        levels.append(x)
    return tuple(levels)


@composite(
    "backbone", title="CSPDarknet53", outputs=LEVELS, paper=f"{PAPER}; YOLOv4, arXiv:2004.10934",
    aliases=("YOLOv4 backbone",),
)  # fmt: skip
def csp_darknet53(g: Builder, x: Float[Tensor, "B C H W"], activation: Activation = "mish") -> Pyramid:
    """CSPDarknet53: Darknet53 whose stages run on half of the channels. YOLOv4's backbone, with Mish.

    Args:
        activation: function after every norm; mish in YOLOv4, leaky_relu_0.01 in timm's weights.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 64, 128, 256, 512, 1024 channels.
    """
    x = g.add(ConvNormAct, x, name="stem", out_channels=32, activation=activation, **TORCH_NORM)
    levels: list[Any] = []
    for i, depth in enumerate(DARKNETS[53]):
        x = g.add(
            csp_dark_stage,
            x,
            name=f"stage{i + 1}",
            out_channels=64 << i,
            depth=depth,
            full=i == 0,
            activation=activation,
        )
        levels.append(x)
    return tuple(levels)


@composite("backbone", title="CSPResNet", outputs=LEVELS, paper=PAPER, aliases=("CSPResNet-50", "CSPResNeXt-50"))
def csp_resnet(
    g: Builder,
    x: Float[Tensor, "B C H W"],
    variant: Annotated[str, Choices("resnet50", "resnext50")] = "resnet50",
    activation: Activation = LEAKY,
) -> Pyramid:
    """CSPResNet-50 or CSPResNeXt-50: a 7x7 stem and four cross-stage-partial stages of bottlenecks.

    Args:
        variant: resnet50, or resnext50 with 32 groups.
        activation: function after the norms; leaky_relu_0.01 in timm's weights.

    Shapes: x [B, C, H, W] -> maps at strides 2, 4, 8, 16, 32 with 64, then 128 to 1024 (resnet50) or 256 to 2048
    channels.
    """
    grouped = variant == "resnext50"
    x = g.add(
        ConvNormAct, x, name="stem", out_channels=64, kernel_size=7, stride=2, activation=activation, **TORCH_NORM
    )
    levels: list[Any] = [x]
    x = g.add(MaxPool, x, name="pool", kernel_size=3, stride=2, padding=1)
    for i, depth in enumerate((3, 3, 5, 2)):
        x = g.add(
            csp_resnet_stage, x, name=f"stage{i + 1}", out_channels=(256 if grouped else 128) << i, depth=depth,
            stride=2 if i else 1, expansion=1 if grouped else 2, groups=32 if grouped else 1, activation=activation,
        )  # fmt: skip
        levels.append(x)
    return tuple(levels)
