"""Every action of the window in one table: its words, shortcut and icon, and where it stands in the menus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from designer.ui import glyphs


@dataclass(frozen=True)
class Spec:
    """One action. `shortcut` is a key string, several, or a standard key; `needs` says what has to be there for it."""

    text: str
    shortcut: str | tuple[str, ...] | QKeySequence.StandardKey = ""
    glyph: str = ""
    needs: str = ""
    tip: str = ""


_Key = QKeySequence.StandardKey

ACTIONS: dict[str, Spec] = {
    "new": Spec("&New", _Key.New, "file-plus-outline", tip="New empty document"),
    "open": Spec("&Open…", _Key.Open, "folder-open-outline", tip="Open a document"),
    "import": Spec(
        "&Import…", "Ctrl+Shift+O", "import", tip="A model of another program: ONNX, a torch module, a YOLO table"
    ),
    "save": Spec("&Save", _Key.Save, "content-save-outline", "document", "Save the document"),
    "save_as": Spec("Save &as…", _Key.SaveAs, "content-save-edit-outline", "document"),
    "view_model": Spec(
        "&View model file…",
        "Ctrl+Alt+O",
        "eye-outline",
        tip="Graph and weights of an ONNX, safetensors or PyTorch file",
    ),
    "compare": Spec(
        "Co&mpare with…",
        "Ctrl+Alt+D",
        "compare",
        "document",
        "A picture of what differs between another document and this one",
    ),
    "close": Spec("&Close tab", _Key.Close, "close", "tab"),
    "next_document": Spec("&Next document", "Ctrl+Tab", "arrow-right", "several"),
    "previous_document": Spec("Pre&vious document", "Ctrl+Shift+Tab", "arrow-left", "several"),
    "export_pytorch": Spec(
        "Export &PyTorch…", "Ctrl+E", "language-python", "document", "A folder that runs without Netwright"
    ),
    "export_onnx": Spec("Export &ONNX…", "Ctrl+Shift+E", "cube-send", "document", "One file, verified in onnxruntime"),
    "export_program": Spec(
        "Export &torch program…", "Ctrl+Alt+E", "file-code-outline", "document", "One .pt2 file for torch.export.load"
    ),
    "export_weights": Spec("Export &weights…", "Ctrl+Alt+W", "weight", "document", "The weights alone, as safetensors"),
    "export_picture": Spec(
        "Export p&icture…",
        "Ctrl+Alt+P",
        "image-outline",
        "document",
        "PNG or SVG; the PNG opens again when it is dropped here",
    ),
    "quit": Spec("&Quit", _Key.Quit, "exit-to-app"),
    "undo": Spec("&Undo", _Key.Undo, "undo", "undo"),
    "redo": Spec("&Redo", _Key.Redo, "redo", "redo"),
    "cut": Spec("Cu&t", _Key.Cut, "content-cut", "selection"),
    "copy": Spec("&Copy", _Key.Copy, "content-copy", "selection"),
    "copy_code": Spec(
        "Copy as &code", "Ctrl+Alt+C", "code-braces", "selection", "The selected nodes as a PyTorch class"
    ),
    "paste": Spec("&Paste", _Key.Paste, "content-paste", "document"),
    "duplicate": Spec("&Duplicate", "Ctrl+D", "content-duplicate", "selection"),
    "delete": Spec("De&lete", _Key.Delete, "trash-can-outline", "selection"),
    "take_out": Spec("&Take out", "X", "vector-line", "selection", "Delete nodes and join the wires on both sides"),
    "rename": Spec("&Rename", "F2", "rename-outline", "selection", "Change the title where it stands"),
    "select_all": Spec("Select &all", _Key.SelectAll, "select-all", "document"),
    "bypass": Spec("&Bypass", "B", "debug-step-over", "selection", "Leave the selected nodes out, keeping their wires"),
    "freeze": Spec("&Freeze", "Ctrl+Shift+K", "snowflake", "selection", "Keep the weights of the selected nodes"),
    "open_inside": Spec("&Open", "Ctrl+Return", "magnify-plus-outline", "document", "See the parts of a composite"),
    "unpack": Spec("&Unpack", "Ctrl+U", "package-variant", "selection", "Replace composites by their parts"),
    "group": Spec(
        "&Group into a composite", "Ctrl+Alt+G", "group", "selection", "One node of the selected, kept in this document"
    ),
    "arrange": Spec(
        "A&rrange", "Ctrl+L", "sitemap-outline", "document", "Place the selected nodes, or all, from left to right"
    ),
    "arrange_down": Spec(
        "Arrange &downwards", "Ctrl+Shift+D", "sitemap", "document", "Place the selected nodes, or all, top to bottom"
    ),
    "arrange_levels": Spec(
        "Arrange as a &pyramid",
        "Ctrl+Shift+Y",
        "chart-timeline",
        "document",
        "A row for each stride, finest on top",
    ),
    "align_left": Spec("Align &left", "Ctrl+Shift+Left", "align-horizontal-left", "selection"),
    "align_right": Spec("Align &right", "Ctrl+Shift+Right", "align-horizontal-right", "selection"),
    "align_top": Spec("Align &top", "Ctrl+Shift+Up", "align-vertical-top", "selection"),
    "align_bottom": Spec("Align &bottom", "Ctrl+Shift+Down", "align-vertical-bottom", "selection"),
    "align_centre": Spec("Align &centres", "Ctrl+Alt+X", "align-horizontal-center", "selection", "Under each other"),
    "align_middle": Spec("Align &middles", "Ctrl+Alt+Y", "align-vertical-center", "selection", "Side by side"),
    "spread_across": Spec("Equal gaps a&cross", "Ctrl+Alt+H", "distribute-horizontal-center", "selection"),
    "spread_down": Spec("Equal gaps &down", "Ctrl+Alt+V", "distribute-vertical-center", "selection"),
    "frame": Spec("&Frame", "Ctrl+G", "select-group", "selection", "A titled frame around the selected nodes"),
    "unframe": Spec("&Unframe", "Ctrl+Shift+G", "select-remove", "selection", "Take nodes out of their frame"),
    "fold": Spec("Fol&d or unfold", "Ctrl+Alt+F", "arrow-collapse-all", "selection", "A frame as one card, or open"),
    "note": Spec("Add a &note", "Ctrl+Shift+N", "note-outline", "document", "Words on the canvas"),
    "snap": Spec("&Snap to grid", "Ctrl+'", "grid", "document", "Dragged nodes keep to the dots, or no longer"),
    "find_component": Spec("&Find a component", "Ctrl+Shift+F", "magnify"),
    "fit": Spec("&Fit in the window", "F", "fit-to-page-outline", "tab", "Show the whole model (F)"),
    "fit_selection": Spec("Fit the &selection", "Shift+F", "fit-to-screen-outline", "document"),
    "find_node": Spec("Find a &node…", "Ctrl+F", "text-search", "tab", "Nodes by title, component or setting"),
    "minimap": Spec("&Minimap", "M", "map-outline", "document", "The whole document in a corner, or no longer"),
    "zoom_100": Spec("&100 %", "Ctrl+0", "magnify-scan", "tab"),
    "show_problems": Spec("&Problems", "Ctrl+Shift+M", "alert-circle-outline"),
    "show_train": Spec("&Train panel", "Ctrl+Shift+T", "chart-line"),
    "train": Spec("&Start training", "F5", "play", "document", "Train this model (F5)"),
    "advise_training": Spec(
        "Advice on trainin&g…", "Ctrl+Alt+A", "school-outline", "document", "Optimizer, rate, schedule, and the reasons"
    ),
    "find_rate": Spec(
        "Find a &learning rate…", "Ctrl+Alt+L", "chart-bell-curve", "document", "Sweeps it on the data, in a process"
    ),
    "load_weights": Spec(
        "Load &weights…", "Ctrl+Alt+I", "database-import-outline", "document", "Start from what fits of a checkpoint"
    ),
    "finetune": Spec("&Fine-tune…", "Ctrl+Alt+T", "tune-vertical", "document", "Fit a trained model to other data"),
    "user_components": Spec("&Your components…", "Ctrl+Alt+U", "puzzle-outline", tip="From your own Python files"),
    "command_palette": Spec("&Command palette…", "Ctrl+Shift+P", "console-line", tip="Everything by its name"),
    "show_layers": Spec("&Layers", "Ctrl+Shift+L", "table", tip="All layers with their figures"),
    "show_runs": Spec("&Runs", "Ctrl+Shift+R", "format-list-bulleted", tip="All runs: compare, queue, delete"),
    "show_sweep": Spec("S&weep", "Ctrl+Shift+W", "chart-scatter-plot", tip="Try values of parameters, a run for each"),
    "show_predict": Spec("P&redict", "Ctrl+Shift+I", "image-search-outline", tip="A trained model on your images"),
    "show_data": Spec(
        "&Data", "Ctrl+Shift+A", "database-outline", tip="The data set: images, figures, faults, augmentation"
    ),
    "keys": Spec("&Keys and gestures", ("F1", "?"), "keyboard-outline"),
    "about": Spec("&About Netwright", "", "information-outline"),
}

MENUS: dict[str, tuple[str, ...]] = {
    "&File": (
        "new", "open", "view_model", "import", "compare", "@recent", "@templates", "-", "save", "save_as", "-",
        "export_pytorch", "export_onnx", "export_program", "export_weights", "export_picture", "-", "close", "quit",
    ),
    "&Edit": (
        "undo", "redo", "-", "cut", "copy", "copy_code", "paste", "duplicate", "delete", "take_out", "-",
        "rename", "bypass", "freeze", "open_inside", "group", "unpack", "-",
        "select_all", "find_node", "find_component",
    ),
    "&View": (
        "fit", "fit_selection", "zoom_100", "minimap", "@heat", "-", "command_palette", "-",
        "show_problems", "show_data", "show_train", "show_layers", "show_runs", "show_sweep", "show_predict",
        "@panels", "-",
        "next_document", "previous_document", "-", "@theme",
    ),
    "&Arrange": (
        "arrange", "arrange_down", "arrange_levels", "-", "frame", "unframe", "fold", "note", "@colour", "-",
        "align_left", "align_centre", "align_right", "align_top", "align_middle", "align_bottom", "-",
        "spread_across", "spread_down", "-", "snap",
    ),
    "&Model": (
        "train", "advise_training", "find_rate", "-", "load_weights", "finetune", "-",
        "export_pytorch", "export_onnx", "-", "user_components", "@advice",
    ),
    "&Help": ("keys", "about"),
}  # fmt: skip


class Actions:
    """The window's QActions by name, and its menus; `@name` entries are submenus that the window fills."""

    def __init__(self, window: QMainWindow, handlers: dict[str, Callable[[], object]]) -> None:
        self.submenus: dict[str, QMenu] = {}
        self._actions: dict[str, QAction] = {}
        for name, spec in ACTIONS.items():
            action = QAction(spec.text, window)
            action.setShortcuts(keys_of(spec))
            glyphs.keep_icon(action, spec.glyph)
            if spec.tip:
                action.setToolTip(spec.tip)
            action.triggered.connect(lambda _checked=False, run=handlers[name]: run())
            window.addAction(action)
            self._actions[name] = action
        for title, names in MENUS.items():
            self._fill(window.menuBar().addMenu(title), names)

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def words(self, name: str) -> str:
        """An action's words without the mark of its menu key."""
        return self._actions[name].text().replace("&", "").rstrip("…")

    def names(self) -> list[str]:
        return list(self._actions)

    def _fill(self, menu: QMenu, names: tuple[str, ...]) -> None:
        menu.setToolTipsVisible(True)
        for name in names:
            if name == "-":
                menu.addSeparator()
            elif name.startswith("@"):
                self.submenus[name[1:]] = menu.addMenu(_SUBMENUS[name[1:]])
            else:
                menu.addAction(self._actions[name])

    def enable(self, have: set[str]) -> None:
        """Enable the actions whose `needs` is among `have`: `document`, `tab` (a document or another
        page in front), `several` (tabs), `selection`,
        `undo`, `redo`."""
        for name, spec in ACTIONS.items():
            self._actions[name].setEnabled(not spec.needs or spec.needs in have)


def keys_of(spec: Spec) -> list[QKeySequence]:
    """The keys of an action: of a standard one the platform's own, and those that everybody tries."""
    if isinstance(spec.shortcut, (str, tuple)):
        keys = (spec.shortcut,) if isinstance(spec.shortcut, str) else spec.shortcut
        return [QKeySequence(key) for key in keys if key]
    found = QKeySequence.keyBindings(spec.shortcut)
    usual = (QKeySequence(keys) for keys in _USUAL.get(spec.shortcut, ()))
    return [*found, *(keys for keys in usual if keys not in found)]


_USUAL = {_Key.Redo: ("Ctrl+Shift+Z", "Ctrl+Y"), _Key.SaveAs: ("Ctrl+Shift+S",), _Key.Quit: ("Ctrl+Q",)}
_SUBMENUS = {
    "recent": "Open &recent",
    "templates": "New from &template",
    "theme": "&Theme",
    "advice": "Ad&vice",
    "panels": "Pa&nels",
    "colour": "&Colour",
    "heat": "&Heat",
}
