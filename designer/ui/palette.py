"""The component palette: every component by category, found by name, alias or what it does, dragged onto the canvas."""

from __future__ import annotations

from typing import TypeAlias

from PySide6.QtCore import (
    QEvent,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QSettings,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QDrag, QFont, QKeyEvent, QPainter, QPixmap, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeView,
    QWidget,
)

from designer.ui import glyphs, theme, wording
from designer.ui.widgets import column, label
from nodes.sdk.spec import Catalogue, ComponentSpec

MIME = "application/x-netwright-component"
"""A drag of one component; the bytes are its id in UTF-8."""

_Index: TypeAlias = QModelIndex | QPersistentModelIndex
_ID = Qt.ItemDataRole.UserRole + 1
_HINT = Qt.ItemDataRole.UserRole + 2
_COLOR = Qt.ItemDataRole.UserRole + 3

# Groups in the order that an image meets them; others follow by name.
_ORDER = (
    *("composites", "library", "io", "stem", "conv", "downsample", "block", "backbone", "attention", "pooling"),
    *("resize", "fusion", "neck", "head", "post"),
)


def search(catalogue: Catalogue, text: str) -> list[ComponentSpec]:
    """The components that every word of `text` is found in, best first.

    A hit at the start of the name or an alias counts most, then in the name, an alias, the category, the summary. Among
    equals, one that is called just that comes first, then those whose title begins so.
    """
    words, whole = text.lower().split(), text.lower().strip()

    def order(pair: tuple[int, ComponentSpec]) -> tuple[int, int, int, str]:
        score, title = pair[0], pair[1].title.lower()
        named = 0 if title == whole else 1 if title.startswith(whole) else 2
        return score, named, len(title), title

    scored = [(score, spec) for spec in catalogue.values() if (score := _score(spec, words)) is not None]
    return [spec for _, spec in sorted(scored, key=order)]


def _score(spec: ComponentSpec, words: list[str]) -> int | None:
    """0 is best; None when some word is nowhere in the component."""
    name = spec.title.lower()
    fields = (
        (name, spec.title.replace(" ", "").lower(), spec.name.lower(), spec.id.lower().rpartition(".")[2]),
        tuple(alias.lower() for alias in spec.aliases),
        (spec.category.lower(),),
        (spec.summary.lower(), spec.paper.lower()),
    )
    total = 0
    for word in words:
        if any(text.startswith(word) for text in fields[0] + fields[1]):
            continue
        hit = next((i for i, texts in enumerate(fields) if any(word in text for text in texts)), None)
        if hit is None:
            return None
        total += 1 + hit
    return total


