"""Files dropped on the window: documents open, model files are viewed or imported; where both can be, we ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QDropEvent

from designer.graph.model_suffixes import SUFFIXES as VIEWED
from designer.graph.picture import SUFFIX as PICTURE
from designer.graph.storage import SUFFIX
from designer.ui.importing import SUFFIXES as IMPORTED
from designer.ui.importing import import_file
from designer.ui.message_bar import Choice

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow


def dropped_file(event: QDropEvent) -> Path | None:
    """The first file among what is dragged that the window can do something with."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    known = (SUFFIX, PICTURE, *IMPORTED, *VIEWED)
    return next((p for p in paths if p.suffix.lower() in known and p.is_file()), None)


def take_file(window: MainWindow, path: Path) -> None:
    """Does what its kind asks for."""
    suffix = path.suffix.lower()
    if suffix in IMPORTED and suffix in VIEWED:
        window.messages.say(
            f"{path.name}: look at it as it is, or make a document of it?",
            "info",
            Choice("View", lambda: window.side.open_model(path), primary=True),
            Choice("Import as a document", lambda: import_file(window, path)),
            key="drop",
        )
    elif suffix in IMPORTED:
        import_file(window, path)
    else:
        window.files.open(path)
