"""Surgery on a trained document for other data: other classes, another task, other channels. No weights here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from designer.graph.document import Document
from designer.graph.errors import EditError
from designer.graph.model import Node, Wire

HEADS = {
    "detect": ("head.yolov8_head", "post.nms"),
    "segment": ("head.yolo_seg_head", "post.mask_nms"),
    "semantic": ("head.fcn_head", ""),
    "classify": ("head.classification_head", ""),
}
"""The head that a new task gets, and what follows it."""
NECK = "neck.pafpn"
DECODER = "neck.deeplab_decoder"
LEVELS = (8, 16, 32)
"""Strides that detectors look at, in pixels."""
BORDERS = (4, 8)
"""Strides of the map from which a semantic segmenter has its borders; the first that there is."""
CONTEXT = 96
"""Pixels between the samples of a semantic segmenter's narrowest dilated convolution: DeepLab's six cells of 16."""
TASKS = {
    "classify": "classification", "detect": "detection", "segment": "segmentation", "semantic": "semantic segmentation",
}  # fmt: skip
OF_PIXELS = ("classify", "semantic")
"""Tasks without boxes: their heads look at a map or two of the backbone, and no detector's neck is before them."""

Port = tuple[str, str]
"""Id of a node and name of its output."""
Point = tuple[float, float]
Strides = Mapping[str, Mapping[str, int]]
"""Pixels per cell of each output that is a map, by node and port; from the engine."""


@dataclass(frozen=True)
class NewData:
    """What the new data asks of a model. `class_names` are in the order of its labels."""

    task: str
    class_names: tuple[str, ...]
    channels: int = 3


@dataclass(frozen=True)
class Change:
    """One thing that was done, and why, for the user."""

    what: str
    why: str


@dataclass
class Surgery:
    """What was done. `other_classes` are heads whose class layers are for other classes, and must be drawn anew."""

    changes: list[Change] = field(default_factory=list)
    other_classes: list[str] = field(default_factory=list)

    def say(self, what: str, why: str) -> None:
        self.changes.append(Change(what, why))


def operate(document: Document, new: NewData, old_names: Iterable[str], strides: Strides) -> Surgery:
    """Makes a trained document fit new data, as one step.

    The same task and classes: nothing. Other classes: the heads' class layers. Another task: another head, and the neck
    only where both tasks have one. Other channels: another input.

    Args:
        document: is changed; needs its catalogue.
        new: what the data asks for.
        old_names: the classes that it was trained for, where they are known.
        strides: of its maps as it is now.

    Raises:
        EditError: when there is no head, or no map that the new head could look at.
    """
    heads = _of_role(document, "head")
    if not heads:
        raise EditError(
            f"{document.data.name} has no head, so there is nothing to fine-tune. Add one, or open another."
        )
    done = Surgery()
    with document.edit("Fine-tune"):
        tasks = {spec.task for h in heads if (spec := document.spec(h)) is not None}
        if tasks == {new.task}:
            _fit_classes(document, heads, new, list(old_names), done)
        else:
            _change_task(document, heads, new, strides, done)
        _fit_channels(document, new, done)
    return done


def freeze_early(document: Document, taken: Iterable[str], strides: Strides) -> list[Node]:
    """Freezes what sees edges and textures: the backbone; without one, the nodes down to a stride of 8.

    Only nodes all of whose weights were taken are frozen; the others have something to learn.
    """
    whole = set(taken)
    nodes = [document.node(n) for n in document.order() if n in whole]
    early = [n for n in nodes if n.component.startswith("backbone.")]
    if not early:
        heads = {h.id for h in _of_role(document, "head")}
        for node in nodes:
            if node.id in heads or max(strides.get(node.id, {}).values(), default=0) > LEVELS[0]:
                break
            early.append(node)
    for node in early:
        document.set_frozen(node, True)
    return early


def _of_role(document: Document, role: str) -> list[Node]:
    found = []
    for node in document.data.nodes:
        spec = document.spec(node)
        if spec is not None and spec.role == role and not node.disabled:
            found.append(node)
    return found


# -- the same task -------------------------------------------------------------------------------------------------