class Palette(QWidget):
    """The search box and the tree under it.

    Signals:
        add_requested(str): a component id was double-clicked, or Enter was pressed on it.
    """

    add_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._catalogue: Catalogue | None = None
        self._collapsed = set(str(QSettings().value("palette/collapsed", "")).split(",")) - {""}
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search components")
        self.search.setAccessibleName("Search components")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._fill)
        self.search.installEventFilter(self)
        self.tree = _Tree()
        self.tree.activated.connect(self._on_activated)
        self.tree.clicked.connect(self._on_clicked)
        self.tree.expanded.connect(lambda index: self._remember(index, collapsed=False))
        self.tree.collapsed.connect(lambda index: self._remember(index, collapsed=True))
        self.empty = label("Loading components…", "muted", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setContentsMargins(16, 24, 16, 0)
        box = column(gap=0)
        box.addLayout(column(self.search, margins=(8, 8, 8, 8)))
        box.addWidget(self.empty)
        box.addWidget(self.tree, 1)
        self.setLayout(box)
        self.setFocusProxy(self.search)
        theme.manager.changed.connect(self._on_theme)

    def set_catalogue(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._fill()

    def shown_ids(self) -> list[str]:
        """The component ids in the tree, top to bottom."""
        return list(self.tree.ids())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrow keys in the search box move in the tree; Enter adds the current component."""
        if watched is self.search and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
                self.tree.setFocus()
                self.tree.keyPressEvent(event)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._on_activated(self.tree.currentIndex())
                return True
        return super().eventFilter(watched, event)

    def _on_theme(self, _theme: theme.Theme) -> None:
        self._fill()

    def _fill(self) -> None:
        text = self.search.text().strip()
        model = self.tree.items
        model.clear()
        if self._catalogue is None:
            return
        if text:
            for spec in search(self._catalogue, text):
                model.appendRow(_component_item(spec, wording.category_title(spec.category)))
            self.tree.setCurrentIndex(model.index(0, 0))
        else:
            self._fill_groups(self._catalogue, model)
        self.empty.setText(f"No component matches “{text}”.\nTry fewer letters, or what it does.")
        self.empty.setVisible(model.rowCount() == 0)

    def _fill_groups(self, catalogue: Catalogue, model: QStandardItemModel) -> None:
        groups: dict[str, list[ComponentSpec]] = {}
        for spec in catalogue.values():
            groups.setdefault(spec.category.replace("/", ".").partition(".")[0], []).append(spec)
        rank = {name: i for i, name in enumerate(_ORDER)}
        for name in sorted(groups, key=lambda n: (rank.get(n, len(rank)), n)):
            heading = QStandardItem(wording.category_title(name))
            heading.setData(name, _ID)
            heading.setData(str(len(groups[name])), _HINT)
            heading.setFlags(Qt.ItemFlag.ItemIsEnabled)
            for spec in sorted(groups[name], key=lambda s: (s.category, s.title.lower())):
                heading.appendRow(_component_item(spec, ""))
            model.appendRow(heading)
            self.tree.setExpanded(heading.index(), name not in self._collapsed)

    def _on_activated(self, index: QModelIndex) -> None:
        if index.isValid() and index.flags() & Qt.ItemFlag.ItemIsDragEnabled:
            self.add_requested.emit(index.data(_ID))

    def _on_clicked(self, index: QModelIndex) -> None:
        if self.tree.items.hasChildren(index):
            self.tree.setExpanded(index, not self.tree.isExpanded(index))

    def _remember(self, index: QModelIndex, *, collapsed: bool) -> None:
        self._collapsed = (self._collapsed | {index.data(_ID)}) if collapsed else (self._collapsed - {index.data(_ID)})
        QSettings().setValue("palette/collapsed", ",".join(sorted(self._collapsed)))


def _component_item(spec: ComponentSpec, hint: str) -> QStandardItem:
    item = QStandardItem(glyphs.category_icon(spec.category), spec.title)
    item.setData(spec.id, _ID)
    item.setData(hint, _HINT)
    item.setData(theme.current().category(spec.category), _COLOR)
    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsDragEnabled)
    item.setToolTip(_tip(spec))
    return item


def _tip(spec: ComponentSpec) -> str:
    ports = [f"{p.name} [{p.dims}]" if p.dims else p.name for p in spec.inputs]
    outs = [f"{p.name} [{p.dims}]" if p.dims else p.name for p in spec.outputs]
    flow = f"{', '.join(ports) or 'nothing'} → {', '.join(outs)}"
    paper = f"<br><i>{spec.paper}</i>" if spec.paper else ""
    return f"<p style='white-space:pre-wrap'><b>{spec.title}</b><br>{spec.summary}<br>{flow}{paper}</p>"


class _Tree(QTreeView):
    """The tree view; a drag carries the component's id and looks like a node."""

    def __init__(self) -> None:
        super().__init__()
        self.items = QStandardItemModel()
        self.setModel(self.items)
        self.setItemDelegate(_RowPainter(self))
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setIndentation(0)
        self.setUniformRowHeights(True)
        self.setMouseTracking(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setDragEnabled(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.setExpandsOnDoubleClick(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Components")

    def ids(self) -> list[str]:
        found = []
        for row in range(self.items.rowCount()):
            top = self.items.item(row)
            found += [top.child(i).data(_ID) for i in range(top.rowCount())] or [top.data(_ID)]
        return found

    def startDrag(self, _actions: Qt.DropAction) -> None:
        index = self.currentIndex()
        if not index.flags() & Qt.ItemFlag.ItemIsDragEnabled:
            return
        mime = QMimeData()
        mime.setData(MIME, index.data(_ID).encode())
        mime.setText(index.data(_ID))
        drag = QDrag(self)
        drag.setMimeData(mime)
        drag.setPixmap(_ghost(index.data(Qt.ItemDataRole.DisplayRole), QColor(index.data(_COLOR))))
        drag.exec(Qt.DropAction.CopyAction)


def _ghost(name: str, color: QColor) -> QPixmap:
    """What hangs under the pointer during a drag: a small node."""
    shades = theme.current()
    pixmap = QPixmap(160, 36)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(color)
    painter.setBrush(shades.color("raised", 235))
    painter.drawRoundedRect(QRect(1, 1, 157, 33), 6, 6)
    painter.fillRect(QRect(1, 8, 3, 20), color)
    painter.setPen(shades.color("text"))
    painter.drawText(QRect(14, 0, 140, 36), Qt.AlignmentFlag.AlignVCenter, name)
    painter.end()
    return pixmap


class _RowPainter(QStyledItemDelegate):
    """A heading in small capitals with its count, or an icon and a name with a hint at the right."""

    def __init__(self, tree: QTreeView) -> None:
        super().__init__(tree)
        self._tree = tree

    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:
        return QSize(100, 28)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if index.flags() & Qt.ItemFlag.ItemIsDragEnabled:
            self._paint_component(painter, option, index)
        else:
            self._paint_heading(painter, option.rect, index)
        painter.restore()

    def _paint_heading(self, painter: QPainter, rect: QRect, index: _Index) -> None:
        shades = theme.current()
        glyph = "chevron-down" if self._tree.isExpanded(index) else "chevron-right"
        glyphs.icon(glyph, "text_faint").paint(painter, QRect(rect.left() + 8, rect.top() + 7, 14, 14))
        font = QFont(painter.font())
        font.setPixelSize(11)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(shades.color("text_muted"))
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(rect.adjusted(26, 0, -40, 0), middle, index.data(Qt.ItemDataRole.DisplayRole))
        painter.setPen(shades.color("text_faint"))
        painter.drawText(rect.adjusted(0, 0, -14, 0), middle | Qt.AlignmentFlag.AlignRight, index.data(_HINT))

    def _paint_component(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        shades = theme.current()
        rect = option.rect
        box = rect.adjusted(4, 1, -4, -1)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shades.color("selection"))
            painter.drawRoundedRect(box, 5, 5)
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(shades.color("surface"))
            painter.drawRoundedRect(box, 5, 5)
        index.data(Qt.ItemDataRole.DecorationRole).paint(painter, QRect(rect.left() + 14, rect.top() + 6, 16, 16))
        hint = index.data(_HINT)
        metrics = painter.fontMetrics()
        room = rect.adjusted(38, 0, -12, 0)
        middle = Qt.AlignmentFlag.AlignVCenter
        if hint:
            painter.setPen(shades.color("text_faint"))
            painter.drawText(room, middle | Qt.AlignmentFlag.AlignRight, hint)
            room.setRight(room.right() - metrics.horizontalAdvance(hint) - 8)
        painter.setPen(shades.color("text"))
        name = metrics.elidedText(index.data(Qt.ItemDataRole.DisplayRole), Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, middle, name)
