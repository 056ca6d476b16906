"""A selection of nodes as a class to paste into a program or a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import networkx as nx
from torch import fx

from designer.engine.compile import compile_document, module_names
from designer.export.code import Written, class_name, class_text, record_shapes
from designer.export.formatting import format_code
from designer.export.weights import sample_image
from designer.graph.document import Document
from designer.graph.errors import EditError
from designer.graph.grouping import group_nodes, title_for
from designer.graph.model import GraphData
from nodes.sdk.discover import library


def code_of(data: GraphData, nodes: Iterable[str]) -> str:
    """The text of a class that does what these nodes do, with its imports; inner composites come before it.

    What enters the selection is what its forward takes, what leaves it is what it returns.

    Args:
        data: the document.
        nodes: ids; image inputs among them are left out.

    Raises:
        EditError: when they cannot stand in a class of their own, in words.
        GraphError: when the document cannot run up to there.
    """
    catalogue = library().catalogue
    data = data.model_copy(deep=True)
    inputs = {n.id for n in data.nodes if n.component in catalogue and catalogue[n.component].role == "input"}
    chosen = [n for n in data.nodes if n.id in set(nodes) - inputs]
    for node in chosen:
        if node.component in catalogue and catalogue[node.component].role != "layer":
            raise EditError(
                f"{node.title or node.component} is no layer: heads and what follows leave with the whole model. "
                "Select layers alone, or export a PyTorch folder."
            )
    for node in chosen:  # what they are set to in this document is not part of their code
        node.frozen, node.weights = False, ""
    document = Document(data, catalogue)
    title = title_for(document, chosen)
    made = group_nodes(document, chosen, title)
    kept = nx.ancestors(document.graph(), made.id) | {made.id}
    part = document.data.model_copy(
        update={
            "nodes": [n for n in document.data.nodes if n.id in kept],
            "wires": [w for w in document.data.wires if w.source in kept and w.target in kept],
        }
    )
    compiled = compile_document(part)
    name = module_names(part)[made.id]
    module = cast(fx.GraphModule, compiled.model.get_submodule(name))
    shapes = record_shapes(compiled.model, sample_image(compiled.input_shape))
    written = Written()
    body = class_text(class_name(title) or "Part", module, f"{name}.", shapes, written,
                      f"{title}, as drawn in Netwright.", [])  # fmt: skip
    imports = sorted(f"from {module} import {cls}" for cls, module in written.used.items())
    text = "\n".join(["from torch import Tensor, nn", "", *imports, "", "", *written.classes.values(), body])
    return format_code(text)
