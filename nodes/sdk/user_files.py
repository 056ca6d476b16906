"""A user's own component files: where they lie, and which of them may run. A file runs once the user has said that they
trust it, and again only after a change that they have trusted as well. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

State = Literal["trusted", "new", "changed"]


@dataclass(frozen=True)
class UserFile:
    """A file of the folder. `changed` is one that was trusted with another content."""

    path: Path
    digest: str
    state: State


def folder() -> Path:
    """Where a user's components lie; `NETWRIGHT_COMPONENTS` names another place."""
    chosen = os.environ.get("NETWRIGHT_COMPONENTS")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("netwright")) / "components"


def user_files() -> list[UserFile]:
    """The Python files of the folder by name; those that begin with an underscore are left out."""
    known = _trusted()
    found = []
    for path in sorted(folder().glob("*.py")):
        if path.name.startswith("_"):
            continue
        try:
            digest = _digest(path)
        except OSError:  # removed or unreadable since it was listed
            continue
        before = known.get(str(path.resolve()))
        state: State = "trusted" if before == digest else "changed" if before else "new"
        found.append(UserFile(path, digest, state))
    return found


def is_trusted(path: Path) -> bool:
    """Whether any Python file, also one outside the folder, may run with the content that it has now."""
    try:
        return _trusted().get(str(path.resolve())) == _digest(path)
    except OSError:
        return False


def trust(path: Path) -> None:
    """Lets a file run with the content that it has now.

    Raises:
        OSError: when it cannot be read, or the list cannot be written.
    """
    _write({**_trusted(), str(path.resolve()): _digest(path)})


def distrust(path: Path) -> None:
    """Takes the trust back; what has run already stays until the process ends."""
    _write({name: digest for name, digest in _trusted().items() if name != str(path.resolve())})


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _list() -> Path:
    return Path(platformdirs.user_config_dir("netwright")) / "trusted.json"


def _trusted() -> dict[str, str]:
    try:
        held = json.loads(_list().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: nothing is trusted then
        return {}
    return {str(k): str(v) for k, v in held.items()} if isinstance(held, dict) else {}


def _write(trusted: dict[str, str]) -> None:
    path = _list()
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(f".{os.getpid()}.tmp")
    made.write_text(json.dumps(trusted, indent=1, sort_keys=True), encoding="utf-8")
    os.replace(made, path)
