"""Reads a model table: the YAML in which the YOLO family is published, one row a layer `[from, repeats, module, args]`.

The file is data. Python tags are refused by the loader, and nothing in it is evaluated.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from designer.graph.errors import NetwrightError

LARGEST = 2**20
"""Bytes; published tables have some thousand."""
MOST_ROWS = 5000
MOST_ARGS = 64
DEEPEST = 3


class ImportFailed(NetwrightError):
    """A file that cannot become a document; the message says what is wrong in it and where."""


@dataclass(frozen=True)
class Row:
    """One layer of a table.

    Attributes:
        index: its place, from 0.
        sources: the layers that it takes, as places; -1 for the image.
        repeats: how often, after the table's depth.
        module: its name as written.
        args: its arguments as written; `nc` and `anchors` are put in.
    """

    index: int
    sources: tuple[int, ...]
    repeats: int
    module: str
    args: tuple[Any, ...]

    def text(self) -> str:
        return f"[{list(self.sources)}, {self.repeats}, {self.module}, {list(self.args)}]"


@dataclass(frozen=True)
class Table:
    """A model table: its rows, what scales their widths, and the number of classes."""

    name: str
    rows: list[Row]
    classes: int
    channels: int = 3
    depth: float = 1.0
    width: float = 1.0
    most_channels: float = float("inf")
    scale: str = ""
    activation: str = ""
    anchors: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)


def read_table(path: str | Path, scale: str = "") -> Table:
    """Reads a model table.

    Args:
        path: the YAML file.
        scale: the key of `scales` to take; by default the letter in the file's name (`yolov8n`), or else the first.

    Raises:
        ImportFailed: with the line or row, and the reason.
    """
    path = Path(path)
    raw = _read_yaml(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("backbone"), list):
        raise ImportFailed(f"{path}: this is no model table: it has no `backbone` list of rows.")
    notes: list[str] = []
    depth, width, most = _number(raw, "depth_multiple", 1.0), _number(raw, "width_multiple", 1.0), float("inf")
    scales = raw.get("scales")
    if isinstance(scales, dict) and scales:
        named = {str(k): v for k, v in scales.items()}
        letter = re.search(r"\d([a-z])(?:[-_.]|$)", path.stem)
        guess = letter[1] if letter and letter[1] in named else next(iter(named))
        if scale and scale not in named:
            raise ImportFailed(f"{path}: there is no scale {scale!r}. Choose one of {', '.join(named)}.")
        if not scale and not (letter and letter[1] in named) and len(named) > 1:
            notes.append(f"The scale is {guess}, the first of {', '.join(named)}; --scale takes another.")
        scale = scale or guess
        depth, width, most = _scale(named[scale], path, scale)
    elif scale:
        raise ImportFailed(f"{path}: the table has no scales, so {scale!r} cannot be chosen.")
    classes = int(_number(raw, "nc", 80))
    anchors = _anchors(raw.get("anchors"), path)
    rows = [*raw["backbone"], *(raw.get("head") or [])]
    if not 1 <= len(rows) <= MOST_ROWS:
        raise ImportFailed(f"{path}: the table has {len(rows)} rows; 1 to {MOST_ROWS} can be read.")
    activation = raw.get("activation") or ""
    return Table(
        name=path.stem,
        rows=[_row(i, row, path, classes, anchors, depth) for i, row in enumerate(rows)],
        classes=classes,
        channels=int(_number(raw, "ch", _number(raw, "channels", 3))),
        depth=depth,
        width=width,
        most_channels=most,
        scale=scale,
        activation=activation if isinstance(activation, str) else "",
        anchors=anchors,
        notes=notes,
    )


def _read_yaml(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST:
            raise ImportFailed(f"{path}: the file is larger than 1 MB, so it is no model table.")
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ImportFailed(f"{path}: there is no such file.") from None
    except UnicodeDecodeError:
        raise ImportFailed(f"{path}: this is not text, so it is no model table.") from None
    except OSError as error:
        raise ImportFailed(f"{path}: the file cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        if "could not determine a constructor" in str(problem):
            raise ImportFailed(f"{path}{where}: a tag that would make an object was refused ({problem}).") from None
        raise ImportFailed(f"{path}{where}: this is not YAML: {problem}.") from None


def _row(index: int, raw: Any, path: Path, classes: int, anchors: tuple[int, ...], depth: float) -> Row:
    def bad(reason: str) -> ImportFailed:
        return ImportFailed(f"{path}: row {index} is {_short(raw)}: {reason}.")

    if not isinstance(raw, list) or len(raw) != 4:
        raise bad("a row is [from, repeats, module, args]")
    came, repeats, module, args = raw
    came = came if isinstance(came, list) else [came]
    if not came or not all(isinstance(f, int) and not isinstance(f, bool) for f in came):
        raise bad("`from` is a layer's number, or a list of them; -1 is the layer before")
    sources = tuple(index + f if f < 0 else f for f in came)
    for f, source in zip(came, sources, strict=True):
        if not -1 <= source < index or (source == -1 and index and f >= 0):
            raise bad(f"it takes layer {f}, but only layers before it can be taken")
    if not isinstance(repeats, int) or isinstance(repeats, bool) or not 1 <= repeats <= 1000:
        raise bad("`repeats` is a whole number from 1 to 1000")
    if not isinstance(module, str) or not re.fullmatch(r"[A-Za-z_][\w.]*", module):
        raise bad("`module` is a name")
    if args is None:
        args = []
    if not isinstance(args, list) or len(args) > MOST_ARGS:
        raise bad(f"`args` is a list of at most {MOST_ARGS}")
    names = {"nc": classes, "anchors": anchors or None}
    values = tuple(_value(a, names, DEEPEST, bad) for a in args)
    return Row(index, sources, max(round(repeats * depth), 1) if repeats > 1 else repeats, module, values)


def _value(raw: Any, names: dict[str, Any], deepest: int, bad: Any) -> Any:
    """An argument as plain data; words such as None and 'nearest' stand for what they say."""
    if isinstance(raw, str):
        if raw in names:
            return names[raw]
        try:
            value = ast.literal_eval(raw)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return raw
        return value if isinstance(value, (int, float, bool, str, type(None))) else raw
    if isinstance(raw, (int, float, bool, type(None))):
        return raw
    if isinstance(raw, list) and deepest and len(raw) <= MOST_ARGS:
        return tuple(_value(r, names, deepest - 1, bad) for r in raw)
    raise bad("an argument is a number, a word or a short list")


def _number(raw: dict[Any, Any], name: str, default: float) -> float:
    value = raw.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        raise ImportFailed(f"`{name}` is {_short(value)}; a number above 0 was expected.")
    return value


def _scale(raw: Any, path: Path, name: str) -> tuple[float, float, float]:
    good = isinstance(raw, list) and len(raw) == 3
    if not good or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0 for v in raw):
        raise ImportFailed(f"{path}: the scale {name} is {_short(raw)}; [depth, width, most channels] was expected.")
    return float(raw[0]), float(raw[1]), float(raw[2])


def _anchors(raw: Any, path: Path) -> tuple[int, ...]:
    """Widths and heights of the anchors, finest level first; none where the table gives only how many."""
    if raw is None or isinstance(raw, (int, float)):
        return ()
    rows = raw if isinstance(raw, list) and len(raw) <= MOST_ARGS else [None]
    flat = [v for row in rows for v in (row if isinstance(row, list) else [None])]
    numbers = [v for v in flat if isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < 1e6]
    if len(numbers) < len(flat):
        raise ImportFailed(f"{path}: `anchors` is {_short(raw)}; a list of widths and heights a level was expected.")
    return tuple(round(v) for v in numbers)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        text = "a list that holds itself"
    return text if len(text) <= 80 else f"{text[:77]}..."
