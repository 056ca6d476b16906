"""Plain operations on tensors of any form: what an imported model does between its layers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from nodes.sdk.declare import Choices, Range, component

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add, "subtract": torch.sub, "multiply": torch.mul, "divide": torch.div, "power": torch.pow,
    "maximum": torch.maximum, "minimum": torch.minimum,
}  # fmt: skip

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs, "negative": torch.neg, "exp": torch.exp, "log": torch.log, "square_root": torch.sqrt,
    "reciprocal": torch.reciprocal, "erf": torch.erf, "sin": torch.sin, "cos": torch.cos, "floor": torch.floor,
    "ceil": torch.ceil, "round": torch.round, "sign": torch.sign,
}  # fmt: skip

REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "mean": torch.mean, "sum": torch.sum, "max": torch.amax, "min": torch.amin,
    "norm": functools.partial(torch.linalg.vector_norm, ord=2),
}  # fmt: skip

Operation = Annotated[str, Choices(*OPERATIONS)]
Axis = Annotated[int, Range(-8, 7)]
Sizes = Annotated[tuple[int, ...], Range(1, 2**24)]
Any = Float[Tensor, "..."]


@component("tensor", aliases=("Add", "Subtract", "Divide", "Broadcast"))
class Arithmetic(nn.Module):
    """Joins two tensors value by value; sizes of 1 are repeated to fit, as torch does.

    Args:
        a: the first.
        b: the second.
        operation: what is done with them, `a` first.

    Shapes: a [...], b [...] -> [...].
    """

    def __init__(self, operation: Operation = "add") -> None:
        super().__init__()
        self.operation = OPERATIONS[operation]

    def forward(self, a: Any, b: Any) -> Any:
        return self.operation(a, b)


@component("tensor", title="Arithmetic with a number", aliases=("Scale", "Offset"))
class WithNumber(nn.Module):
    """Adds a number to each value, multiplies with it, and the like.

    Args:
        operation: what is done.
        number: the other operand.
        number_first: the number is the first operand: number - x instead of x - number.

    Shapes: x [...] -> [...].
    """

    def __init__(
        self,
        operation: Operation = "multiply",
        number: Annotated[float, Range(-3e38, 3e38)] = 1.0,
        number_first: bool = False,
    ) -> None:
        super().__init__()
        self.operation, self.number, self.number_first = OPERATIONS[operation], number, number_first

    def forward(self, x: Any) -> Any:
        number = torch.full((), self.number, dtype=x.dtype, device=x.device)
        return self.operation(number, x) if self.number_first else self.operation(x, number)


@component("tensor", title="Arithmetic with weights", aliases=("Scale", "Shift", "Position embedding", "Layer scale"))
class WithTensor(nn.Module):
    """Adds learned numbers to a tensor, multiplies with them, and the like; sizes of 1 are repeated to fit.

    Args:
        operation: what is done.
        sizes: sizes of the tensor of numbers, the last ones meeting the last of the input.
        numbers_first: the numbers are the first operand: numbers - x instead of x - numbers.
        learned: whether training changes them.

    Shapes: x [...] -> [...].
    """

    def __init__(
        self,
        operation: Operation = "add",
        sizes: Sizes = (1,),
        numbers_first: bool = False,
        learned: bool = True,
    ) -> None:
        super().__init__()
        self.operation, self.numbers_first = OPERATIONS[operation], numbers_first
        self.numbers = nn.Parameter(torch.zeros(tuple(sizes)), requires_grad=learned)

    def forward(self, x: Any) -> Any:
        return self.operation(self.numbers, x) if self.numbers_first else self.operation(x, self.numbers)


@component("tensor", title="Weights", aliases=("Class token", "Learned query", "Parameter"))
class LearnedTensor(nn.Module):
    """Learned numbers that depend on no image, once for each image of the batch.

    Args:
        like: any tensor; it gives the number of images.
        sizes: sizes of what each image gets.
        learned: whether training changes the numbers.

    Shapes: like [B, ...] -> [B, *sizes].
    """

    def __init__(self, sizes: Sizes = (1,), learned: bool = True) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(1, *sizes), requires_grad=learned)

    def forward(self, like: Any) -> Any:
        return self.numbers.expand(like.shape[0], *self.numbers.shape[1:])


@component("tensor", title="Function", aliases=("Exp", "Log", "Sqrt", "Abs", "Negate"))
class Function(nn.Module):
    """A mathematical function of each value.

    Args:
        function: which one.

    Shapes: x [...] -> [...].
    """

    def __init__(self, function: Annotated[str, Choices(*FUNCTIONS)] = "abs") -> None:
        super().__init__()
        self.function = FUNCTIONS[function]

    def forward(self, x: Any) -> Any:
        return self.function(x)


@component("tensor", aliases=("Clip", "Clamp"))
class Clip(nn.Module):
    """Keeps values between two numbers.

    Args:
        minimum: smaller values become this.
        maximum: larger values become this.

    Shapes: x [...] -> [...].
    """

    def __init__(
        self,
        minimum: Annotated[float, Range(-3.5e38, 3.5e38)] = 0.0,
        maximum: Annotated[float, Range(-3.5e38, 3.5e38)] = 1.0,
    ) -> None:
        super().__init__()
        if minimum > maximum:
            raise ValueError(f"minimum is {minimum:g}, must be at most maximum {maximum:g}. Use {maximum:g}.")
        self.minimum, self.maximum = minimum, maximum

    def forward(self, x: Any) -> Any:
        return x.clamp(self.minimum, self.maximum)


@component("tensor", title="Softmax", aliases=("LogSoftmax",))
class Softmax(nn.Module):
    """Shares that sum to one along an axis.

    Args:
        axis: counted from 0, or from the end below 0.
        log: gives their logarithms.

    Shapes: x [...] -> [...].
    """

    def __init__(self, axis: Axis = -1, log: bool = False) -> None:
        super().__init__()
        self.axis, self.log = axis, log

    def forward(self, x: Any) -> Any:
        return functional.log_softmax(x, self.axis) if self.log else functional.softmax(x, self.axis)


@component("tensor", aliases=("Mean", "Sum", "ReduceMean"))
class Reduce(nn.Module):
    """One value in place of all along some axes.

    Args:
        function: what becomes of the values; `norm` is the root of the sum of their squares.
        axes: counted from 0, or from the end below 0.
        keep: leaves an axis of size 1 for each.

    Shapes: x [...] -> [...].
    """

    def __init__(
        self,
        function: Annotated[str, Choices(*REDUCTIONS)] = "mean",
        axes: Annotated[tuple[int, ...], Range(-8, 7)] = (-1,),
        keep: bool = True,
    ) -> None:
        super().__init__()
        self.function, self.axes, self.keep = REDUCTIONS[function], list(axes), keep

    def forward(self, x: Any) -> Any:
        return self.function(x, dim=self.axes, keepdim=self.keep)


@component("tensor", aliases=("Reshape", "Squeeze", "Unsqueeze", "Unflatten"))
class View(nn.Module):
    """The same values in other sizes.

    Args:
        sizes: the new sizes without the batch; empty to lay each image out in a row.
        batch_axis: where among the new sizes the batch goes; it takes whatever is left.

    Shapes: x [...] -> [B, *sizes].
    """

    def __init__(self, sizes: Sizes = (), batch_axis: Annotated[int, Range(0, 7)] = 0) -> None:
        super().__init__()
        if batch_axis > len(sizes):
            raise ValueError(f"batch_axis is {batch_axis}, there are {len(sizes)} sizes. Use 0.")
        self.sizes = (*sizes[:batch_axis], -1, *sizes[batch_axis:])

    def forward(self, x: Any) -> Any:
        return x.reshape(self.sizes) if len(self.sizes) > 1 else x.flatten(1)


@component("tensor", aliases=("Transpose", "Permute", "Channels last"))
class Permute(nn.Module):
    """Puts the axes in another order.

    Args:
        order: which axis comes where; (0, 2, 3, 1) puts the channels of a map last.

    Shapes: x [...] -> [...].
    """

    def __init__(self, order: Annotated[tuple[int, ...], Range(0, 7)] = (0, 2, 3, 1)) -> None:
        super().__init__()
        if sorted(order) != list(range(len(order))):
            raise ValueError(f"order is {list(order)}, must name each axis from 0 once. Use [0, 2, 3, 1] for a map.")
        self.order = tuple(order)

    def forward(self, x: Any) -> Any:
        return x.permute(self.order)


@component("tensor", aliases=("Slice", "Crop", "Narrow"))
class Cut(nn.Module):
    """Takes a range along an axis.

    Args:
        axis: counted from 0, or from the end below 0.
        start: first place taken.
        stop: the first place no longer taken.
        step: 2 takes every other place.

    Shapes: x [...] -> [...].
    """

    def __init__(
        self,
        axis: Axis = 1,
        start: Annotated[int, Range(0, 2**24)] = 0,
        stop: Annotated[int, Range(1, 2**24)] = 1,
        step: Annotated[int, Range(1, 2**16)] = 1,
    ) -> None:
        super().__init__()
        if stop <= start:
            raise ValueError(f"stop is {stop}, must be above start {start}. Use {start + 1}.")
        self.axis, self.places = axis, slice(start, stop, step)

    def forward(self, x: Any) -> Any:
        return x[(slice(None),) * (self.axis % x.ndim) + (self.places,)]


@component("tensor", aliases=("Gather", "Index select", "Flip"))
class Pick(nn.Module):
    """Takes places along an axis, in any order.

    Args:
        axis: counted from 0, or from the end below 0.
        places: which ones, counted from 0.

    Shapes: x [...] -> [...].
    """

    def __init__(self, axis: Axis = 1, places: Annotated[tuple[int, ...], Range(0, 2**24)] = (0,)) -> None:
        super().__init__()
        self.axis = axis
        self.places: Tensor
        self.register_buffer("places", torch.tensor(tuple(places)), persistent=False)

    def forward(self, x: Any) -> Any:
        return x.index_select(self.axis, self.places)


@component("tensor", title="Join", aliases=("Concat", "Stack"))
class Join(nn.Module):
    """Puts tensors behind each other along any axis.

    Args:
        axis: counted from 0, or from the end below 0.

    Shapes: xs [...] each -> [...].
    """

    def __init__(self, axis: Axis = 1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, *xs: Any) -> Any:
        return torch.cat(xs, self.axis)


@component("tensor", title="Matrix product", aliases=("MatMul", "bmm"))
class MatrixProduct(nn.Module):
    """Multiplies the matrices in the last two axes.

    Args:
        a: the first.
        b: the second.
        transposed: takes the second with rows and columns exchanged.

    Shapes: a [..., L, D], b [..., M, D] -> [..., L, M] if transposed; else b [..., D, M].
    """

    def __init__(self, transposed: bool = True) -> None:
        super().__init__()
        self.transposed = transposed

    def forward(self, a: Any, b: Any) -> Any:
        return a @ (b.mT if self.transposed else b)
