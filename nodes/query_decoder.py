"""A transformer decoder whose queries are boxes, which every layer moves closer to the objects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodes.deformable_attention import DeformableAttention
from nodes.heads.towers import RARE


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers from one width to the next, ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def box_head(channels: int) -> nn.Sequential:
    """By how much the logits of a box change; nothing at the start."""
    head = perceptron(channels, channels, channels, 4)
    nn.init.zeros_(head[-1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(head[-1].bias)  # type: ignore[arg-type]
    return head


def score_head(channels: int, num_classes: int) -> nn.Linear:
    """Logits of the classes; rare at the start."""
    head = nn.Linear(channels, num_classes)
    nn.init.constant_(head.bias, RARE)
    return head


def logit(share: Tensor, least: float = 1e-5) -> Tensor:
    """The inverse of the sigmoid, kept finite."""
    share = share.clamp(least, 1 - least)
    return (share / (1 - share)).log()


class DecoderLayer(nn.Module):
    """Queries attend to each other, then to the maps, then a two-layer network; a layer norm after each.

    Args:
        channels: features of a query.
        heads: of both attentions.
        levels: maps.
        points: places of each map that a head looks at.
        hidden: features between the two layers.

    Shapes: queries [B, Q, C], their places [B, Q, C], boxes [B, Q, 4], values [B, C, H_i, W_i] -> [B, Q, C].
    """

    def __init__(self, channels: int, heads: int, levels: int, points: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.qk = nn.Linear(channels, 2 * channels)
        self.v = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.cross = DeformableAttention(channels, heads, levels, points)
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(
        self, queries: Tensor, places: Tensor, boxes: Tensor, values: Sequence[Tensor], mask: Tensor | None = None
    ) -> Tensor:
        """The queries after this layer; `mask` [B, 1, Q, Q] says which a query may see."""
        q, k = self.qk(queries + places).chunk(2, 2)
        q, k, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (q, k, self.v(queries)))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
        queries = self.norm1(queries + self.out(seen))
        queries = self.norm2(queries + self.cross(queries + places, boxes, values))
        return self.norm3(queries + self.fc2(F.relu(self.fc1(queries))))


class QueryDecoder(nn.Module):
    """Layers that refine boxes one after the other, each with scores and a change of the box of its own.

    What a query adds to its features for its place is computed from its box. A layer's box learns through the layer
    before it as well, but what that layer hands on to attention is taken as it is.

    References: Zhu et al. 2021, arXiv:2010.04159 (refinement); Zhang et al. 2023 (DINO), arXiv:2203.03605 (look forward
    twice).

    Args:
        layers: how many.
        num_classes: number of object classes.
        channels: features of a query.
        heads: of the attentions.
        levels: maps.
        points: places of each map that a head looks at.
        hidden: features between the two layers behind the attentions.
    """

    def __init__(
        self, layers: int, num_classes: int, channels: int, heads: int, levels: int, points: int, hidden: int
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(channels, heads, levels, points, hidden) for _ in range(layers))
        self.places = perceptron(4, 2 * channels, channels)
        self.scores = nn.ModuleList(score_head(channels, num_classes) for _ in range(layers))
        self.boxes = nn.ModuleList(box_head(channels) for _ in range(layers))

    def values(self, tokens: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Maps that the layers sample, those of the first layer first, of tokens [B, N, C]."""
        return [value for layer in self.layers for value in layer.cross.values(tokens, sizes)]  # type: ignore[operator,call-arg]

    def forward(
        self, queries: Tensor, boxes: Tensor, values: Sequence[Tensor], mask: Tensor | None = None, *, every: bool
    ) -> tuple[Tensor, Tensor]:
        """Scores and boxes of every layer, or of the last alone.

        Args:
            queries: [B, Q, C].
            boxes: [B, Q, 4] logits of centre, width and height in shares of the image.
            values: of `values`.
            mask: [B, 1, Q, Q] True where a query (row) sees another (column); all by default.
            every: every layer's.

        Returns:
            Logits of the classes [B, L, Q, K], and boxes [B, L, Q, 4], centre, width and height in shares of the image.
        """
        logits, found = [], []
        current = earlier = boxes.detach().float()  # `earlier` has the same values, and a gradient after a layer
        levels, last = len(values) // len(self.layers), len(self.layers) - 1
        for i, (layer, score, change) in enumerate(zip(self.layers, self.scores, self.boxes, strict=True)):
            where = current.sigmoid()
            queries = layer(queries, self.places(where), where, values[i * levels : (i + 1) * levels], mask)
            delta = change(queries).float()
            if every or i == last:
                logits.append(score(queries))
                found.append((delta + earlier).sigmoid())
            earlier = delta + current
            current = earlier.detach()
        return torch.stack(logits, 1), torch.stack(found, 1)
