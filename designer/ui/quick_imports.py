"""Stand-ins for modules that a library imports to no use of ours; NodeGraphQt takes 0.15 s with them instead of 0.7.

NodeGraphQt asks Qt.py, and qtawesome qtpy, for a binding; both look up every class of PySide6 to hide what differs from
other bindings. NodeGraphQt asks distutils to compare two versions, in whose place setuptools imports all of itself. The
stand-ins have what the two libraries use; a test holds them against the real modules.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtSvg, QtWidgets


@contextmanager
def standing_in(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Imports within get these modules; who asks for them later gets the real ones."""
    absent = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def for_node_graph() -> dict[str, ModuleType]:
    """What NodeGraphQt asks for."""
    return {
        "Qt": _module(
            "Qt",
            QtCore=_module("Qt.QtCore", QtCore, QRegExp=QtCore.QRegularExpression),
            QtGui=_module("Qt.QtGui", QtGui, QRegExpValidator=QtGui.QRegularExpressionValidator),
            QtSvg=QtSvg,
            QtWidgets=_module(
                "Qt.QtWidgets",
                QtWidgets,
                QAction=QtGui.QAction,
                QUndoCommand=QtGui.QUndoCommand,
                QUndoStack=QtGui.QUndoStack,
            ),
            QtCompat=_module("Qt.QtCompat", QHeaderView=QtWidgets.QHeaderView),
        ),
        "distutils": _module("distutils"),
        "distutils.version": _module("distutils.version", LooseVersion=QtCore.QVersionNumber.fromString),
    }


def for_icons() -> dict[str, ModuleType]:
    """What qtawesome asks for."""
    parts = {"QtCore": QtCore, "QtGui": QtGui, "QtWidgets": QtWidgets}
    return {
        "qtpy": _module("qtpy", PYSIDE_VERSION=QtCore.qVersion(), **parts),
        **{f"qtpy.{name}": module for name, module in parts.items()},
    }


def _module(name: str, source: Any = None, **names: Any) -> ModuleType:
    """A module with these names; others are looked up in the source when they are asked for."""
    made = ModuleType(name)
    made.__dict__.update(names)
    if source is not None:
        made.__dict__["__getattr__"] = lambda name: getattr(source, name)
    return made
