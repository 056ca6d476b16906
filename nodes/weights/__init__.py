"""Published weights for our components: which model of torchvision or timm fits which settings, and what its keys are
called here. Each file holds the maps of one family as `PRETRAINED`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from torch import Tensor, nn

Rename = Callable[[str], str | None]
"""From a key of the published model to ours; None for a key that has no place here, such as the classifier's."""


class WeightsError(Exception):
    """Weights that cannot be had or do not fit; the message says what to do."""


@dataclass(frozen=True)
class Pretrained:
    """A published model whose weights fit one component with the given settings.

    Attributes:
        component: id of our component.
        params: the settings that it must have; the others do not matter.
        library: where the published model comes from.
        model: its name there.
        rename: from its keys to ours.
        features: whether it is timm's form without a classifier.
    """

    component: str
    params: Mapping[str, Any]
    library: Literal["torchvision", "timm"]
    model: str
    rename: Rename
    features: bool = False

    @property
    def name(self) -> str:
        """`torchvision:resnet50`, as a document stores it."""
        return f"{self.library}:{self.model}"


@dataclass(frozen=True)
class Carried:
    """What became of weights that were carried over.

    Attributes:
        loaded: keys of ours that were filled.
        left: published keys that have no place in the component, the classifier's for instance.
        missing: keys of ours that the published model has no weights for.
        wrong: keys of ours for which it has another shape.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    missing: tuple[str, ...]
    wrong: tuple[str, ...]

    def text(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        for keys, what in ((self.left, "left out"), (self.missing, "missing"), (self.wrong, "of another shape")):
            if keys:
                shown = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
                parts.append(f"{len(keys)} {what} ({shown})")
        return "; ".join(parts)


def renaming(*rules: tuple[str, str], drop: str = "") -> Rename:
    """A rename from (pattern, replacement) pairs, applied in order; a key that matches `drop` has no place."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    dropped = re.compile(drop) if drop else None

    def rename(key: str) -> str | None:
        if dropped is not None and dropped.search(key):
            return None
        for pattern, replacement in compiled:
            key = pattern.sub(replacement, key)
        return key

    return rename


TIMM = "backbone.timm_backbone"
"""Its weights are those of whichever model it is, under timm's own keys."""


@cache
def published() -> tuple[Pretrained, ...]:
    """All known models."""
    found: list[Pretrained] = []
    for info in pkgutil.iter_modules(__path__, f"{__name__}."):
        found += getattr(importlib.import_module(info.name), "PRETRAINED", ())
    return tuple(found)


def for_component(component: str, params: Mapping[str, Any]) -> list[Pretrained]:
    """The models whose weights fit a component with all its settings, defaults included."""
    if component == TIMM:
        return [Pretrained(TIMM, params, "timm", str(params.get("model")), lambda key: f"model.{key}", features=True)]
    return [p for p in published() if p.component == component and all(params.get(k) == v for k, v in p.params.items())]


def carry_over(module: nn.Module, state: Mapping[str, Tensor], rename: Rename) -> Carried:
    """Copies a published state dict into a module.

    What is missing or of another shape keeps its fresh values; the report lists it.
    """
    own = module.state_dict()
    renamed: dict[str, Tensor] = {}
    left: list[str] = []
    for key, value in state.items():
        new = rename(key)
        if new is None or new not in own:
            left.append(key)
        else:
            renamed[new] = value
    wrong = [k for k, v in renamed.items() if v.shape != own[k].shape]
    fits = {k: v for k, v in renamed.items() if k not in wrong}
    # How many batches a norm has seen matters only to norms that average over all of them, and ours do not.
    missing = [k for k in own if k not in renamed and not k.endswith("num_batches_tracked")]
    module.load_state_dict(fits, strict=False)
    return Carried(tuple(fits), tuple(left), tuple(missing), tuple(wrong))


def download(source: Pretrained) -> dict[str, Tensor]:
    """The state dict of a published model, from the library's own cache or its hub.

    Raises:
        WeightsError: when it cannot be had.
    """
    try:
        if source.library == "torchvision":
            import torchvision

            enum = torchvision.models.get_model_weights(source.model)
            return dict(enum.DEFAULT.get_state_dict(progress=False, check_hash=True))
        import timm

        made = timm.create_model(source.model, pretrained=True, features_only=source.features)
        return dict(made.state_dict())
    except Exception as error:  # each library and its transport have their own
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"The weights {source.name} cannot be had: {reason}. Go online once, after that they are kept on this "
            "machine; or choose a file with them: file:PATH, a .safetensors or a .pth of plain tensors."
        ) from None
