"""Components that misbehave, or use operators that torch does not count, for the tests of the engine."""

from __future__ import annotations

import os
import time
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component

Map = Float[Tensor, "B C H W"]


@component("test")
class Chatty(nn.Module):
    """Prints by every road to stdout."""

    def forward(self, x: Map) -> Map:
        print('{"id": 1, "result": "from print"}')
        os.write(1, b'{"id": 1, "result": "from the descriptor"}\n')
        os.system('echo \'{"id": 1, "result": "from a child"}\'')
        return x * 1


@component("test")
class Deadly(nn.Module):
    """Ends the process, as a segmentation fault would."""

    def forward(self, x: Map) -> Map:
        os.kill(os.getpid(), 9)
        return x


@component("test")
class Slow(nn.Module):
    """Takes its time, and writes a line when it starts.

    Args:
        seconds: how long.
        file: where to write a line for every run.
    """

    def __init__(self, seconds: float = 1.0, file: str = "") -> None:
        super().__init__()
        self.seconds, self.file = seconds, file

    def forward(self, x: Map) -> Map:
        if self.file:
            with open(self.file, "a") as file:
                file.write("run\n")
        time.sleep(self.seconds)
        return x * 1


@component("test")
class Quits(nn.Module):
    """Calls sys.exit, as scripts do."""

    def forward(self, x: Map) -> Map:
        raise SystemExit(3)


@component("test")
class LooksAtValues(nn.Module):
    """Keeps the positive values: the size of its output depends on what is in the map."""

    def forward(self, x: Map) -> Map:
        return x[:, :, : int((x > 0).sum().item())]


@component("test")
class WrongCount(nn.Module):
    """Returns two maps where one is declared, with a tuple that is no map."""

    def forward(self, x: Map) -> Map:
        return [x, x]  # type: ignore[return-value]


@component("test")
class TooNarrow(nn.Module):
    """A convolution for eight channels, whatever arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x: Map) -> Map:
        return self.conv(x)


@component("test")
class Flattened(nn.Module):
    """Multiplies by a matrix that does not fit, in a function of torch that no layer check sees."""

    def forward(self, x: Map) -> Map:
        return x.flatten(1) @ torch.empty(7, 7, device=x.device)


@component("test")
class InPlace(nn.Module):
    """Writes to its input."""

    def forward(self, x: Map) -> Map:
        return F.relu(x, inplace=True)


@component("test")
class Warp(nn.Module):
    """Samples a map on a grid of its own size."""

    def forward(self, x: Map) -> Map:
        grid = torch.zeros(x.shape[0], x.shape[2], x.shape[3], 2, device=x.device)
        return F.grid_sample(x, grid, align_corners=False)


@component("test")
class Deformable(nn.Module):
    """A deformable 3x3 convolution.

    Args:
        out_channels: channels it gives.
    """

    def __init__(self, channels: Annotated[int, Dim("C")], out_channels: Annotated[int, Range(1, 64)] = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, channels, 3, 3))

    def forward(self, x: Map) -> Float[Tensor, "B D H W"]:
        from torchvision.ops import deform_conv2d

        offset = torch.zeros(x.shape[0], 18, *x.shape[2:], device=x.device)
        return deform_conv2d(x, offset, self.weight, padding=1)
