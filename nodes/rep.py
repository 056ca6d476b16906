"""Re-parameterised convolutions: parallel branches in training, one 3x3 convolution once deployed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, torch_norms
from nodes.reparam import convolution, folded
from nodes.sdk.declare import Choices, Dim, Range, component


def branch(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias and its batch norm, as the YOLO family has it; padding keeps the size at stride 1."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, yolo_norm(out_channels))


def yolo_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm with the YOLO family's eps and momentum."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


def merged(branches: Iterable[nn.Module], identity: nn.BatchNorm2d | None = None) -> nn.Conv2d:
    """One convolution with bias that gives the sum of the branches in eval mode.

    Args:
        branches: from `branch`, of the same channels, stride and groups; the one with the largest kernel first.
        identity: the norm of a further branch without a convolution, if there is one.
    """
    pairs: list[Any] = [list(b.children()) for b in branches]
    largest: nn.Conv2d = pairs[0][0]
    folds = [folded(conv.weight, conv.bias, norm) for conv, norm in pairs]
    if identity is not None:
        kernel = torch.zeros_like(largest.weight[:, :, :1, :1])
        place = torch.arange(len(kernel), device=kernel.device)
        kernel[place, place % kernel.shape[1]] = 1.0
        folds.append(folded(kernel, None, identity))
    weight, bias = folds[0]
    for kernel, shift in folds[1:]:
        rim = (weight.shape[-1] - kernel.shape[-1]) // 2
        weight = weight + nn.functional.pad(kernel, [rim] * 4)
        bias = bias + shift
    return convolution(largest, weight, bias)


@component(
    "block/rep",
    paper="Ding et al. 2021, arXiv:2101.03697; YOLO form Wang et al. 2022, arXiv:2207.02696",
    aliases=("Re-parameterised convolution", "RepVGG", "YOLOv7 RepConv"),
)
class RepConv(nn.Module):
    """Parallel 3x3 and 1x1 convolutions, each with batch norm, added and activated; deployed as one 3x3.

    This is the YOLO family's form of RepVGG's block: SiLU, batch norm with eps 1e-3 and momentum 0.03, and the
    branch without a convolution (batch norm alone) only on request.

    Args:
        out_channels: channels it gives.
        stride: 2 halves the size.
        groups: 1 is dense; must divide the channels on both sides.
        identity: adds a third branch, batch norm alone; it takes equal channels and stride 1.
        activation: function after the sum.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        stride: Annotated[int, Choices(1, 2)] = 1,
        groups: Annotated[int, Range(1, 65536)] = 1,
        identity: bool = False,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "silu",
    ) -> None:
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"groups is {groups}, must divide {name} {channels}. Use 1.")
        if identity and (in_channels != out_channels or stride != 1):
            raise ValueError(
                f"identity needs as many channels out as in and stride 1; got {in_channels} in, {out_channels} out, "
                f"stride {stride}. Switch identity off, or set out_channels to {in_channels} and stride to 1."
            )
        self.conv3 = branch(in_channels, out_channels, 3, stride, groups)
        self.conv1 = branch(in_channels, out_channels, 1, stride, groups)
        self.skip = yolo_norm(out_channels) if identity else None
        self.act = ACTIVATIONS[activation]()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        y = self.conv3(x) + self.conv1(x)
        return self.act(y if self.skip is None else y + self.skip(x))

    def fuse(self) -> nn.Module:
        """One 3x3 convolution with bias, and the activation."""
        return nn.Sequential(merged((self.conv3, self.conv1), self.skip), self.act)


@component(
    "block/rep",
    title="RepVGG block",
    paper="Ding et al. 2021, arXiv:2101.03697",
    aliases=("RepVGG", "Re-parameterised VGG"),
)
class RepVGGBlock(RepConv):
    """RepVGG's block: 3x3, 1x1 and identity branches, each with batch norm, added; then ReLU. Deployed as one 3x3.

    The identity branch exists where channels and size stay. Batch norm uses eps 1e-5 and momentum 0.1.

    Args:
        out_channels: channels it gives.
        stride: 2 halves the size.
        groups: 1 is dense; must divide the channels on both sides.

    Shapes: x [B, C, H, W] -> [B, out_channels, H/stride, W/stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        stride: Annotated[int, Choices(1, 2)] = 1,
        groups: Annotated[int, Range(1, 65536)] = 1,
    ) -> None:
        stays = in_channels == out_channels and stride == 1
        super().__init__(in_channels, out_channels, stride, groups, identity=stays, activation="relu")
        torch_norms(self)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return super().forward(x)
