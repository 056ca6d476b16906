"""RT-DETR's hybrid encoder: attention on the coarsest level, then a PAFPN of re-parameterised blocks."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor, nn

from nodes.attention.aifi import AIFI
from nodes.conv import TORCH_NORM, ConvNormAct, set_norms
from nodes.fusion import Concat
from nodes.rep import RepConv
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Dim, Range, component, composite

PAPER = "Zhao et al. 2024, arXiv:2304.08069"


@component("block/rep", title="Rep CSP sum", paper=PAPER, aliases=("CSPRepLayer", "RepC3", "RT-DETR fusion"))
class RepCSPSum(nn.Module):
    """Two 1x1 paths, one of which goes through re-parameterised 3x3 convolutions; their results are added.

    Args:
        out_channels: channels it gives.
        depth: RepConvs in the chain.
        eps: added to the variance in the norms; 1e-3 in the YOLO family.
        momentum: share of each batch in the norms' running statistics; 0.03 in the YOLO family.

    Shapes: x [B, C, H, W] -> [B, out_channels, H, W].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        out_channels: Annotated[int, Range(1, 65536, 8)] = 256,
        depth: Annotated[int, Range(1, 64)] = 3,
        eps: Annotated[float, Range(1e-8, 0.1)] = TORCH_NORM["eps"],
        momentum: Annotated[float, Range(0.001, 1)] = TORCH_NORM["momentum"],
    ) -> None:
        super().__init__()
        self.cv1 = ConvNormAct(in_channels, out_channels, 1)
        self.cv2 = ConvNormAct(in_channels, out_channels, 1)
        self.chain = nn.Sequential(*(RepConv(out_channels, out_channels) for _ in range(depth)))
        set_norms(self, eps, momentum)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return self.chain(self.cv1(x)) + self.cv2(x)


@composite(
    "neck",
    title="Transformer neck (RT-DETR)",
    outputs=("n3", "n4", "n5"),
    paper=PAPER,
    aliases=("hybrid encoder", "RTDetrHybridEncoder", "CCFM", "AIFI", "attention neck"),
)
def transformer_neck(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    width3: Annotated[int, Dim("C3")],
    width4: Annotated[int, Dim("C4")],
    width5: Annotated[int, Dim("C5")],
    channels: Annotated[int, Range(4, 4096, 4)] = 256,
    heads: Annotated[int, Range(1, 64)] = 8,
    hidden: Annotated[int, Range(1, 65536, 8)] = 1024,
    depth: Annotated[int, Range(1, 64)] = 3,
) -> tuple[Float[Tensor, "B D H W"], Float[Tensor, "B D H/2 W/2"], Float[Tensor, "B D H/4 W/4"]]:
    """Brings all levels to one width, lets the cells of the coarsest attend to each other, then goes down and up.

    A level that has that width already is taken as it is.

    Args:
        channels: channels of every level it gives.
        heads: of the attention; must divide the channels.
        hidden: features between the two layers behind the attention.
        depth: RepConvs in each fusion.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides, `channels` each.
    """

    def one(name: str, x: Any, activation: str = "silu") -> Any:
        return g.add(
            ConvNormAct, x, name=name, out_channels=channels, kernel_size=1, activation=activation, **TORCH_NORM
        )

    def down(name: str, x: Any) -> Any:
        return g.add(ConvNormAct, x, name=name, out_channels=channels, stride=2, **TORCH_NORM)

    def fuse(name: str, *maps: Any) -> Any:
        joined = g.add(Concat, *maps, name=f"concat_{name}")
        return g.add(RepCSPSum, joined, name=name, out_channels=channels, depth=depth)

    def level(number: int, x: Any, width: int) -> Any:
        return x if width == channels else one(f"project{number}", x, "none")

    top = g.add(AIFI, level(5, p5, width5), name="aifi", heads=heads, hidden=hidden)
    lateral5 = one("lateral5", top)
    up5 = g.add(Upsample, lateral5, name="up5")
    t4 = fuse("top_down4", up5, level(4, p4, width4))
    lateral4 = one("lateral4", t4)
    up4 = g.add(Upsample, lateral4, name="up4")
    n3 = fuse("out3", up4, level(3, p3, width3))
    n4 = fuse("out4", down("down3", n3), lateral4)
    n5 = fuse("out5", down("down4", n4), lateral5)
    return n3, n4, n5
