"""A field of a settings section as a parameter, so that forms and sweeps treat it as they do a node's."""

from __future__ import annotations

import typing
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nodes.sdk.spec import Param


def param_of(section: type[BaseModel], name: str) -> Param:
    """The field `name`: its type, bounds, choices and help."""
    field: FieldInfo = section.model_fields[name]
    limits = {type(m): m for m in field.metadata}
    low = limits[Ge].ge if Ge in limits else limits[Gt].gt if Gt in limits else None
    high = limits[Le].le if Le in limits else limits[Lt].lt if Lt in limits else None
    choices = typing.get_args(field.annotation)
    kinds: dict[Any, str] = {int: "int", float: "float", bool: "bool", str: "str"}
    return Param(
        name=name,
        type="choice" if choices else kinds[field.annotation],  # type: ignore[arg-type]
        default=field.default,
        minimum=low,
        maximum=high,
        choices=choices,
        help=field.description or "",
    )
