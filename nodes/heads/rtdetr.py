"""RT-DETR's head: the best cells become queries, a decoder refines them to one box an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import box_convert

from nodes.assign.hungarian import assign_hungarian
from nodes.conv import TORCH_NORM, ConvNormAct
from nodes.denoising import VALUES, noisy_queries
from nodes.heads.dense import check_labels
from nodes.losses.normaliser import normaliser
from nodes.losses.set_loss import noisy_pairs, set_losses
from nodes.query_decoder import QueryDecoder, box_head, logit, score_head
from nodes.sdk.declare import Dim, Range, Stride, component
from nodes.types import Predictions

BORDER = 0.01
"""Cells whose centre lies so near the image's border, in shares of its side, become no queries."""
CELL_SIDE = 0.05
"""Side of the box that a cell of the finest level starts from, in shares of the image; twice as large on the next."""


@component(
    "head",
    title="RT-DETR head",
    paper="Zhao et al. 2024, arXiv:2304.08069; Zhu et al. 2021 (Deformable DETR), arXiv:2010.04159; "
    "Zhang et al. 2023 (DINO), arXiv:2203.03605",
    aliases=("RTDETRDecoder", "DETR", "transformer decoder", "NMS-free", "end-to-end", "detection head", "RTDETRHead"),
)
class RTDETRHead(nn.Module):
    """A transformer decoder that turns the best cells into one box an object: no anchors, no suppression.

    All levels get one width. The cells with the best scores become queries; each layer lets them attend to each other
    and to a few places of the levels, and moves their boxes. Wire it to Top-k. Small images have as many queries as
    cells.

    In training every layer, and the choice of the cells, learns from the queries that match the objects best. Objects
    with noise are decoded as queries beside them; as forward knows no objects, `loss` does that, from what forward
    gives. They see the queries of their own group alone. Transformers learn slowly: AdamW at a rate of about 1e-4.

    Args:
        levels: feature maps, finest first, usually of strides 8, 16 and 32.
        num_classes: number of object classes.
        feat_channels: features of a query; heads must divide it.
        queries: boxes it gives.
        layers: of the decoder.
        heads: of the attentions.
        points: places of each level that a head looks at.
        feed_forward: features between the two layers behind the attentions.
        denoising: objects with noise an image in training, each a near and a far one; 0 is none.
        label_noise: share of them with a class drawn anew.
        box_noise: how far their corners move at most, in half sides of the box.
        cls_gain: weight of the varifocal loss of the classes.
        l1_gain: weight of the L1 loss of the boxes, in shares of the image.
        giou_gain: weight of the GIoU loss of the boxes.

    Shapes: levels [B, C_i, H_i, W_i] -> in training a tuple of what `loss` takes, the class logits [B, L + 1, Q, K] and
    boxes [B, L + 1, Q, 4] of the chosen cells and of L layers first; in eval boxes [B, Q, 4] in pixels and scores
    [B, Q, K].
    """

    task: ClassVar[str] = "detect"

    def __init__(
        self,
        channels: Annotated[tuple[int, ...], Dim("C_")],
        strides: Annotated[tuple[int, ...], Stride("levels")],
        num_classes: Annotated[int, Range(1, 10000)] = 80,
        feat_channels: Annotated[int, Range(8, 4096, 8)] = 256,
        queries: Annotated[int, Range(1, 5000)] = 300,
        layers: Annotated[int, Range(1, 32)] = 6,
        heads: Annotated[int, Range(1, 64)] = 8,
        points: Annotated[int, Range(1, 32)] = 4,
        feed_forward: Annotated[int, Range(1, 65536, 8)] = 1024,
        denoising: Annotated[int, Range(0, 5000)] = 100,
        label_noise: Annotated[float, Range(0, 1, 0.05)] = 0.25,
        box_noise: Annotated[float, Range(0, 2, 0.05)] = 1.0,
        cls_gain: Annotated[float, Range(0, 100)] = 1.0,
        l1_gain: Annotated[float, Range(0, 100)] = 5.0,
        giou_gain: Annotated[float, Range(0, 100)] = 2.0,
    ) -> None:
        super().__init__()
        if feat_channels % heads:
            raise ValueError(
                f"feat_channels is {feat_channels}; heads, which is {heads}, must divide it. Use "
                f"{-(-feat_channels // heads) * heads} feat_channels, or other heads."
            )
        self.strides, self.num_classes, self.queries = tuple(strides), num_classes, queries
        self.denoising, self.label_noise, self.box_noise = denoising, label_noise, box_noise
        self.gains = {"cls": cls_gain, "l1": l1_gain, "giou": giou_gain}
        self.project = nn.ModuleList(
            ConvNormAct(c, feat_channels, 1, activation="none", **TORCH_NORM)  # type: ignore[arg-type]
            for c in channels
        )
        self.select = nn.Sequential(nn.Linear(feat_channels, feat_channels), nn.LayerNorm(feat_channels))
        self.select_score = score_head(feat_channels, num_classes)
        self.select_box = box_head(feat_channels)
        # Features of denoising queries; without these it learns nothing, for which other processes must not wait.
        self.class_table = nn.Parameter(torch.randn(num_classes, feat_channels), requires_grad=denoising > 0)
        self.decoder = QueryDecoder(layers, num_classes, feat_channels, heads, len(channels), points, feed_forward)

    def forward(self, *levels: Float[Tensor, "B C_ H_ W_"]) -> tuple[Float[Tensor, "..."], ...] | Predictions:
        maps = [project(x) for project, x in zip(self.project, levels, strict=True)]
        sizes = [(m.shape[2], m.shape[3]) for m in maps]
        tokens = torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2)
        features, logits, boxes = self._chosen(tokens, start_boxes(sizes, tokens.device))
        values = self.decoder.values(tokens, sizes)
        # What the cells learn they learn from their own losses.
        scores, found = self.decoder(features.detach(), boxes, values, every=self.training)
        if not self.training:
            return self._decoded(scores, found, sizes[0])
        batch = tokens.shape[0]
        return (
            torch.cat((logits[:, None], scores), 1),
            torch.cat((boxes.sigmoid()[:, None], found), 1),
            self.class_table.expand(batch, -1, -1),
            torch.rand(batch, 2 * self.denoising, VALUES, device=tokens.device),
            *values,
        )

    def _chosen(self, tokens: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features [B, Q, C], class logits [B, Q, K] and box logits [B, Q, 4] of the cells with the best scores."""
        features = self.select(tokens)
        logits = self.select_score(features)
        centre = start[:, :2].sigmoid()
        inside = ((centre > BORDER) & (centre < 1 - BORDER)).all(1)
        best = logits.detach().amax(2).float().masked_fill(~inside, torch.finfo(torch.float32).min)
        # In the order of the cells: by score, rounding would exchange queries whose scores are nearly equal.
        cells = best.topk(min(self.queries, start.shape[0]), 1, sorted=False).indices.sort(1).values[..., None]
        features = features.gather(1, cells.expand(-1, -1, features.shape[2]))
        logits = logits.gather(1, cells.expand(-1, -1, logits.shape[2]))
        return features, logits, self.select_box(features).float() + start[cells.squeeze(2)]

    def decode(self, raw: Sequence[Tensor]) -> Predictions:
        """The last layer's boxes in pixels and probabilities, from what forward gives in training."""
        size = raw[4].shape[-2:]
        return self._decoded(raw[0], raw[1], (size[0], size[1]))

    def _decoded(self, logits: Tensor, boxes: Tensor, size: tuple[int, int]) -> Predictions:
        """Of class logits [B, L, Q, K] and boxes [B, L, Q, 4]; `size` is that of the finest level."""
        corners = box_convert(boxes[:, -1], "cxcywh", "xyxy")
        return Predictions(corners * self._sides(size, corners), logits[:, -1].sigmoid())

    def _sides(self, size: tuple[int, int], like: Tensor) -> Tensor:
        """Width, height, width, height of the image in pixels."""
        height, width = size
        return torch.tensor([width, height, width, height], device=like.device) * float(self.strides[0])

    def loss(self, raw: Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch, each already times its gain; their sum is what to minimise.

        All are sums over queries and over the layers, those of the chosen cells included, over the number of objects.
        The denoising queries are decoded here.

        Args:
            raw: what forward returns in training.
            targets: `boxes` [B, M, 4] corners in pixels and `labels` [B, M] int64, -1 where padded.

        Returns:
            `cls`, `l1` and `giou`; with denoising also `dn_cls`, `dn_l1` and `dn_giou`. Scalars in float32.

        Raises:
            ValueError: when a label is not below num_classes.
        """
        logits, boxes, table, noise, *values = raw
        labels = targets["labels"]
        check_labels(labels, self.num_classes)
        size = values[0].shape[-2:]
        truth = box_convert(targets["boxes"].float() / self._sides((size[0], size[1]), labels), "xyxy", "cxcywh")
        sums = set_losses(logits, boxes, truth, labels, assign_hungarian(logits, boxes, truth, labels))
        total = normaliser((labels >= 0).sum(), boxes)
        losses = {name: value / total * self.gains[name] for name, value in sums.items()}
        if not self.denoising:
            return losses
        sums, count = self._denoising_sums(table, noise, values, truth, labels)
        total = normaliser(count, boxes)
        return losses | {f"dn_{name}": value / total * self.gains[name] for name, value in sums.items()}

    def _denoising_sums(
        self, table: Tensor, noise: Tensor, values: Sequence[Tensor], truth: Tensor, labels: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Sums of the losses of the denoising queries, and how many have an object to find."""
        noisy = noisy_queries(truth, labels, noise, self.num_classes, self.label_noise, self.box_noise)
        known = noisy.labels >= 0
        rows = noisy.labels.clamp(min=0)[..., None].expand(-1, -1, table.shape[2])
        features = table.gather(1, rows) * known[..., None]
        if not features.shape[1]:  # no object anywhere: zeros that hang on the table, as other processes wait for it
            nothing = 0.0 * table.float().sum()
            return dict.fromkeys(self.gains, nothing), known.sum()
        logits, boxes = self.decoder(features, logit(noisy.boxes), values, noisy.mask, every=True)
        pairs = noisy_pairs(noisy.positive, noisy.owner, logits.shape[1])
        return set_losses(logits, boxes, truth, labels, pairs, known.float()), noisy.positive.sum()


def start_boxes(sizes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """[N, 4] logits of centre, width and height that the cells of all levels start from, in shares of the image."""
    levels = []
    for i, (height, width) in enumerate(sizes):
        x = ((torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width).expand(height, -1)
        y = ((torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height)[:, None].expand(-1, width)
        side = torch.full_like(x, CELL_SIDE * 2**i)
        levels.append(torch.stack((x, y, side, side), 2).flatten(0, 1))
    return logit(torch.cat(levels))
