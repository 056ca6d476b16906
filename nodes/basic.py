"""Single layers: identity, activation, linear, depthwise convolution, norms, regularisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import DropBlock2d, StochasticDepth

from nodes.sdk.declare import Choices, Dim, Range, component

FUNCTIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "leaky_relu": lambda: nn.LeakyReLU(0.1), "prelu": nn.PReLU,
    "silu": nn.SiLU, "gelu": nn.GELU, "mish": nn.Mish, "elu": nn.ELU, "selu": nn.SELU, "celu": nn.CELU,
    "hardswish": nn.Hardswish, "hardsigmoid": nn.Hardsigmoid, "hardtanh": nn.Hardtanh, "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh, "softplus": nn.Softplus, "softsign": nn.Softsign, "log_sigmoid": nn.LogSigmoid,
}  # fmt: skip


@component("basic", aliases=("No-op", "Pass through"))
class Identity(nn.Module):
    """Passes its input on.

    Shapes: x [...] -> [...].
    """

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return x


@component("basic", aliases=("Parameter", "Learned map", "Bias map"))
class Constant(nn.Module):
    """A map of its own, one number a channel, as large as another map and for as many images.

    Args:
        like: the map whose batch and size it takes.
        channels: channels it gives.
        value: what every channel begins with.
        learned: whether training changes it.

    Shapes: like [B, C, H, W] -> [B, channels, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Range(1, 65536)] = 1,
        value: Annotated[float, Range(-1e6, 1e6)] = 1.0,
        learned: bool = True,
    ) -> None:
        super().__init__()
        numbers = torch.full((1, channels, 1, 1), value)
        self.numbers = nn.Parameter(numbers, requires_grad=learned)

    def forward(self, like: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.numbers.expand(like.shape[0], -1, *like.shape[-2:])


@component("basic", aliases=("ReLU", "SiLU", "GELU", "Sigmoid", "Mish", "Nonlinearity"))
class Activation(nn.Module):
    """A function of each value.

    Args:
        function: which one.

    Shapes: x [...] -> [...].
    """

    def __init__(self, function: Annotated[str, Choices(*FUNCTIONS)] = "silu") -> None:
        super().__init__()
        self.function = FUNCTIONS[function]()

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.function(x)


@component("basic", aliases=("Fully connected", "Dense"))
class Linear(nn.Module):
    """A matrix product for each vector, with a constant added.

    Args:
        out_features: values it gives.
        bias: adds a learned constant per value.

    Shapes: x [B, D] -> [B, out_features].
    """

    def __init__(
        self,
        in_features: Annotated[int, Dim("D")],
        out_features: Annotated[int, Range(1, 1_000_000)] = 256,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias)

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B E"]:
        return self.linear(x)


@component("basic", title="Linear (tokens)", aliases=("Token projection",))
class TokenLinear(nn.Module):
    """A matrix product for each token, with a constant added.

    Args:
        out_features: values of a token it gives.
        bias: adds a learned constant per value.

    Shapes: x [B, L, D] -> [B, L, out_features].
    """

    def __init__(
        self,
        in_features: Annotated[int, Dim("D")],
        out_features: Annotated[int, Range(1, 1_000_000)] = 256,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias)

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L E"]:
        return self.linear(x)


@component("conv", title="Depthwise conv", aliases=("DWConv",))
class DepthwiseConv(nn.Module):
    """A convolution of each channel by itself, with bias and without norm.

    Args:
        kernel_size: side of the kernel; odd.
        stride: 2 halves the size.
        dilation: distance between the kernel's places.

    Shapes: x [B, C, H, W] -> [B, C, H/stride, W/stride].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        kernel_size: Annotated[int, Choices(3, 5, 7, 9, 11)] = 3,
        stride: Annotated[int, Choices(1, 2)] = 1,
        dilation: Annotated[int, Range(1, 8)] = 1,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel_size // 2)
        self.conv = nn.Conv2d(channels, channels, kernel_size, stride, padding, dilation, channels)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H/s W/s"]:
        return self.conv(x)


@component("norm", title="Batch norm", paper="Ioffe and Szegedy 2015, arXiv:1502.03167", aliases=("BatchNorm2d", "BN"))
class BatchNorm(nn.Module):
    """Brings each channel to mean 0 and variance 1 over the batch, then scales and shifts it.

    Args:
        eps: added to the variance.
        momentum: how fast the statistics for evaluation follow those of the batches.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        eps: Annotated[float, Range(1e-8, 0.1)] = 1e-5,
        momentum: Annotated[float, Range(0.0001, 1)] = 0.1,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps, momentum)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.norm(x)


@component("norm", title="Group norm", paper="Wu and He 2018, arXiv:1803.08494", aliases=("GN",))
class GroupNorm(nn.Module):
    """Brings groups of channels to mean 0 and variance 1 within an image: independent of the batch.

    Args:
        groups: into how many the channels are divided.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: Annotated[int, Dim("C")], groups: Annotated[int, Range(1, 4096)] = 32) -> None:
        super().__init__()
        if channels % groups:
            fits = max(g for g in range(1, groups + 1) if channels % g == 0)
            raise ValueError(f"groups is {groups}, must divide the {channels} channels. Use {fits}.")
        self.norm = nn.GroupNorm(groups, channels)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.norm(x)


@component("norm", title="Layer norm (tokens)", paper="Ba et al. 2016, arXiv:1607.06450", aliases=("LN", "LayerNorm"))
class TokenNorm(nn.Module):
    """Brings each token to mean 0 and variance 1, then scales and shifts it. For maps there is the channel norm.

    Args:
        eps: added to the variance.

    Shapes: x [B, L, D] -> [B, L, D].
    """

    def __init__(self, features: Annotated[int, Dim("D")], eps: Annotated[float, Range(1e-8, 0.1)] = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, eps)

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        return self.norm(x)


Chance = Annotated[float, Range(0, 0.99)]


@component("regularise", paper="Srivastava et al. 2014, JMLR 15")
class Dropout(nn.Module):
    """Sets values to zero at random in training and scales the rest up; passes its input on in evaluation.

    Args:
        chance: of each value to be zero.

    Shapes: x [...] -> [...].
    """

    def __init__(self, chance: Chance = 0.1) -> None:
        super().__init__()
        self.drop = nn.Dropout(chance)

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.drop(x)


@component("regularise", paper="Huang et al. 2016, arXiv:1603.09382", aliases=("Stochastic depth",))
class DropPath(nn.Module):
    """Leaves a residual branch out for whole images at random in training; passes its input on in evaluation.

    Args:
        chance: of an image to lose the branch; the others are scaled up.

    Shapes: x [...] -> [...].
    """

    def __init__(self, chance: Chance = 0.1) -> None:
        super().__init__()
        self.drop = StochasticDepth(chance, "row")

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return self.drop(x)


@component("regularise", paper="Ghiasi et al. 2018, arXiv:1810.12890")
class DropBlock(nn.Module):
    """Sets squares of a map to zero at random in training and scales the rest up; nothing in evaluation.

    Args:
        chance: share of the map that is set to zero on average.
        block_size: side of the squares; 7 in the paper.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, chance: Chance = 0.1, block_size: Annotated[int, Range(1, 63)] = 7) -> None:
        super().__init__()
        self.drop = DropBlock2d(chance, block_size)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return self.drop(x)
