"""The user's library of drawn composites: a folder of plain JSON files. Reading one runs no code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from designer.graph.drawn import with_drawn
from designer.graph.errors import DocumentError
from designer.graph.grouping import take_drawn
from designer.graph.model import Drawn, GraphData
from designer.graph.problems import Fix, Problem
from designer.graph.redefine import drawn, redefine
from designer.graph.storage import read, write
from nodes.sdk.spec import Catalogue, ComponentSpec

if TYPE_CHECKING:
    from designer.graph.document import Document

SUFFIX = ".netwright-composite"
CATEGORY = "library"
"""Where the palette shows them, and what their ids there begin with."""
CODE = "library_version"


def folder() -> Path:
    """Where the library lies; `NETWRIGHT_COMPOSITES` names another place."""
    chosen = os.environ.get("NETWRIGHT_COMPOSITES")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_data_dir("netwright")) / "composites"


def fingerprint(composite: Drawn, among: Iterable[Drawn]) -> str:
    """SHA-256 of what a composite is: not of its id, where its parts stand, or where it came from.

    Args:
        composite: the definition.
        among: the definitions that its parts may be nodes of.
    """
    others = {c.id: c for c in among if c.id != composite.id}
    raw = composite.model_dump(mode="json", exclude={"id", "library", "library_hash"})
    for node in raw["nodes"]:
        if node["component"] in others:
            inner = {i: c for i, c in others.items() if i != node["component"]}
            node["component"] = fingerprint(others[node["component"]], inner.values())
        del node["x"], node["y"]
    for wire in raw["wires"]:
        wire.pop("points", None)
    return hashlib.sha256(json.dumps(raw, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Entry:
    """A composite of the library, with those that it is made of before it in `composites`."""

    name: str
    composites: tuple[Drawn, ...]
    fingerprint: str

    @property
    def title(self) -> str:
        return self.composites[-1].title or self.name

    @property
    def id(self) -> str:
        """What the palette calls it."""
        return f"{CATEGORY}.{self.name}"


class CompositeLibrary:
    """What lies in a folder; `refresh` reads what has changed.

    Attributes:
        entries: by name.
        broken: why a file cannot be used, by its name.
    """

    def __init__(self, place: Path | None = None) -> None:
        self.place = place or folder()
        self.entries: dict[str, Entry] = {}
        self.broken: dict[str, str] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}

    def refresh(self) -> bool:
        """Reads the folder again. Returns whether anything has changed."""
        stamps = {}
        for path in sorted(self.place.glob(f"*{SUFFIX}")):
            try:
                found = path.stat()
            except OSError:  # removed since it was listed
                continue
            stamps[path] = (found.st_mtime_ns, found.st_size)
        if stamps == self._stamps:
            return False
        self._stamps, self.entries, self.broken = stamps, {}, {}
        for path in stamps:
            try:
                entry = _read(path)
            except DocumentError as error:
                self.broken[path.name] = str(error)
            else:
                self.entries[entry.name] = entry
        return True

    def with_entries(self, catalogue: Catalogue) -> Catalogue:
        """A catalogue with the library's composites, for a palette; those with parts that are not here are left out."""
        found: list[ComponentSpec] = []
        for entry in self.entries.values():
            known = with_drawn(catalogue, GraphData(composites=list(entry.composites)))
            spec = known.get(entry.composites[-1].id) if known is not None else None
            if spec is not None:
                summary = f"From your library. Made of {len(entry.composites[-1].nodes)} nodes."
                found.append(dataclasses.replace(spec, id=entry.id, category=CATEGORY, summary=summary))
        return Catalogue([*catalogue.values(), *found]) if found else catalogue

    def take(self, document: Document, component: str) -> str:
        """The component as a document knows it: one of the library is copied into the document first.

        Returns:
            Its id there; the given one when it is none of the library.
        """
        entry = next((e for e in self.entries.values() if e.id == component), None)
        if entry is None:
            return component
        return take_drawn(document, _marked(entry))[entry.composites[-1].id]

    def save(self, document: Document, composite: str, name: str = "") -> Entry:
        """Puts a composite of a document into the library, and notes in the document that it is of that version.

        Args:
            document: the document.
            composite: id of the definition.
            name: of the file; "" takes `name_for`.

        Raises:
            DocumentError: the folder does not take it.
        """
        found = drawn(document, composite)
        name = name or self.name_for(found)
        made = tuple(c.model_copy(update={"library": "", "library_hash": ""}) for c in _needed(document, found))
        entry = Entry(name, made, fingerprint(made[-1], made))
        try:
            self.place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DocumentError(f"The library's folder cannot be made: {error.strerror}.", self.place) from None
        write(GraphData(name=found.title, composites=list(made)), self.place / f"{name}{SUFFIX}")
        self.refresh()
        marks = {"library": name, "library_hash": entry.fingerprint}
        if (found.library, found.library_hash) != (name, entry.fingerprint):
            redefine(document, found.model_copy(update=marks), f"Save {found.title} to the library")
        return entry

    def name_for(self, composite: Drawn, *, fresh: bool = False) -> str:
        """The file name of a composite: that of its version in the library, else one made of its title."""
        if composite.library and not fresh:
            return composite.library
        base = re.sub(r"\W+", "_", composite.title.lower()).strip("_") or "composite"
        name, number = base, 2
        while fresh and name in self.entries:
            name, number = f"{base}_{number}", number + 1
        return name

    def problems(self, document: Document) -> list[Problem]:
        """Advice about nodes whose composite the library has another version of, with the update as a fix."""
        said = []
        for composite in document.data.composites:
            entry = self.entries.get(composite.library)
            if entry is None or entry.fingerprint == composite.library_hash:
                continue
            node = next((n for n in document.data.nodes if n.component == composite.id), None)
            own = fingerprint(composite, document.data.composites) != composite.library_hash
            lost = " It was also changed in this document; the update replaces that." if own else ""
            text = f"{composite.title}: your library has another version of this composite.{lost}"
            parts = [c.model_dump(mode="json") for c in _marked(entry)]
            edits = ({"op": "update_composite", "composite": composite.id, "definition": parts},)
            fix = Fix("Update to the library's version", edits)
            said.append(Problem("advice", text, node.id if node else None, code=CODE, fixes=(fix,)))
        return said


