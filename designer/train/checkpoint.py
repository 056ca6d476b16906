"""Checkpoints: written whole or not at all, read without running code."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from designer.engine.compile import Compiled
from designer.graph.model import GraphData
from designer.train.run import RunError

FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint beside its place, flushes it and renames it; the previous one is kept, of `last.pt` for good.

    Raises:
        RunError: when the disk does not take it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        if path.name == "last.pt" and path.exists():
            _link(path, previous(path))
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch's writer has an error of its own for a full disk
        temporary.unlink(missing_ok=True)
        if getattr(error, "errno", None) in FULL or shutil.disk_usage(path.parent).free < 2**20:
            raise RunError(disk_full(path)) from None
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise RunError(f"{path}: the checkpoint cannot be written: {reason}. The previous one is kept.") from None


def disk_full(path: Path) -> str:
    """What is said when there is no room for a file."""
    return (
        f"The disk is full: {path} cannot be written. What was written before is kept. Free some space on it, "
        "then resume the run: it goes on from its last checkpoint."
    )


def previous(path: Path) -> Path:
    """Where the checkpoint before the newest is."""
    return path.with_name("previous.pt")


def _link(path: Path, other: Path) -> None:
    """A second name for a file, so that the first is never missing; on file systems without links it is renamed."""
    other.unlink(missing_ok=True)
    try:
        os.link(path, other)
    except OSError:
        os.replace(path, other)


def _flush_folder(folder: Path) -> None:
    """A rename lasts over a power cut once its folder is on the disk, too."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load_last(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The newest checkpoint that can be read, None before the first; and a sentence if it is the one before.

    Raises:
        RunError: when there are checkpoints but none can be read.
    """
    if not path.exists() and not previous(path).exists():
        return None, ""
    try:
        return load(path), ""
    except RunError as error:
        if not previous(path).exists():
            raise
        return load(previous(path)), f"{error} The run goes on from the one before, {previous(path).name}."


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint: tensors and plain values only.

    Keys: `model` and `ema` (state dicts), `optimizer`, `step`, `epoch`, `batch`, `best`, `rng`, `scaler`, `task`,
    `class_names`, `pretrained` (names of parameters that were loaded before training).

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
    """The state of this process's random numbers, on the CPU and on its GPU."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_rng(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if isinstance(state.get("cuda"), torch.Tensor) and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
