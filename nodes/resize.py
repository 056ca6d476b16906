"""Changing the size of maps."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nodes.sdk.declare import Choices, Dim, Range, component


@component("resize", aliases=("Interpolate", "nn.Upsample"))
class Upsample(nn.Module):
    """Enlarges a map by a whole factor.

    Args:
        scale: how many times larger.
        mode: `nearest` repeats cells, `bilinear` blends them.

    Shapes: x [B, C, H, W] -> [B, C, H*scale, W*scale].
    """

    def __init__(
        self,
        scale: Annotated[int, Range(2, 32)] = 2,
        mode: Annotated[str, Choices("nearest", "bilinear")] = "nearest",
    ) -> None:
        super().__init__()
        self.scale, self.mode = scale, mode

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H*s W*s"]:
        return functional.interpolate(x, scale_factor=float(self.scale), mode=self.mode)


@component("resize", aliases=("Resize", "nn.functional.interpolate"))
class Interpolate(nn.Module):
    """Resizes a map by any factor, or to a height and width.

    Args:
        scale: how many times larger; below 1 it becomes smaller. Not used when a size is given.
        size: height and width in cells; empty to use the factor.
        mode: `nearest` repeats or drops cells, `bilinear` and `bicubic` blend them.
        align_corners: the corner cells lie on the corner cells, where they are blended.

    Shapes: x [B, C, H, W] -> [B, C, H*scale, W*scale], rounded down, or [B, C, *size].
    """

    def __init__(
        self,
        scale: Annotated[float, Range(0.01, 32)] = 2.0,
        size: Annotated[tuple[int, ...], Range(1, 16384)] = (),
        mode: Annotated[str, Choices("nearest", "bilinear", "bicubic")] = "bilinear",
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if len(size) not in (0, 2):
            raise ValueError(f"size has {len(size)} numbers, must have 2, height and width, or none.")
        self.scale, self.size, self.mode = scale, tuple(size), mode
        self.align_corners = None if mode == "nearest" else align_corners

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C I J"]:
        if self.size:
            return functional.interpolate(x, self.size, mode=self.mode, align_corners=self.align_corners)
        return functional.interpolate(x, scale_factor=self.scale, mode=self.mode, align_corners=self.align_corners)


@component("resize", title="Transposed conv", aliases=("Deconvolution", "ConvTranspose2d", "Up-convolution"))
class ConvTranspose(nn.Module):
    """Enlarges a map with learned weights: each cell paints a kernel of cells.

    A kernel that the stride does not divide paints some cells more often than others, a checkerboard.

    Args:
        out_channels: channels it gives.
        kernel_size: side of the kernel.
        stride: how many times larger.
        bias: adds a learned constant per channel.

    Shapes: x [B, C, H, W] -> [B, out_channels, H*stride, W*stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 64,
        kernel_size: Annotated[int, Range(1, 16)] = 2,
        stride: Annotated[int, Range(1, 16)] = 2,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if kernel_size < stride:
            raise ValueError(f"kernel_size is {kernel_size}, must be at least the stride {stride}. Use {stride}.")
        # The rim that makes the result exactly `stride` times larger.
        rim = kernel_size - stride
        self.conv = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size, stride, (rim + 1) // 2, rim % 2, bias=bias
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H*s W*s"]:
        return self.conv(x)


@component("resize", aliases=("Interpolate", "Resize to", "Upsample to"))
class MatchSize(nn.Module):
    """Resizes a map to the height and width of another, also where one is not a whole multiple of the other.

    Args:
        x: the map to resize.
        like: the map whose height and width it takes.
        mode: `nearest` repeats or drops cells, `bilinear` blends them.

    Shapes: x [B, C, H, W], like [B, D, I, J] -> [B, C, I, J].
    """

    def __init__(self, mode: Annotated[str, Choices("nearest", "bilinear")] = "nearest") -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Float[Tensor, "B C H W"], like: Float[Tensor, "B D I J"]) -> Float[Tensor, "B C I J"]:
        return functional.interpolate(x, size=like.shape[-2:], mode=self.mode)
