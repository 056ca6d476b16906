"""Writes `model.py`: a class per composite and one for the whole, each with an explicit forward."""

from __future__ import annotations

import operator
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from designer.engine.compile import Compiled
from designer.export.sources import layer_module
from nodes.sdk.build import Made
from nodes.sdk.builder import spec_of


@dataclass
class Written:
    """Classes written so far, and the component classes that they use."""

    classes: dict[str, str] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)  # class name -> module
    by_text: dict[str, str] = field(default_factory=dict)  # body of a class -> its name


def write_model(compiled: Compiled, title: str, names: list[str], sample: Tensor) -> tuple[str, list[tuple[str, str]]]:
    """The text of `model.py` and the component definitions that it needs.

    Args:
        compiled: on the CPU, in eval mode.
        title: the document's name.
        names: class names.
        sample: an image batch of 1, run once for the shape comments.

    Returns:
        The text, and (module, class) of each component class.
    """
    shapes = record_shapes(compiled.model, sample)
    written = Written()
    name = class_name(title) or "Model"
    heads = [h.name for h in compiled.heads]
    body = class_text(name, compiled.model, "", shapes, written, f"{title}, as drawn in Netwright.", heads)
    body = body.rstrip() + _losses(heads, compiled.heads[0].task) + "\n\n\n" if heads else body
    needed = [(module, cls) for cls, module in written.used.items()]
    lines = [f"from {layer_module(module)} import {cls}" for module, cls in sorted(needed)]
    height, width = compiled.image_size
    text = "\n".join(
        [
            f'"""{title}: the model as plain PyTorch. What it needs is in requirements.txt."""',
            "",
            "from __future__ import annotations",
            "",
            "from pathlib import Path",
            *(["from typing import Any"] if heads else []),
            "",
            "import torch",
            "from safetensors.torch import load_file",
            "from torch import Tensor, nn",
            "",
            *lines,
            "",
            f"CLASS_NAMES = {_names(names)}",
            f"IMAGE_SIZE = ({height}, {width})  # height, width",
            *([f'TASK = "{compiled.heads[0].task}"'] if heads else []),
            "",
            "",
            *written.classes.values(),
            body,
            _load(name),
        ]
    )
    return text, needed


def _losses(heads: list[str], task: str) -> str:
    """A method with the losses of all heads; with several, named after their head."""
    targets = "Tensor" if task in ("classify", "semantic") else "dict[str, Tensor]"
    lines = [
        "",
        "",
        f"    def losses(self, raws: tuple[Any, ...], targets: {targets}) -> dict[str, Tensor]:",
        '        """The losses of what the model returns in training mode; training lowers their sum."""',
    ]
    if len(heads) == 1:
        return "\n".join([*lines, f"        return self.{heads[0]}.loss(raws[0], targets)"])
    parts = [
        f'{{f"{head}.{{k}}": v for k, v in self.{head}.loss(raws[{i}], targets).items()}}'
        for i, head in enumerate(heads)
    ]
    return "\n".join([*lines, f"        return {' | '.join(parts)}"])


def _load(name: str) -> str:
    return f'''def load(weights: str | Path | None = None) -> {name}:
    """The model in eval mode, with the weights of this folder or of another file."""
    model = {name}()
    model.load_state_dict(load_file(weights or Path(__file__).with_name("weights.safetensors")))
    return model.eval()


if __name__ == "__main__":
    with torch.no_grad():
        print(load()(torch.zeros(1, 3, *IMAGE_SIZE)))
'''


def _names(names: list[str]) -> str:
    """A list of class names; numbered ones are not written one by one."""
    if len(names) > 1 and names == [f"class {i}" for i in range(len(names))]:
        return f'[f"class {{i}}" for i in range({len(names)})]'
    return f"[{', '.join(map(_quoted, names))}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def record_shapes(model: fx.GraphModule, sample: Tensor) -> dict[str, Any]:
    """Output shapes of every submodule at every depth, by its path, from one run."""
    shapes: dict[str, Any] = {}
    hooks = []
    for path, module in model.named_modules():

        def hook(_m: nn.Module, _i: Any, out: Any, path: str = path) -> None:
            values = out if isinstance(out, tuple) else (out,)
            shapes[path] = [tuple(v.shape) if isinstance(v, Tensor) else None for v in values]

        hooks.append(module.register_forward_hook(hook))
    try:
        with torch.no_grad():
            model(sample)
    finally:
        for handle in hooks:
            handle.remove()
    return shapes


def class_text(
    name: str,
    module: fx.GraphModule,
    path: str,
    shapes: Mapping[str, Any],
    written: Written,
    doc: str,
    heads: list[str],
) -> str:
    """The text of the class for one graph; inner composites are written first."""
    init: list[str] = []
    for node in module.graph.nodes:
        if node.op == "call_module":
            inner = module.get_submodule(node.target)
            made = _construct(node.target, inner, f"{path}{node.target}.", shapes, written)
            init.append(f"        self.{node.target} = {made}")
    inputs = [n.name for n in module.graph.nodes if n.op == "placeholder"]
    forward = _forward(module, path, shapes, heads)
    signature = ", ".join(f"{i}: Tensor" for i in inputs)
    returns = _returned(module, path, shapes, heads)
    return "\n".join(
        [
            f"class {name}(nn.Module):",
            '    """' + "\n    ".join(textwrap.wrap(doc, 110)) + '"""',
            "",
            "    def __init__(self) -> None:",
            "        super().__init__()",
            *init,
            "",
            f"    def forward(self, {signature}) -> {returns}:",
            *forward,
            "",
            "",
        ]
    )


