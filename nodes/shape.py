"""Taking maps apart and changing their form: split, slice, flatten, reshape, tokens and back."""

from __future__ import annotations

from typing import Annotated

from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.declare import Dim, Range, component


@component("shape", outputs=("first", "second"), aliases=("Chunk", "Channel split"))
class Split(nn.Module):
    """Divides the channels into two parts.

    Args:
        share: of the channels in the first part.

    Shapes: x [B, C, H, W] -> [B, C*share, H, W] and the rest.
    """

    def __init__(self, channels: Annotated[int, Dim("C")], share: Annotated[float, Range(0.01, 0.99)] = 0.5) -> None:
        super().__init__()
        first = round(channels * share)
        if not 0 < first < channels:
            raise ValueError(f"share is {share:g}, which leaves one part of {channels} channels empty. Use 0.5.")
        self.sizes = (first, channels - first)

    def forward(self, x: Float[Tensor, "B C H W"]) -> tuple[Float[Tensor, "B C1 H W"], Float[Tensor, "B C2 H W"]]:
        first, second = x.split(self.sizes, 1)
        return first, second


@component("shape", aliases=("Channel range",))
class Slice(nn.Module):
    """Takes a range of channels.

    Args:
        start: first channel taken, counted from 0.
        count: channels taken.

    Shapes: x [B, C, H, W] -> [B, count, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        start: Annotated[int, Range(0, 65535)] = 0,
        count: Annotated[int, Range(1, 65536)] = 1,
    ) -> None:
        super().__init__()
        if start + count > channels:
            raise ValueError(
                f"channels {start} to {start + count - 1} are asked for, the input has {channels}. "
                f"Use a count of at most {max(1, channels - start)}."
            )
        self.start, self.count = start, count

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        return x.narrow(1, self.start, self.count)


@component("shape", aliases=("View", "Vectorise"))
class Flatten(nn.Module):
    """Lays all values of an image out in one vector.

    Shapes: x [B, C, H, W] -> [B, C*H*W].
    """

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D"]:
        return x.flatten(1)


@component("shape", aliases=("View", "Unflatten"))
class Reshape(nn.Module):
    """Makes a map of a vector.

    Args:
        height: rows of the map.
        width: columns of the map.

    Shapes: x [B, D] -> [B, D/(height*width), height, width].
    """

    def __init__(
        self,
        features: Annotated[int, Dim("D")],
        height: Annotated[int, Range(1, 4096)] = 1,
        width: Annotated[int, Range(1, 4096)] = 1,
    ) -> None:
        super().__init__()
        if features % (height * width):
            raise ValueError(f"{height}x{width} cells must divide the {features} values. Use 1x1.")
        self.size = (features // (height * width), height, width)

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B C I J"]:
        return x.unflatten(1, self.size)


@component("shape", title="Map to tokens", aliases=("Patches to sequence", "Flatten to tokens"))
class MapToTokens(nn.Module):
    """Each cell of a map becomes a token, row by row.

    Shapes: x [B, C, H, W] -> [B, H*W, C].
    """

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B L C"]:
        return x.flatten(2).transpose(1, 2)


@component("shape", title="Tokens to map", aliases=("Sequence to map",))
class TokensToMap(nn.Module):
    """Lays tokens out in a map again, with the height and width of another map.

    Args:
        x: the tokens, row by row.
        like: the map whose height and width they take.

    Shapes: x [B, H*W, D], like [B, C, H, W] -> [B, D, H, W].
    """

    def forward(self, x: Float[Tensor, "B H*W D"], like: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        height, width = like.shape[-2:]
        if x.shape[1] != height * width:
            raise ValueError(
                f"there are {x.shape[1]} tokens for {height}x{width} cells. Wire the map that they were made from."
            )
        return x.transpose(1, 2).unflatten(2, (height, width))
