"""Finding components: our own package, installed packages with the entry point `netwright.nodes`, a user's files.

There is no list to edit: whatever carries a spec is found. A file that cannot be used is listed with its reason and
stops nothing else.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

import nodes
from nodes.sdk.build import ImageSize, Info, make
from nodes.sdk.builder import spec_of
from nodes.sdk.errors import ComponentError
from nodes.sdk.spec import Catalogue, ComponentSpec
from nodes.sdk.user_files import user_files

USER_MODULE = "netwright_user_"
"""What the module of a user's file is called, before a digest of its path and its own name."""


@dataclass(frozen=True)
class Broken:
    """A file that could not be used: where and why, in one or two sentences."""

    file: str
    line: int
    message: str


@dataclass
class Registry:
    """Declared components by id, their catalogue, and the files that could not be used."""

    declared: dict[str, Any] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._added: set[tuple[Path, str]] = set()

    @property
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = Catalogue(spec_of(d) for d in self.declared.values())
        return self._catalogue

    def __getitem__(self, component_id: str) -> Any:
        """The class or composite of an id, old ids included. KeyError when there is none."""
        return self.declared[self.catalogue[component_id].id]

    def spec(self, component_id: str) -> ComponentSpec:
        return self.catalogue[component_id]

    def make(
        self,
        component_id: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Info],
        image_size: ImageSize | None = None,
    ) -> nn.Module:
        """See `nodes.sdk.build.make`."""
        return make(self[component_id], params, inputs, image_size)

    def suggestions(self, component_id: str, param: str) -> list[str]:
        """Values to choose from for a parameter marked `Suggest`; any other text is allowed too."""
        declared, found = self[component_id], self.spec(component_id).param(param)
        if found is None or not found.suggest:
            return []
        return list(getattr(sys.modules[declared.__module__], found.suggest)())

    def add_module(self, module: ModuleType) -> None:
        """Adds what a module itself declares, not what it imports."""
        for declared in _declared_in(module):
            spec = spec_of(declared)
            if spec.id in self.declared:
                other = spec_of(self.declared[spec.id])
                raise ComponentError(
                    f"the id {spec.id} is taken by {other.file}:{other.line}. Rename the class or change its category.",
                    spec.file, spec.line,
                )  # fmt: skip
            self.declared[spec.id] = declared
        self._catalogue = None

    def add_file(self, path: Path) -> bool:
        """Runs a user's Python file and adds its components; call it only for a file that the user trusts.

        Returns:
            False when the file could not be used; `broken` then says why.
        """
        name = f"{USER_MODULE}{hashlib.sha1(str(path.resolve()).encode()).hexdigest()[:8]}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            self.broken.append(Broken(str(path), 0, "is no Python file. Its name must end in .py."))
            return False
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # annotations are looked up there
        with _Listing(self, str(path)) as listing:
            spec.loader.exec_module(module)
            self.add_module(module)
        return listing.ok

    def sync_user_files(self) -> None:
        """Takes in what the user trusts in their folder now, and takes out what they no longer do."""
        trusted = {(f.path, f.digest) for f in user_files() if f.state == "trusted"}
        for path, _ in self._added - trusted:
            self._forget(path)
        for path, _ in sorted(trusted - self._added):
            self.add_file(path)
        self._added = trusted

    def _forget(self, path: Path) -> None:
        """Takes out what an earlier content of a file declared, or why it could not be used."""
        self.declared = {i: d for i, d in self.declared.items() if spec_of(d).file != str(path)}
        self.broken = [b for b in self.broken if b.file != str(path)]
        self._catalogue = None


class _Listing:
    """Turns any exception into a `Broken` entry that names the line in the user's own file."""

    def __init__(self, registry: Registry, file: str) -> None:
        self.registry, self.file, self.ok = registry, file, False

    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if error is None:
            self.ok = True
            return True
        if not isinstance(error, Exception):
            return False
        if isinstance(error, ComponentError):
            self.registry.broken.append(Broken(error.file or self.file, error.line, error.message))
        else:
            lines = [f.lineno or 0 for f in traceback.extract_tb(trace) if f.filename == self.file]
            line = error.lineno or 0 if isinstance(error, SyntaxError) else (lines or [0])[-1]
            self.registry.broken.append(Broken(self.file, line, f"{type(error).__name__}: {error}"))
        return True


def _declared_in(module: ModuleType) -> Iterator[Any]:
    for value in list(vars(module).values()):
        own = getattr(value, "__module__", None) == module.__name__
        # `vars`, not getattr: a subclass of a component is no component until it is declared itself.
        if own and hasattr(value, "__dict__") and isinstance(vars(value).get("__component__"), ComponentSpec):
            yield value


@cache
def library() -> Registry:
    """The components of this package, of installed packages, and of the user's trusted files. Found once a process."""
    registry = Registry()
    for info in pkgutil.walk_packages(nodes.__path__, "nodes."):
        if info.name.startswith("nodes.sdk"):
            continue
        with _Listing(registry, info.name):
            registry.add_module(importlib.import_module(info.name))
    for entry in entry_points(group="netwright.nodes"):
        with _Listing(registry, entry.value):
            loaded = entry.load()
            registry.add_module(loaded if isinstance(loaded, ModuleType) else sys.modules[loaded.__module__])
    registry.sync_user_files()
    return registry
