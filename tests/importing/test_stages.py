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


def c3(m, x, entering, leaving, depth, *, shortcut, norm, kernel=1):
    half, silu = leaving // 2, {"act": "silu", "norm": norm}
    value = conv(m, x, entering, half, 1, **silu)
    for _ in range(depth):
        y = conv(m, conv(m, value, half, half, kernel, **silu), half, half, 3, **silu)
        value = m.op("Add", value, y) if shortcut else y
    side = conv(m, x, entering, half, 1, **silu)
    return conv(m, m.op("Concat", value, side, axis=1), leaving, leaving, 1, **silu), value


@pytest.mark.parametrize("norm", [True, False], ids=["norms", "folded"])
def test_blocks_of_yolov5(norm, tmp_path):
    m = Maker(opset=12)
    x, _ = c3(m, "image", 3, 8, 2, shortcut=True, norm=norm)
    x, _ = c3(m, x, 8, 12, 2, shortcut=False, norm=norm)
    x, _ = c3(m, x, 12, 12, 1, shortcut=True, norm=norm, kernel=3)
    found, apart = furthest(m.save(tmp_path / "net.onnx", x))
    assert apart < 1e-5
    assert settings(found) == [
        ("block.csp.c3", {"out_channels": 8, "depth": 2, "shortcut": True, "first_kernel": 1}),
        ("block.csp.c3", {"out_channels": 12, "depth": 2, "shortcut": False, "first_kernel": 1}),
        ("block.csp.c3", {"out_channels": 12, "depth": 1, "shortcut": True, "first_kernel": 3}),
    ]
    assert found.recognised == {"C3": 3}


def test_a_c3_whose_chain_is_used_elsewhere_is_left_in_its_parts(tmp_path):
    m = Maker(opset=12)
    x, value = c3(m, "image", 3, 8, 1, shortcut=True, norm=True)
    found, apart = furthest(m.save(tmp_path / "net.onnx", x, value))
    assert apart < 1e-5
    assert "C3" not in found.recognised


def inverted(m, x, entering, wide, leaving, *, stride=1, kernel=3, gate="", norm=True):
    """MobileNet's block: hard-swish as V3 has it, or SiLU as EfficientNet."""
    act = {"Sigmoid": "silu", "HardSigmoid": "hardswish", "": "relu"}[gate]

    def one(value, weight, groups, **sizes):
        bias = [] if norm else [m.weight(weight[0])]
        value = m.op("Conv", value, m.weight(*weight, low=-0.3, high=0.3), *bias, group=groups, **sizes)
        return m.norm(value, weight[0]) if norm else value

    def activated(value):
        if act == "relu":
            return m.op("Relu", value)
        factor = m.op("Sigmoid", value) if act == "silu" else m.op("HardSigmoid", value, alpha=1 / 6, beta=0.5)
        return m.op("Mul", value, factor)

    y = activated(one(x, (wide, entering, 1, 1), 1)) if wide != entering else x
    sizes = {"pads": [kernel // 2] * 4, "strides": [stride] * 2}
    y = activated(one(y, (wide, 1, kernel, kernel), wide, **sizes))
    if gate:
        z = m.op("Conv", m.op("GlobalAveragePool", y), m.weight(4, wide, 1, 1), m.weight(4))
        z = m.op("Relu", z) if gate == "HardSigmoid" else activated(z)
        z = m.op("Conv", z, m.weight(wide, 4, 1, 1), m.weight(wide))
        y = m.op("Mul", m.op(gate, z, **({"alpha": 1 / 6, "beta": 0.5} if gate == "HardSigmoid" else {})), y)
    y = one(y, (leaving, wide, 1, 1), 1)
    return m.op("Add", x, y) if stride == 1 and entering == leaving else y


@pytest.mark.parametrize("norm", [True, False], ids=["norms", "folded"])
@pytest.mark.parametrize("gate", ["", "Sigmoid", "HardSigmoid"])
def test_blocks_of_mobilenet_and_efficientnet(gate, norm, tmp_path):
    m = Maker(opset=14)
    x = inverted(m, "image", 3, 12, 8, stride=2, gate=gate, norm=norm)
    x = inverted(m, x, 8, 24, 8, kernel=5, gate=gate, norm=norm)
    x = inverted(m, x, 8, 8, 8, gate=gate, norm=norm)
    found, apart = furthest(m.save(tmp_path / "net.onnx", x))
    assert apart < 1e-5
    act = {"Sigmoid": "silu", "HardSigmoid": "hardswish", "": "relu"}[gate]
    kind = gate.lower() or "sigmoid"
    usual = {
        "activation": act,
        "gate": kind,
        "dilation": 1,
        "eps": 1e-5,
        "squeeze": 4 if gate else 0,
        "momentum": 0.1,
        "drop_path": 0.0,
    }
    assert settings(found) == [
        (
            "block.mobile.inverted_residual",
            {"out_channels": 8, "expanded": wide, "kernel_size": k, "stride": s, **usual},
        )
        for wide, k, s in ((12, 3, 2), (24, 5, 1), (8, 3, 1))
    ]
    assert found.recognised == {"InvertedResidual": 3}


def test_a_block_without_the_sum_that_it_would_add_is_left_in_its_parts(tmp_path):
    m = Maker(opset=14)
    x = conv(m, "image", 3, 8, 3, act="relu")
    y = m.op("Conv", conv(m, x, 8, 16, 1, act="relu"), m.weight(16, 1, 3, 3), m.weight(16), group=16, pads=[1] * 4)
    y = conv(m, m.op("Relu", y), 16, 8, 1)
    found, apart = furthest(m.save(tmp_path / "net.onnx", m.op("Relu", y)))
    assert apart < 1e-5
    assert "InvertedResidual" not in found.recognised
