"""Menus that are filled when they open: recent files, and the rules of advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from designer.engine.advice import rules

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


def fill_advice(window: MainWindow) -> None:
    """Each rule with a tick while the document lets it speak."""
    menu, document = window.commands.submenus["advice"], window.workspace.document
    menu.clear()
    muted = list(document.data.advice.muted) if document is not None else []
    for rule in rules():
        entry = menu.addAction(rule.title)
        entry.setToolTip(rule.reason)
        entry.setCheckable(True)
        entry.setChecked(rule.code not in muted)
        entry.setEnabled(document is not None)
        changed = [c for c in muted if c != rule.code] if rule.code in muted else [*muted, rule.code]
        entry.triggered.connect(lambda _on=False, m=changed: window.edit(lambda d: d.set_advice(muted=m)))


def fill_recent(window: MainWindow) -> None:
    """The files opened or saved lately."""
    menu = window.commands.submenus["recent"]
    menu.clear()
    for path in window.workspace.recent():
        go = menu.addAction(path.name)
        go.setToolTip(str(path))
        go.triggered.connect(lambda _checked=False, p=path: window.files.open(p))
    if menu.isEmpty():
        menu.addAction("No recent files").setEnabled(False)
    else:
        menu.addSeparator()
        menu.addAction("Clear the list").triggered.connect(window.workspace.forget_recent)
