"""YOLO-MS's neck: a PAFPN of MSBlocks whose levels end in one width."""

from __future__ import annotations

from typing import Annotated, Any

from jaxtyping import Float
from torch import Tensor

from nodes.backbones.yolo_ms import PAPER, SIZES
from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.fusion import Concat
from nodes.msblock import MSBlock
from nodes.resize import Upsample
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Choices, composite


@composite(
    "neck",
    title="YOLO-MS neck",
    outputs=("n3", "n4", "n5"),
    paper=PAPER,
    aliases=("YOLO-MS", "YOLOMSPAFPN", "MSBlock", "PAN"),
)
def yolo_ms_neck(
    g: Builder,
    p3: Float[Tensor, "B C3 H W"],
    p4: Float[Tensor, "B C4 H/2 W/2"],
    p5: Float[Tensor, "B C5 H/4 W/4"],
    size: Annotated[str, Choices(*SIZES)] = "xs",
) -> tuple[Float[Tensor, "B D H W"], Float[Tensor, "B D H/2 W/2"], Float[Tensor, "B D H/4 W/4"]]:
    """Narrows the levels, goes down and up once with MSBlocks of kernel 3, and brings all levels to one width.

    Args:
        size: xs, s or base; width and depth of the published models.

    Shapes: p3, p4, p5 at strides 8, 16, 32 -> n3, n4, n5 at the same strides, 192 channels each for base.
    """
    width, depth = SIZES[size]
    width3, width4, width5 = (int(c * width) for c in (160, 320, 640))

    def conv(name: str, x: Any, channels: int, kernel_size: int = 1, stride: int = 1) -> Any:
        options = {"out_channels": channels, "kernel_size": kernel_size, "stride": stride, **TORCH_NORM}
        return g.add(ConvNormAct, x, name=name, **options)

    def fuse(name: str, channels: int, *maps: Any) -> Any:
        joined = g.add(Concat, *maps, name=f"concat_{name}")
        return g.add(MSBlock, joined, name=name, out_channels=channels, kernel_size=3, depth=depth, squeeze=2)

    l3, l4 = conv("lateral3", p3, width3), conv("lateral4", p4, width4)
    l5 = conv("narrow5", conv("lateral5", p5, width5), width4)
    t4 = fuse("top_down4", width4, g.add(Upsample, l5, name="up5"), l4)
    t4 = conv("narrow4", t4, width3)
    t3 = fuse("top_down3", width3, g.add(Upsample, t4, name="up4"), l3)
    b4 = fuse("bottom_up4", width4, conv("down3", t3, width3, 3, 2), t4)
    b5 = fuse("bottom_up5", width5, conv("down4", b4, width4, 3, 2), l5)
    n3, n4, n5 = (conv(f"out{i}", x, int(240 * width), 3) for i, x in ((3, t3), (4, b4), (5, b5)))
    return n3, n4, n5
