"""Composites become nested GraphModules whose channels follow the shapes."""

import copy
import pickle
from typing import Annotated

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from nodes.sdk.build import StructInfo, TensorInfo, info_of, make, output_infos, safe_name, shape_text
from nodes.sdk.builder import Builder
from nodes.sdk.declare import Dim, Range, Stride, component, composite
from nodes.sdk.errors import BadInput, ComponentError
from nodes.types import Predictions

Map = Float[Tensor, "B C H W"]


@component("test")
class Halve(nn.Module):
    """Strided convolution.

    Args:
        width: output channels.
    """

    def __init__(self, channels: Annotated[int, Dim("C")], width: Annotated[int, Range(1, 64)] = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, 2, 1)

    def forward(self, x: Map) -> Float[Tensor, "B D H/2 W/2"]:
        return self.conv(x)


@component("test")
class Join(nn.Module):
    """Concatenates maps of one size."""

    def __init__(
        self, channels: Annotated[tuple[int, ...], Dim("C_")], strides: Annotated[tuple[int, ...], Stride("xs")]
    ) -> None:
        super().__init__()
        self.channels, self.strides = channels, strides

    def forward(self, *xs: Float[Tensor, "B C_ H W"]) -> Float[Tensor, "B D H W"]:
        return torch.cat(xs, 1)


@composite("test", outputs=("joined", "first"))
def twin(g: Builder, x: Map, width: Annotated[int, Range(1, 9)] = 3) -> tuple[Float[Tensor, "B D H W"], ...]:
    """Two convolutions side by side."""
    a = g.add(Halve, x, name="a", width=width)
    b = g.add(Halve, x, name="b")
    return g.add(Join, a, b, name="join"), a


@composite("test")
def nested(g: Builder, x: Map) -> Map:
    """A composite in a composite."""
    joined, _ = g.add(twin, x, name="twin", width=2)
    return g.add(Halve, joined, name="last")


def test_channels_and_strides_follow_the_shapes():
    model = twin.build((1, 3, 32, 32))
    joined, first = model(torch.zeros(2, 3, 32, 32))
    assert (joined.shape, first.shape) == ((2, 7, 16, 16), (2, 3, 16, 16))
    assert (model.join.channels, model.join.strides) == ((3, 4), (2, 2))
    assert "operator" not in model.code  # straight-line calls only


def test_nested_names_read_well_and_the_module_is_ordinary():
    torch.manual_seed(0)
    model = nested.build((1, 3, 32, 32)).eval()
    assert list(model.state_dict())[:2] == ["twin.a.conv.weight", "twin.a.conv.bias"]
    x = torch.randn(1, 3, 32, 32)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(x), model(x))
    model.twin.a.conv.weight.data.zero_()
    assert not torch.equal(copy.deepcopy(model)(x), other(x))


def test_building_on_meta_makes_no_tensor():
    with torch.device("meta"):
        model = nested.build((1, 3, 64, 64))
    assert {p.device.type for p in model.parameters()} == {"meta"}
    spec = nested.__component__
    assert output_infos(spec, model, {"x": TensorInfo((1, 3, 64, 64))}) == {"out": TensorInfo((1, 4, 16, 16))}


@pytest.mark.parametrize(
    ("declared", "params", "inputs", "code", "said"),
    [
        (Halve, {}, {}, "missing", "input x is not wired"),
        (Halve, {"width": 65}, {"x": (1, 3, 8, 8)}, "param", "width is 65, must be 64 or less"),
        (Halve, {"widht": 6}, {"x": (1, 3, 8, 8)}, "unknown", "no parameter 'widht'. It has: width"),
        (Halve, {}, {"x": (1, 3, 8)}, "rank", "takes [B C H W], got 3 x 8"),
        (Join, {}, {"xs.0": (1, 3, 8, 8), "xs.1": (1, 3, 4, 8)}, "size", "xs.1 has H=4, input xs.0 has H=8"),
        (twin, {"width": 10}, {"x": (1, 3, 8, 8)}, "param", "width is 10, must be 9 or less"),
    ],
)
def test_what_does_not_fit_is_said_before_torch_runs(declared, params, inputs, code, said):
    with pytest.raises(BadInput) as caught:
        make(declared, params, {k: TensorInfo(s) for k, s in inputs.items()}, (8, 8))
    assert caught.value.code == code
    assert said in caught.value.message


def test_stride_needs_an_image_and_kinds_must_agree():
    with pytest.raises(BadInput, match="must know the image size"):
        make(Join, {}, {"xs.0": TensorInfo((1, 3, 8, 8))}, None)
    with pytest.raises(BadInput, match="takes map, got tokens"):
        make(Halve, {}, {"x": TensorInfo((1, 3, 8, 8), kind="tokens")}, None)


def test_wires_of_a_variadic_port_keep_their_order():
    inputs = {f"xs.{i}": TensorInfo((1, i + 1, 8, 8)) for i in (10, 9, 0)}
    assert make(Join, {}, inputs, (8, 8)).channels == (1, 10, 11)


def test_builder_refuses_what_cannot_be_wired():
    g = Builder(["x"])
    ref = g.add(Halve, *[g_input("x")], name="a")
    with pytest.raises(ComponentError, match="'a' cannot name a Halve"):
        g.add(Halve, ref, name="a")
    with pytest.raises(ComponentError, match=r"no parameter 'size'\. It has: width"):
        g.add(Halve, ref, size=3)
    with pytest.raises(ComponentError, match="got 2 inputs, it has 1: x"):
        g.add(Halve, ref, ref)


def g_input(name):
    from nodes.sdk.builder import Ref

    return Ref("", name)


def test_structured_values():
    info = info_of(Predictions(torch.zeros(1, 5, 4), torch.zeros(1, 5, 2)), "predictions")
    assert isinstance(info, StructInfo)
    assert info.to_json() == {"kind": "predictions", "fields": {"boxes": [1, 5, 4], "scores": [1, 5, 2]}}
    assert shape_text(info) == "boxes 5 x 4, scores 5 x 2"
    assert info.meta().boxes.device.type == "meta"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Stem", "Stem"),
        ("P3 down", "P3_down"),
        ("3x3", "n3x3"),
        ("forward", "forward_"),
        ("class", "class_"),
        ("", "node"),
    ],
)
def test_safe_name(title, name):
    assert safe_name(title, ()) == name
    assert safe_name(title, {name}) == f"{name}_2"
