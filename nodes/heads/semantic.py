"""Heads of semantic segmentation: the class of each pixel, from one map (FCN, DeepLab, U-Net) or two (LR-ASPP)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from nodes.losses.class_map import learned, map_cross_entropy, map_dice
from nodes.sdk.declare import Choices, Dim, Range, Stride, component

GAMMA = 2.0
"""Of the focal loss, as Lin et al. 2017 found best."""
Loss = Annotated[str, Choices("cross_entropy", "focal")]


class SemanticHead(nn.Module):
    """What these heads share: the losses, and probabilities at the size of the image.

    Args:
        stride: image pixels of a cell of the logits.
        num_classes: classes, the background among them.
        objective: `cross_entropy` or `focal`.
        dice_gain: weight of the Dice loss beside it; 0 leaves it out.
        label_smoothing: share of the target spread over all classes.
        class_weights: of each class in per cent; empty for equal ones.
    """

    task: ClassVar[str] = "semantic"

    def __init__(
        self,
        stride: int,
        num_classes: int,
        objective: str,
        dice_gain: float,
        label_smoothing: float,
        class_weights: Sequence[int],
    ) -> None:
        super().__init__()
        if class_weights and len(class_weights) != num_classes:
            raise ValueError(
                f"class_weights has {len(class_weights)} numbers, there are {num_classes} classes. Give one a class, "
                "in per cent, or none."
            )
        self.strides, self.num_classes = (stride,), num_classes
        self.gamma, self.dice_gain = GAMMA if objective == "focal" else 0.0, dice_gain
        self.label_smoothing, self.class_weights = label_smoothing, tuple(class_weights)

    def loss(self, raw: Float[Tensor, "B K H W"], targets: Int[Tensor, "B I J"]) -> dict[str, Tensor]:
        """Losses of logits, enlarged to the size of the true classes.

        Args:
            raw: what forward returns in training.
            targets: class indices at the size of the image, 255 or below 0 where ignored.

        Returns:
            `cls`, and `dice` where it is wanted, scalars in float32.

        Raises:
            ValueError: when a class index is not below num_classes.
        """
        _check_classes(targets, self.num_classes)
        logits = F.interpolate(raw.float(), targets.shape[-2:], mode="bilinear")
        weights = logits.new_tensor(self.class_weights) / 100 if self.class_weights else None
        losses = {"cls": map_cross_entropy(logits, targets, weights, self.label_smoothing, self.gamma)}
        if self.dice_gain:
            losses["dice"] = self.dice_gain * map_dice(logits, targets)
        return losses

    def decode(self, raw: Float[Tensor, "B K H W"]) -> Float[Tensor, "B K I J"]:
        """Logits to probabilities of each class, at the size of the image."""
        logits = raw.float()
        if self.strides[0] > 1:
            logits = F.interpolate(logits, scale_factor=float(self.strides[0]), mode="bilinear")
        return logits.softmax(1)


def _check_classes(targets: Tensor, num_classes: int) -> None:
    top = int(targets.where(learned(targets), 0).max()) if targets.numel() else 0
    if top >= num_classes:
        raise ValueError(
            f"the data has class index {top}, the head knows {num_classes} classes (0 to {num_classes - 1}). "
            f"Set num_classes to {top + 1} or more; 255 is ignored."
        )


@component(
    "head",
    title="FCN head",
    paper="Long et al. 2015, arXiv:1411.4038",
    aliases=(
        "semantic segmentation", "fully convolutional", "DeepLab head", "U-Net head", "PSPNet head", "SegmentationHead",
        "class map",
    ),
)  # fmt: skip
class FCNHead(SemanticHead):
    """Tells the class of each pixel: 3x3 convolutions, dropout, a 1x1 convolution, enlarged to the image's size.

    Behind a backbone it is an FCN, behind ASPP a DeepLabV3. Behind a U-Net, which ends at the image's own size, depth 0
    leaves the 1x1 convolution alone. The class of a pixel is the one with the highest probability.

    Args:
        num_classes: classes, the background among them.
        channels: of the 3x3 convolutions; 0 takes a quarter of what comes in.
        depth: 3x3 convolutions, each with norm and ReLU, before the 1x1.
        dropout: share of features dropped in training.
        norm: batch norm, or group norm where a step has few images.
        objective: cross_entropy, or focal, in which pixels that are learned already count little.
        dice_gain: weight of the Dice loss beside it, which counts small classes like large ones; 0 leaves it out.
        label_smoothing: share of the target spread over all classes.
        class_weights: weight of each class in per cent, for data of which one class fills most; empty for equal ones.

    Shapes: x [B, C, H, W] -> in training logits [B, num_classes, H, W]; in eval probabilities
    [B, num_classes, H*stride, W*stride].
    """

    def __init__(
        self,
        in_channels: Annotated[int, Dim("C")],
        stride: Annotated[int, Stride("x")],
        num_classes: Annotated[int, Range(1, 255)] = 21,
        channels: Annotated[int, Range(0, 65536, 8)] = 0,
        depth: Annotated[int, Range(0, 16)] = 1,
        dropout: Annotated[float, Range(0.0, 0.95, 0.05)] = 0.1,
        norm: Annotated[str, Choices("batch", "group")] = "batch",
        objective: Loss = "cross_entropy",
        dice_gain: Annotated[float, Range(0, 100)] = 0.0,
        label_smoothing: Annotated[float, Range(0.0, 0.9, 0.05)] = 0.0,
        class_weights: tuple[int, ...] = (),
    ) -> None:
        super().__init__(stride, num_classes, objective, dice_gain, label_smoothing, class_weights)
        width = channels or max(1, in_channels // 4)
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers.append(nn.Conv2d(in_channels, width, 3, padding=1, bias=False))
            layers.append(nn.BatchNorm2d(width) if norm == "batch" else nn.GroupNorm(math.gcd(8, width), width))
            layers.append(nn.ReLU(inplace=True))
            in_channels = width
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K I J"]:
        logits = self.classifier(self.dropout(self.layers(x)))
        return logits if self.training else self.decode(logits)


@component(
    "head",
    title="LR-ASPP head",
    paper="Howard et al. 2019, MobileNetV3, arXiv:1905.02244",
    aliases=("semantic segmentation", "Lite R-ASPP", "MobileNetV3 segmentation", "LRASPPHead", "class map"),
)
class LRASPPHead(SemanticHead):
    """Tells the class of each pixel with little work: a coarse map, weighted by its global average, and a finer one.

    Args:
        low: the finer map, usually of stride 8.
        high: the coarser map, usually of stride 16.
        num_classes: classes, the background among them.
        channels: of the coarse branch.
        objective: cross_entropy, or focal, in which pixels that are learned already count little.
        dice_gain: weight of the Dice loss beside it, which counts small classes like large ones; 0 leaves it out.
        label_smoothing: share of the target spread over all classes.
        class_weights: weight of each class in per cent, for data of which one class fills most; empty for equal ones.

    Shapes: low [B, C, H, W], high [B, D, H/2, W/2] -> in training logits [B, num_classes, H, W]; in eval
    probabilities [B, num_classes, H*stride, W*stride], stride being the finer map's.
    """

    def __init__(
        self,
        low_channels: Annotated[int, Dim("C")],
        high_channels: Annotated[int, Dim("D")],
        stride: Annotated[int, Stride("low")],
        num_classes: Annotated[int, Range(1, 255)] = 21,
        channels: Annotated[int, Range(1, 65536, 8)] = 128,
        objective: Loss = "cross_entropy",
        dice_gain: Annotated[float, Range(0, 100)] = 0.0,
        label_smoothing: Annotated[float, Range(0.0, 0.9, 0.05)] = 0.0,
        class_weights: tuple[int, ...] = (),
    ) -> None:
        super().__init__(stride, num_classes, objective, dice_gain, label_smoothing, class_weights)
        conv = nn.Conv2d(high_channels, channels, 1, bias=False)
        self.reduce = nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        squeeze = nn.Conv2d(high_channels, channels, 1, bias=False)
        self.scale = nn.Sequential(nn.AdaptiveAvgPool2d(1), squeeze, nn.Sigmoid())
        self.low_classifier = nn.Conv2d(low_channels, num_classes, 1)
        self.high_classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, low: Float[Tensor, "B C H W"], high: Float[Tensor, "B D H/2 W/2"]) -> Float[Tensor, "B K I J"]:
        x = self.reduce(high) * self.scale(high)
        x = F.interpolate(x, low.shape[-2:], mode="bilinear")
        logits = self.low_classifier(low) + self.high_classifier(x)
        return logits if self.training else self.decode(logits)
