"""What is dropped on the window: documents open, models are viewed or imported (we ask where both fit), data chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QDropEvent

from designer.graph.model_suffixes import SUFFIXES as VIEWED
from designer.graph.picture import SUFFIX as PICTURE
from designer.graph.storage import SUFFIX
from designer.ui.importing import SUFFIXES as IMPORTED
from designer.ui.importing import import_file
from designer.ui.loading_weights import SUFFIXES as WEIGHTS
from designer.ui.loading_weights import load_weights
from designer.ui.message_bar import Choice
from designer.ui.open_document import document_title

if TYPE_CHECKING:
    from designer.ui.main_window import MainWindow

_HEAD = 4096
"""Bytes of a YAML file by which it is seen what it describes."""


def dropped_file(event: QDropEvent) -> Path | None:
    """The first file or folder among what is dragged that the window can do something with."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    known = (SUFFIX, PICTURE, ".json", *IMPORTED, *VIEWED)
    return next((p for p in paths if p.is_dir() or (p.suffix.lower() in known and p.is_file())), None)


def take_file(window: MainWindow, path: Path) -> None:
    """Does what its kind asks for."""
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".json" or (suffix in IMPORTED and _names_images(path)):
        choose_data(window, path)
    elif suffix in WEIGHTS and window.workspace.document is not None and window.side.current is None:
        name = document_title(window.workspace.document)
        window.messages.say(
            f"{path.name}: load its weights into “{name}”, or look at them?",
            "info",
            Choice("Load the weights", lambda: load_weights(window, path), primary=True),
            Choice("View", lambda: window.files.open(path)),
            key="drop",
        )
    elif suffix in IMPORTED and suffix in VIEWED:
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


def choose_data(window: MainWindow, path: Path) -> None:
    """Make the data set at a path the document's, and show it."""
    if window.workspace.document is None:
        window.messages.say("Open or make a document first, then drop its data set.", "warning", key="data")
    elif window.data.choice.choose(path):
        window.show_tab(window.data)


def _names_images(path: Path) -> bool:
    """Whether it is YAML of a data set: it names classes or where the images are, and has no layers."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            keys = {line.partition(":")[0] for line in file.read(_HEAD).splitlines() if ":" in line}
    except OSError:
        return False
    return bool(keys & {"names", "train", "val"}) and "backbone" not in keys
