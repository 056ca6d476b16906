"""The size variants of YOLOv5 and YOLOv8, shared by their backbones and necks."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Multipliers of depth and width, and the cap on channels before the width multiplier."""

    depth: float
    width: float
    largest: int

    def channels(self, base: int) -> int:
        """Channels of this size: capped, scaled, rounded up to a multiple of 8."""
        scaled = min(base, self.largest) * self.width
        return -int(-scaled // 8) * 8

    def blocks(self, base: int) -> int:
        """Bottlenecks of this size, at least one."""
        return max(1, round(base * self.depth))


YOLOV8 = {
    "n": Size(0.33, 0.25, 1024),
    "s": Size(0.33, 0.50, 1024),
    "m": Size(0.67, 0.75, 768),
    "l": Size(1.00, 1.00, 512),
    "x": Size(1.00, 1.25, 512),
}

YOLOV5 = {
    "n": Size(0.33, 0.25, 1024),
    "s": Size(0.33, 0.50, 1024),
    "m": Size(0.67, 0.75, 1024),
    "l": Size(1.00, 1.00, 1024),
    "x": Size(1.33, 1.25, 1024),
}
