"""The documents that ship with Netwright, in `assets/templates`."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.paths import assets_dir
from designer.graph.storage import SUFFIX, read

if TYPE_CHECKING:
    from nodes.sdk.spec import Catalogue


STARTS = ("quick-start", "shapes-classifier", "shapes-unet")
"""Those that train on drawn shapes, without data of one's own."""
GROUPS = {"detect": "Detectors", "segment": "Segmenters", "semantic": "Semantic segmenters", "classify": "Classifiers"}


SKETCHES = assets_dir() / "templates" / "sketches.json"


@dataclass(frozen=True)
class Sketch:
    """A small picture of a model.

    Attributes:
        nodes: x and y from 0 to 1, and the category of the component.
        wires: from which of them to which.
    """

    nodes: list[tuple[float, float, str]]
    wires: list[tuple[int, int]]


@cache
def sketches() -> dict[str, Sketch]:
    """The pictures by the templates' names, as `assets/make_sketches.py` has drawn them."""
    return {name: Sketch(**raw) for name, raw in json.loads(SKETCHES.read_text(encoding="utf-8")).items()}


@dataclass(frozen=True)
class Template:
    """A shipped document: file stem, title, one sentence, and what it is for (`detect`, `classify`)."""

    name: str
    title: str
    summary: str
    task: str
    path: Path


def templates() -> list[Template]:
    """All templates; those to start with come first."""
    found = []
    for path in (assets_dir() / "templates").glob(f"*{SUFFIX}"):
        extra = (data := read(path)).model_extra or {}
        found.append(Template(path.stem, data.name, str(extra.get("summary", "")), str(extra.get("task", "")), path))
    return sorted(found, key=lambda t: (t.name not in STARTS, t.name))


def grouped() -> dict[str, list[Template]]:
    """The templates under the words that people look for them by."""
    groups: dict[str, list[Template]] = {title: [] for title in ("Start here", *GROUPS.values())}
    for template in templates():
        title = "Start here" if template.name in STARTS else GROUPS.get(template.task, template.task.title())
        groups.setdefault(title, []).append(template)
    return {title: members for title, members in groups.items() if members}


def load_template(name: str, catalogue: Catalogue | None = None) -> Document:
    """A new, unsaved document made from a template. Raises NetwrightError for an unknown name."""
    path = assets_dir() / "templates" / f"{name}{SUFFIX}"
    known = [t.name for t in templates()]
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."
        raise NetwrightError(f"There is no template {name!r}. {hint}")
    return Document(read(path), catalogue)
