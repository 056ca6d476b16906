"""`python -m designer.importing.child FILE NAME SIZE WEIGHTS ANSWER`: runs a trusted Python file, draws its model."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from designer.graph.errors import NetwrightError
from designer.importing.model import import_graph
from designer.importing.module_reader import read_module
from designer.importing.table import ImportFailed
from designer.importing.writing import save_weights


def main(arguments: list[str]) -> None:
    """Writes the answer file: an import, or `{"error": message}`."""
    path, name, size, weights, answer = arguments
    channels, height, width = map(int, size.split("x"))
    try:
        built = build(Path(path), name)
        found = import_graph(read_module(built, (channels, height, width), Path(path).stem))
        save_weights(found, Path(weights))
        told: dict[str, Any] = {
            "document": found.data.model_dump(mode="json"), "report": found.to_json(), "lines": found.lines(),
        }  # fmt: skip
    except NetwrightError as error:
        told = {"error": str(error)}
    Path(answer).write_text(json.dumps(told), encoding="utf-8")


def build(path: Path, name: str) -> nn.Module:
    """Runs a file and takes the model that it defines.

    Args:
        path: a trusted file.
        name: of a module, a class or a function; "" for the only candidate.

    Raises:
        ImportFailed: naming the line at fault, or the candidates.
    """
    module = _run(path)
    found = getattr(module, name, None) if name else _only(module, path)
    if found is None:
        raise ImportFailed(f"{path}: it defines no {name!r}. It has: {_offered(module) or 'no model'}.")
    if isinstance(found, type) and issubclass(found, nn.Module) and not _needs_nothing(found):
        raise ImportFailed(f"{path}: {_without_arguments(found)}")
    try:
        built = found if isinstance(found, nn.Module) else found()
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise ImportFailed(_told(path, error)) from None
    if not isinstance(built, nn.Module):
        raise ImportFailed(f"{path}: {name or 'it'} gives a {type(built).__name__}; a torch nn.Module is needed.")
    return built


def _run(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.parent))  # it may import what lies beside it
    spec = importlib.util.spec_from_file_location(f"imported_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportFailed(f"{path}: this is no Python file. Its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise ImportFailed(_told(path, error)) from None
    return module


def _candidates(module: ModuleType) -> list[str]:
    """Modules, and classes and functions of the file that need no arguments; functions that say they give one first."""
    found: dict[str, int] = {}
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        if isinstance(value, nn.Module):
            found[name] = 0
        elif getattr(value, "__module__", "") == module.__name__ and callable(value) and _needs_nothing(value):
            is_class = isinstance(value, type)
            if not is_class or issubclass(value, nn.Module):
                found[name] = 2 if is_class else 1
    return sorted(found, key=lambda name: found[name])


def _unfinished(module: ModuleType) -> list[type]:
    """Module classes of the file that need arguments; the last is most likely the whole model, made of the others."""
    own = (v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__)
    return [value for value in own if issubclass(value, nn.Module) and not _needs_nothing(value)]


def _needs_nothing(value: Any) -> bool:
    return not _needed(value)


def _needed(value: Any) -> list[str]:
    """The arguments without which something cannot be called; "..." where nobody can tell."""
    try:
        given = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return ["..."]
    return [p.name for p in given if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _offered(module: ModuleType) -> str:
    unfinished = [f"{one.__name__} (needs {', '.join(_needed(one))})" for one in _unfinished(module)]
    return ", ".join([*_candidates(module), *unfinished])


def _without_arguments(model: type) -> str:
    return (
        f"{model.__name__} needs {', '.join(_needed(model))}. Add a function that gives it, such as "
        f"`def build_model(): return {model.__name__}(...)`, and take that."
    )


def _only(module: ModuleType, path: Path) -> Any:
    names, unfinished = _candidates(module), _unfinished(module)
    usual = [n for n in names if n in ("build_model", "create_model", "get_model", "make_model", "model")]
    chosen = usual[:1] or (names if len(names) == 1 else [])
    if chosen:
        return getattr(module, chosen[0])
    if names:
        raise ImportFailed(f"{path}: it has several: {_offered(module)}. Say which with --object.")
    raise ImportFailed(f"{path}: {_without_arguments(unfinished[-1]) if unfinished else 'it defines no model.'}")


def _told(path: Path, error: BaseException) -> str:
    lines = [f.lineno or 0 for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    line = error.lineno or 0 if isinstance(error, SyntaxError) else (lines or [0])[-1]
    where = f"{path}:{line}" if line else str(path)
    reason = (str(error).splitlines() or [""])[0][:300]
    return f"{where}: {type(error).__name__}: {reason}"


if __name__ == "__main__":
    main(sys.argv[1:])