def update_composite(document: Document, composite: str, definition: Iterable[Mapping[str, object]]) -> None:
    """Gives a composite the definition of the library's version, as one step; its nodes keep what still fits.

    Args:
        document: the document.
        composite: id of the definition that is replaced.
        definition: the new one as JSON, after those that it is made of.
    """
    new = [Drawn.model_validate(part) for part in definition]
    with document.edit(f"Update {new[-1].title}"):
        names = take_drawn(document, new[:-1], before=composite)
        nodes = [n.model_copy(update={"component": names.get(n.component, n.component)}) for n in new[-1].nodes]
        redefine(document, new[-1].model_copy(update={"id": composite, "nodes": nodes}), f"Update {new[-1].title}")


def _read(path: Path) -> Entry:
    data = read(path)
    if not data.composites:
        raise DocumentError("This file holds no composite. Remove it from the library.", path)
    made = tuple(data.composites)
    return Entry(path.name.removesuffix(SUFFIX), made, fingerprint(made[-1], made))


def _marked(entry: Entry) -> list[Drawn]:
    """The definitions with the last one marked as of the library."""
    marks = {"library": entry.name, "library_hash": entry.fingerprint}
    return [*entry.composites[:-1], entry.composites[-1].model_copy(update=marks)]


def _needed(document: Document, composite: Drawn) -> list[Drawn]:
    """A composite after those of the document that it is made of."""
    wanted = {composite.id}
    found: list[Drawn] = []
    for one in reversed(document.data.composites):
        if one.id in wanted:
            found.insert(0, one)
            wanted |= {n.component for n in one.nodes}
    return found
