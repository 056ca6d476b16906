"""CenterNet's head: objects as peaks of a heat map."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.centre_heat import centre_heat
from nodes.heads.dense import cell_centres, check_labels
from nodes.losses.heat import centre_focal_loss
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions


@component(
    "head",
    title="CenterNet head",
    paper="Zhou et al. 2019, Objects as Points, arXiv:1904.07850",
    aliases=("objects as points", "anchor-free", "keypoint", "heat map", "detection head"),
)
class CenterNetHead(nn.Module):
    """Detects objects as peaks of a heat map per class, with a size and an offset at each peak.

    Works on one fine map, usually of stride 4. Only cells that are the highest of their 3x3 neighbourhood count, so
    little is left for NMS to do.

    Args:
        num_classes: number of object classes.
        hidden_channels: channels of each of the three branches.
        heat_gain: weight of the heat map's focal loss.
        size_gain: weight of the L1 loss of width and height, in cells.
        offset_gain: weight of the L1 loss of the centre's place in its cell.

    Shapes: x [B, C, H, W] -> in training the raw map [B, K + 4, H, W] of heat, size and offset; in eval
    boxes [B, H * W, 4] in pixels and scores [B, H * W, K].
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        stride: Annotated[int, Stride("x")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        hidden_channels: Annotated[int, Range(1, 1024, 8)] = 64,
        heat_gain: Annotated[float, Range(0, 100)] = 1.0,
        size_gain: Annotated[float, Range(0, 100)] = 0.1,
        offset_gain: Annotated[float, Range(0, 100)] = 1.0,
    ) -> None:
        super().__init__()
        self.strides, self.num_classes = (stride,), num_classes
        self.gains = {"heat": heat_gain, "size": size_gain, "offset": offset_gain}
        self.heat, self.size, self.offset = (
            nn.Sequential(
                nn.Conv2d(channels, hidden_channels, 3, padding=1), nn.ReLU(inplace=True),
                nn.Conv2d(hidden_channels, out, 1),
            )
            for out in (num_classes, 2, 2)
        )  # fmt: skip
        bias = self.heat[-1].bias
        assert isinstance(bias, Tensor)
        nn.init.constant_(bias, -2.19)  # a tenth: most cells hold no centre

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"] | Predictions:
        raw = torch.cat((self.heat(x), self.size(x), self.offset(x)), 1)
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Tensor) -> Predictions:
        """The raw map [B, K + 4, H, W] to boxes in pixels and probabilities, zero where a cell is no peak."""
        heat, size, offset = raw.float().split((self.num_classes, 2, 2), 1)
        heat = heat.sigmoid()
        heat = heat * (heat == F.max_pool2d(heat, 3, 1, 1))
        stride = self.strides[0]
        corners = cell_centres((raw,), self.strides)[0] - stride / 2
        centres = corners + offset.flatten(2) * stride
        half = size.flatten(2) * (stride / 2)
        boxes = torch.cat((centres - half, centres + half), 1)
        return Predictions(boxes.transpose(1, 2), heat.flatten(2).transpose(1, 2))

    def loss(self, raw: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each a sum over the number of objects and already times its gain.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded. An object whose
                centre lies outside the image is left out.

        Returns:
            `heat`, `size` and `offset`, scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        truth, labels = targets["boxes"].float(), targets["labels"]
        check_labels(labels, self.num_classes)
        heat, size, offset = raw.float().split((self.num_classes, 2, 2), 1)
        height, width = raw.shape[-2:]
        boxes = truth / self.strides[0]
        centres, sizes = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
        cells = centres.floor()
        limit = cells.new_tensor((width, height))
        valid = (labels >= 0) & (sizes > 0).all(-1) & (cells >= 0).all(-1) & (cells < limit).all(-1)
        aims = centre_heat(cells, sizes, labels, valid, (height, width), self.num_classes)
        image, owner = valid.nonzero(as_tuple=True)
        x, y = cells[image, owner].long().unbind(1)
        found = torch.cat((size[image, :, y, x], offset[image, :, y, x]), 1)
        wanted = torch.cat((sizes[image, owner], (centres - cells)[image, owner]), 1)
        apart = F.l1_loss(found, wanted, reduction="none")
        sums = {"heat": centre_focal_loss(heat, aims), "size": apart[:, :2].sum(), "offset": apart[:, 2:].sum()}
        count = normaliser(len(image), raw)
        return {name: value / count * self.gains[name] for name, value in sums.items()}
