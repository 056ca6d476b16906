"""The inspector's section for a node of a drawn composite: its name, its ports' names, and which settings it shows."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QHeaderView, QLineEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from designer.graph.document import Document
from designer.graph.errors import EditError
from designer.graph.model import Drawn
from designer.graph.redefine import drawn, hide_param, rename_composite, rename_port, show_param
from designer.ui import wording
from designer.ui.widgets import button, column, label, row

OPEN_UP_TO = 4
"""Composites of more parts show them closed."""
_ROW, _MOST_ROWS = 24, 14
_TICKED = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable
_PLACE = Qt.ItemDataRole.UserRole


class CompositeSection(QWidget):
    """Signals:
    refused(str): why the definition cannot be changed like that.
    library_wanted(str): the composite of this id shall be saved to the user's library.
    """

    refused = Signal(str)
    library_wanted = Signal(str)

    def __init__(self, document: Document, composite: str) -> None:
        super().__init__()
        self._document, self._composite = document, composite
        self._pressed: tuple[QTreeWidgetItem, Qt.CheckState] | None = None
        definition = drawn(document, composite)
        self.ports: dict[tuple[bool, str], QLineEdit] = {}
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Settings of the parts")
        self.tree.setHeaderHidden(True)
        self.tree.setColumnCount(2)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.tree.header().setStretchLastSection(False)
        self.tree.setIndentation(16)
        self.name = QLineEdit(definition.title)
        self.name.setAccessibleName("Name of the composite")
        self.name.setToolTip("What the palette and your library call it")
        self.name.editingFinished.connect(self._on_name)
        self.save = button("Save to my library", "small", "", "It is then in the palette of every document")
        self.save.clicked.connect(lambda: self.library_wanted.emit(composite))
        box = column(gap=8)
        box.addWidget(label("Composite", "section"))
        box.addLayout(_named("Name", self.name))
        box.addWidget(label("Ports", "section"))
        box.addLayout(self._port_rows(definition))
        box.addWidget(label("Parts", "section"))
        box.addWidget(label("Tick a setting to show it on every node of this composite.", "faint", wrap=True))
        box.addWidget(self.tree)
        box.addLayout(row(self.save, 1))
        self.setLayout(box)
        self._fill(definition)
        self.tree.itemChanged.connect(self._on_ticked)
        self.tree.itemPressed.connect(self._on_pressed)
        self.tree.itemClicked.connect(self._on_clicked)
        self.tree.itemExpanded.connect(lambda _item: self._fit())
        self.tree.itemCollapsed.connect(lambda _item: self._fit())

    # -- ports ---------------------------------------------------------------------------------------------------------

    def _port_rows(self, definition: Drawn) -> QVBoxLayout:
        made = column(gap=4)
        for is_input, entries in ((True, definition.inputs), (False, definition.outputs)):
            for name in dict.fromkeys(entry.name for entry in entries):
                made.addLayout(self._port_row(name, is_input=is_input))
        return made

    def _port_row(self, name: str, *, is_input: bool) -> QHBoxLayout:
        line = QLineEdit(name)
        line.setAccessibleName(f"Name of {'input' if is_input else 'output'} {name}")
        line.editingFinished.connect(lambda: self._on_port(line, name, is_input=is_input))
        self.ports[is_input, name] = line
        return _named("Input" if is_input else "Output", line)

    def _on_name(self) -> None:
        if self.name.text().strip() != drawn(self._document, self._composite).title:
            self._try(lambda: rename_composite(self._document, self._composite, self.name.text()))

    def _on_port(self, line: QLineEdit, name: str, *, is_input: bool) -> None:
        wanted = line.text().strip()
        if wanted != name:
            line.setText(name)  # the page is made anew where the name is taken over
            self._try(lambda: rename_port(self._document, self._composite, name, wanted, is_input=is_input))

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _fill(self, definition: Drawn) -> None:
        shown = {(e.node, e.param): e.name for e in definition.params}
        catalogue = self._document.catalogue
        for part in definition.nodes:
            spec = catalogue.get(part.component) if catalogue is not None else None
            if spec is None or not spec.settings:
                continue
            heading = QTreeWidgetItem([part.title or part.id, spec.title if spec.title != part.title else ""])
            heading.setSizeHint(0, QSize(0, _ROW))
            heading.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.tree.addTopLevelItem(heading)
            for param in spec.settings:
                value = wording.written(part.params.get(param.name, param.default))
                item = QTreeWidgetItem([wording.title(param.name), value])
                item.setSizeHint(0, QSize(0, _ROW))
                item.setFlags(_TICKED)
                ticked = (part.id, param.name) in shown
                item.setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
                item.setData(0, _PLACE, (part.id, param.name))
                item.setToolTip(0, shown.get((part.id, param.name)) or param.help)
                heading.addChild(item)
            heading.setExpanded(len(definition.nodes) <= OPEN_UP_TO or any(node == part.id for node, _ in shown))
        self._fit()

    def _fit(self) -> None:
        """As high as its rows, up to a dozen: the page scrolls, not the list in it."""
        rows = sum(1 + (top.childCount() if top.isExpanded() else 0) for top in self._tops())
        self.tree.setFixedHeight(min(max(rows, 1), _MOST_ROWS) * _ROW + 4)

    def _tops(self) -> list[QTreeWidgetItem]:
        found = (self.tree.topLevelItem(i) for i in range(self.tree.topLevelItemCount()))
        return [top for top in found if top is not None]

    def item(self, part: str, param: str) -> QTreeWidgetItem:
        """The row of a part's setting."""
        rows = [top.child(i) for top in self._tops() for i in range(top.childCount())]
        return next(r for r in rows if tuple(r.data(0, _PLACE)) == (part, param))

    def _on_pressed(self, item: QTreeWidgetItem, _column: int) -> None:
        """Told of what lies beside the box alone: the box keeps its own presses."""
        self._pressed = (item, item.checkState(0))

    def _on_clicked(self, item: QTreeWidgetItem, _column: int) -> None:
        """A click on the words of a setting ticks it too."""
        pressed, self._pressed = self._pressed, None
        if item.parent() is not None and pressed == (item, item.checkState(0)):
            ticked = item.checkState(0) == Qt.CheckState.Checked
            item.setCheckState(0, Qt.CheckState.Unchecked if ticked else Qt.CheckState.Checked)

    def _on_ticked(self, item: QTreeWidgetItem, _column: int) -> None:
        part, param = item.data(0, _PLACE)
        entries = drawn(self._document, self._composite).params
        name = next((e.name for e in entries if (e.node, e.param) == (part, param)), None)
        ticked = item.checkState(0) == Qt.CheckState.Checked
        if ticked and name is None:
            self._try(lambda: show_param(self._document, self._composite, part, param))
        elif not ticked and name is not None:
            self._try(lambda: hide_param(self._document, self._composite, name))

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except EditError as error:
            self.refused.emit(str(error))


def _named(words: str, line: QLineEdit) -> QHBoxLayout:
    """A line to type in, behind what it is."""
    side = label(words, "muted")
    side.setFixedWidth(52)
    made = row(side, line, gap=8)
    made.setStretch(1, 1)
    return made
