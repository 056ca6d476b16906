"""Reads any `nn.Module`: torch.export traces it to operations, which are said in ONNX's words. Runs its code."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from designer.importing.operations import IMAGES, MOST_OPERATIONS, Op, OpGraph, needed
from designer.importing.table import ImportFailed
from designer.importing.torch_operations import FROM_SHAPE, WORDS, Asked, NotSaid, Said


def read_module(module: nn.Module, size: tuple[int, int, int], name: str) -> OpGraph:
    """Traces a module in eval mode.

    Args:
        module: takes images [B, C, H, W].
        size: channels, height and width of the images.
        name: what the document is called.

    Raises:
        ImportFailed: when it can be traced neither by torch.export nor with one image.
    """
    image = torch.rand((IMAGES, *size), generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            return _Reader(name, *_traced(module.eval(), image)).run()
        finally:
            logging.disable(logging.NOTSET)


def _traced(module: nn.Module, image: Tensor) -> tuple[fx.Graph, dict[str, Tensor], list[str], list[str]]:
    """Graph, its tensors by placeholder or attribute, the learned ones among them, notes."""
    try:
        program = torch.export.export(module, (image,), strict=False)
    except Exception as error:  # whatever the module or the tracer raises
        return _traced_once(module, image, error)
    kept = {**program.state_dict, **program.constants}
    names = {s.arg.name: s.target for s in program.graph_signature.input_specs if s.target is not None}
    learned = [n for n, target in names.items() if target in program.graph_signature.parameters]
    return program.graph, {n: kept[target].detach() for n, target in names.items() if target in kept}, learned, []


def _traced_once(module: nn.Module, image: Tensor, reason: Exception) -> Any:
    """The operations that one image takes, for a module whose way depends on values."""
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        with torch.no_grad():
            traced = make_fx(module, pre_dispatch=True, _error_on_data_dependent_ops=False)(image)
    except Exception as error:
        raise ImportFailed(
            f"{type(module).__name__} cannot be traced with an image of {' x '.join(map(str, image.shape[1:]))}: "
            f"{_first_line(error)}. Give --size as the model takes it, or simplify its forward."
        ) from None
    tensors = {
        str(n.target): getattr(traced, str(n.target)) for n in traced.graph.nodes if n.op == "get_attr"
    }  # fmt: skip
    learned = [n for n, t in tensors.items() if isinstance(t, nn.Parameter)]
    note = (
        f"torch.export refused it ({_first_line(reason)}), so it was followed with one image: branches that depend on "
        "values are those of that image."
    )
    return traced.graph, {n: t.detach() for n, t in tensors.items()}, learned, [note]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".:")


class _Reader:
    def __init__(
        self, name: str, graph: fx.Graph, tensors: dict[str, Tensor], learned: list[str], notes: list[str]
    ) -> None:
        self.traced, self.tensors = graph, tensors
        self.graph = OpGraph(name, [], {}, [], learned=set(learned), notes=notes)
        self.names: dict[fx.Node, Any] = {}
        """What each traced node's value is called, or a list of names."""

    def run(self) -> OpGraph:
        for node in self.traced.nodes:
            match node.op:
                case "placeholder" | "get_attr":
                    self._given(node)
                case "call_function":
                    self._called(node)
                case "output":
                    self._output(node)
        if len(self.graph.ops) > MOST_OPERATIONS:
            raise ImportFailed(f"The model has {len(self.graph.ops)} operations; {MOST_OPERATIONS} can be read.")
        self.graph.ops = needed(self.graph.ops, self.graph.outputs)
        return self.graph

    def _given(self, node: fx.Node) -> None:
        key = node.name if node.op == "placeholder" else str(node.target)
        self.names[node] = node.name
        if key in self.tensors:
            value = self.tensors[key]
            self.graph.constants[node.name] = value.float() if value.is_floating_point() else value
            if key in self.graph.learned:
                self.graph.learned.add(node.name)
        elif node.op == "placeholder":
            self.graph.inputs[node.name] = self._shape(node)

    def _shape(self, node: fx.Node) -> tuple[int, ...]:
        found = _shapes(node.meta.get("val", node.meta.get("tensor_meta")))
        shape = found[0] if found else ()
        self.graph.shapes[node.name] = shape
        return shape

    def _called(self, node: fx.Node) -> None:
        if getattr(node.target, "__name__", "") == "getitem":
            self.names[node] = self._name(node.args[0])[node.args[1]]
            return
        target = node.target
        if not isinstance(target, torch._ops.OpOverload):
            raise ImportFailed(f"The model calls {getattr(target, '__name__', target)}, which cannot be drawn.")
        word = target._schema.name.partition("::")[2]
        if "_assert" in word or "_check" in word:
            return
        self.graph.total += 1
        args = self._arguments(node, target)
        if self._fold(node, target):
            self.graph.folded += 1
            return
        shapes = _shapes(node.meta.get("val"))
        several = isinstance(node.meta.get("val"), (list, tuple))
        outputs = [f"{node.name}.{i}" for i in range(len(shapes))] if several else [node.name]
        self.names[node] = outputs if several else node.name
        self.graph.shapes.update(zip(outputs, shapes, strict=False))
        changed = word.endswith("_") and not word.endswith("__") and isinstance(node.args[0], fx.Node)
        op = self._op(word.removesuffix("_") if changed else word, args, shapes, node)
        if changed:  # whoever takes the changed tensor from here on takes the result
            self.names[node.args[0]] = node.name  # type: ignore[index]
        op.outputs = outputs[: len(outputs) if op.kind == "Split" or op.domain else 1]
        op.name = _module_of(node)
        self.graph.ops.append(op)

    def _arguments(self, node: fx.Node, target: torch._ops.OpOverload) -> dict[str, Any]:
        """By name, defaults filled in, tensors as names of values."""
        found = {}
        for place, argument in enumerate(target._schema.arguments):
            if place < len(node.args):
                value = node.args[place]
            else:
                value = node.kwargs.get(argument.name, argument.default_value)
            found[argument.name] = fx.node.map_arg(value, self._name)
        return found

    def _name(self, node: Any) -> Any:
        return self.names[node]

    def _fold(self, node: fx.Node, target: torch._ops.OpOverload) -> bool:
        """Computes what depends on no image."""
        constants, learned = self.graph.constants, self.graph.learned
        taken = [self.names[n] for n in node.all_input_nodes]
        standing: dict[str, Tensor] = {}
        if target._schema.name.partition("::")[2] in FROM_SHAPE and taken[0] not in constants:
            standing[taken[0]] = torch.zeros(()).expand(self.graph.shapes[taken[0]])
        if not all(isinstance(n, str) and (n in constants or n in standing) for n in taken):
            return False
        if torch.Tag.nondeterministic_seeded in target.tags:
            return False
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), lambda n: (constants | standing)[self.names[n]])
        try:
            with torch.no_grad():
                result = target(*args, **kwargs)
        except Exception:  # of any operation; it stays one
            return False
        values = list(result) if isinstance(result, (list, tuple)) else [result]
        if not all(isinstance(v, Tensor) for v in values):
            return False
        names = [f"{node.name}.{i}" for i in range(len(values))] if isinstance(result, (list, tuple)) else [node.name]
        self.names[node] = names if isinstance(result, (list, tuple)) else node.name
        for name, value in zip(names, values, strict=True):
            constants[name] = value.float() if value.is_floating_point() else value
            if value.is_floating_point() and any(n in learned for n in taken):
                learned.add(name)
        return True

    def _op(self, word: str, args: dict[str, Any], shapes: list[tuple[int, ...]], node: fx.Node) -> Op:
        if word in ("to", "_to_copy"):
            kept = node.meta["val"].dtype.is_floating_point
            return Op("Identity" if kept else "Cast", [args["self"]], [], {} if kept else {"to": 7})
        if word == "stack":
            return self._stack(args)
        try:
            say = WORDS.get(word)
            if say is None:
                raise NotSaid
            return self._taken(say(Asked(args, self.graph.shapes, shapes)), node)
        except (NotSaid, KeyError, TypeError, IndexError):
            inputs = [self.names[n] for n in node.all_input_nodes]
            plain = {k: v for k, v in args.items() if isinstance(v, (int, float, str, bool, list, tuple))}
            flat = [n for name in inputs for n in (name if isinstance(name, list) else [name])]
            return Op(word, flat, [], {k: v for k, v in plain.items() if v not in flat}, domain="torch")

    def _stack(self, args: dict[str, Any]) -> Op:
        parts = []
        for name in args["tensors"]:
            part = f"{name}.{len(self.graph.ops)}"
            self.graph.ops.append(Op("Unsqueeze", [name], [part], {"axes": [args["dim"]]}))
            parts.append(part)
        return Op("Concat", parts, [], {"axis": args["dim"]})

    def _taken(self, said: Said, node: fx.Node) -> Op:
        """An operation whose numbers among the inputs are constants by name."""
        inputs = []
        for place, value in enumerate(said.inputs):
            if isinstance(value, (int, float, list)) and not isinstance(value, str):
                name = f"{node.name}/{place}"
                self.graph.constants[name] = torch.tensor(value)
                inputs.append(name)
            else:
                inputs.append(value or "")
        return Op(said.kind, inputs, [], said.attrs)

    def _output(self, node: fx.Node) -> None:
        def flat(value: Any) -> Sequence[Any]:
            if isinstance(value, fx.Node):
                name = self.names[value]
                return name if isinstance(name, list) else [name]
            if isinstance(value, dict):
                value = list(value.values())
            return [n for v in value for n in flat(v)] if isinstance(value, (list, tuple)) else []

        self.graph.outputs = list(flat(node.args[0]))
        if not self.graph.outputs:
            raise ImportFailed("The model returns no tensor, so there is nothing to draw.")


def _shapes(value: Any) -> list[tuple[int, ...]]:
    if isinstance(value, (list, tuple)) and not hasattr(value, "shape"):
        return [shape for v in value for shape in _shapes(v)]
    return [tuple(int(s) for s in value.shape)] if hasattr(value, "shape") else []


def _module_of(node: fx.Node) -> str:
    """The path of the module that the operation is in, such as `layer1.0.conv1`."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [entry[0] for entry in stack.values() if isinstance(entry, tuple)]
    return str(path[-1]) if path else ""
