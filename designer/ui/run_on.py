"""Where the Train tab's runs go: this machine, or a host that ssh reaches; a new host is described in place."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from designer.graph.errors import NetwrightError
from designer.train.hosts import Host, forget_host, hosts, keep_host, parse_host
from designer.ui.editors import CalmComboBox
from designer.ui.widgets import ElidedLabel, button, column, label, row

HERE, NEW = "here", "new"


class RunOn(QWidget):
    """A choice among the hosts that are kept (`netwright hosts`), and the fields of a new one."""

    def __init__(self) -> None:
        super().__init__()
        self.box = CalmComboBox()
        self.box.setAccessibleName("Run on")
        self.box.setToolTip("The machine that trains. A host is reached by ssh, with your own keys and settings.")
        self.box.currentIndexChanged.connect(self._on_chosen)
        self.send_data = QCheckBox("Send the data set")
        self.send_data.setToolTip("Copy the images there. Otherwise the path above is one on the host.")
        self.forget = button("Forget", "ghost", "close", "Forget this host; its runs stay")
        self.forget.clicked.connect(self._on_forget)
        self.address, self.folder, self.command = (
            _field(name, text, tip)
            for name, text, tip in (
                ("Host address", "user@host", "As ssh takes it: user@host, or a name from ~/.ssh/config"),
                ("Folder on the host", Host.folder, "Where its runs go, from the home folder on"),
                ("Netwright command on the host", Host.command, "What starts Netwright there, with its path if needed"),
            )
        )
        keep = button("Keep host", "", "check", "Keep it for this and later runs")
        keep.clicked.connect(self._on_keep)
        self.keep = keep
        self.wrong = label("", "muted", wrap=True)
        self._fields = QWidget()
        self._fields.setLayout(
            column(
                *(part for field in (self.address, self.folder, self.command) for part in (_title(field), field)),
                row(keep, 1),
                self.wrong,
                gap=4,
            )
        )
        self._chosen = QWidget()
        self._chosen.setLayout(row(self.send_data, 1, self.forget))
        self.setLayout(column(self.box, self._chosen, self._fields, gap=4))
        self.list_hosts()

    def host(self) -> Host | None:
        """The host that is chosen; None for this machine."""
        chosen = self.box.currentData()
        return next((host for host in hosts() if host.name == chosen), None)

    def list_hosts(self, chosen: str = HERE) -> None:
        """Fill the box with what is kept."""
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItem("This machine", HERE)
        for host in hosts():
            self.box.addItem(host.title(), host.name)
        self.box.addItem("New host…", NEW)
        self.box.setCurrentIndex(max(0, self.box.findData(chosen)))
        self.box.blockSignals(False)
        self._on_chosen()

    def _on_chosen(self) -> None:
        chosen = self.box.currentData()
        self._fields.setVisible(chosen == NEW)
        self._chosen.setVisible(chosen not in (HERE, NEW))
        self.wrong.hide()
        if chosen == NEW and self.isVisible():
            self.address.setFocus()

    def _on_keep(self) -> None:
        try:
            host = parse_host(self.address.text().strip())
        except NetwrightError as error:
            self.wrong.setText(str(error))
            self.wrong.show()
            self.address.setFocus()
            return
        folder = self.folder.text().strip().removeprefix("~/") or host.folder
        host = replace(host, name=host.address, folder=folder, command=self.command.text().strip() or host.command)
        keep_host(host)
        self.list_hosts(host.name)

    def _on_forget(self) -> None:
        forget_host(self.box.currentData())
        self.list_hosts()


def _field(name: str, placeholder: str, tip: str) -> QLineEdit:
    field = QLineEdit()
    field.setAccessibleName(name)
    field.setPlaceholderText(placeholder)
    field.setToolTip(tip)
    return field


def _title(field: QLineEdit) -> ElidedLabel:
    text = ElidedLabel(field.accessibleName(), "faint")
    text.setBuddy(field)
    return text
