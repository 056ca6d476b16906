"""The main window: connects the panels to the document, the engine and the trainer; the rest is in their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from PySide6.QtCore import QTimer
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QWidget

from designer import __version__
from designer.graph.document import Document
from designer.graph.errors import NetwrightError
from designer.graph.problems import Fix, Problem
from designer.graph.templates import grouped
from designer.ui import theme
from designer.ui.actions import Actions
from designer.ui.cheat_sheet import CheatSheet
from designer.ui.command_palette import CommandPalette, window_commands
from designer.ui.compare_page import ask_compare
from designer.ui.copying_code import copy_as_code
from designer.ui.document_tabs import DocumentTabs
from designer.ui.dropping import take_file
from designer.ui.engine_link import EngineLink
from designer.ui.engine_words import say_engine_state
from designer.ui.export_dialog import ExportDialog
from designer.ui.file_actions import FileActions
from designer.ui.filled_menus import fill_advice, fill_recent
from designer.ui.finetune_panel import FineTunePanel
from designer.ui.importing import ask_import
from designer.ui.live_nodes import LiveNodes
from designer.ui.loading_weights import ask_weights
from designer.ui.looking_inside import look_inside
from designer.ui.my_composites import MyComposites
from designer.ui.open_document import OpenDocument
from designer.ui.run_actions import RunActions
from designer.ui.side_pages import SidePage, SidePages
from designer.ui.sweep_actions import SweepActions
from designer.ui.unpacking import unpack_selected
from designer.ui.user_components import UserComponents
from designer.ui.window_layout import WindowLayout
from designer.ui.workspace import Workspace
from nodes.sdk.spec import Catalogue

QUICK_START = "quick-start"


class MainWindow(WindowLayout):
    """One window with its open documents, of which one is in front."""

    def __init__(self) -> None:
        super().__init__()
        self._problems: tuple[Problem, ...] = ()
        self._result: Mapping[str, Any] = {}
        self._in_palette: Catalogue | None = None
        self.workspace = Workspace()
        self.engine = EngineLink()
        self.side = SidePages(self)
        self.files = FileActions(self, self.workspace, self.messages, self.side.open_model)
        self.runs = RunActions(self)
        self.sweeps = SweepActions(self)
        self.live = LiveNodes(self.train)
        self.document_tabs = DocumentTabs(self.workspace, self.side)
        self.centre.insertWidget(0, self.document_tabs)
        self.palette_popup = CommandPalette(self)
        self.my_composites = MyComposites(self.messages, self)
        self.canvas.glide.enabled = True
        self.canvas.graph.library = self.my_composites.library
        self.user_components = UserComponents(self.engine, self.messages, self)
        self.build(Actions(self, self._handlers()))
        self._connect()
        self._on_opened()

    def start(self) -> None:
        """What waits for the first frame: the engine process, and work that a crash left behind."""
        self.engine.start()
        self.side.begin()
        self.files.offer_untitled()

    def restore_session(self, *, quick_start: bool = True) -> None:
        """Open what was open when the last window was closed; where that is nothing, the quick-start detector."""
        self.workspace.restore_session(self.files.open)
        if quick_start and not self.workspace.documents:
            self.open_quick_start()

    def open_quick_start(self) -> None:
        """Open the quick-start detector as a new document."""
        self.files.open_template(QUICK_START)

    # -- connections -----------------------------------------------------------------------------------------------

    def _handlers(self) -> dict[str, Callable[[], object]]:
        canvas = self.canvas
        return {
            "new": self.files.new,
            "open": self.files.ask_open,
            "import": lambda: ask_import(self),
            "save": self.files.save,
            "save_as": self.files.save_as,
            "view_model": self.side.ask_model,
            "compare": lambda: ask_compare(self),
            "next_document": partial(self.document_tabs.step, 1),
            "previous_document": partial(self.document_tabs.step, -1),
            "export_pytorch": lambda: self.open_export("pytorch"),
            "export_onnx": lambda: self.open_export("onnx"),
            "export_program": lambda: self.open_export("pt2"),
            "export_weights": lambda: self.open_export("weights"),
            "copy_code": lambda: copy_as_code(self),
            "quit": self.close,
            "undo": lambda: self.edit(Document.undo),
            "redo": lambda: self.edit(Document.redo),
            "unpack": lambda: unpack_selected(self),
            **canvas.commands(),
            **self.side.commands({**canvas.commands(), "close": self.files.close}),
            "find_component": self._find_component,
            **{f"show_{name.lower()}": partial(self.show_tab, panel) for name, panel in self.panels.items()},
            "train": self.runs.start,
            "advise_training": self.runs.advise,
            "find_rate": self.runs.find_rate,
            "load_weights": partial(ask_weights, self),
            "finetune": lambda: FineTunePanel(self).show(),
            "command_palette": self._open_palette,
            "keys": lambda: CheatSheet(self.commands, self).show(),
            "user_components": self.user_components.open_dialog,
            "about": self._about,
        }

    def _connect(self) -> None:
        self.workspace.leaving.connect(self._on_leaving)
        self.workspace.opened.connect(self._on_opened)
        self.side.changed.connect(self._on_edited)
        self.document_tabs.close_wanted.connect(self._close_tab)
        self.workspace.edited.connect(self._on_edited)
        self.workspace.saved.connect(self._on_saved)
        self.engine.catalogue_changed.connect(self._on_catalogue)
        self.engine.propagated.connect(self._on_propagated)
        self.engine.state_changed.connect(self.status.show_engine)
        say_engine_state(self.engine, self.messages)
        self.palette_panel.add_requested.connect(self._on_add)
        self.canvas.selection_changed.connect(self._on_selection)
        self.canvas.status.connect(lambda text: self.status.showMessage(text, 5000))
        self.canvas.inside_wanted.connect(partial(look_inside, self))
        self.canvas.inside_left.connect(self.engine.propagate_now)
        self.canvas.window_wanted.connect(lambda name: self.commands[name].trigger())
        self.canvas.node_activated.connect(lambda _id: self.inspector.focus_first())
        self.inspector.fix_chosen.connect(self.apply_fix)
        self.inspector.library_wanted.connect(self._save_to_library)
        self.my_composites.changed.connect(self._on_library)
        self.inspector.refused.connect(lambda text: self.messages.say(text, "danger", key="edit"))
        for asking in (self.inspector, self.layers):
            asking.wanted.connect(lambda method, params, take: self.engine.ask(method, params, take, _forget))
        self.problems.fix_chosen.connect(self.apply_fix)
        self.problems.node_chosen.connect(self.show_node)
        self.layers.selected.connect(self._on_rows)
        self.live.changed.connect(self._show_result)
        self.data.measured.connect(self.engine.propagate_now)
        self.tabs.currentChanged.connect(lambda _index: self._show_layers())
        self.problems.count_changed.connect(self._on_problem_count)
        self.train_button.clicked.connect(self.runs.start)
        self.status.zoom_clicked.connect(self.canvas.zoom_100)
        self.canvas.zoom_changed.connect(self.status.show_zoom)
        self.welcome.shown.connect(lambda: self.welcome.show_choices(grouped(), self.workspace.recent()))
        self.welcome.new_requested.connect(self.files.new)
        self.welcome.open_requested.connect(self.files.ask_open)
        self.welcome.template_chosen.connect(self.files.open_template)
        self.welcome.recent_chosen.connect(lambda path: self.files.open(Path(path)))
        self.template_chosen.connect(self.files.open_template)
        self.dropped.connect(partial(take_file, self))
        self.commands.submenus["recent"].aboutToShow.connect(partial(fill_recent, self))
        self.commands.submenus["advice"].aboutToShow.connect(partial(fill_advice, self))
        theme.manager.changed.connect(self.canvas.set_theme)

    # -- the document ----------------------------------------------------------------------------------------------

    def _close_tab(self, one: object) -> None:
        self.side.close(one) if isinstance(one, SidePage) else self.files.close(cast(OpenDocument, one))

    def _on_leaving(self) -> None:
        """Another document comes to the front: what is being typed counts, and the canvas remembers where it was."""
        if (typing := self.focusWidget()) is not None:
            typing.clearFocus()
        if self.workspace.current is not None:
            self.workspace.current.view = self.canvas.where()

    def _on_opened(self) -> None:
        document, current = self.workspace.document, self.workspace.current
        self._result, self._problems = current.result if current is not None else {}, ()
        self.canvas.set_document(document)
        self.inspector.set_document(document)
        self.train.set_document(document, self.workspace.runs_folder)
        self.data.set_document(document)
        self.problems.show_problems((), {})
        self._show_result()
        self.status.show_totals(self._result.get("totals") or {})
        self.engine.set_document(document)
        self.pages.setCurrentWidget(self.canvas if document is not None else self.welcome)
        for dock in (self.right, self.bottom):
            dock.setVisible(document is not None)
        self._on_edited()
        self._show_layers()
        if current is not None:
            QTimer.singleShot(0, self.canvas, partial(self._look, current))

    def _look(self, current: OpenDocument) -> None:
        """Where the canvas looked when this document was last in front; at first, at its beginning."""
        if current is not self.workspace.current:
            return
        if current.view is None:
            self.canvas.show_start()
        else:
            self.canvas.look_again(current.view)

    def _on_edited(self) -> None:
        """Everything that shows the document looks again."""
        document = self.workspace.document
        have = {"document"} if document is not None else set()
        if document is not None:
            have |= {"undo"} if document.can_undo else set()
            have |= {"redo"} if document.can_redo else set()
            have |= {"selection"} if self.canvas.has_selection else set()
            self.inspector.document_changed()
            self.train.form.refresh()
            self.data.refresh()
            self._show_problems()
        self._fill_palette()
        self.commands.enable(have | self.document_tabs.have())
        self._name_undo(document)
        self._show_titles()
        self.export.setEnabled(document is not None)
        self.train_button.setEnabled(document is not None)

    def _show_titles(self) -> None:
        title = self.side.current.title if self.side.current is not None else self.workspace.title
        self.heading.set_full_text(title + (" •" if self.workspace.is_dirty else ""))
        self.setWindowTitle(f"{title}[*] – Netwright" if title else "Netwright[*]")
        self.setWindowModified(self.workspace.is_dirty)

    def _name_undo(self, document: Document | None) -> None:
        undo, redo = (document.undo_name, document.redo_name) if document is not None else ("", "")
        self.commands["undo"].setText(f"&Undo {undo}".rstrip())
        self.commands["redo"].setText(f"&Redo {redo}".rstrip())

    def _on_saved(self, path: Path) -> None:
        self.status.showMessage(f"Saved {path.name}", 4000)
        self.train.set_runs_folder(self.workspace.runs_folder)

    def edit(self, act: Callable[[Document], object]) -> None:
        """Do something to the document; what it refuses is said in the message bar."""
        if self.workspace.document is None:
            return
        try:
            act(self.workspace.document)
        except NetwrightError as error:
            self.messages.say(str(error), "danger", key="edit")

    def apply_fix(self, fix: Fix) -> None:
        """Apply a quick fix as one undo step."""
        self.edit(lambda document: document.apply(fix.edits, fix.label))

    def show_node(self, node_id: str) -> None:
        """Select a node and bring it to the middle of the canvas."""
        self.canvas.select([node_id])
        self.canvas.centre_on(node_id)

    def _on_add(self, component: str) -> None:
        """A component was double-clicked in the palette: it goes to the middle of what is seen."""
        if self.workspace.document is None:
            self.workspace.new()
        self.edit(lambda _document: self.canvas.add_at_centre(component))

    def _on_selection(self, ids: list[str]) -> None:
        self.inspector.set_selection(ids)
        self.layers.select(ids)
        self._on_edited()

    def _on_rows(self, ids: list[str]) -> None:
        """Rows of the table were selected: so are their nodes, and a single one comes into sight."""
        self.canvas.select(ids)
        if len(ids) == 1:
            self.canvas.centre_on(ids[0])

    def _show_layers(self) -> None:
        """Bring the table up to date, when it is the tab on show: a thousand rows are not made for nobody."""
        if self.tabs.currentWidget() is self.layers:
            self.layers.show_document(self.workspace.document, self._result.get("nodes") or {})

    def _open_palette(self) -> None:
        self.palette_popup.open_with(window_commands(self))

    def _find_component(self) -> None:
        self.left.show()
        self.palette_panel.search.setFocus()
        self.palette_panel.search.selectAll()

    # -- the engine ------------------------------------------------------------------------------------------------

    def _on_catalogue(self, catalogue: Catalogue) -> None:
        self.workspace.set_catalogue(catalogue)
        self._fill_palette()
        self.canvas.set_catalogue(catalogue)
        self.inspector.catalogue_changed()
        self.sweep.catalogue_changed()
        self._show_problems()

    def _save_to_library(self, composite: str) -> None:
        self.edit(lambda document: self.my_composites.save(document, composite))

    def _on_library(self) -> None:
        """The user's composites are other ones now: the palette has them, and documents may be offered them."""
        self._in_palette = None
        self._fill_palette()
        self._show_problems()

    def _fill_palette(self) -> None:
        """Shows the installed components, the user's composites and the document's own."""
        document = self.workspace.document
        catalogue = document.catalogue if document is not None else self.engine.catalogue
        if catalogue is not None and catalogue is not self._in_palette:
            self._in_palette = catalogue
            self.palette_panel.set_catalogue(self.my_composites.library.with_entries(catalogue))

    def _on_propagated(self, result: dict[str, Any]) -> None:
        self._result = result
        if self.workspace.current is not None:
            self.workspace.current.result = result
        self._show_result()
        self.status.show_totals(result.get("totals") or {})
        self._show_layers()

    def _show_result(self) -> None:
        """The engine's answer, and what the run on show measured of the nodes."""
        self.live.put_into(self._result)
        self.canvas.show_propagation(self._result)
        self.data.show_propagation(self._result)
        self._show_problems()

    def _show_problems(self) -> None:
        """The engine's problems; the document's own while the engine has not answered."""
        document = self.workspace.document
        if document is None:
            return
        if self._result:
            self._problems = tuple(Problem.from_json(p) for p in self._result.get("problems", ()))
        else:
            self._problems = tuple(document.problems())
        self._problems += tuple(self.my_composites.library.problems(document))
        titles = {node.id: node.title for node in document.data.nodes}
        self.problems.show_problems([p for p in self._problems if p.node is None or p.node in titles], titles)
        self.inspector.show_propagation(self._result, self._problems)

    @property
    def shown_problems(self) -> tuple[Problem, ...]:
        """The problems of the document in front."""
        return self._problems

    def _on_problem_count(self, count: int) -> None:
        self.tabs.setTabText(self.tabs.indexOf(self.problems), f"Problems  {count}" if count else "Problems")

    # -- training and export ---------------------------------------------------------------------------------------

    def show_tab(self, tab: QWidget) -> None:
        self.bottom.show()
        self.tabs.setCurrentWidget(tab)

    def open_export(self, kind: str) -> None:
        document = self.workspace.document
        if document is not None:
            ExportDialog(kind, self.workspace, self.engine, self).open()

    def _about(self) -> None:
        self.messages.say(f"Netwright {__version__}. Draw vision models, train them, take them with you. Apache-2.0.")

    # -- closing ---------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Unsaved changes are asked about in the message bar; a run goes on without the window."""
        if self.workspace.dirty:
            event.ignore()
            self.files.when_all_safe(self.close)
            return
        self.remember_layout()
        self.hide()  # the engine may take a moment to leave
        self.workspace.end_session()
        self.workspace.close_all()
        self.engine.stop()
        self.predict.link.stop()
        self.data.link.stop()
        self.train.close_ready()
        event.accept()


def _forget(_error: object) -> None:
    """What the inspector asks for is a help only: its fields take any text without it."""
