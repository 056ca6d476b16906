"""Every component class can be exported as PyTorch code: its sources stand on their own, without `nodes`."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

from designer.export.sources import collect, layer_module
from nodes.sdk.discover import library

LOAD = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for line in sys.stdin.read().split():
    module, name = line.split(":")
    try:
        getattr(importlib.import_module(module), name)
    except Exception as error:
        print(f"{module}.{name}: {error!r}")
assert not [m for m in sys.modules if m.split(".")[0] in ("nodes", "designer", "jaxtyping")]
"""


def test_sources_of_every_component_load_without_the_library(tmp_path: Path) -> None:
    registry = library()
    declared = [registry[name] for name in registry.catalogue]
    classes = [c for c in declared if inspect.isclass(c) and c.__module__.startswith("nodes.")]
    assert len(classes) > 90
    for path, text in collect((c.__module__, c.__name__) for c in classes).items():
        file = tmp_path / "layers" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    names = " ".join(f"{layer_module(c.__module__)}:{c.__name__}" for c in classes)
    # Isolated: neither the checkout on the path nor what this process has imported.
    run = subprocess.run([sys.executable, "-I", "-c", LOAD, str(tmp_path)], input=names, capture_output=True, text=True)
    assert run.stdout == ""
    assert run.returncode == 0, run.stderr
