"""Edit dicts: the small language in which quick fixes are written, by the engine too, which has no document.

{"op": "set_param", "node": "n3", "name": "width", "value": 64}
{"op": "insert", "wire": "w2", "component": "resize.upsample", "params": {"scale": 2}}
{"op": "connect", "source": "n1", "source_port": "out", "target": "n2", "target_port": "x"}
{"op": "disconnect", "wire": "w2"}
    {"op": "remove", "node": "n4"}
    {"op": "reset_param", "node": "n3", "name": "width"}
    {"op": "replace", "node": "n3", "component": "resize.upsample"}
{"op": "set_data", "classes": 4}
    {"op": "set_training", "batch": 8}
    {"op": "update_composite", "composite": "composites.stem", "definition": [...]}
    {"op": "set_advice", "muted": ["channels_of_eight"]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from designer.graph.changes import NodeChanged
from designer.graph.errors import EditError

if TYPE_CHECKING:
    from designer.graph.document import Document


def apply_edit(document: Document, edit: Mapping[str, Any]) -> None:
    """Applies one edit. Raises NetwrightError when it does not fit the document any more."""
    fields = dict(edit)
    op = fields.pop("op", None)
    try:
        match op:
            case "set_param":
                document.set_param(fields["node"], fields["name"], fields["value"])
            case "reset_param":
                document.reset_param(fields["node"], fields["name"])
            case "insert":
                insert(document, **fields)
            case "connect":
                document.connect(fields["source"], fields["target"], fields["source_port"], fields["target_port"])
            case "disconnect":
                document.disconnect(fields["wire"])
            case "remove":
                document.remove(fields["node"])
            case "replace":
                replace(document, fields["node"], fields["component"])
            case "update_composite":
                from designer.graph.composite_library import update_composite

                update_composite(document, fields["composite"], fields["definition"])
            case "set_data":
                document.set_data(**fields)
            case "set_training":
                document.set_training(**fields)
            case "set_advice":
                document.set_advice(**fields)
            case _:
                raise EditError(f"There is no edit {op!r}.")
    except (KeyError, TypeError) as error:
        raise EditError(f"The edit {op!r} is not complete: {error}.") from None


def insert(
    document: Document, wire: str, component: str, params: Mapping[str, Any] | None = None, title: str = ""
) -> None:
    """Puts a new node on a wire, half way between its ends."""
    old = document.wire(wire)
    source, target = document.node(old.source), document.node(old.target)
    with document.edit(f"Insert {title or component}"):
        middle = ((source.x + target.x) / 2, (source.y + target.y) / 2)
        node = document.add(component, title=title, at=middle, **dict(params or {}))
        document.connect(source, node, old.source_port)
        document.connect(node, target, "", old.target_port)


def replace(document: Document, node: str, component: str) -> None:
    """Makes a node another component; wires stay, parameters the new one has stay, the rest take defaults."""
    found = document.node(node)
    spec = document.catalogue.get(component) if document.catalogue is not None else None
    kept = {k: v for k, v in found.params.items() if spec is None or spec.param(k) is not None}
    params = {**(spec.defaults() if spec else {}), **kept}
    with document.edit(f"Replace {found.title}"):
        document._do("Replace", [NodeChanged(found.id, "component", found.component, component)])
        document._do("Replace", [NodeChanged(found.id, "params", found.params, params)])