def _fit_classes(document: Document, heads: list[Node], new: NewData, old: list[str], done: Surgery) -> None:
    count = len(new.class_names)
    for head in heads:
        spec = document.spec(head)
        if spec is None or spec.param("num_classes") is None:
            continue
        before = int(head.params.get("num_classes", spec.defaults()["num_classes"]))
        same = before == count and (not old or old == list(new.class_names))
        if same:
            why = "The data has the classes that it was trained for." if old else f"The data has {count} classes too."
            done.say(f"{head.title} stays as it is", why)
            continue
        document.set_param(head, "num_classes", count)
        done.other_classes.append(head.id)
        number = f"{before} -> {count} classes" if before != count else f"{count} other classes"
        done.say(
            f"{head.title}: new class layers, {number}",
            f"The data has {_names(new.class_names)}; the rest of the head knows boxes and features, which stay useful."
            if new.task != "classify" else f"The data has {_names(new.class_names)}.",
        )  # fmt: skip


def _names(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:4]) + (f" and {len(every) - 4} more" if len(every) > 4 else "")


# -- another task --------------------------------------------------------------------------------------------------


def _change_task(document: Document, heads: list[Node], new: NewData, strides: Strides, done: Surgery) -> None:
    if new.task not in HEADS:
        raise EditError(f"There is no head for {new.task} to put in. Draw the model for it, then load the weights.")
    spec = document.spec(heads[0])
    old = spec.task if spec is not None else ""
    place = (heads[0].x, heads[0].y)
    title = heads[0].title
    if new.task == "classify":
        levels = [_deepest(document, heads, strides)[1]]
    elif new.task == "semantic":
        deepest, fine = _deepest(document, heads, strides), _borders(document, heads, strides)
        levels = [fine, deepest[1]] if fine is not None and fine != deepest[1] else [deepest[1]]
    elif old in OF_PIXELS:
        levels = _levels(document, heads, strides)
    else:
        arriving = sorted(document.wires_into(heads[0]), key=lambda w: w.target_port)
        levels = [(w.source, w.source_port) for w in arriving]
    gone = _remove_behind(document, {node for node, _ in levels})
    why = f"It was made for {TASKS.get(old, old)}, the data is for {TASKS[new.task]}."
    done.say(f"Removed: {_names(gone)}", why)
    if new.task == "semantic":
        levels, place = _add_decoder(document, levels, deepest[0], place, done)
    elif old in OF_PIXELS and len(levels) == len(LEVELS):
        levels, place = _add_neck(document, levels, place, done)
    _add_head(document, new, levels, place, title, done)


def _add_neck(document: Document, levels: list[Port], place: Point, done: Surgery) -> tuple[list[Port], Point]:
    """The maps of a detector's neck, and the place behind it."""
    neck = document.add(NECK, title="Neck", at=place)
    spec = document.spec(neck)
    assert spec is not None
    for (node, port), entry in zip(levels, spec.inputs, strict=True):
        document.connect(node, neck, port, entry.name)
    done.say(f"{neck.title}: new, a PAFPN", "Detectors look at fine and coarse maps that know of each other.")
    return [(neck.id, port.name) for port in spec.outputs], (place[0] + 260, place[1])


def _add_decoder(
    document: Document, levels: list[Port], stride: int, place: Point, done: Surgery
) -> tuple[list[Port], Point]:
    """The map of a semantic segmenter's decoder, and the place behind it. `stride` is the deepest map's."""
    rates = [max(1, round(CONTEXT * wider / stride)) for wider in (1, 2, 3)]
    context = "Dilated convolutions see what surrounds a cell"
    if len(levels) == 1:
        decoder = document.add("pooling.aspp", title="Context", at=place, rates=rates)
        document.connect(levels[0][0], decoder, levels[0][1])
        done.say(f"{decoder.title}: new, an ASPP", f"{context}; the backbone has no finer map for the borders.")
    else:
        decoder = document.add(DECODER, title="Decoder", at=place, rates=rates)
        for (node, port), entry in zip(levels, ("c2", "c5"), strict=True):
            document.connect(node, decoder, port, entry)
        done.say(f"{decoder.title}: new, a DeepLabV3+ decoder", f"{context}, and a finer map has the borders.")
    return [(decoder.id, "out")], (place[0] + 260, place[1])


