"""RepGFPN: DAMO-YOLO's generalised pyramid, whose fusion blocks are re-parameterised."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.conv import ACTIVATIONS, ConvNormAct
from nodes.fusion import Concat
from nodes.rep import RepConv
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, Dim, Range, component, composite

PAPER = "Xu et al. 2022 (DAMO-YOLO), arXiv:2211.15444; generalised FPN: Jiang et al. 2022, arXiv:2202.04256"


class Size(NamedTuple):
    """Channels that levels 3, 4 and 5 give, blocks in a fusion, their inner width over the outer, activation."""

    out: tuple[int, int, int]
    blocks: int
    inner: float
    activation: str


SIZES = {
    "t": Size((64, 128, 256), 3, 1.0, "relu"),
    "s": Size((128, 256, 512), 3, 0.75, "silu"),
    "m": Size((128, 256, 512), 4, 1.0, "silu"),
    "l": Size((128, 256, 512), 6, 1.0, "silu"),
}


class RepBasicBlock(nn.Module):
    """A re-parameterised 3x3 and a plain 3x3 convolution, added to the input. x [B, C, H, W] -> the same."""

    def __init__(self, channels: int, inner: int, activation: str) -> None:
        super().__init__()
        self.cv1 = RepConv(channels, inner, activation=activation)
        self.cv2 = ConvNormAct(inner, channels, 3, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x))


@component("block/rep", title="Rep CSP stage", paper=PAPER, aliases=("CSPStage", "DAMO-YOLO block", "RepGFPN fusion"))
class RepCSPStage(nn.Module):
    """Two 1x1 paths; one goes through residual blocks, each result of which is kept; a 1x1 fuses all.

    Args:
        out_channels: channels it gives, an even number.
        depth: residual blocks.
        inner_ratio: channels inside a block over those outside.
        activation: function after every norm.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(2, 65536, 8)] = 128,
        depth: Annotated[int, Range(1, 64)] = 3,
        inner_ratio: Annotated[float, Range(0.125, 8)] = 1.0,
        activation: Annotated[str, Choices(*ACTIVATIONS)] = "silu",
    ) -> None:
        super().__init__()
        if out_channels % 2:
            raise ValueError(f"out_channels is {out_channels}, must be even. Use {out_channels + 1}.")
        half = out_channels // 2
        inner = max(1, int(half * inner_ratio))
        self.cv1 = ConvNormAct(in_channels, half, 1, activation=activation)
        self.cv2 = ConvNormAct(in_channels, half, 1, activation=activation)
        self.blocks = nn.ModuleList(RepBasicBlock(half, inner, activation) for _ in range(depth))
        self.cv3 = ConvNormAct((1 + depth) * half, out_channels, 1, activation=activation)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        kept, last = [self.cv1(x)], self.cv2(x)
        for block in self.blocks:
            last = block(last)
            kept.append(last)
        return self.cv3(torch.cat(kept, 1))


@composite(
    "neck",
    title="RepGFPN",
    outputs=("n3", "n4", "n5"),
    paper=PAPER,
    aliases=("DAMO-YOLO neck", "GFPN", "GiraffeNeck", "Efficient-RepGFPN", "queen fusion"),
)
def rep_gfpn(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    width3: Annotated[int, Dim("C3")],
    width4: Annotated[int, Dim("C4")],
    width5: Annotated[int, Dim("C5")],
    size: Annotated[str, Choices(*SIZES)] = "t",
) -> tuple[Float[Tensor, "B D3 H W"], Float[Tensor, "B D4 H/2 W/2"], Float[Tensor, "B D5 H/4 W/4"]]:
    """Two passes over three levels, in which each fusion also sees the finer level of the pass before.

    Args:
        size: t, s, m or l: channels that the levels give, 64, 128, 256 for t and 128, 256, 512 for the others, and
            the depth of the fusions.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides.
    """
    out, blocks, inner, act = SIZES[size]

    def fuse(name: str, width: int, *maps: Any) -> Any:
        joined = g.add(Concat, *maps, name=f"concat_{name}")
        options = {"depth": blocks, "inner_ratio": inner, "activation": act}
        return g.add(RepCSPStage, joined, name=name, out_channels=width, **options)

    def down(name: str, x: Any, width: int) -> Any:
        return g.add(ConvNormAct, x, name=name, out_channels=width, stride=2, activation=act)

    t5 = fuse("first5", width5, p5, down("down_p4", p4, width4))
    t4 = fuse("first4", width4, p4, down("down_p3", p3, width3), g.add(Upsample, t5, name="up5"))
    n3 = fuse("out3", out[0], p3, g.add(Upsample, t4, name="up4"))
    n4 = fuse("out4", out[1], t4, down("down_n3", n3, out[0]))
    n5 = fuse("out5", out[2], t5, down("down_t4", t4, width4), down("down_n4", n4, out[1]))
    return n3, n4, n5
