"""The losses of a batch that is spread over processes: their mean is the loss of the whole batch, for every head."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.losses.normaliser import normaliser
from nodes.sdk.discover import library
from tests.nodes.fixtures import infos_of, inputs_for

MAP, SIZE = (16, 16), (128, 128)
HEADS = sorted(i for i in library().catalogue if i.startswith("head."))
FILLED = {"first": (0, 2), "none": ()}
"""Which of three images have objects; the second process gets the second image."""


def test_one_process_divides_by_its_own_amount() -> None:
    like = torch.zeros(1)
    assert [normaliser(n, like) for n in (0, 1, 7)] == [1, 1, 7]
    assert normaliser(3, like, least=0, more=1) == 4
    assert float(normaliser(torch.tensor(0.25), like)) == 1.0
    assert float(normaliser(torch.tensor(0.25), like, least=1e-6)) == 0.25


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> list[dict[str, Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("shared")
    names = {**os.environ, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.nodes.test_shared_loss", str(folder)]
    processes = [subprocess.Popen([*command, str(rank)], cwd=Path(__file__).parents[2], env=names) for rank in range(2)]
    try:
        assert [p.wait(200) for p in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_by_hand(shared) -> None:
    # 3 positives here and none there are 1.5 for each; none at all count as one, shared by two; scores 0.5 and 0.1.
    for found in shared:
        assert found["by hand"] == pytest.approx([1.5, 0.5, 2.0, 0.5, 0.3])


@pytest.mark.parametrize("filled", FILLED)
@pytest.mark.parametrize("head", HEADS)
def test_the_mean_of_the_shares_is_the_whole(shared, head: str, filled: str) -> None:
    whole = losses_of(head, filled)
    for name, value in whole.items():
        shares = [found[f"{head} {filled}"][name] for found in shared]
        assert sum(shares) / 2 == pytest.approx(value, rel=1e-5, abs=1e-6), name


def losses_of(head: str, filled: str, share: slice = slice(None)) -> dict[str, float]:
    """Losses of every so many of three images."""
    module, raw = _raw(head)
    targets: Any = _targets(filled)
    if module.task == "semantic":
        targets = targets["masks"].amax(1).long() * (targets["labels"][:, :1, None] + 1)
    if module.task == "classify":
        targets = targets["labels"][:, 0]
    raw = raw[share] if isinstance(raw, Tensor) else tuple(part[share] for part in raw)
    targets = {k: v[share] for k, v in targets.items()} if isinstance(targets, dict) else targets[share]
    return {name: float(value) for name, value in module.loss(raw, targets).items()}


@functools.cache
def _raw(head: str) -> tuple[Any, Any]:
    """A head and what it gives for three images."""
    torch.manual_seed(0)
    spec = library().catalogue[head]
    inputs = inputs_for(spec, MAP, batch=3)
    params = {"num_classes": 4, **({"dice_gain": 1.0} if any(p.name == "dice_gain" for p in spec.params) else {})}
    module = library().make(head, params, infos_of(spec, inputs), SIZE).train()
    with torch.no_grad():
        return module, module(*inputs.values())


def _targets(filled: str) -> dict[str, Tensor]:
    boxes = torch.tensor([[10.0, 15, 45, 55], [50, 20, 100, 90]]).repeat(3, 1, 1)
    boxes = boxes + torch.tensor([0.0, 6, 11])[:, None, None]
    labels = torch.tensor([[0, 1], [2, 3], [1, 0]])
    for i in {0, 1, 2} - set(FILLED[filled]):
        labels[i] = -1
    masks = torch.zeros(3, 2, SIZE[0] // 4, SIZE[1] // 4, dtype=torch.uint8)
    for i in range(3):
        for j in range(2):
            x1, y1, x2, y2 = (boxes[i, j] / 4).long().tolist()
            masks[i, j, y1:y2, x1:x2] = 1
    return {"boxes": boxes, "labels": labels, "masks": masks}


def _process(folder: Path, rank: int) -> None:
    """One of the two."""
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{folder}/met", rank=rank, world_size=2)
    like = torch.zeros(1)
    found: dict[str, Any] = {
        "by hand": [
            float(value)
            for value in (
                normaliser((3, 0)[rank], like),
                normaliser(0, like),
                normaliser((3, 0)[rank], like, least=0, more=1),
                normaliser(torch.tensor((0.5, 0.1)[rank]), like),
                normaliser(torch.tensor((0.5, 0.1)[rank]), like, least=1e-6),
            )
        ]
    }
    for head in HEADS:
        for filled in FILLED:
            found[f"{head} {filled}"] = losses_of(head, filled, slice(rank, None, 2))
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    _process(Path(sys.argv[1]), int(sys.argv[2]))
