"""Re-parameterised convolutions: parallel branches in training, one 3x3 convolution once deployed."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS
from nodes.reparam import convolution, folded
from nodes.sdk.declare import Choices, Dim, Range, component


def merged(branches: list[tuple[nn.Conv2d, nn.BatchNorm2d]], identity: nn.BatchNorm2d | None = None) -> nn.Conv2d:
    """One convolution with bias that equals the sum of `norm(conv(x))` over the branches in eval mode.

    Args:
        branches: convolutions of the same channels, stride and groups with the norm behind each, the one with the
            largest kernel first; all kernels odd and padded by half their size.
        identity: the norm of a further branch without a convolution, if there is one.
    """
    largest = branches[0][0]
    weight, bias = folded(largest.weight, largest.bias, branches[0][1])
    parts = [folded(conv.weight, conv.bias, norm) for conv, norm in branches[1:]]
    if identity is not None:
        kernel = torch.zeros_like(largest.weight[:, :, :1, :1])
        place = torch.arange(len(kernel), device=kernel.device)
        kernel[place, place % kernel.shape[1]] = 1.0
        parts.append(folded(kernel, None, identity))
    for kernel, shift in parts:
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
        self.conv3 = _branch(in_channels, out_channels, 3, stride, groups)
        self.conv1 = _branch(in_channels, out_channels, 1, stride, groups)
        self.skip = _yolo_norm(out_channels) if identity else None
        self.act = ACTIVATIONS[activation]()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        y = self.conv3(x) + self.conv1(x)
        return self.act(y if self.skip is None else y + self.skip(x))

    def fuse(self) -> nn.Module:
        """One 3x3 convolution with bias, and the activation."""
        pairs = [(branch[0], branch[1]) for branch in (self.conv3, self.conv1)]
        return nn.Sequential(merged(pairs, self.skip), self.act)


def _yolo_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


def _branch(in_channels: int, out_channels: int, kernel_size: int, stride: int, groups: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, _yolo_norm(out_channels))


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
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps, part.momentum = 1e-5, 0.1

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H/s W/s"]:
        return super().forward(x)
