"""The last catalogue on disk, so that the palette is full before torch is imported. Imports no torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import platformdirs

import nodes
from designer import __version__
from designer.graph.storage import write_text
from nodes.sdk.spec import Catalogue
from nodes.sdk.user_files import user_files


def cache_file() -> Path:
    """Named after this version and the state of the component files, so that an old catalogue is never shown."""
    stamp = hashlib.sha1(__version__.encode())
    for folder in map(Path, nodes.__path__):
        for path in sorted(folder.rglob("*.py")):
            state = path.stat()
            stamp.update(f"{path.relative_to(folder)}:{state.st_size}:{state.st_mtime_ns}\n".encode())
    for file in user_files():
        stamp.update(f"{file.path}:{file.digest}:{file.state}\n".encode())
    return Path(platformdirs.user_cache_dir("netwright")) / f"catalogue-{stamp.hexdigest()[:16]}.json"


def load_catalogue() -> Catalogue | None:
    """The cached catalogue; None when there is none for these files, or it cannot be read."""
    try:
        return Catalogue.from_json(json.loads(cache_file().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # also when it is JSON of another kind
        return None


def save_catalogue(catalogue: Catalogue) -> None:
    """Keeps a catalogue for the next start and drops those of other versions. A full disk is no reason to fail."""
    with contextlib.suppress(OSError):
        path = cache_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(catalogue.to_json()))
        for old in path.parent.glob("catalogue-*.json"):
            if old != path:
                old.unlink(missing_ok=True)
