"""The components that the user marked, and those that were added last; kept from one session to the next."""

from __future__ import annotations

from PySide6.QtCore import QSettings

from nodes.sdk.spec import Catalogue, ComponentSpec

KEPT = 6
"""How many of those that were added last are remembered."""
_MARKED, _RECENT = "search/favourites", "search/recent"


def marked() -> list[str]:
    """Ids of the favourites, in the order they were marked."""
    return _read(_MARKED)


def recent() -> list[str]:
    """Ids of the components that were added last, the last one first."""
    return _read(_RECENT)


def toggle(component: str) -> bool:
    """Marks a component, or takes the mark off. Returns whether it is one now."""
    found = marked()
    now = component not in found
    QSettings().setValue(_MARKED, ",".join([*found, component] if now else [c for c in found if c != component]))
    return now


def remember(component: str) -> None:
    """A component was added."""
    QSettings().setValue(_RECENT, ",".join([component, *(c for c in recent() if c != component)][:KEPT]))


def first(catalogue: Catalogue) -> list[ComponentSpec]:
    """Favourites, then what was added last, as far as a catalogue has them."""
    ids = dict.fromkeys([*marked(), *recent()])
    return [catalogue[i] for i in ids if i in catalogue]


def _read(key: str) -> list[str]:
    return [part for part in str(QSettings().value(key, "") or "").split(",") if part]