def _add_head(
    document: Document, new: NewData, levels: list[Port], place: Point, title: str,
    done: Surgery,
) -> None:  # fmt: skip
    component, after = HEADS[new.task]
    head = document.add(component, title=title, at=place, num_classes=len(new.class_names))
    for node, port in levels:
        document.connect(node, head, port)
    spec = document.spec(head)
    named = spec.title if spec is not None else component
    done.say(f"{head.title}: new, a {named} of {len(new.class_names)} classes", f"Finds {_names(new.class_names)}.")
    done.other_classes.append(head.id)
    if after:
        post = document.add(after, at=(place[0] + 260, place[1]))
        document.connect(head, post)


def _before(document: Document, nodes: Iterable[str]) -> set[str]:
    """These nodes and all that lead to them."""
    seen: set[str] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [w.source for w in document.wires_into(node)]
    return seen


def _remove_behind(document: Document, ends: set[str]) -> list[str]:
    """Removes what does not lead to one of these nodes; titles of what went."""
    kept = _before(document, ends)
    gone = [n for n in document.data.nodes if n.id not in kept and not n.disabled]
    titles = [n.title for n in gone]
    if gone:
        document.remove(*gone)
    return titles


def _levels(document: Document, heads: list[Node], strides: Strides) -> list[Port]:
    """The last map of each stride that detectors look at, on the way to the heads."""
    before = _before(document, [h.id for h in heads])
    found: dict[int, Port] = {}
    for node in document.order():
        if node in before:
            found |= {stride: (node, port) for port, stride in strides.get(node, {}).items()}
    levels = [found[s] for s in LEVELS if s in found]
    if not levels:
        raise EditError(
            f"{document.data.name} has no map at 8, 16 or 32 pixels a cell on the way to its head, which a detector "
            "could look at. Start from another backbone."
        )
    return levels


def _of_backbone(document: Document, heads: list[Node], strides: Strides) -> list[tuple[int, Port]]:
    """Every map on the way to the heads before anything is resized or belongs to a neck, with its stride."""
    before = _before(document, [h.id for h in heads]) - {h.id for h in heads}
    return [
        (stride, (node, port))
        for node in document.order()
        if node in before and not any(_is_neck(document.node(a)) for a in _before(document, [node]))
        for port, stride in strides.get(node, {}).items()
    ]


def _deepest(document: Document, heads: list[Node], strides: Strides) -> tuple[int, Port]:
    """The last map of the backbone's largest stride, with that stride."""
    maps = _of_backbone(document, heads, strides)
    largest = max((stride for stride, _ in maps), default=0)
    if largest <= 1:
        raise EditError(
            f"{document.data.name} has no map before its neck that is coarser than the image, so a new head has "
            "nothing to look at. Start from another backbone."
        )
    return next(found for found in reversed(maps) if found[0] == largest)


def _borders(document: Document, heads: list[Node], strides: Strides) -> Port | None:
    """The backbone's last map that is fine enough for the borders of things."""
    last = dict(_of_backbone(document, heads, strides))
    return next((last[stride] for stride in BORDERS if stride in last), None)


def _is_neck(node: Node) -> bool:
    return node.component.startswith(("neck.", "resize."))


# -- other channels ------------------------------------------------------------------------------------------------


def _fit_channels(document: Document, new: NewData, done: Surgery) -> None:
    for image in _of_role(document, "input"):
        spec = document.spec(image)
        if spec is None or spec.param("channels") is None:
            continue
        before = int(image.params.get("channels", spec.defaults()["channels"]))
        if before == new.channels:
            continue
        document.set_param(image, "channels", new.channels)
        first: list[Wire] = document.wires_from(image)
        named = _names(document.node(w.target).title for w in first)
        done.say(
            f"{image.title}: {before} -> {new.channels} channels; the first convolution of {named} is new",
            "The images are of another kind; all that follows is kept.",
        )
