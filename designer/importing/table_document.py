"""A model table as a document: a node a layer, laid out in columns, NMS behind the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from designer.graph.document import Document
from designer.graph.model import Node
from designer.importing.modules import Made, layers_of
from designer.importing.table import ImportFailed, Row, Table
from nodes.sdk.discover import library

COLUMN, LINE = 240, 170
"""Canvas units between the nodes of a chain, and between chains."""


@dataclass
class Imported:
    """A document, and sentences about what differs from the table or could not be carried over."""

    document: Document
    notes: list[str]

    @property
    def placeholders(self) -> list[str]:
        """Titles of the nodes that stand for modules which are not here."""
        catalogue = library().catalogue
        return [n.title for n in self.document.data.nodes if n.component not in catalogue]


def import_table(table: Table, size: int = 640) -> Imported:
    """Draws a table.

    Args:
        table: what was read.
        size: height and width of the image in pixels.

    Raises:
        ImportFailed: when a row's arguments do not fit its module.
    """
    return _Drawing(table, size).run()


class _Drawing:
    def __init__(self, table: Table, size: int) -> None:
        self.table, self.notes = table, list(table.notes)
        title = table.name + (f" ({table.scale})" if table.scale and table.scale not in table.name else "")
        self.document = Document.new(title, library().catalogue)
        self.image = self.document.add(
            "io.image_input", title="Image", at=(0, 0), channels=table.channels, height=size, width=size
        )
        self.ends: dict[int, Node] = {-1: self.image}
        """The last node of each layer, which is what others take."""
        self.widths: dict[int, int] = {-1: table.channels}
        self.columns: dict[str, int] = {self.image.id: 0}
        self.lines: dict[int, int] = {0: 1}

    def run(self) -> Imported:
        with self.document.edit("Import"):
            for row in self.table.rows:
                self._layer(row)
        # Opened anew: an import is where the document's history begins.
        fresh = Document(self.document.data, library().catalogue)
        return Imported(fresh, self.notes)

    def _layer(self, row: Row) -> None:
        try:
            made, width, note = layers_of(row, [self.widths[s] for s in row.sources], self.table)
        except (ValueError, TypeError, IndexError) as error:
            raise ImportFailed(f"{self.table.name}: row {row.index}, {row.text()}: {error}") from None
        if note:
            self.notes.append(note)
        before = [self.ends[s] for s in row.sources]
        for number, one in enumerate(made):
            before = [self._node(row, one, number, len(made), before)]
        self.ends[row.index], self.widths[row.index] = before[0], width

    def _node(self, row: Row, made: Made, number: int, count: int, before: list[Node]) -> Node:
        part = f".{number + 1}" if count > 1 else ""
        column = 1 + max(self.columns[n.id] for n in before)
        line = self.lines.get(column, 0)
        self.lines[column] = line + 1
        node = self.document.add(
            made.component, title=f"{made.title} {row.index}{part}", at=(column * COLUMN, line * LINE), **made.params
        )
        if made.component not in library().catalogue:
            self.document.set_note(node, f"Row {row.index} of the table: {row.text()}")
        self.columns[node.id] = column
        spec = library().catalogue.get(made.component)
        for place, source in enumerate(before):
            self.document.connect(source, node, self._output(source), _input(spec, place))
        return node

    def _output(self, node: Node) -> str:
        spec = library().catalogue.get(node.component)
        return spec.outputs[0].name if spec is not None else "out"


def _input(spec: Any, place: int) -> str:
    if spec is None:
        return f"xs.{place}"
    port = spec.inputs[0]
    if port.variadic:
        return f"{port.name}.{place}"
    if place >= len(spec.inputs):
        raise ImportFailed(f"{spec.title or spec.name} takes {len(spec.inputs)} layer(s), the table gives it more.")
    return str(spec.inputs[place].name)
