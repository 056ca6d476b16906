"""Damaged files of every kind that is opened: only a message in words may come out, and soon."""

import os
import random
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file

from designer.export.weights import read_weights
from designer.graph.errors import NetwrightError
from designer.graph.storage import read
from designer.importing import import_table, read_table
from designer.importing.model import import_onnx
from designer.train import checkpoint
from tests.importing.onnx_files import Maker
from tests.importing.test_stages import c2f, c3, conv, inverted

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("NETWRIGHT_FUZZ", "75"))
"""Damaged files of each of the six kinds."""


def damaged(good: bytes, chance: random.Random) -> bytes:
    """One to four cuts, flips, repeats, or numbers changed for others."""
    data = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        if not data:
            break
        place, length = chance.randrange(len(data)), chance.randint(1, 40)
        match chance.randrange(5):
            case 0:
                del data[place : place + length]
            case 1:
                data[place] ^= 1 << chance.randrange(8)
            case 2:
                data[place:place] = data[place : place + length] * chance.randint(1, 5)
            case 3:
                del data[place:]
            case _:
                digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
                if digits:
                    data[chance.choice(digits)] = ord(chance.choice("0123456789-.e[{\"'"))
    return bytes(data)


def rewired(good: bytes, chance: random.Random) -> bytes:
    """An ONNX file with one to three operations that have lost inputs or attributes, or take or are something else."""
    model = onnx.ModelProto.FromString(good)
    nodes, weights = model.graph.node, model.graph.initializer
    values = [name for node in nodes for name in node.output] + [tensor.name for tensor in weights]
    for _ in range(chance.randint(1, 3)):
        node = chance.choice(nodes)
        match chance.randrange(5):
            case 0:
                del node.input[chance.randrange(len(node.input) or 1) :]
            case 1 if node.input:
                node.input[chance.randrange(len(node.input))] = chance.choice(values)
            case 2 if node.attribute:
                del node.attribute[chance.randrange(len(node.attribute))]
            case 3:
                node.op_type = chance.choice([other.op_type for other in nodes] + ["Relu", "MaxPool", "Split"])
            case _:
                dims = chance.choice(weights).dims
                if dims:
                    dims[chance.randrange(len(dims))] = chance.choice((0, 1, 2, 3, 8))
    return model.SerializeToString()


def open_weights(path: Path) -> None:
    read_weights(path)


def open_table(path: Path) -> None:
    import_table(read_table(path))


def open_onnx(path: Path) -> None:
    import_onnx(path)


def small_onnx() -> bytes:
    m = Maker()
    x = m.op("Relu", m.norm(m.op("Conv", "image", m.weight(4, 3, 3, 3), pads=[1, 1, 1, 1]), 4))
    first = m.op("Gather", m.op("Shape", x), m.tensor(np.array([0])))
    rows = m.op("Reshape", m.op("MaxPool", x, kernel_shape=[2, 2]), m.op("Concat", first, m.tensor([-1]), axis=0))
    return m.model(m.op("Softmax", m.op("Gemm", rows, m.weight(256, 3), m.weight(3)))).SerializeToString()


def onnx_of_blocks() -> bytes:
    m = Maker(opset=14)
    x = inverted(m, "image", 3, 12, 8, stride=2, gate="Sigmoid")
    x = inverted(m, x, 8, 24, 8, kernel=5, gate="HardSigmoid", norm=False)
    x, _ = c3(m, x, 8, 8, 1, shortcut=True, norm=False)
    x, _ = c2f(m, x, 8, 8, 1, shortcut=True, norm=True)
    y = conv(m, conv(m, x, 8, 8, 3, act="relu"), 8, 8, 3)
    return m.model(m.op("Relu", m.op("Add", y, x))).SerializeToString()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    save_file({"a": torch.zeros(3, 4), "b.c": torch.ones(5)}, folder / "a.safetensors")
    state = {"model": {"a": torch.zeros(3)}, "ema": None, "step": 3, "epoch": 1, "batch": 0, "optimizer": {}}
    checkpoint.save(folder / "a.pt", state)
    return {
        ".netwright": (ROOT / "tests/graph/documents/v1-drawn.netwright").read_bytes(),
        ".yaml": (ROOT / "tests/importing/data/yolov8.yaml").read_bytes(),
        ".safetensors": (folder / "a.safetensors").read_bytes(),
        ".pt": (folder / "a.pt").read_bytes(),
        ".onnx": small_onnx(),
        "-blocks.onnx": onnx_of_blocks(),
    }


@pytest.mark.parametrize(
    ("suffix", "opens"),
    [
        (".netwright", read),
        (".yaml", open_table),
        (".safetensors", open_weights),
        (".pt", checkpoint.load),
        (".onnx", open_onnx),
        ("-blocks.onnx", open_onnx),
    ],
)
def test_only_words_come_out(suffix, opens, good, tmp_path):
    opened, said = 0, []
    (tmp_path / f"good{suffix}").write_bytes(good[suffix])
    opens(tmp_path / f"good{suffix}")  # what is imported at first use is no part of the time
    for seed in range(ROUNDS):
        path = tmp_path / f"{seed}{suffix}"
        damage = rewired if suffix == "-blocks.onnx" else damaged
        path.write_bytes(damage(good[suffix], random.Random(f"{suffix} {seed}")))
        began = time.perf_counter()
        try:
            opens(path)
            opened += 1
        except NetwrightError as error:
            said.append(str(error).strip())
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        assert time.perf_counter() - began < 5, seed
    assert all(said)
    assert len(said) > ROUNDS // 5
    assert opened + len(said) == ROUNDS
