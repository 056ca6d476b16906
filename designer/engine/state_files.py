"""Tensors by name out of a file or a run folder. Runs no code of the file: what is not plain tensors is refused."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from designer.graph.errors import NetwrightError
from designer.train.run import RunFolder
from nodes.weights.rows import unfused

WRAPPINGS = ("state_dict", "model_state_dict", "ema_state_dict", "model", "ema", "net", "params", "module")
"""Under which names programs keep the weights beside optimizer and epoch."""
_FOREIGN = re.compile(r"GLOBAL ([\w.]+)")
_DAMAGED = (
    "central directory", "PytorchStreamReader", "incomplete metadata", "HeaderTooLarge", "InvalidHeader",
    "deserializing header", "Ran out of input", "EOF", "unexpected end", "pickle data was truncated",
)  # fmt: skip
"""What the readers say of a file that has lost a part."""


@dataclass(frozen=True)
class State:
    """Tensors by name, and the classes that the model was trained for, where the file says them."""

    path: Path
    tensors: dict[str, Tensor]
    class_names: list[str] = field(default_factory=list)


def read_state(path: Path, who: str = "") -> State:
    """The tensors of a .safetensors file, of a torch file that holds nothing else, or of a run's best checkpoint.

    Of a checkpoint of ours, the averaged weights.

    Args:
        path: the file or run folder.
        who: what is to start from them, named at the beginning of messages.

    Raises:
        NetwrightError: when it cannot be read; says why and what to do.
    """
    before = f"{who}: " if who else ""
    if path.is_dir():
        path = RunFolder.open(path).weights()
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return State(path, unfused(load_file(path)))
        held = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise NetwrightError(f"{before}there is no file {path}. Choose where its weights are.") from None
    except Exception as error:  # every reader has its own
        raise NetwrightError(f"{before}{path} cannot be read as weights: {_reason(path, error)}") from None
    tensors = _tensors(held)
    if not tensors:
        raise NetwrightError(f"{before}{path} holds no tensors by name. A plain state_dict is needed.")
    names = held.get("class_names", ()) if isinstance(held, dict) else ()
    return State(path, unfused(tensors), [str(n) for n in names] if isinstance(names, (list, tuple)) else [])


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be read, and what to do, in words."""
    text = str(error)
    if foreign := _FOREIGN.search(text):
        return (
            f"it holds Python objects ({foreign[1]}), and opening those would run code of the file, so it is refused. "
            'Where the model was made, save its tensors alone: torch.save(model.state_dict(), "weights.pt").'
        )
    first = text.strip().splitlines()[0][:160] if text.strip() else type(error).__name__
    if any(word in text for word in _DAMAGED) or isinstance(error, EOFError) or _is_torn_zip(path):
        return f"it is damaged or was cut off ({first}). Copy it here again."
    return f"{first}. A .safetensors file, or a torch file with a plain state_dict, is needed."


def _is_torn_zip(path: Path) -> bool:
    """Whether it begins as torch's files do, which are zip archives, and has lost its end, where their index is."""
    try:
        with path.open("rb") as file:
            begins = file.read(4) == b"PK\x03\x04"
        return begins and not zipfile.is_zipfile(path)
    except OSError:
        return False


def _tensors(held: Any) -> dict[str, Tensor]:
    """The tensors by name, out of the usual wrappings; keys without what all of them begin with in vain."""
    if not isinstance(held, Mapping):
        return {}
    if isinstance(held.get("ema"), Mapping) and "averaged" in held:  # a checkpoint of ours
        held = held["ema"]
    for _ in range(3):
        inner = next((held[k] for k in WRAPPINGS if isinstance(held.get(k), Mapping)), None)
        if inner is None:
            break
        held = inner
    tensors = {str(k): v for k, v in held.items() if isinstance(v, Tensor)}
    for prefix in ("_orig_mod.", "module."):  # torch.compile, DataParallel
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key[len(prefix) :]: value for key, value in tensors.items()}
    return tensors
