"""`.netwright` files: JSON, one node or wire a line. Reading refuses what it cannot understand; writing is atomic."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from designer.graph.errors import DocumentError
from designer.graph.model import VERSION, GraphData
from designer.graph.named_files import found_from, named_from

SUFFIX = ".netwright"
LARGEST = 64 * 2**20
"""Bytes; a document of 10,000 nodes takes about 3 MB."""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From a version to the next: a function on the plain JSON value. Version 1 is the first, so there is none yet."""


def read(path: Path) -> GraphData:
    """Reads a document. What it names from its own folder (`./`) is named whole.

    Raises:
        DocumentError: with the line and the reason; the file is not touched.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise DocumentError(f"The file is larger than {LARGEST >> 20} MB, so it is no document.", path)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DocumentError("There is no such file. `netwright new` makes one.", path) from None
    except UnicodeDecodeError:
        raise DocumentError("This is not text, so it is no Netwright document.", path) from None
    except OSError as error:
        raise DocumentError(f"The file cannot be read: {error.strerror}.", path) from None
    return found_from(parse(text, path), path.parent)


def parse(text: str, path: str | Path = "") -> GraphData:
    """`read` for text in memory; `path` is only named in messages."""
    try:
        raw = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        reason = "The file ends in the middle; it was cut off" if ended else f"This is not JSON: {error.msg}"
        remedy = "Restore it from a backup or from version control."
        raise DocumentError(f"{reason} (column {error.colno}). {remedy}", path, error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"This is not a document: {error}.", path) from None
    if not isinstance(raw, dict) or "version" not in raw or "nodes" not in raw:
        raise DocumentError('This is JSON but no Netwright document: it has no "version" and "nodes".', path)
    try:
        data = GraphData.model_validate(_migrated(raw, path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        more = f" ({error.error_count() - 1} more like this)" if error.error_count() > 1 else ""
        raise DocumentError(
            f"{where}: {first['msg']}, got {_short(first['input'])}.{more}", path, _line(text, raw, first["loc"])
        ) from None
    _check_ids(data, text, path)
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number that JSON has")


def _migrated(raw: dict[str, Any], path: str | Path) -> dict[str, Any]:
    version = raw["version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DocumentError(f"version is {_short(version)}; a whole number from 1 to {VERSION} was expected.", path, 2)
    if version > VERSION:
        raise DocumentError(
            f"This document has format version {version}, this program reads up to {VERSION}. Update Netwright.",
            path,
            2,
        )
    while version < VERSION:
        raw = MIGRATIONS[version](raw)
        version += 1
    return {**raw, "version": VERSION}


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _line(text: str, raw: dict[str, Any], loc: tuple[int | str, ...]) -> int:
    """The line of a node or wire; files that we wrote have one a line, others get the first line with its id."""
    if len(loc) < 2 or not isinstance(loc[1], int):
        return _line_of(text, f'"{loc[0]}"')
    item = raw[str(loc[0])][loc[1]]
    found = item.get("id") if isinstance(item, dict) else None
    return _line_of(text, f'"id": {json.dumps(found)}') if isinstance(found, str) else _line_of(text, f'"{loc[0]}"')


def _line_of(text: str, part: str) -> int:
    place = text.find(part)
    return text.count("\n", 0, place) + 1 if place >= 0 else 0


def _check_ids(data: GraphData, text: str, path: str | Path) -> None:
    for name, items in (
        ("node", data.nodes),
        ("wire", data.wires),
        ("group", data.groups),
        ("composite", data.composites),
    ):
        seen: set[str] = set()
        for item in items:
            if item.id in seen:
                first = text.find(f'"id": {json.dumps(item.id)}')
                second = text.find(f'"id": {json.dumps(item.id)}', first + 1)
                line = text.count("\n", 0, second) + 1 if second >= 0 else 0
                raise DocumentError(f"Two {name}s have the id {item.id!r}. Give one of them another.", path, line)
            seen.add(item.id)


def dump(data: GraphData) -> str:
    """The text of a document: stable order, one node, wire or group a line, so that diffs read well."""
    raw = data.model_dump()
    lines = []
    for key, value in raw.items():
        if (key, value) in (("advice", {"muted": []}), ("composites", [])):
            continue
        if key in ("nodes", "wires", "groups", "composites") and value:
            items = ",\n".join("    " + _json(_trim(key, item)) for item in value)
            lines.append(f'  "{key}": [\n{items}\n  ]')
        else:
            lines.append(f'  "{key}": {_json(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


_DEFAULTS: dict[str, dict[str, Any]] = {
    "nodes": {"color": "", "note": "", "weights": "", "frozen": False, "disabled": False},
    "wires": {"points": []},
    "groups": {"folded": False},
    "composites": {"library": "", "library_hash": ""},
}


def _trim(key: str, item: dict[str, Any]) -> dict[str, Any]:
    """Leaves out what a reader fills in anyway; whole coordinates lose their `.0`."""
    if key == "composites":
        item = {k: [_trim(k, part) for part in v] if k in ("nodes", "wires") else v for k, v in item.items()}
    usual = _DEFAULTS.get(key, {})
    kept = {k: v for k, v in item.items() if k not in usual or v != usual[k]}
    return {
        k: int(v) if isinstance(v, float) and v.is_integer() and k in ("x", "y", "width", "height") else v
        for k, v in kept.items()
    }


def write(data: GraphData, path: Path) -> None:
    """Writes a document whole or not at all: a temporary file beside it, flushed to disk, then renamed.

    Raises:
        DocumentError: when the folder or the disk does not take it; what was there before is still there.
    """
    try:
        write_text(path, dump(named_from(data, path.parent)))
    except ValueError as error:  # NaN or infinity in a parameter
        raise DocumentError(f"The document cannot be written: {error}.", path) from None
    except OSError as error:
        raise DocumentError(f"The file cannot be written: {error.strerror}. Save it somewhere else.", path) from None


def write_text(path: Path, text: str) -> None:
    """Replaces a file's content atomically; permissions stay, and a link keeps pointing where it did."""
    path = Path(os.path.realpath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
        else:
            umask = os.umask(0)
            os.umask(umask)
            mode = 0o666 & ~umask
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def autosave_path(path: Path) -> Path:
    """Where the unsaved state of a document is kept: beside it."""
    return path.with_name(path.name + ".autosave")


def find_autosave(path: Path) -> Path | None:
    """The autosave of a document when it is newer than the document itself, as after a crash."""
    kept = autosave_path(path)
    if not kept.exists() or (path.exists() and kept.stat().st_mtime_ns < path.stat().st_mtime_ns):
        return None
    return kept
