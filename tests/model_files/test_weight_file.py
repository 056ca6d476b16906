"""safetensors and PyTorch files looked at: figures of every type, nothing unpickled but tensors, lying headers."""

import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from designer.engine.protocol import Cancelled
from designer.graph.errors import NetwrightError
from designer.model_files.opened import OpenedFiles, open_model
from designer.model_files.statistics import statistics


def tensors():
    values = torch.linspace(-2, 3, 600)
    return {
        "stem.weight": values.reshape(20, 30),
        "stem.half": values.half(),
        "stem.brain": values.bfloat16(),
        "head.count": torch.arange(6),
        "head.mask": torch.tensor([True, False, False]),
        "head.scale": torch.tensor(4.0),
        "head.none": torch.zeros(0, 3),
    }


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_every_type_has_figures(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    held = tensors()
    save_file(held, path, {"made by": "a test"}) if suffix == ".safetensors" else torch.save(
        {"model": held, "epoch": 3}, path
    )
    found = open_model(path)
    prefix = "" if suffix == ".safetensors" else "model."
    assert found.summary()["parameters"] == sum(t.numel() for t in held.values())
    assert found.metadata == ({"made by": "a test"} if suffix == ".safetensors" else {"epoch": "3"})
    for name, tensor in held.items():
        figures = statistics(found.tensors[prefix + name])
        plain = tensor.double().numpy()
        assert figures.count == plain.size
        assert figures.zeros == (plain == 0).sum()
        if plain.size:
            expected = [plain.min(), plain.max(), plain.mean(), plain.std()]
            assert [figures.low, figures.high, figures.mean, figures.std] == pytest.approx(expected)
            assert sum(figures.counts) == plain.size


def test_values_that_are_no_numbers_are_counted_apart(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"w": torch.tensor([1.0, float("nan"), float("inf"), 3.0, 0.0])}, path)
    figures = OpenedFiles().figures(path, "w", lambda: False)
    assert (figures["low"], figures["high"], figures["not_finite"], figures["zeros"]) == (0, 3, 2, 1)


def test_large_tensors_are_read_in_pieces_and_can_be_stopped(tmp_path):
    path = tmp_path / "model.safetensors"
    values = np.random.default_rng(0).normal(3, 2, 2_500_000).astype(np.float32)
    save_file({"w": torch.from_numpy(values)}, path)
    tensor = open_model(path).tensors["w"]
    assert [piece.size for piece in tensor.read()] == [1 << 20, 1 << 20, 2_500_000 - (2 << 20)]
    assert statistics(tensor).std == pytest.approx(values.std(dtype=np.float64), rel=1e-9)
    answers = iter([False, True])
    with pytest.raises(Cancelled):
        statistics(tensor, lambda: next(answers))


def header(table, data=b""):
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"abc", "no whole safetensors file"),
        (struct.pack("<Q", 10**12) + b"{}", "its header would be 1,000,000,000,000 bytes long"),
        (header({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 8]}}, b"0" * 8), "does not fit"),
        (header({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"0" * 4), "does not fit"),
        (struct.pack("<Q", 4) + b"\xff\xfe{}", "does not fit"),
    ],
)
def test_headers_that_lie_are_refused_in_words(tmp_path, content, said):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(NetwrightError, match=said):
        open_model(path)


class Evil:
    def __reduce__(self):
        return (open, ("touched", "w"))


def test_code_in_pytorch_files_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(2), "x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(NetwrightError, match=r"only their own code can read.*state_dict"):
        open_model(tmp_path / "evil.pt")
    assert not (tmp_path / "touched").exists()
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(NetwrightError, match="only their own code can read"):
        open_model(tmp_path / "module.pt")
    (tmp_path / "text.pt").write_text("hello, I am no model")
    whole = (tmp_path / "module.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    for name in ("text.pt", "cut.pt"):
        with pytest.raises(NetwrightError, match=r"PyTorch file|own code"):
            open_model(tmp_path / name)
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(NetwrightError, match="holds no tensors"):
        open_model(tmp_path / "none.pt")


def test_a_file_that_changes_is_opened_anew(tmp_path):
    path, opened = tmp_path / "model.safetensors", OpenedFiles()
    save_file({"w": torch.ones(2)}, path)
    assert opened.figures(path, "w", lambda: False)["mean"] == 1
    save_file({"w": torch.full((20,), 5.0)}, path)
    assert opened.figures(path, "w", lambda: False)["mean"] == 5
    with pytest.raises(NetwrightError, match="no tensor 'v'"):
        opened.figures(path, "v", lambda: False)
    path.unlink()
    with pytest.raises(NetwrightError, match="There is no file"):
        opened.show(path)
