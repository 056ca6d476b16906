"""What is said about each common mistake, and that every fix on offer takes the mistake away."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from designer.graph import Document
from designer.graph.problems import Problem
from nodes.sdk.discover import Registry, library
from tests.engine.documents import chain, new, problems, run


@pytest.fixture(scope="module")
def odd() -> Registry:
    registry = Registry(dict(library().declared))
    registry.add_module(importlib.import_module("tests.engine.components"))
    return registry


def the(document: Document, code: str, registry: Registry | None = None) -> Problem:
    """The only problem of that kind."""
    found = problems(document, code, registry)
    assert len(found) == 1, [p.message for p in run(document, registry=registry).problems]
    return found[0]


def check_fixes(document: Document, problem: Problem, registry: Registry | None = None) -> None:
    """Each fix, applied as the window does, removes the problem; undo brings it back."""
    assert problem.fixes
    for fix in problem.fixes:
        document.apply(fix.edits, fix.label)
        after = run(document, registry=registry)
        assert problem.message not in [p.message for p in after.problems], fix.label
        assert not [p for p in after.errors if p.node == problem.node], fix.label
        document.undo()
        assert problem.message in [p.message for p in run(document, registry=registry).problems], fix.label


def concat(height: int = 640) -> Document:
    document, image = new(height)
    stem, down, deep = chain(
        document, image,
        ("stem.conv_stem", "Stem", {}),
        ("downsample.conv_down", "Down 1", {}),
        ("downsample.conv_down", "Down 2", {}),
        ("downsample.conv_down", "Down 3", {}),
    )[1:]  # fmt: skip
    joined = document.add("fusion.concat", title="cat_1")
    document.connect(down, joined)
    document.connect(deep, joined)
    assert stem is not None
    return document


def add(stride: int) -> Document:
    document, image = new(64, 64)
    first, second = chain(
        document, image,
        ("conv.conv", "A", {"out_channels": 8}),
        ("conv.conv", "B", {"out_channels": 16, "stride": stride}),
    )  # fmt: skip
    total = document.add("fusion.add", title="Sum")
    document.connect(first, total)
    document.connect(second, total)
    return document


def one(component: str, size: int = 64, **params: object) -> Document:
    document, image = new(size, size)
    chain(document, image, (component, "node", dict(params)))
    return document


def pyramid(p3: str, p4: str, p5: str, height: int = 64) -> Document:
    document, image = new(height, 64)
    (backbone,) = chain(document, image, ("backbone.csp_darknet", "Backbone", {}))
    neck = document.add("neck.pafpn", title="Neck")
    for target, source in (("p3", p3), ("p4", p4), ("p5", p5)):
        document.connect(backbone, neck, source, target)
    return document


def detector(height: int = 640, **head: object) -> Document:
    document, image = new(height, 640)
    (backbone,) = chain(document, image, ("backbone.csp_darknet", "Backbone", {}))
    node = document.add("head.yolov8_head", title="Head", **{"num_classes": 3, **head})
    for port in ("p3", "p4", "p5"):
        document.connect(backbone, node, port)
    return document


@pytest.mark.parametrize(
    ("make", "code", "message", "labels"),
    [
        (
            concat, "size",
            'Concat "cat_1": input 2 is 40x40, input 1 is 80x80. Insert Upsample x2 before input 2.',
            [
                "Insert Upsample x2 before input 2",
                "Insert ConvDown before input 1",
                "Insert MaxPool 2x2 before input 1",
            ],
        ),
        (
            lambda: add(1), "size",
            'Add "Sum": input 2 has 16 channels (16 x 64 x 64), input 1 has 8 (8 x 64 x 64). '
            "Insert Conv 1x1 to 8 channels before input 2.",
            ["Insert Conv 1x1 to 8 channels before input 2", "Insert Conv 1x1 to 16 channels before input 1"],
        ),
        (
            lambda: one("conv.conv_norm_act", groups=5, out_channels=64), "param",
            None, ["Set groups to 1"],
        ),
        (
            lambda: one("pooling.max_pool", padding=5), "param",
            'MaxPool "node": padding is 5, must be at most half of kernel_size 2. Use 1.',
            ["Set padding to 1", "Set padding to 0"],
        ),
        (
            lambda: one("pooling.sppf", kernel_size=6), "param",
            'SPPF "node": kernel_size is 6, must be odd. Use 7.',
            ["Set kernel_size to 7", "Set kernel_size to 5", "Set kernel_size to 3"],
        ),
        (
            lambda: one("pooling.max_pool", size=8, kernel_size=9, stride=1), "small",
            "MaxPool \"node\": its MaxPool2d 'pool' has a window of 9x9, the map is 8x8; input x is 3 x 8 x 8. "
            "Set kernel_size to 8.",
            ["Set kernel_size to 8", "Set kernel_size to 7", "Set kernel_size to 6", "Set the image size to 16x16"],
        ),
        (
            lambda: pyramid("p3", "p3", "p5"), "size",
            'PAFPN "Neck": input p4 is 8x8, expected 4x4 beside input p3 of 8x8. Insert ConvDown before input p4.',
            ["Insert ConvDown before input p4", "Insert MaxPool 2x2 before input p4"],
        ),
        (
            lambda: pyramid("p4", "p4", "p5"), "size",
            'PAFPN "Neck": input p3 is 4x4, expected 8x8 beside input p4 of 4x4. Insert Upsample x2 before input p3.',
            ["Insert Upsample x2 before input p3"],
        ),
        (
            lambda: pyramid("p3", "p4", "p5", 650), "size",
            'PAFPN "Neck": inside it, concat_top_down4: input 2 is 41x4, input 1 is 42x4. '
            "Set the image size to 640x64.",
            ["Set the image size to 640x64"],
        ),
        (
            lambda: detector(650), "stride",
            "Head: the image is 650x640, no multiple of the stride 32, so cells and pixels do not line up. "
            "Use a multiple of it.",
            ["Set the image size to 640x640"],
        ),
        (
            lambda: detector(num_classes=5), "classes",
            "Head tells 5 classes apart, the shapes data has 3. Make them equal to train.",
            ["Set num_classes to 3", "Draw 5 kinds of shapes"],
        ),
    ],
    ids=[
        "concat", "add", "groups", "padding", "odd kernel", "window", "level too large", "level too small", "odd image",
        "stride", "classes",
    ],
)  # fmt: skip
def test_message_and_fixes(make: Callable[[], Document], code: str, message: str | None, labels: list[str]):
    document = make()
    problem = the(document, code)
    if message is not None:
        assert problem.message == message
    assert [f.label for f in problem.fixes] == labels
    check_fixes(document, problem)


def test_a_skip_over_a_stride_is_mended_in_one_step():
    document = add(2)
    problem = the(document, "size")
    assert problem.fixes[0].label == "Insert Conv 1x1 of stride 2 to 16 channels before input 1"
    document.apply(problem.fixes[0].edits, "Fix")
    assert not run(document).errors
    document.undo()
    # The second one mends the channels; the size then has fixes of its own.
    document.apply(problem.fixes[1].edits, "Fix")
    rest = the(document, "size")
    assert "is 32x32, input 1 is 64x64" in rest.message
    document.apply(rest.fixes[0].edits, "Fix")
    assert not run(document).errors


def test_three_inputs_of_three_sizes_are_mended_one_by_one():
    document, image = new(64, 64)
    maps = chain(
        document, image,
        ("conv.conv", "A", {"out_channels": 8}),
        ("conv.conv", "B", {"out_channels": 8, "stride": 2}),
        ("conv.conv", "C", {"out_channels": 8, "stride": 2}),
    )  # fmt: skip
    joined = document.add("fusion.concat", title="cat")
    for node in maps:
        document.connect(node, joined)
    for _ in range(2):
        assert run(document).errors
        document.apply(the(document, "size").fixes[0].edits, "Fix")
    assert not run(document).errors


def test_sizes_that_no_whole_factor_joins():
    document, image = new(96, 96)
    first, second = chain(
        document, image, ("conv.conv", "A", {"stride": 2}), ("pooling.max_pool", "B", {"kernel_size": 3, "stride": 3})
    )
    third = document.add("conv.conv", title="C", stride=5)
    document.connect(image, third)
    joined = document.add("fusion.concat", title="cat")
    document.connect(first, joined)
    document.connect(third, joined)
    problem = the(document, "size")
    assert problem.message == 'Concat "cat": input 2 is 20x20, input 1 is 48x48. Make them equal.'
    assert second is not None


def test_data_on_disk_is_counted_where_a_glance_tells(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\ntrain: images\n")
    document = detector()
    document.set_data(kind="yolo", path=str(tmp_path / "data.yaml"))
    problem = the(document, "classes")
    assert problem.message == "Head tells 3 classes apart, the yolo data has 2. Make them equal to train."
    check_fixes(document, problem)
    document.set_data(path=str(tmp_path))
    the(document, "classes")
    for name in ("a", "b", "c", "d"):
        (tmp_path / "train" / name).mkdir(parents=True)
    document.set_data(kind="folder")
    assert "the folder data has 4" in the(document, "classes").message
    for gone in ("yolo", "folder", "coco"):
        document.set_data(kind=gone, path=str(tmp_path / "nothing"))
        assert not problems(document, "classes")
    (tmp_path / "data.yaml").write_text("names: 7\n- ]")
    document.set_data(kind="yolo", path=str(tmp_path))
    assert not problems(document, "classes")


def test_a_dead_branch_is_named_once_and_removed_whole():
    document = detector()
    backbone = document.data.nodes[1]
    chain(document, backbone, ("conv.conv", "Aside", {}), ("conv.conv", "Further", {}), ("conv.conv", "End", {}))
    problem = the(document, "dead_end")
    assert problem.message.startswith("End and 2 more nodes lead to no head: not trained, not part of the exported")
    check_fixes(document, problem)
    spare = document.add("io.image_input", title="Spare")
    found = problems(document, "dead_end")
    assert [p.node for p in found][1:] == [spare.id]


def test_what_comes_after_a_head_is_no_dead_branch():
    document = detector()
    head = document.data.nodes[-1]
    chain(document, head, ("post.nms", "NMS", {}))
    assert not run(document).problems


def test_no_head_is_advice_and_only_once_the_rest_runs():
    document, image = new(64, 64)
    assert not run(document).problems
    (conv,) = chain(document, image, ("conv.conv", "Conv", {}))
    problem = the(document, "no_head")
    assert problem.severity == "advice"
    document.set_param(conv, "stride", 99)
    assert not problems(document, "no_head")


def test_everything_frozen():
    document = detector()
    for node in document.data.nodes:
        document.set_frozen(node, True)
    assert the(document, "frozen").severity == "warning"
    document.set_frozen(document.data.nodes[-1], False)
    assert not problems(document, "frozen")


@pytest.mark.parametrize(
    ("component", "code", "text", "detail"),
    [
        ("flattened", "torch", "it cannot run on what arrives (input x is 3 x 64 x 64). Check its", "RuntimeError: "),
        ("looks_at_values", "torch", "its forward looks at values, not shapes alone", "RuntimeError: Tensor.item()"),
        ("wrong_count", "component", "returned a list for output out, it declares map. Return a tensor", ""),
        ("quits", "torch", "it cannot run on what arrives (input x is 3 x 64 x 64). Check its", "SystemExit: 3"),
    ],
)
def test_faults_of_somebodys_component_are_one_sentence(odd, component, code, text, detail):
    document, image = new(64, 64, odd)
    chain(document, image, (f"test.{component}", "Mine", {}))
    problem = the(document, code, odd)
    assert problem.message.partition(": ")[0].endswith('"Mine"')
    assert text in problem.message
    assert "Traceback" not in problem.message + problem.detail
    assert "\n" not in problem.message
    assert problem.detail.startswith(detail)


def test_a_layer_of_fixed_width_is_offered_a_projection(odd):
    document, image = new(64, 64, odd)
    chain(document, image, ("test.too_narrow", "Mine", {}))
    problem = the(document, "layer", odd)
    assert "its Conv2d 'conv' takes 8 channels, got 3 (3 x 64 x 64). Insert Conv 1x1 to 8 channels" in problem.message
    check_fixes(document, problem, odd)


def test_a_problem_survives_the_way_to_the_window():
    problem = the(concat(), "size")
    assert Problem.from_json(problem.to_json()) == problem
