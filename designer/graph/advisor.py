"""Which optimizer and schedule suit what is to be done, each with its reason. Rules of thumb of the field, not laws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from designer.graph.model import GraphData
from designer.graph.problems import Fix
from nodes.sdk.spec import Catalogue

Goal = Literal["auto", "scratch", "fine-tune"]

USUAL = {"classify": (256, 0.1, 0.9, 1e-4), "": (64, 0.01, 0.937, 5e-4)}
"""Images a step, rate, momentum and decay of SGD by task: He et al. 2016 for classifiers, the YOLO family else."""
SHORT = 10
"""Epochs up to which training counts as short."""
FEW = 4
"""Images a step below which batch norm's statistics are noise."""
UNKNOWN = 16
"""Images that a batch is taken for which is found when training starts."""
TRANSFORMERS = ("transformer", "aifi", "detr")
"""Words in the names of components that have a transformer inside."""


@dataclass(frozen=True)
class Proposal:
    """One setting: what it should be, and why, in a sentence."""

    field: str
    value: Any
    now: Any
    why: str

    @property
    def is_change(self) -> bool:
        return bool(self.value != self.now)

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field, "value": self.value, "now": self.now, "why": self.why}


def goal_of(data: GraphData) -> Goal:
    """Fine-tuning where a node starts from weights, else from scratch."""
    return "fine-tune" if any(n.weights for n in data.nodes) else "scratch"


def advise(data: GraphData, catalogue: Catalogue, goal: Goal = "auto") -> list[Proposal]:
    """Proposals for a document's training section, most important first; those it already follows included.

    Args:
        data: the document.
        catalogue: says which components have attention over tokens.
        goal: what is wanted; `auto` sees it by the weights that nodes start from.
    """
    goal = goal_of(data) if goal == "auto" else goal
    now = data.training
    return [Proposal(name, value, getattr(now, name), why) for name, value, why in _rules(data, catalogue, goal)]


def as_fix(proposals: list[Proposal]) -> Fix:
    """All changes as one step of the history."""
    fields = {p.field: p.value for p in proposals if p.is_change}
    return Fix("Use the advised training settings", ({"op": "set_training", **fields},))


def _rules(data: GraphData, catalogue: Catalogue, goal: Goal) -> Iterator[tuple[str, Any, str]]:
    settings = data.training
    tasks = {spec.task for n in data.nodes if (spec := catalogue.get(n.component))}
    nominal, base, momentum, decay = USUAL["classify" if "classify" in tasks else ""]
    tokens = any(_has_tokens(n.component, catalogue) for n in data.nodes)
    short = settings.epochs <= SHORT
    batch = settings.batch or UNKNOWN
    step = max(batch * settings.accumulate, settings.nominal_batch)
    if tokens or goal == "fine-tune" or short:
        if tokens:
            why = "Transformers are trained with AdamW: their gradients differ too much in size for one rate of SGD."
        elif goal == "fine-tune":
            why = "Fine-tuning takes AdamW: it needs little search for the rate, and small steps keep what was learnt."
        else:
            why = f"With {settings.epochs} epochs there is little time: AdamW gets far sooner, SGD ends better later."
        rate = 1e-4 if goal == "fine-tune" or tokens else 1e-3
        yield "optimizer", "adamw", why
        yield "learning_rate", rate, f"AdamW's usual rate {'to fine-tune' if rate == 1e-4 else 'from scratch'}."
        yield "weight_decay", 0.05 if tokens else 0.01, "AdamW's decay is apart from the gradient, so it is larger."
        yield "schedule", "cosine", "A cosine needs no milestones and ends in small steps."
    else:
        yield "optimizer", "sgd", "From scratch, SGD with momentum generalises best where there is time for it."
        scale = max(1.0, step / nominal)
        reason = f"The usual rate for {nominal} images a step"
        reason += f", times {scale:g}: the rate grows with the step ({step} images)." if scale > 1 else "."
        yield "learning_rate", round(base * scale, 6), reason
        yield "momentum", momentum, f"What {'classifiers' if nominal > 64 else 'detectors'} are usually tuned with."
        yield "weight_decay", decay, "The usual decay for SGD on convolutions."
        yield "schedule", "cosine", "A cosine needs no milestones; step is the other classic."
    warmup = min(5.0 if step > nominal or tokens else 3.0, max(1.0, settings.epochs / 10))
    longer = " A large step or a transformer wants a longer one." if warmup > 3 else ""
    yield "warmup_epochs", warmup, f"Early gradients are wild, so the rate grows over the first epochs.{longer}"
    if goal == "fine-tune":
        yield "pretrained_factor", 0.1, "Parts that start from weights need a tenth of the rate of new ones."
    if step < 64 and not short:
        yield "nominal_batch", 64, f"Steps of {batch} images are noisy; gradients of several are summed."
    if batch < FEW:
        yield (
            "batch",
            FEW,
            f"Batch norm over {batch} image(s) is noise. Group norm is the other way.",
        )
    if settings.epochs >= 30:
        yield "ema", True, "A moving average of the weights is nearly free and nearly always better."


def _has_tokens(component: str, catalogue: Catalogue) -> bool:
    """Whether a component works on sequences: by its ports, or as a transformer on a map."""
    spec = catalogue.get(component)
    if spec is None:
        return False
    return any(port.kind == "tokens" for port in spec.inputs) or any(word in component for word in TRANSFORMERS)
