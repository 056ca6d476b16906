"""Icons by name in the theme's colours, drawn from the Material Design set of qtawesome.

qtawesome takes a tenth of a second to import, so it is imported at the first icon.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from weakref import WeakKeyDictionary

import shiboken6
from PySide6.QtGui import QAction, QIcon
from PySide6.QtWidgets import QAbstractButton

from designer.ui import theme
from designer.ui.quick_imports import for_icons, standing_in

_CATEGORY_GLYPHS = {
    "io": "image-outline",
    "stem": "sprout-outline",
    "conv": "grid",
    "downsample": "arrow-collapse",
    "block": "view-module-outline",
    "backbone": "layers-triple-outline",
    "attention": "eye-outline",
    "fusion": "call-merge",
    "resize": "resize",
    "pooling": "filter-outline",
    "neck": "sitemap-outline",
    "head": "bullseye-arrow",
    "post": "filter-check-outline",
}


@cache
def _qtawesome() -> ModuleType:
    with standing_in(for_icons()):
        import qtawesome
    return qtawesome


def icon(name: str, color: str = "text_muted") -> QIcon:
    """The icon `mdi6.<name>` in a colour: a name of the theme (`accent`) or `#rrggbb`.

    Raises:
        Exception: qtawesome's own, when the set has no icon of that name.
    """
    shades = theme.current()
    paint = color if color.startswith("#") else getattr(shades, color)
    return _qtawesome().icon(f"mdi6.{name}", color=paint, color_disabled=shades.border_strong)


def category_icon(category: str) -> QIcon:
    """A component category's icon in the category's colour."""
    first = category.replace("/", ".").partition(".")[0]
    return icon(_CATEGORY_GLYPHS.get(first, "cube-outline"), theme.current().category(category))


def keep_icon(target: QAction | QAbstractButton, name: str, color: str = "text_muted") -> None:
    """Give an action or a button an icon that follows the theme; a later call gives it another one."""
    if not _kept:
        theme.manager.changed.connect(_redraw)
    _kept[target] = (name, color)
    target.setIcon(icon(name, color))


_kept: WeakKeyDictionary[QAction | QAbstractButton, tuple[str, str]] = WeakKeyDictionary()


def _redraw(_theme: theme.Theme) -> None:
    for target, (name, color) in list(_kept.items()):
        if shiboken6.isValid(target):
            target.setIcon(icon(name, color))
