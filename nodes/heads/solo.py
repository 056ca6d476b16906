"""SOLO's head: an image is cut into grids, and each cell tells the class and the mask of the object centred in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.assign.grid_centres import assign_grid_centres
from nodes.heads.dense import check_labels
from nodes.heads.towers import RARE, Tower, started
from nodes.losses.dice import dice_loss
from nodes.losses.focal import focal_hit, focal_miss
from nodes.losses.normaliser import normaliser
from nodes.masks import resized
from nodes.post.matrix_nms import matrix_decay
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import MaskPredictions


@component(
    "head",
    title="SOLO head",
    paper="Wang et al. 2020, arXiv:1912.04488",
    aliases=("SOLO", "decoupled SOLO", "instance segmentation", "masks", "segmenting objects by locations", "SOLOHead"),
)
class SOLOHead(nn.Module):
    """Finds masks without boxes: cell (i, j) of a grid gives the class of the object centred there, and its mask.

    Every level has a grid of S x S cells. One branch resizes the level to the grid and gives classes; the other knows
    where it is by two maps of coordinates and gives a mask for each cell, of twice the level's size. The finest level
    is halved first, the coarsest brought to the size of the one before it. Wire it to Mask NMS.

    Args:
        levels: feature maps of equal channels, finest first, usually of strides 4 to 64.
        num_classes: number of object classes.
        feat_channels: channels of the two branches.
        tower_depth: 3x3 convolutions in each branch.
        grids: cells from side to side, a number for each level.
        smallest: smallest root of an object's box area in pixels that each level learns.
        largest: largest root of it.
        decoupled: gives S masks for columns and S for rows, whose products are the masks of the cells, instead of S^2.
        sigma: share of an object's box, around its centre of mass, whose cells learn it.
        pre_top_k: best cells that are given a mask in eval.
        cls_gain: weight of the focal loss of the classes.
        mask_gain: weight of the dice loss of the masks.

    Shapes: levels [B, C, H_i, W_i] -> in training a tuple of classes [B, K, S_i, S_i] of every level, then masks
    [B, S_i^2, h_i, w_i] of every level (decoupled: columns [B, S_i, h_i, w_i], then rows of the same shape); in eval
    boxes [B, N, 4] in pixels, scores [B, N, K], coefficients [B, N, N] and masks [B, N, H_1, W_1], N = pre_top_k.
    """

    task: ClassVar[str] = "segment"

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        feat_channels: Annotated[int, Range(1, 1024)] = 256,
        tower_depth: Annotated[int, Range(1, 16)] = 7,
        grids: tuple[int, ...] = (40, 36, 24, 16, 12),
        smallest: tuple[int, ...] = (1, 48, 96, 192, 384),
        largest: tuple[int, ...] = (96, 192, 384, 768, 2048),
        decoupled: bool = False,
        sigma: Annotated[float, Range(0, 1, 0.05)] = 0.2,
        pre_top_k: Annotated[int, Range(1, 1000)] = 100,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        mask_gain: Annotated[float, Range(0, 100)] = 3.0,
    ) -> None:
        super().__init__()
        for name, values in (("grids", grids), ("smallest", smallest), ("largest", largest)):
            if len(values) != len(strides) or min(values) < 1:
                raise ValueError(
                    f"{name} is {list(values)} and {len(strides)} levels are wired. Give a number from 1 on for each."
                )
        self.strides, self.num_classes, self.grids = tuple(strides), num_classes, tuple(grids)
        self.sizes = tuple(zip(smallest, largest, strict=True))
        self.decoupled, self.sigma, self.pre_top_k = decoupled, sigma, pre_top_k
        self.gains = {"cls": cls_gain, "mask": mask_gain}
        self.cls_tower = _branch(channels, feat_channels, tower_depth)
        self.cls = started(nn.Conv2d(feat_channels, num_classes, 3, padding=1), RARE)
        # Coordinates come along: x and y for whole masks, x for the columns and y for the rows of decoupled ones.
        known, branches = (1, 2) if decoupled else (2, 1)
        self.mask_towers = nn.ModuleList(_branch(channels + known, feat_channels, tower_depth) for _ in range(branches))
        self.masks = nn.ModuleList(
            nn.ModuleList(
                started(nn.Conv2d(feat_channels, s, 3, padding=1) if decoupled else nn.Conv2d(feat_channels, s * s, 1))
                for s in grids
            )
            for _ in range(branches)
        )

    def forward(self, *levels: Float[Tensor, "B C H_ W_"]) -> tuple[Float[Tensor, "B D H_ W_"], ...] | MaskPredictions:
        fitted = self._fitted(levels)
        classes = [self.cls(self.cls_tower(_scaled(x, (s, s)))) for x, s in zip(fitted, self.grids, strict=True)]
        masks: list[Tensor] = []
        for branch, (tower, outs) in enumerate(zip(self.mask_towers, self.masks, strict=True)):
            for x, out in zip(fitted, outs, strict=True):  # type: ignore[call-overload]
                where = _coordinates(x)
                known = where[:, branch : branch + 1] if self.decoupled else where
                made = tower(torch.cat((x, known), 1))
                masks.append(out(_scaled(made, (made.shape[-2] * 2, made.shape[-1] * 2))))
        raw = (*classes, *masks)
        return raw if self.training else self.decode(raw)

    def decode(self, raw: Sequence[Tensor]) -> MaskPredictions:
        """The best cells of all grids with their masks: boxes are those of the masks, scores already suppressed.

        A score is the class's probability, times the mean probability of the mask where it is above one half, times
        what matrix NMS leaves. Every mask is its own prototype.
        """
        scores = torch.cat([_peaks(c.float().sigmoid()).flatten(2) for c in raw[: len(self.grids)]], 2)
        scores = scores.transpose(1, 2)  # [B, sum of S^2, K]
        # The padding makes room for topk however few cells the grids have.
        best = F.pad(scores.amax(2), (0, self.pre_top_k), value=-1.0).topk(self.pre_top_k, 1).indices
        real = best < scores.shape[1]
        best = best.clamp(max=scores.shape[1] - 1)
        logits = self._chosen(raw, best)  # [B, N, h, w]
        inside = (logits > 0) & real[..., None, None]
        area = inside.sum((2, 3))
        sure = (logits.sigmoid() * inside).sum((2, 3)) / area.clamp(min=1)
        scores = scores.gather(1, best[..., None].expand(-1, -1, scores.shape[2])) * sure[..., None]
        decay = matrix_decay(inside, *scores.max(2))
        same = torch.eye(self.pre_top_k, device=logits.device).expand(logits.shape[0], -1, -1)
        return MaskPredictions(_around(inside) * self.strides[0], scores * decay[..., None], same, logits)

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Focal loss of the classes over the number of cells with an object, and the mean dice loss of their masks.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels, `labels` [B, M] int64, -1 where padded, and `masks`
                [B, M, H/4, W/4] of 0 and 1.

        Returns:
            `cls` and `mask`, scalars in float32, times their gains.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        labels = targets["labels"]
        check_labels(labels, self.num_classes)
        cls = mask = raw[0].new_zeros((), dtype=torch.float32)
        count = 0
        for level, cells in enumerate(self.grids):
            owner = assign_grid_centres(
                targets["boxes"], targets["masks"], labels >= 0, cells, self.sizes[level], self.sigma
            )
            image, row, column = (owner >= 0).nonzero(as_tuple=True)
            mine = owner[image, row, column]
            logits = raw[level].float()
            hit = logits[image, labels[image, mine], row, column]
            cls = cls + focal_miss(logits).sum() + (focal_hit(hit) - focal_miss(hit)).sum()
            maps = [m[level] for m in self._branches(raw)]
            found = self._mask_logits(maps, image, row, column).sigmoid()
            wanted = resized(targets["masks"], *maps[0].shape[-2:])[image, mine]
            mask = mask + dice_loss(found, wanted).sum()
            count += len(image)
        total = normaliser(count, raw[0])
        return {"cls": cls / total * self.gains["cls"], "mask": mask / total * self.gains["mask"]}

    def _fitted(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The finest level at half its size, the coarsest at the size of the one before it."""
        fitted = list(levels)
        height, width = fitted[0].shape[-2:]
        fitted[0] = _scaled(fitted[0], ((height + 1) // 2, (width + 1) // 2))
        if len(fitted) > 1:
            fitted[-1] = _scaled(fitted[-1], tuple(fitted[-2].shape[-2:]))
        return fitted

    def _branches(self, raw: Sequence[Tensor]) -> list[list[Tensor]]:
        """Masks of every level: one list, or for decoupled those of the columns and of the rows."""
        n = len(self.grids)
        return [list(raw[n * i : n * (i + 1)]) for i in range(1, len(self.masks) + 1)]

    def _mask_logits(self, maps: list[Tensor], image: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """[P, h, w] in float32, the masks of cells of one level; `image` and the cells may have any shape."""
        if not self.decoupled:
            cells = round(maps[0].shape[1] ** 0.5)
            return maps[0][image, row * cells + column].float()
        both = maps[0][image, column].float().sigmoid() * maps[1][image, row].float().sigmoid()
        both = both.clamp(1e-6, 1 - 1e-6)
        return both.log() - (1 - both).log()

    def _chosen(self, raw: Sequence[Tensor], best: Tensor) -> Tensor:
        """[B, N, h, w] mask logits of cells [B, N] counted over all grids, at the size of the finest masks."""
        branches = self._branches(raw)
        size = tuple(branches[0][0].shape[-2:])
        image = torch.arange(best.shape[0], device=best.device)[:, None]
        total, before = best.new_zeros((), dtype=torch.float32), 0
        # Only the chosen are enlarged; all masks of five grids at the finest size would take 400 MB an image.
        for level, cells in enumerate(self.grids):
            here = (best >= before) & (best < before + cells * cells)
            cell = (best - before).clamp(0, cells * cells - 1)
            logits = self._mask_logits([b[level] for b in branches], image, cell // cells, cell % cells)
            total = total + _scaled(logits, size) * here[..., None, None]
            before += cells * cells
        return total


def _branch(channels: int, width: int, depth: int) -> nn.Sequential:
    """3x3 convolutions with group norm and ReLU, the first of which changes the channels."""
    first = started(nn.Conv2d(channels, width, 3, padding=1, bias=False))
    norm = nn.GroupNorm(math.gcd(32, width), width)
    return nn.Sequential(first, norm, nn.ReLU(), *Tower(width, depth - 1, norm=True, bias=False))


def _scaled(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _coordinates(x: Tensor) -> Tensor:
    """[B, 2, H, W] x and y of each cell, -1 to 1 from border cell to border cell."""
    height, width = x.shape[-2:]
    along = torch.arange(width, device=x.device, dtype=x.dtype) * (2 / max(1, width - 1)) - 1
    down = torch.arange(height, device=x.device, dtype=x.dtype) * (2 / max(1, height - 1)) - 1
    return torch.stack((along.expand(height, width), down[:, None].expand(height, width))).expand(
        x.shape[0], -1, -1, -1
    )


def _peaks(scores: Tensor) -> Tensor:
    """Scores [B, K, S, S] that are the highest of their 2x2 neighbourhood up and left; the others become 0."""
    highest = F.max_pool2d(scores, 2, stride=1, padding=1)[..., :-1, :-1]
    return scores * (scores == highest)


def _around(inside: Tensor) -> Tensor:
    """Boxes [B, N, 4] in cells around masks [B, N, h, w] bool; all zero for an empty one."""
    corners = []
    for lines in (inside.any(2), inside.any(3)):  # columns, rows
        index = torch.arange(lines.shape[-1], device=lines.device, dtype=torch.float32)
        first = index.where(lines, float("inf")).amin(2)
        corners.append((first.where(lines.any(2), 0.0), (index + 1).where(lines, 0.0).amax(2)))
    (x1, x2), (y1, y2) = corners
    return torch.stack((x1, y1, x2, y2), 2)
