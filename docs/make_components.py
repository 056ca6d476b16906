"""Writes docs/components.md: every component with its ports, settings, paper and measured figures.

    python docs/make_components.py

A test holds the page to the library: it fails when a component is missing or has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from designer.engine.evaluate import Cache, Evaluator, Outcome
from nodes.sdk.build import Info, TensorInfo
from nodes.sdk.discover import library
from nodes.sdk.spec import ComponentSpec, Param, Port

PAGE = Path(__file__).parent / "components.md"
IMAGE = (1, 3, 224, 224)
MAP, CELLS = 64, 32
"""Channels and cells of the largest map that anything but a stem or a backbone is measured on."""
HEAD = """# Components

Written by `python docs/make_components.py`. Parameters and multiply-accumulates are of the default settings on one
input: stems and backbones on an image of 3 x 224 x 224, everything else on maps of 64 channels and 32 x 32 cells, each
further level of a pyramid half as large. *Deployed* is the count once norms are folded and branches merged. Where a
component has a published or measured figure, the tests in `tests/nodes` hold it to that figure to the unit.
"""


def page() -> str:
    """The whole text."""
    specs = sorted(library().catalogue.values(), key=lambda s: (s.category, s.title.lower()))
    evaluate = Evaluator(Cache())
    lines = [HEAD]
    for category, group in groupby(specs, key=lambda s: s.category):
        lines.append(f"\n## {category}\n")
        for spec in group:
            lines += entry(spec, evaluate)
    return "\n".join(lines).rstrip() + "\n"


def entry(spec: ComponentSpec, evaluate: Evaluator) -> Iterator[str]:
    mark = " (composite)" if spec.composite else ""
    mark += " (experimental: no published figure)" if spec.experimental else ""
    yield f"### {spec.title}{mark}\n"
    yield f"`{spec.id}`. {spec.summary}"
    yield f"\n    {picture(spec)}\n"
    if spec.settings:
        yield "| setting | default | allowed | |"
        yield "|---|---|---|---|"
        for param in spec.settings:
            yield f"| `{param.name}` | {param.default} | {allowed(param)} | {param.help} |"
        yield ""
    facts = [figures(spec, evaluate), f"Paper: {spec.paper}." if spec.paper else ""]
    yield " ".join(f for f in facts if f) + "\n"


def picture(spec: ComponentSpec) -> str:
    """`x [B C H W] -> [Title] -> out [B D H W]`."""
    inputs = ", ".join(map(port_text, spec.inputs)) or "nothing"
    return f"{inputs}  ->  [ {spec.title} ]  ->  {', '.join(map(port_text, spec.outputs))}"


def port_text(port: Port) -> str:
    name = f"{port.name} 1, 2, ..." if port.variadic else port.name
    return f"{name} [{port.dims}]" if port.dims else f"{name} ({port.kind})"


def allowed(param: Param) -> str:
    if param.choices:
        return ", ".join(map(str, param.choices))
    bounds = [f"{b:g}" for b in (param.minimum, param.maximum) if b is not None]
    return " to ".join(bounds) + (f" {param.unit}" if param.unit else "")


def figures(spec: ComponentSpec, evaluate: Evaluator) -> str:
    found = measured(spec, evaluate)
    if found is None:
        return ""
    cost = found.cost
    shapes = ", ".join(" x ".join(map(str, i.shape[1:])) for i in found.outputs.values() if isinstance(i, TensorInfo))
    deployed = f" ({cost.deployed:,} deployed)" if cost.deployed != cost.params else ""
    gives = f" Gives {shapes}." if shapes else ""
    return f"{cost.params:,} parameters{deployed}, {cost.macs / 1e6:,.1f} MMACs.{gives}"


def measured(spec: ComponentSpec, evaluate: Evaluator) -> Outcome | None:
    """None for what takes structured values, or does not run on these inputs."""
    inputs: dict[str, Info] = {}
    whole = spec.category.split("/")[0] in ("backbone", "stem") and "stage" not in spec.id
    for place, port in enumerate(spec.inputs):
        for i in range(3 if port.variadic else 1):
            halved = i if "_" in port.dims.replace("C_", "") else place if "H" not in port.dims.split() else 0
            info = sample(port, CELLS >> halved, whole)
            if info is None:
                return None
            inputs[f"{port.name}.{i}" if port.variadic else port.name] = info
    found = evaluate(library()[spec.id], required(spec), inputs, IMAGE[-2:] if whole else (8 * CELLS, 8 * CELLS))
    return found if found.failure is None else None


def required(spec: ComponentSpec) -> Mapping[str, Any]:
    return {p.name: p.choices[0] if p.choices else 8 for p in spec.settings if p.required}


def sample(port: Port, cells: int, image: bool) -> TensorInfo | None:
    if port.kind in ("map", "any"):
        return TensorInfo(IMAGE if image else (1, MAP, cells, cells))
    if port.kind == "tokens":
        return TensorInfo((1, CELLS * CELLS, MAP), kind="tokens")
    return TensorInfo((1, MAP), kind="vector") if port.kind == "vector" else None


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.name)
