"""Checkpoints: written whole or not at all, read without running code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from designer.engine.compile import Compiled
from designer.graph.model import GraphData
from designer.train.run import RunError


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint beside its place, flushes it and renames it; the previous one is kept until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(
            f"{path}: the checkpoint cannot be written: {error.strerror}. The previous one is kept."
        ) from None


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint: tensors and plain values only.

    Keys: `model` and `ema` (state dicts), `optimizer`, `step`, `epoch`, `batch`, `best`, `rng`, `task`, `class_names`,
    `pretrained` (names of parameters that were loaded before training).

    Raises:
        RunError: when it is missing, damaged or holds more than plain values.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunError(f"{path}: there is no such checkpoint.") from None
    except Exception as error:  # torch raises many kinds for a damaged file
        text = str(error).splitlines()[0]
        raise RunError(f"{path}: this is no checkpoint of Netwright, or it is damaged ({text}).") from None
    if not isinstance(state, dict) or "model" not in state:
        raise RunError(f"{path}: this is no checkpoint of Netwright: it has no model.")
    return state


def pretrained(state: dict[str, Any], document: GraphData, compiled: Compiled) -> list[str]:
    """Names of the parameters that were loaded before training; of older checkpoints, the nodes that were to be."""
    given = {n.id for n in document.nodes if n.weights}
    return list(state.get("pretrained", (name for name, node in compiled.node_of.items() if node in given)))


def rng_state() -> dict[str, Any]:
    """The state of torch's random numbers on every device."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_rng(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