def _construct(target: str, inner: nn.Module, path: str, shapes: Mapping[str, Any], written: Written) -> str:
    """The expression that makes a submodule: a component with its arguments, or a class written for a composite."""
    made: Made = inner.made_with  # type: ignore[assignment]
    spec = spec_of(made.declared)
    if not isinstance(inner, fx.GraphModule):
        written.used[spec.name] = made.declared.__module__
        return f"{spec.name}({', '.join(f'{k}={v!r}' for k, v in made.kwargs.items())})"
    body = class_text("@", inner, path, shapes, written, spec.summary, [])
    if body not in written.by_text:
        name = base = class_name(target) or spec.name
        number = 2
        while name in written.classes or name in written.used:
            name, number = f"{base}{number}", number + 1
        written.by_text[body] = name
        written.classes[name] = body.replace("class @(", f"class {name}(", 1)
    return f"{written.by_text[body]}()"


def _forward(module: fx.GraphModule, path: str, shapes: Mapping[str, Any], heads: list[str]) -> list[str]:
    names = _variables(module)
    early = _ancestors(module, heads) if heads else set()
    calls = [n for n in module.graph.nodes if n.op == "call_module"]
    lines = [_call(n, names, path, shapes) for n in calls if not heads or n in early]
    if heads:
        rest = [n for n in calls if n not in early]
        raw = ", ".join(names[n] for n in calls if n.target in heads)
        lines.append("        if self.training:")
        lines.append(f"            return ({raw},)  # raw outputs, for the heads' own loss(raw, targets)")
        lines += [_call(n, names, path, shapes) for n in rest]
    result = next(n for n in module.graph.nodes if n.op == "output").args[0]
    returned = ", ".join(names[r] for r in result) if isinstance(result, tuple) else names[result]
    return [*lines, f"        return {returned}"]


def _returned(module: fx.GraphModule, path: str, shapes: Mapping[str, Any], heads: list[str]) -> str:
    """What forward returns, as an annotation; with heads, also what it returns in training."""
    result = next(n for n in module.graph.nodes if n.op == "output").args[0]
    several = isinstance(result, tuple) or len(shapes.get(f"{path}{getattr(result, 'target', '')}", [])) > 1
    if heads:
        return "tuple[Any, ...]" if several else "Tensor | tuple[Any, ...]"
    return "tuple[Tensor, ...]" if several else "Tensor"


def _variables(module: fx.GraphModule) -> dict[fx.Node, str]:
    """Variable names: a submodule's own name, and `name_port` for each of several outputs."""
    names: dict[fx.Node, str] = {}
    for node in module.graph.nodes:
        if node.op == "call_function" and node.target is operator.getitem:
            source, index = node.args
            spec = spec_of(_made(module, source.target).declared)
            names[node] = f"{source.name}_{spec.outputs[index].name}"
        else:
            names[node] = node.name
    return names


def _made(graph: fx.GraphModule | None, target: object) -> Made:
    """What the submodule of a call was made from."""
    assert graph is not None
    return graph.get_submodule(str(target)).made_with  # type: ignore[return-value]


def _call(node: fx.Node, names: Mapping[fx.Node, str], path: str, shapes: Mapping[str, Any]) -> str:
    outputs = spec_of(_made(node.graph.owning_module, node.target).declared).outputs
    arguments = ", ".join(names[a] for a in node.args if isinstance(a, fx.Node))
    picked = {user.args[1]: names[user] for user in node.users if user.target is operator.getitem}
    targets = [picked.get(i, "_") for i in range(len(outputs))] if len(outputs) > 1 else [names[node]]
    found = shapes.get(f"{path}{node.target}")
    shown = [
        " x ".join(map(str, s[1:]))
        for s, t in zip(found or [], targets * len(found or []), strict=False)
        if s and t != "_"
    ]
    line = f"        {', '.join(targets)} = self.{node.target}({arguments})"
    if not shown:
        return line
    comment = f"# {', '.join(shown)}"
    return f"{line}  {comment}" if len(line) + len(comment) < 118 else f"        {comment}\n{line}"


def _ancestors(module: fx.GraphModule, heads: list[str]) -> set[fx.Node]:
    seen: set[fx.Node] = set()
    stack = [n for n in module.graph.nodes if n.op == "call_module" and n.target in heads]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += node.all_input_nodes
    return seen


def class_name(text: str) -> str:
    """`YOLOv8n, block by block` -> `YOLOv8nBlockByBlock`."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(w[:1].upper() + w[1:] for w in words)
    return f"Net{name}" if name[:1].isdigit() else name
