"""CenterNet's neck: a deep map enlarged to stride 4 by transposed convolutions."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from nodes.basic import Activation, BatchNorm
from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.deform import DeformConv
from nodes.resize import ConvTranspose
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Range, composite


@composite(
    "neck",
    title="Deconv neck",
    outputs=("p2",),
    paper="Zhou et al. 2019, arXiv:1904.07850; Xiao et al. 2018, arXiv:1804.06208",
    aliases=("CenterNet neck", "CTResNetNeck", "Simple baseline"),
)
def deconv_neck(
    g: Builder,
    c5: Float[Tensor, "B C H W"],
    channels: Annotated[int, Range(4, 4096, 8)] = 256,
    deformable: bool = False,
) -> Float[Tensor, "B D H*8 W*8"]:
    """Enlarges the deepest map three times by two, each time a 3x3 and a 4x4 transposed convolution.

    Args:
        channels: channels of the first step; each further one has half.
        deformable: the 3x3 convolutions choose where they sample (DCNv2).

    Shapes: c5 [B, C, H, W] at stride 32 -> [B, channels / 4, 8H, 8W] at stride 4.
    """
    x = c5
    for i in range(3):
        width = channels >> i
        block = DeformConv if deformable else ConvNormAct
        settings = {} if deformable else TORCH_NORM
        x = g.add(block, x, name=f"conv{i + 1}", out_channels=width, activation="relu", **settings)
        x = g.add(ConvTranspose, x, name=f"up{i + 1}", out_channels=width, kernel_size=4, bias=False)
        x = g.add(BatchNorm, x, name=f"norm{i + 1}")
        x = g.add(Activation, x, name=f"act{i + 1}", function="relu")
    return x
