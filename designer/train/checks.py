"""Whether a model suits its data: classes that the heads know, anchors that fit the boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import Dataset

from designer.data.anchors import ENOUGH, share_that_fits, training_sizes
from designer.engine.compile import Compiled
from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from nodes.heads.yolo_anchor import AnchorHead


def check_classes(document: GraphData, compiled: Compiled, names: list[str]) -> None:
    """Raises NetwrightError when a head knows fewer classes than the data has."""
    for head in compiled.heads:
        count = int(getattr(head.module, "num_classes", len(names)))
        if count < len(names):
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise NetwrightError(
                f"{_title(document, head.node_id)} tells {count} classes apart, the data has {len(names)} ({some}). "
                f"Set num_classes to {len(names)}."
            )


def misfits(document: GraphData, compiled: Compiled, data: Dataset[Any]) -> Iterator[str]:
    """A sentence for each head whose anchors fit too few of the training boxes to learn them well."""
    heads = [head for head in compiled.heads if isinstance(head.module, AnchorHead)]
    sizes = training_sizes(data, compiled.image_size) if heads else None
    for head in heads:
        assert sizes is not None
        assert isinstance(head.module, AnchorHead)
        share = share_that_fits(sizes, head.module.anchors.flatten().tolist())
        if share < ENOUGH:
            yield (
                f"{_title(document, head.node_id)}: its anchors fit {share:.0%} of the training boxes; the others are "
                "hardly learned. `netwright anchors FILE --write` fits them to the data."
            )


def _title(document: GraphData, node_id: str) -> str:
    return next(n.title for n in document.nodes if n.id == node_id)
