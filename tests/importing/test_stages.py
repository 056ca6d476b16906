"""Blocks of several convolutions are recognised in ONNX files, with norms and without, and compute the same."""

import pytest

from designer.importing.model import import_onnx
from tests.importing.onnx_files import Maker, furthest


def conv(m, x, entering, leaving, kernel, *, act="", stride=1, norm=True):
    """A convolution, with its norm or with a bias in which that was folded, and its activation."""
    bias = [] if norm else [m.weight(leaving)]
    sizes = {"pads": [kernel // 2] * 4, "strides": [stride] * 2}
    x = m.op("Conv", x, m.weight(leaving, entering, kernel, kernel, low=-0.2, high=0.2), *bias, **sizes)
    x = m.norm(x, leaving) if norm else x
    return m.op("Mul", x, m.op("Sigmoid", x)) if act == "silu" else m.op("Relu", x) if act == "relu" else x


def c2f(m, x, entering, leaving, depth, *, shortcut, norm):
    half, silu = leaving // 2, {"act": "silu", "norm": norm}
    pieces = m.op("Split", conv(m, x, entering, leaving, 1, **silu), axis=1, outputs=2)
    for _ in range(depth):
        y = conv(m, conv(m, pieces[-1], half, half, 3, **silu), half, half, 3, **silu)
        pieces.append(m.op("Add", pieces[-1], y) if shortcut else y)
    return conv(m, m.op("Concat", *pieces, axis=1), (2 + depth) * half, leaving, 1, **silu), pieces


def settings(found):
    return [
        (n.component, n.params) for n in found.data.nodes if n.component not in ("io.image_input", "conv.conv_norm_act")
    ]


@pytest.mark.parametrize("norm", [True, False], ids=["norms", "folded"])
def test_blocks_of_yolov8(norm, tmp_path):
    m = Maker(opset=12)
    x, _ = c2f(m, "image", 3, 8, 2, shortcut=True, norm=norm)
    x, _ = c2f(m, x, 8, 12, 1, shortcut=False, norm=norm)
    pools = [conv(m, x, 12, 6, 1, act="silu", norm=norm)]
    for _ in range(3):
        pools.append(m.op("MaxPool", pools[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
    x = conv(m, m.op("Concat", *pools, axis=1), 24, 16, 1, act="silu", norm=norm)
    found, apart = furthest(m.save(tmp_path / "net.onnx", x))
    assert apart < 1e-5
    assert settings(found) == [
        ("block.csp.c2f", {"out_channels": 8, "depth": 2, "shortcut": True}),
        ("block.csp.c2f", {"out_channels": 12, "depth": 1, "shortcut": False}),
        ("pooling.sppf", {"out_channels": 16, "kernel_size": 5, "width": 6}),
    ]
    assert found.recognised == {"C2f": 2, "SPPF": 1}
    assert sum(found.mapped.values()) == found.total


@pytest.mark.parametrize("norm", [True, False], ids=["norms", "folded"])
def test_blocks_of_resnet(norm, tmp_path):
    m = Maker()
    relu, bare = {"act": "relu", "norm": norm}, {"norm": norm}
    stem = conv(m, "image", 3, 8, 3, **relu)
    y = conv(m, conv(m, stem, 8, 8, 3, **relu), 8, 8, 3, **bare)
    x = m.op("Relu", m.op("Add", y, stem))
    y = conv(m, conv(m, x, 8, 16, 3, stride=2, **relu), 16, 16, 3, **bare)
    x = m.op("Relu", m.op("Add", conv(m, x, 8, 16, 1, stride=2, **bare), y))
    y = conv(m, conv(m, conv(m, x, 16, 4, 1, **relu), 4, 4, 3, **relu), 4, 16, 1, **bare)
    x = m.op("Relu", m.op("Add", y, x))
    found, apart = furthest(m.save(tmp_path / "net.onnx", x))
    assert apart < 1e-5
    assert found.recognised.keys() == {
        "BasicBlock",
        "Bottleneck",
        "Conv+norm+activation" if norm else "Conv+activation",
    }
    assert [c for c, _ in settings(found)][-3:] == [
        "block.residual.basic_block", "block.residual.basic_block", "block.residual.bottleneck",
    ]  # fmt: skip
    assert settings(found)[-2][1] == {"out_channels": 16, "stride": 2, "dilation": 1}
    assert settings(found)[-1][1].items() >= {"width": 4, "stride": 1, "dilation": 1}.items()


def test_a_block_whose_inside_is_used_elsewhere_is_left_in_its_parts(tmp_path):
    m = Maker(opset=12)
    x, pieces = c2f(m, "image", 3, 8, 1, shortcut=True, norm=True)
    found, apart = furthest(m.save(tmp_path / "net.onnx", x, pieces[1]))
    assert apart < 1e-5
    assert "C2f" not in found.recognised
    m = Maker()
    y = conv(m, conv(m, "image", 3, 3, 3, act="relu"), 3, 3, 3)
    path = m.save(tmp_path / "open.onnx", m.op("Relu", m.op("Add", y, "image")), y)
    assert "BasicBlock" not in import_onnx(path).recognised
