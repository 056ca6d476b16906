"""From what does not fit to a Problem in our words, with the edits that would mend it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from designer.graph.model import GraphData, Node, Wire
from designer.graph.problems import Fix, Problem
from nodes.sdk.build import Info, TensorInfo, in_port_order, shape_text
from nodes.sdk.errors import BadInput
from nodes.sdk.spec import ComponentSpec, port_index

UPSAMPLE, PROJECT, DOWN = "resize.upsample", "conv.conv", "downsample.conv_down"


def label(spec: ComponentSpec, port: str) -> str:
    """How a person calls an input: `input 2` of a growing port, `input p4` of a named one."""
    found = spec.input(port)
    return f"input {port_index(port) + 1}" if found is not None and found.variadic else f"input {port}"


def name_of(node: Node, spec: ComponentSpec) -> str:
    """`Concat "cat_1"`, or the title alone when it says it all."""
    return node.title if node.title.lower().startswith(spec.name.lower()) else f'{spec.name} "{node.title}"'


def size(info: Info) -> str:
    """`40x40` of a map; the shape of anything else."""
    return (
        f"{info.shape[-2]}x{info.shape[-1]}"
        if isinstance(info, TensorInfo) and len(info.shape) == 4
        else shape_text(info)
    )


def check_pyramid(spec: ComponentSpec, inputs: Mapping[str, Info]) -> None:
    """Holds ports such as p4 `B C4 H/2 W/2` to the sizes that they declare in terms of the first port's H and W.

    Raises:
        BadInput: naming the port and the size it should have.
    """
    known: dict[str, int] = {}
    first = ""
    for port in spec.inputs:
        info = inputs.get(port.name)
        if not isinstance(info, TensorInfo) or "..." in port.dims or len(port.dims.split()) != len(info.shape):
            continue
        for dim, got in zip(port.dims.split(), info.shape, strict=True):
            if dim.isidentifier():
                known.setdefault(dim, got)
                first = first or port.name
            elif (match := re.fullmatch(r"(\w+)([*/])(\d+)", dim)) and match[1] in known:
                factor = int(match[3])
                want = known[match[1]] * factor if match[2] == "*" else -(-known[match[1]] // factor)
                if got != want:
                    raise BadInput(f"input {port.name} has {dim}={got}, expected {want}", port.name, "size", first, dim)


def explain(error: BadInput, node: Node, spec: ComponentSpec, inputs: Mapping[str, Info], data: GraphData) -> Problem:
    """The Problem for what `nodes.sdk.build` refused."""
    name = name_of(node, spec)
    if error.code == "size" and error.port in inputs and error.other in inputs:
        return _sizes(error, name, node, spec, inputs, data)
    fixes: tuple[Fix, ...] = ()
    port = error.port if error.port in inputs else None
    if error.code == "param" and (param := spec.param(error.port)) is not None and not param.required:
        edit = {"op": "reset_param", "node": node.id, "name": param.name}
        fixes = (Fix(f"Set {param.name} to its default, {param.default}", (edit,)),)
    message = error.message if error.message.endswith(".") else error.message + "."
    if error.code == "size":
        fixes = tuple(image_size_fixes(data))
        message += " Make the sizes equal, for instance with an image size that is a multiple of 32." if fixes else ""
    return Problem("error", f"{name}: {message}", node.id, port, error.code, fixes)


def _sizes(
    error: BadInput, name: str, node: Node, spec: ComponentSpec, inputs: Mapping[str, Info], data: GraphData
) -> Problem:
    here, there = inputs[error.port], inputs[error.other]
    mine, other = label(spec, error.port), label(spec, error.other)
    wires = data.inputs_of(node.id)
    if error.dim.startswith("C"):
        want, got = there.shape[1], here.shape[1]  # type: ignore[union-attr]
        fixes = tuple(
            _insert(
                wires.get(error.port),
                PROJECT,
                {"out_channels": want},
                f"Insert Conv 1x1 to {want} channels before {mine}",
            )
        )
        text = f"{mine} has {got} channels, {other} has {want}."
    elif spec.input(error.port) is not None and not error.dim.isidentifier():
        fixes = tuple(_resize(error.port, here, there, error.dim, wires, spec)) + tuple(image_size_fixes(data))
        text = f"{error.message.replace('input ' + error.port, mine)} beside {other} of {size(there)}."
    else:
        fixes = tuple(_match(error.port, error.other, inputs, wires, spec)) + tuple(image_size_fixes(data))
        text = f"{mine} is {size(here)}, {other} is {size(there)}."
    advice = f" {fixes[0].label}." if fixes else " Make them equal."
    return Problem("error", f"{name}: {text}{advice}", node.id, error.port, "size", fixes)


def _match(
    port: str, other: str, inputs: Mapping[str, Info], wires: Mapping[str, Wire], spec: ComponentSpec
) -> Iterator[Fix]:
    """Fixes that bring two maps to one size: enlarge the smaller, or halve the larger."""
    sides = {p: info.shape[-2:] for p in (port, other) if isinstance(info := inputs[p], TensorInfo)}
    if len(sides) < 2:
        return
    small, large = sorted((port, other), key=lambda p: sides[p])
    (h, w), (height, width) = sides[small], sides[large]
    factor = height // h if h else 0
    if factor < 2 or (h * factor, w * factor) != (height, width):
        return
    title = f"Insert Upsample x{factor} before {label(spec, small)}"
    yield from _insert(wires.get(small), UPSAMPLE, {"scale": factor}, title)
    if factor == 2:
        channels = inputs[large].shape[1]  # type: ignore[union-attr]
        yield from _insert(
            wires.get(large), DOWN, {"out_channels": channels}, f"Insert ConvDown before {label(spec, large)}"
        )


def _resize(
    port: str, here: Info, there: Info, dim: str, wires: Mapping[str, Wire], spec: ComponentSpec
) -> Iterator[Fix]:
    """Fixes for a pyramid's level whose size is a whole factor off."""
    match = re.fullmatch(r"\w+([*/])(\d+)", dim)
    if match is None or not isinstance(here, TensorInfo) or not isinstance(there, TensorInfo):
        return
    factor = int(match[2])
    want = there.shape[-2] * factor if match[1] == "*" else there.shape[-2] // factor
    got = here.shape[-2]
    if want > got and want % got == 0:
        scale = want // got
        yield from _insert(
            wires.get(port), UPSAMPLE, {"scale": scale}, f"Insert Upsample x{scale} before {label(spec, port)}"
        )
    elif got == 2 * want:
        yield from _insert(
            wires.get(port), DOWN, {"out_channels": here.shape[1]}, f"Insert ConvDown before {label(spec, port)}"
        )


