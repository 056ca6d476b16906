"""The inspector's pages for no node and for several: the document's totals and data, or the sum of a selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from designer.graph.document import Document
from designer.graph.model import Node
from designer.graph.training import OPTIMIZERS
from designer.ui import wording
from designer.ui.open_document import document_title
from designer.ui.widgets import ElidedLabel, Switch, Tile, clear, column, label, line, row


class DocumentPage(QWidget):
    """Nothing is selected: what the whole document is and what it costs."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        self._document = document
        self.setProperty("look", "page")
        self.name = ElidedLabel("", "title")
        self.tiles = {
            "params": Tile("parameters"),
            "macs": Tile("MACs", "Multiply-accumulates of one image"),
            "activation_bytes": Tile("activations", "Memory that one image needs in training"),
            "nodes": Tile("nodes"),
        }
        grid = QGridLayout()
        grid.setSpacing(8)
        for index, tile in enumerate(self.tiles.values()):
            grid.addWidget(tile, index // 2, index % 2)
        self._facts = QVBoxLayout()
        self._facts.setSpacing(6)
        self._fact_labels: dict[tuple[str, str], ElidedLabel] = {}
        self.setLayout(
            column(
                self.name,
                grid,
                line(),
                self._facts,
                line(),
                label("Select a node to see its shapes and set its parameters.", "faint", wrap=True),
                1,
                margins=(12, 8, 12, 16),
                gap=12,
            )
        )
        self.refresh({})

    def refresh(self, totals: Mapping[str, Any]) -> None:
        """Show the document as it is now with these totals of the last propagation."""
        data = self._document.data
        self.name.set_full_text(document_title(self._document))
        self.tiles["params"].set_text(wording.count(totals.get("params")))
        self.tiles["macs"].set_text(wording.count(totals.get("macs")))
        self.tiles["activation_bytes"].set_text(wording.memory(totals.get("activation_bytes")))
        self.tiles["nodes"].set_text(f"{len(data.nodes):,}")
        training = data.training
        facts = {
            "Model": {"Deployed": f"{wording.count(totals.get('deployed'))} parameters"},
            "Data": self._data_facts(),
            "Training": {
                "Epochs": str(training.epochs),
                "Batch": str(training.batch or "as many as fit"),
                "Optimizer": OPTIMIZERS[training.optimizer],
                "Learning rate": f"{training.learning_rate:g}",
            },
        }
        keys = [(group, name) for group, values in facts.items() for name in values]
        if keys != list(self._fact_labels):
            self._place_facts(keys)
        for group, name in keys:
            self._fact_labels[group, name].set_full_text(facts[group][name])

    def _place_facts(self, keys: list[tuple[str, str]]) -> None:
        """A heading for each group and a label for each name; kept while the names stay, so nothing flickers."""
        clear(self._facts)
        self._fact_labels = {key: ElidedLabel() for key in keys}
        heading = ""
        for (group, name), value in self._fact_labels.items():
            if group != heading:
                heading = group
                self._facts.addWidget(label(group, "section"))
            self._facts.addLayout(fact(name, value))

    def _data_facts(self) -> dict[str, str]:
        data = self._document.data.data
        facts = {"Source": wording.data_kind(data.kind)}
        if data.kind == "shapes":
            facts["Classes"] = str(data.classes)
            facts["Images"] = f"{data.train_images:,} + {data.val_images:,} held out"
        else:
            facts["Path"] = data.path or "not chosen yet"
        size = image_size(self._document)
        facts["Image"] = f"{size[0]} × {size[1]} px" if size else "no image input"
        return facts


class ManyPage(QWidget):
    """Several nodes are selected: their sum, and one switch for all."""

    def __init__(self, document: Document, ids: Sequence[str]) -> None:
        super().__init__()
        self._document, self.ids = document, list(ids)
        self.setProperty("look", "page")
        self.tiles = {
            "params": Tile("params"),
            "macs": Tile("MACs", "Multiply-accumulates of one image"),
            "activation_bytes": Tile("activations"),
        }
        tiles = row(*self.tiles.values(), gap=6)
        for index in range(len(self.tiles)):
            tiles.setStretch(index, 1)
        self.frozen = Switch()
        self.frozen.setAccessibleName("Freeze all")
        self.frozen.clicked.connect(lambda: self._freeze(self.frozen.isChecked()))
        box = column(
            label(f"{len(ids)} nodes", "title"),
            tiles,
            line(),
            row(label("Frozen"), 1, self.frozen),
            line(),
            margins=(12, 12, 12, 16),
            gap=12,
        )
        for node_id in self.ids:
            node = document.node(node_id)
            spec = document.spec(node_id)
            kind = spec.title if spec is not None else node.component
            box.addLayout(fact(node.title, ElidedLabel(kind)))
        box.addStretch(1)
        self.setLayout(box)
        self.refresh({})

    def refresh(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        chosen = [results[i] for i in self.ids if results.get(i, {}).get("status") == "ok"]
        sums = {key: sum(r[key] for r in chosen) if chosen else None for key in self.tiles}
        self.tiles["params"].set_text(wording.count(sums["params"]))
        self.tiles["macs"].set_text(wording.count(sums["macs"]))
        self.tiles["activation_bytes"].set_text(wording.memory(sums["activation_bytes"]))
        self.frozen.setChecked(all(self._document.node(i).frozen for i in self.ids))

    def _freeze(self, on: bool) -> None:
        with self._document.edit("Freeze nodes" if on else "Unfreeze nodes"):
            for node_id in self.ids:
                self._document.set_frozen(node_id, on)


def fact(name: str, value: ElidedLabel) -> QHBoxLayout:
    """A name at the left and its value at the right."""
    value.setAlignment(Qt.AlignmentFlag.AlignRight)
    made = row(label(name, "muted"), value)
    made.setStretch(1, 1)
    return made


def image_input(document: Document) -> Node | None:
    """The node that images come in by."""
    return next((node for node in document.data.nodes if node.component == "io.image_input"), None)


def image_size(document: Document) -> tuple[int, int] | None:
    """Height and width of the document's image input, pixels."""
    node = image_input(document)
    return (node.params.get("height", 640), node.params.get("width", 640)) if node else None
