"""A component's spec comes from its class alone, and a wrong declaration says what to write instead."""

import textwrap
from typing import Annotated, Literal

import pytest
from jaxtyping import Float, Int
from torch import Tensor, nn

from nodes.sdk.declare import Choices, Dim, Range, Stride, Unit, component, parse_docstring, snake_case
from nodes.sdk.discover import Registry
from nodes.sdk.errors import ComponentError
from nodes.sdk.spec import Catalogue, ComponentSpec
from nodes.types import Predictions


@component("attention/channel", paper="Someone 2020", aliases=("Gate",), replaces=("attention.gate",))
class ChannelGate(nn.Module):
    """Scales channels.

    A second paragraph.

    Args:
        reduction: squeeze ratio
            of the bottleneck.
        size: kernel size.

    Shapes: x [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(
        self,
        channels: Annotated[int, Dim("C")],
        reduction: Annotated[int, Range(1, 64)] = 16,
        size: Annotated[int, Choices(3, 5), Unit("px")] = 3,
        mode: Literal["mean", "max"] = "mean",
        bias: bool = True,
    ) -> None:
        super().__init__()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x


def test_spec_is_read_from_the_class():
    spec = ChannelGate.__component__
    assert spec.id == "attention.channel.channel_gate"
    assert (spec.summary, spec.paper, spec.aliases) == ("Scales channels.", "Someone 2020", ("Gate",))
    assert "A second paragraph." in spec.doc
    assert "squeeze" not in spec.doc
    assert [p.name for p in spec.settings] == ["reduction", "size", "mode", "bias"]
    reduction, size = spec.param("reduction"), spec.param("size")
    assert (reduction.minimum, reduction.maximum, reduction.default) == (1, 64, 16)
    assert reduction.help == "squeeze ratio of the bottleneck."
    assert (size.type, size.choices, size.unit) == ("choice", (3, 5), "px")
    assert spec.param("channels").derived == "dim:C"
    assert spec.outputs[0].name == "out"
    assert spec.inputs[0].kind == "map"
    assert spec.defaults() == {"reduction": 16, "size": 3, "mode": "mean", "bias": True}


def test_spec_survives_json():
    spec = ChannelGate.__component__
    assert ComponentSpec.from_json(spec.to_json()) == spec
    catalogue = Catalogue.from_json(Catalogue([spec]).to_json())
    assert catalogue["attention.gate"] == spec  # found by its old id
    assert list(catalogue) == [spec.id]


def test_kinds_and_several_outputs():
    @component("test", outputs=("boxes", "ids"), role="post")
    class Everything(nn.Module):
        """Takes everything."""

        def __init__(self, strides: Annotated[tuple[int, ...], Stride("levels")]) -> None:
            super().__init__()

        def forward(
            self, tokens: Float[Tensor, "B L D"], found: Predictions, *levels: Float[Tensor, "B C_ H_ W_"]
        ) -> tuple[Predictions, Int[Tensor, "B L"]]: ...

    spec = Everything.__component__
    assert [(p.name, p.kind, p.variadic) for p in spec.inputs] == [
        ("tokens", "tokens", False),
        ("found", "predictions", False),
        ("levels", "map", True),
    ]
    assert [(p.name, p.kind) for p in spec.outputs] == [("boxes", "predictions"), ("ids", "ids")]
    assert spec.role == "post"
    assert spec.input("levels.3") == spec.inputs[2]
    assert spec.input("levels") is None
    assert spec.inputs[2].names(["levels.0", "levels.4"]) == ["levels.0", "levels.4", "levels.5"]


@pytest.mark.parametrize(
    ("init", "forward", "said"),
    [
        ("width: Annotated[int, Range(1, 3)] = 9", "", "width is 9, must be 3 or less"),
        ("width=3", "", "width has no annotation"),
        ("width: dict = None", "", "width has type dict. Write int, float"),
        ("c: Annotated[int, Dim('Q')]", "", "c is Dim('Q'), but no input has that letter"),
        ("s: Annotated[int, Stride('y')]", "", "no input of that name"),
        ("", "def forward(self, x): return x", "x has no annotation. An input is written x: Float"),
        ("", "def forward(self, x: Float[Tensor, 'B']) -> Float[Tensor, 'B C']: return x", "dims 'B' fit no port"),
        ("", "def forward(self, x: Float[Tensor, 'B C']): return x", "no return annotation"),
    ],
)
def test_a_bad_component_is_refused_with_file_line_and_remedy(tmp_path, init, forward, said):
    path = tmp_path / "mine.py"
    forward = forward or "def forward(self, x: Float[Tensor, 'B C H W']) -> Float[Tensor, 'B C H W']: return x"
    path.write_text(
        textwrap.dedent("""\
        from typing import Annotated
        from jaxtyping import Float
        from torch import Tensor, nn
        from nodes.sdk.declare import Dim, Range, Stride, component

        @component("mine")
        class Mine(nn.Module):
            \"\"\"Mine.\"\"\"
        """)
        + f"    def __init__(self, {init}):\n        super().__init__()\n    {forward}\n"
    )
    registry = Registry()
    assert not registry.add_file(path)
    (broken,) = registry.broken
    assert broken.file == str(path)
    assert broken.line == 6
    assert said in broken.message


def test_a_user_file_is_added_and_a_broken_one_stops_nothing(tmp_path):
    good, bad, worse = tmp_path / "a_good.py", tmp_path / "b_bad.py", tmp_path / "c_worse.py"
    good.write_text(
        "from jaxtyping import Float\nfrom torch import Tensor, nn\nfrom nodes.sdk.declare import component\n"
        "@component('mine')\nclass Same(nn.Module):\n    'Returns its input.'\n"
        "    def forward(self, x: Float[Tensor, 'B C H W']) -> Float[Tensor, 'B C H W']:\n        return x\n"
    )
    bad.write_text("import nothing_of_this_name\n")
    worse.write_text("x = (\n")
    registry = Registry()
    for path in sorted(tmp_path.glob("*.py")):
        registry.add_file(path)
    assert list(registry.catalogue) == ["mine.same"]
    assert [(b.file, b.line) for b in registry.broken] == [(str(bad), 1), (str(worse), 1)]
    assert "nothing_of_this_name" in registry.broken[0].message
    assert not registry.add_file(good)  # a second time: the id is taken
    assert "the id mine.same is taken" in registry.broken[-1].message


def test_a_head_needs_loss_and_decode():
    with pytest.raises(ComponentError, match=r"needs loss\(raw, targets\) and decode"):

        @component("head")
        class NoLoss(nn.Module):
            """A head without a loss."""

            task = "detect"

            def forward(self, x: Float[Tensor, "B C H W"]) -> Predictions: ...


def test_snake_case():
    names = {"SqueezeExcite": "squeeze_excite", "YOLOv8Head": "yolov8_head", "C2f": "c2f", "NMS": "nms", "SPPF": "sppf"}
    assert {name: snake_case(name) for name in names} == names


def test_docstring_without_args():
    assert parse_docstring("Only a summary.") == ("Only a summary.", {})
