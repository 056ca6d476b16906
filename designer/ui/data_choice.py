"""Which data set: its kind and path, those used of late, its parts and the share that is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from PySide6.QtCore import QSettings, Signal
from PySide6.QtWidgets import QFileDialog, QGridLayout, QLineEdit, QMenu, QToolButton, QWidget

from designer.data.errors import DataError
from designer.graph.document import Document
from designer.graph.training import DataSettings
from designer.ui import wording
from designer.ui.editors import CalmComboBox, editor_for
from designer.ui.options_form import param_of
from designer.ui.widgets import ElidedLabel, column, row, tool

KINDS: tuple[str, ...] = get_args(DataSettings.model_fields["kind"].annotation)
MOST_RECENT = 10
_RECENT = "data/recent"


class DataChoice(QWidget):
    """Every field writes into the document.

    Signals:
        refused(str): a path holds no data set; why.
    """

    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._document: Document | None = None
        self.kind, self.path = CalmComboBox(), QLineEdit()
        for kind in KINDS:
            self.kind.addItem(wording.data_kind(kind), kind)
        self.path.setPlaceholderText("Folder or file; or drop one here")
        self.folder = tool("folder-open-outline", "Choose the data set's folder")
        self.file = tool("file-outline", "Choose a data.yaml or a COCO JSON file")
        self.recent = tool("history", "Data sets used of late")
        self.recent.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.recent.setMenu(QMenu(self.recent))
        self.recent.menu().aboutToShow.connect(self._fill_recent)
        self.train, self.val = QLineEdit(), QLineEdit()
        self.share = editor_for(param_of(DataSettings, "val_share"))
        self.setLayout(self._build())
        self._connect()

    def _build(self) -> Any:
        fields = DataSettings.model_fields
        parts = QGridLayout()
        parts.setHorizontalSpacing(4)
        parts.setVerticalSpacing(2)
        parts.setContentsMargins(0, 0, 0, 0)
        for place, (name, field) in enumerate((("train", self.train), ("val", self.val), ("val_share", self.share))):
            title = str(fields[name].title)
            field.setAccessibleName(title)
            field.setToolTip(str(fields[name].description))
            text = ElidedLabel(title.removesuffix(" part"), "faint")
            text.setBuddy(field)
            parts.addWidget(text, 0, place)  # in a row of their own the names stand in line
            parts.addWidget(field, 1, place)
            parts.setColumnStretch(place, 1)
        self.share.setMinimumWidth(64)
        for field in (self.train, self.val):
            field.setMinimumWidth(48)
            field.setPlaceholderText("found")
        self.kind.setAccessibleName("Kind of data")
        self.path.setAccessibleName("Path of the data set")
        self._path_row, self._parts = QWidget(), QWidget()
        self._path_row.setLayout(row(self.path, self.folder, self.file, gap=2))
        self._parts.setLayout(parts)
        return column(row(self.kind, self.recent, gap=2), self._path_row, self._parts, gap=4)

    def _connect(self) -> None:
        self.kind.currentIndexChanged.connect(lambda _place: self._set(kind=self.kind.currentData()))
        self.path.editingFinished.connect(self._on_path)
        self.train.editingFinished.connect(lambda: self._set(train=self.train.text().strip()))
        self.val.editingFinished.connect(lambda: self._set(val=self.val.text().strip()))
        self.share.edited.connect(lambda value: self._set(val_share=value))
        self.folder.clicked.connect(self._browse_folder)
        self.file.clicked.connect(self._browse_file)

    def set_document(self, document: Document | None) -> None:
        self._document = document
        self.setEnabled(document is not None)
        self.refresh()

    def refresh(self) -> None:
        """Show the document's data as it is now."""
        if self._document is None:
            return
        data = self._document.data.data
        self.kind.blockSignals(True)
        if self.kind.findData(data.kind) < 0:
            self.kind.addItem(data.kind, data.kind)
        self.kind.setCurrentIndex(self.kind.findData(data.kind))
        self.kind.blockSignals(False)
        for field, text in ((self.path, data.path), (self.train, data.train), (self.val, data.val)):
            if not field.hasFocus() and field.text() != text:
                field.setText(text)
        if self.share.value() != data.val_share:
            self.share.set_value(data.val_share)
        for part in (self._path_row, self._parts):
            part.setVisible(data.kind != "shapes")

    def _set(self, **fields: Any) -> None:
        if self._document is not None and any(getattr(self._document.data.data, k) != v for k, v in fields.items()):
            self._document.set_data(**fields)

    def _on_path(self) -> None:
        text = self.path.text().strip()
        if self._document is None or text == self._document.data.data.path:
            return
        if text:
            self.choose(Path(text))
        else:
            self._set(path="")

    def choose(self, path: Path) -> bool:
        """Take the data set at a path, whatever kind it is; False when it is none, which is said."""
        from designer.data.readers import kind_of  # NumPy, which the first frame can do without

        try:
            kind = kind_of(path.expanduser())
        except (DataError, OSError) as error:
            self.refused.emit(str(error))
            return False
        self._set(kind=kind, path=str(path), train="", val="")
        self.refresh()
        return True

    def _browse_folder(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "Choose the data set's folder", self._start()):
            self.choose(Path(chosen))

    def _browse_file(self) -> None:
        kinds = "Data sets (*.yaml *.yml *.json)"
        chosen, _ = QFileDialog.getOpenFileName(self, "Choose a data set", self._start(), kinds)
        if chosen:
            self.choose(Path(chosen))

    def _start(self) -> str:
        return self.path.text() or str(Path.home())

    def _fill_recent(self) -> None:
        menu = self.recent.menu()
        menu.clear()
        for path in recent():
            menu.addAction(path).triggered.connect(lambda _checked=False, p=path: self.choose(Path(p)))
        if menu.isEmpty():
            menu.addAction("None yet").setEnabled(False)


def recent() -> list[str]:
    """Paths of the data sets that were used last, the newest first."""
    found = QSettings().value(_RECENT, [])
    return [found] if isinstance(found, str) else list(found or [])


def remember(path: str) -> None:
    """Put a path before those that were used before."""
    QSettings().setValue(_RECENT, [path, *(other for other in recent() if other != path)][:MOST_RECENT])
