"""Fine-tuning: a trained model, other data; the document is fitted, what fits of the weights is taken, training is set.

Everything happens on a copy; whoever asked takes the copy over as one step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from designer.data import shapes
from designer.data.dataset import FITS, load_dataset
from designer.data.readers import read_parts
from designer.engine.compile import Compiled, compile_document
from designer.engine.load_weights import sources_in, store
from designer.engine.matching import Matched, Taken, match
from designer.engine.propagate import propagate
from designer.engine.state_files import State, read_state
from designer.graph.advisor import Proposal, advise, as_fix
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.finetune import Change, NewData, Strides, freeze_early, operate
from designer.graph.model import GraphData
from designer.graph.training import DataSettings
from designer.train.run import RunFolder
from nodes.sdk.build import TensorInfo
from nodes.sdk.discover import library
from nodes.weights import for_component

SMALL = (64, 64)
"""Height and width for a look at a data set; no image of it is read."""

Fate = Literal["kept", "partly", "new"]


@dataclass(frozen=True)
class NodePlan:
    """What becomes of one node: `kept` and `new` are numbers of parameters."""

    node: str
    title: str
    state: Fate
    kept: int
    new: int
    frozen: bool
    how: str


@dataclass
class FineTuned:
    """A document fitted to new data, and what was done to it."""

    document: GraphData
    task: str
    class_names: tuple[str, ...]
    changes: list[Change]
    nodes: list[NodePlan]
    training: list[Proposal]
    weights: Path | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "document": self.document.model_dump(mode="json"),
            "task": self.task,
            "class_names": list(self.class_names),
            "changes": [asdict(c) for c in self.changes],
            "nodes": [asdict(n) for n in self.nodes],
            "training": [p.to_json() for p in self.training if p.is_change],
            "kept": sum(n.kept for n in self.nodes),
            "new": sum(n.new for n in self.nodes),
            "frozen": sum(n.kept + n.new for n in self.nodes if n.frozen),
            "weights": str(self.weights) if self.weights is not None else None,
        }


@dataclass(frozen=True)
class Wanted:
    """What fine-tuning is asked for.

    Attributes:
        start: a run folder, a checkpoint, or published weights by name such as `torchvision:resnet50`; empty for
            those that the document's nodes name.
        data: the new data set.
        task: of the new model; by default the start's where the data can train it.
        channels: of the new images.
        freeze: whether the early layers stay as they are.
    """

    start: str
    data: DataSettings
    task: str = ""
    channels: int = 3
    freeze: bool = False


def base_document(start: Path) -> GraphData:
    """The document to begin from: that of a run folder."""
    return RunFolder.open(start).document()


def fine_tune(data: GraphData, wanted: Wanted, folder: Path | None = None) -> FineTuned:
    """Fits a document to new data and makes it start from trained weights.

    Args:
        data: the trained document; it stays as it is.
        wanted: the start and the data.
        folder: where the weights that are taken are kept; without one it is a plan, and nothing is written.

    Raises:
        NetwrightError: when weights or data cannot be read, or do not belong to the document.
    """
    document = Document(data.model_copy(deep=True), library().catalogue)
    state = None if _is_published(wanted.start) else read_state(Path(wanted.start).expanduser())
    # Before the surgery: what is no checkpoint of this document shall be said before anything else.
    if state is not None:
        with torch.device("meta"):
            match(compile_document(data), data, state)
    strides = strides_of(data)
    new = new_data(wanted, _task_of(document))
    document.set_data(**wanted.data.model_dump())
    done = operate(document, new, _old_names(data, state), strides)
    with torch.device("meta"):
        compiled = compile_document(document.data)
    if state is None:
        plans = _published(document, compiled, wanted.start)
        path = None
    else:
        found = _without_old_classes(match(compiled, document.data, state), document, compiled, done.other_classes)
        path = store(found.state(state.tensors), folder, f"{data.name}-fine-tune") if folder is not None else None
        sources = sources_in(path, found) if path is not None else {}
        for node in document.data.nodes:
            document.set_weights(node, sources.get(node.id, ""))
        plans = [_plan(compiled, taken) for taken in found.nodes]
    if wanted.freeze:
        whole = [p.node for p in plans if p.state == "kept"]
        frozen = {n.id for n in freeze_early(document, whole, strides)}
        plans = [NodePlan(**{**asdict(p), "frozen": p.node in frozen}) for p in plans]
    proposals = advise(document.data, library().catalogue, "fine-tune")
    document.apply(as_fix(proposals).edits, "Advice")
    return FineTuned(document.data, new.task, new.class_names, done.changes, plans, proposals, path)


def new_data(wanted: Wanted, task_now: str) -> NewData:
    """What a data set asks of a model: its task and its classes.

    Raises:
        NetwrightError: when the data cannot be read, or cannot train the task that is asked for.
    """
    kind = wanted.data.kind
    fitting = [task for task, kinds in FITS.items() if kind in (*kinds, "shapes")]
    if wanted.task and wanted.task not in fitting:
        raise NetwrightError(f"{kind} data cannot train {wanted.task}. It can train {' or '.join(fitting)}.")
    task = wanted.task or (task_now if task_now in fitting else fitting[0])
    if task == "segment" and not wanted.task and kind != "shapes" and not _outlined(wanted.data):
        task = "detect"
    names = load_dataset(wanted.data, SMALL, task).class_names
    return NewData(task, tuple(names), wanted.channels)


def _outlined(data: DataSettings) -> bool:
    """Whether any object of a data set has an outline."""
    train, _, _ = read_parts(data)
    return any(outline for record in train.records for outline in record.outlines)


def strides_of(data: GraphData) -> Strides:
    """Pixels per cell of every map of a document, by node and port."""
    found = propagate(data)
    if found.errors:
        raise NetwrightError(f"{data.name} cannot run, so it cannot be fine-tuned: {found.errors[0].message}")
    height = next((int(n.params.get("height", 640)) for n in data.nodes if n.component == "io.image_input"), 0)
    strides: dict[str, dict[str, int]] = {}
    for node_id, result in found.nodes.items():
        for port, info in result.outputs.items():
            if isinstance(info, TensorInfo) and info.kind == "map" and height:
                strides.setdefault(node_id, {})[port] = max(1, round(height / info.shape[-2]))
    return strides


def _is_published(start: str) -> bool:
    return not start or start.partition(":")[0] in ("torchvision", "timm")


def _task_of(document: Document) -> str:
    specs = (document.spec(n) for n in document.data.nodes if not n.disabled)
    return next((s.task for s in specs if s is not None and s.role == "head"), "")


def _old_names(data: GraphData, state: State | None) -> list[str]:
    """The classes that the weights were trained for, where that is known."""
    if state is not None and state.class_names:
        return state.class_names
    return list(shapes.NAMES[: data.data.classes]) if state is None and data.data.kind == "shapes" else []


def _published(document: Document, compiled: Compiled, name: str) -> list[NodePlan]:
    """Lets nodes start from published weights, which are loaded when training starts."""
    plans = []
    for module, node_id in compiled.node_of.items():
        node = document.node(node_id)
        spec = document.spec(node)
        fitting = for_component(spec.id, {**spec.defaults(), **node.params}) if spec is not None else []
        if any(p.name == name for p in fitting):
            document.set_weights(node, name)
        size = sum(p.numel() for p in compiled.model.get_submodule(module).parameters())
        if size:
            kept = size if node.weights else 0
            state: Fate = "kept" if kept else "new"
            plans.append(NodePlan(node.id, node.title, state, kept, size - kept, node.frozen, node.weights))
    if not any(p.kept for p in plans):
        what = f"there are no weights {name} for any of its nodes" if name else "none of its nodes names weights"
        raise NetwrightError(
            f"{document.data.name}: {what}. Give a run folder or a checkpoint to start from, or published weights that "
            "the inspector offers for a node, such as torchvision:resnet50."
        )
    return plans


def _without_old_classes(found: Matched, document: Document, compiled: Compiled, heads: list[str]) -> Matched:
    """Takes out the layers whose shape follows the number of classes, of heads that learn other classes now.

    Which those are is seen by giving the head a class more.
    """
    if not heads:
        return found
    more = Document(document.data.model_copy(deep=True), library().catalogue)
    for head in heads:
        more.set_param(head, "num_classes", int(more.node(head).params["num_classes"]) + 1)
    with torch.device("meta"):
        other = compile_document(more.data).model.state_dict()
    by_class = {k for k, v in compiled.model.state_dict().items() if k in other and other[k].shape != v.shape}
    nodes = []
    for taken in found.nodes:
        loaded = {k: v for k, v in taken.loaded.items() if f"{taken.module}.{k}" not in by_class}
        dropped = {k: v[1] for k, v in taken.loaded.items() if k not in loaded}
        found.left |= {taken.loaded[k][0]: shape for k, shape in dropped.items()}
        nodes.append(
            Taken(
                taken.node, taken.title, taken.module, taken.how, loaded, {**taken.missing, **dropped}, taken.wrong
            )
        )  # fmt: skip
    return Matched(found.path, nodes, found.left, found.class_names)


def _plan(compiled: Compiled, taken: Taken) -> NodePlan:
    sizes = {k: p.numel() for k, p in compiled.model.get_submodule(taken.module).named_parameters()}
    kept = sum(size for key, size in sizes.items() if key in taken.loaded)
    new = sum(sizes.values()) - kept
    state: Fate = "new" if not kept else "partly" if new else "kept"
    return NodePlan(taken.node, taken.title, state, kept, new, False, taken.how)