def _insert(wire: Wire | None, component: str, params: dict[str, object], text: str) -> Iterator[Fix]:
    if wire is not None:
        yield Fix(text, ({"op": "insert", "wire": wire.id, "component": component, "params": params},))


def image_size_fixes(data: GraphData, multiple: int = 32) -> Iterator[Fix]:
    """A fix for an image input whose sides are no multiple of the model's largest stride."""
    for node in data.nodes:
        if node.component != "io.image_input":
            continue
        sides = {k: node.params.get(k, 640) for k in ("height", "width")}
        whole = {k: max(multiple, round(v / multiple) * multiple) for k, v in sides.items() if isinstance(v, int)}
        if len(whole) == 2 and whole != sides:
            edits = tuple({"op": "set_param", "node": node.id, "name": k, "value": v} for k, v in whole.items())
            yield Fix(f"Set the image size to {whole['height']}x{whole['width']}", edits)


_TOO_SMALL = re.compile(
    r"Kernel size can't be greater|Output size is too small|Calculated padded input size|greater than actual input|"
    r"is too small|should be less than the corresponding input dimension"
)


def explain_torch(error: Exception, node: Node, spec: ComponentSpec, inputs: Mapping[str, Info]) -> Problem:
    """The Problem for an exception of torch itself: one sentence with the node and its input shapes, never a traceback."""
    arriving = (
        ", ".join(f"{label(spec, p)} is {shape_text(inputs[p])}" for p in in_port_order(inputs)) or "it has no inputs"
    )
    name, text = name_of(node, spec), str(error).strip()
    if _TOO_SMALL.search(text):
        message = f"{name}: the map is smaller than its window ({arriving}). Use a smaller kernel or a larger image."
    elif isinstance(error, NotImplementedError) or "meta" in text.lower():
        message = f"{name}: its forward uses values, so its shapes cannot be worked out ({arriving})."
    else:
        message = f"{name}: it cannot run on these inputs ({arriving}). {_first_sentence(text)}"
    return Problem("error", message, node.id, None, "torch", detail=f"{type(error).__name__}: {text}")


def _first_sentence(text: str) -> str:
    line = text.splitlines()[0] if text else "It gave no reason."
    line = line if len(line) <= 160 else line[:157] + "..."
    return line if line.endswith(".") else line + "."
