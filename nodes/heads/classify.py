"""The head of a classifier."""

from __future__ import annotations

from typing import Annotated, ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from nodes.heads.dense import check_labels
from nodes.losses.normaliser import normaliser
from nodes.sdk.declare import Dim, Range, component


@component("head", aliases=("Classifier", "Global average pool", "fc", "Linear"))
class ClassificationHead(nn.Module):
    """Global average pool, dropout and a linear layer, trained with cross entropy.

    Gives logits in training and probabilities in eval.

    Args:
        num_classes: classes to tell apart.
        dropout: share of features dropped in training.
        label_smoothing: share of the target spread over all classes; 0.1 is usual on ImageNet.

    Shapes: x [B, C, H, W] -> [B, num_classes].
    """

    task: ClassVar[str] = "classify"

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        num_classes: Annotated[int, Range(1, 100_000)] = 1000,
        dropout: Annotated[float, Range(0.0, 0.95, 0.05)] = 0.0,
        label_smoothing: Annotated[float, Range(0.0, 0.9, 0.05)] = 0.0,
    ) -> None:
        super().__init__()
        self.num_classes, self.label_smoothing = num_classes, label_smoothing
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        logits = self.fc(self.dropout(self.pool(x).flatten(1)))
        return logits if self.training else self.decode(logits)

    def loss(self, raw: Float[Tensor, "B K"], targets: Int[Tensor, " B"] | Float[Tensor, "B K"]) -> dict[str, Tensor]:
        """Cross entropy of the logits, averaged over the batch but for images whose class is -1.

        Args:
            raw: logits.
            targets: class indices, or the share of each class in images that are mixed of two.

        Raises:
            ValueError: when a class index is not below num_classes.
        """
        if not targets.is_floating_point():
            check_labels(targets, self.num_classes)
        elif targets.shape[1] > self.num_classes:
            raise ValueError(
                f"the data has shares of {targets.shape[1]} classes, the head knows {self.num_classes}. "
                f"Set num_classes to {targets.shape[1]}."
            )
        else:
            targets = functional.pad(targets, (0, self.num_classes - targets.shape[1]))
        count = len(targets) if targets.is_floating_point() else int((targets >= 0).sum())
        cls = functional.cross_entropy(
            raw.float(), targets, ignore_index=-1, label_smoothing=self.label_smoothing, reduction="sum"
        )
        return {"cls": cls / normaliser(count, raw)}

    def decode(self, raw: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """Logits to probabilities of each class."""
        return raw.float().softmax(-1)
