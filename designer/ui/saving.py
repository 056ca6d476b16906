"""What is drawn, saved as a picture or as figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QFileDialog, QWidget

FILTER = "Picture (*.png);;Figures (*.csv)"
_SCALE = 2


def ask_where_to_save(widget: QWidget, title: str, as_csv: Callable[[], str]) -> Path | None:
    """Asks for a file and writes the widget's picture or its figures there, as the ending says."""
    name = title.lower().replace(" ", "-") + ".png"
    chosen, kind = QFileDialog.getSaveFileName(widget, f"Save {title.lower()}", name, FILTER)
    if not chosen:
        return None
    path = Path(chosen)
    if path.suffix.lower() not in (".png", ".csv"):
        path = path.with_name(path.name + (".csv" if "csv" in kind else ".png"))
    save_drawn(widget, path, as_csv)
    return path


def save_drawn(widget: QWidget, path: Path, as_csv: Callable[[], str]) -> None:
    """Writes a PNG of a widget at twice its size, or for `.csv` its figures."""
    if path.suffix.lower() == ".csv":
        path.write_text(as_csv(), encoding="utf-8")
        return
    picture = QPixmap(widget.size() * _SCALE)
    picture.setDevicePixelRatio(_SCALE)
    picture.fill(Qt.GlobalColor.transparent)
    widget.render(picture)
    picture.save(str(path))


def quoted(text: str) -> str:
    """A field of a CSV line."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text
