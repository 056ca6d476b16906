"""Undo and redo: named steps of changes, with merging of a drag into one step and a mark at the saved state."""

from __future__ import annotations

from dataclasses import dataclass

from designer.graph.changes import Change, merge


@dataclass
class Step:
    """What one undo takes back: a name for the menu and the changes in the order they were made."""

    name: str
    changes: list[Change]


class History:
    """The document's one history. It stores steps; the document applies them."""

    def __init__(self) -> None:
        self.done: list[Step] = []
        self.undone: list[Step] = []
        self._sealed = True
        self._saved: Step | None = None
        self._saved_lost = False

    def add(self, step: Step) -> None:
        """Adds a step, merged into the last one when that is still open and changes the same things."""
        self._forget_redo()
        if not self._sealed and self.done and self.done[-1] is not self._saved:
            merged = merge(self.done[-1].changes, step.changes)
            if merged is not None and self.done[-1].name == step.name:
                self.done[-1].changes = merged
                return
        self.done.append(step)
        self._sealed = False

    def _forget_redo(self) -> None:
        if self._saved is not None and any(s is self._saved for s in self.undone):
            self._saved_lost = True
        self.undone.clear()

    def seal(self) -> None:
        """Ends merging: the next step stands on its own."""
        self._sealed = True

    def take_undo(self) -> Step:
        self.seal()
        self.undone.append(self.done.pop())
        return self.undone[-1]

    def take_redo(self) -> Step:
        self.seal()
        self.done.append(self.undone.pop())
        return self.done[-1]

    def mark_saved(self) -> None:
        self.seal()
        self._saved, self._saved_lost = (self.done[-1] if self.done else None), False

    @property
    def is_dirty(self) -> bool:
        """Whether the state differs from the last one marked as saved."""
        return self._saved_lost or (self.done[-1] if self.done else None) is not self._saved
