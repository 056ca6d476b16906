"""The command palette, the sheet of keys and the table of layers, driven by keys and clicks."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from designer.ui import theme
from designer.ui.cheat_sheet import CheatSheet
from designer.ui.command_palette import Command, ranked
from designer.ui.layers_table import COLUMNS


def names(commands):
    return [c.text for c in commands]


def test_ranking_puts_the_start_of_a_word_first():
    commands = [Command(t, print) for t in ("Bypass", "Start training", "Open", "Fit in the window", "Stop")]
    assert names(ranked(commands, "st")) == ["Start training", "Stop"]
    assert names(ranked(commands, "tra")) == ["Start training"]
    assert names(ranked(commands, "win fit")) == ["Fit in the window"]
    assert names(ranked(commands, "bps")) == ["Bypass"]
    assert names(ranked(commands, "")) == names(commands)
    assert ranked(commands, "xyz") == []


def test_the_palette_runs_actions_and_goes_to_nodes(quiet_window, qtbot):
    window = quiet_window
    window.open_quick_start()
    window.commands["command_palette"].trigger()
    palette = window.palette_popup
    assert palette.isVisible()
    QTest.keyClicks(palette.line, "head")
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert not palette.isVisible()
    head = next(n for n in window.workspace.document.data.nodes if n.title == "Head")
    assert window.canvas.selected_ids() == [head.id]
    window.commands["command_palette"].trigger()
    QTest.keyClicks(palette.line, "bypass")
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert window.workspace.document.node(head.id).disabled
    window.commands["command_palette"].trigger()
    QTest.keyClicks(palette.line, "nothing like this")
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert palette.isVisible()  # there is nothing to run
    palette.close()


def test_the_palette_has_what_the_submenus_have(quiet_window, qtbot):
    window = quiet_window
    window.open_quick_start()
    palette = window.palette_popup
    before = theme.manager.choice
    try:
        for words, choice in (("theme light", "light"), ("theme dark", "dark")):
            window.commands["command_palette"].trigger()
            QTest.keyClicks(palette.line, words)
            QTest.keyClick(palette.line, Qt.Key.Key_Return)
            assert theme.manager.choice == choice
    finally:
        theme.manager.set_theme(before)
    window.commands["command_palette"].trigger()
    QTest.keyClicks(palette.line, "advice multiple")
    QTest.keyClick(palette.line, Qt.Key.Key_Return)
    assert len(window.workspace.document.data.advice.muted) == 1


def test_every_action_has_keys_of_its_own(quiet_window):
    commands = quiet_window.commands
    keys = {name: [k.toString() for k in commands[name].shortcuts()] for name in commands.names()}
    assert [name for name, found in keys.items() if not found] == ["about"]
    taken = [k for found in keys.values() for k in found]
    assert sorted(k for k in set(taken) if taken.count(k) > 1) == []


def test_the_sheet_names_every_key_of_the_menus(quiet_window, qtbot):
    window = quiet_window
    window.commands["keys"].trigger()
    sheet = window.findChild(CheatSheet)
    texts = {one.text() for one in sheet.findChildren(QLabel)}
    for name in window.commands.names():
        if window.commands[name].shortcuts():
            assert window.commands.words(name) in texts, name
    assert {"Wire two nodes", "F5", "Ctrl+Shift+P"} <= texts
    sheet.close()


def test_layers_are_listed_sorted_linked_and_copied(window, qtbot):
    window.open_quick_start()
    window.commands["show_layers"].trigger()
    table = window.layers
    table.parts.setChecked(False)
    qtbot.waitUntil(lambda: "1.27 M" in {table.sorted.index(i, 3).data() for i in range(5)}, timeout=30_000)
    assert [table.sorted.index(i, 0).data() for i in range(5)] == ["Image", "Backbone", "Neck", "Head", "NMS"]
    table.view.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    assert table.sorted.index(0, 0).data() == "Backbone"
    row = next(i for i in range(5) if table.sorted.index(i, 0).data() == "Neck")
    where = table.view.visualRect(table.sorted.index(row, 0)).center()
    QTest.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    neck = next(n for n in window.workspace.document.data.nodes if n.title == "Neck")
    assert window.canvas.selected_ids() == [neck.id]
    window.canvas.select(["n1"])
    assert table.selected_ids() == ["n1"]
    table.markdown.click()
    text = QGuiApplication.clipboard().text()
    assert text.splitlines()[0] == f"| {' | '.join(COLUMNS)} |"
    assert text.splitlines()[2].startswith("| Backbone | CSPDarknet | 1 × 32 × 40 × 40, ")
    table.filter.setText("nms")
    table.csv.click()
    assert QGuiApplication.clipboard().text().splitlines()[1].startswith('NMS,NMS,"boxes 1 × 300 × 4, ')


def test_keys_pressed_in_a_table_are_the_table_s_and_leave_the_canvas_alone(quiet_window, catalogue):
    quiet_window.open_quick_start()
    quiet_window.workspace.set_catalogue(catalogue)
    quiet_window.commands["show_layers"].trigger()
    table, document = quiet_window.layers, quiet_window.workspace.document
    quiet_window.canvas.select(["n2"])
    table.view.setFocus()
    zoom = quiet_window.canvas.viewer.transform().m11()
    for key, modifier in (("Delete", "No"), ("X", "No"), ("B", "No"), ("F", "No"), ("A", "Control")):
        QTest.keyClick(table.view, getattr(Qt.Key, f"Key_{key}"), getattr(Qt.KeyboardModifier, f"{modifier}Modifier"))
    assert len(document.data.nodes) == 5
    assert not any(node.disabled for node in document.data.nodes)
    assert quiet_window.canvas.viewer.transform().m11() == zoom
    assert table.selected_ids() == [node.id for node in document.data.nodes]
    QTest.keyClick(table.view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)  # the window's own keys still are
    assert not document.can_undo


def test_layers_inside_composites_are_listed_with_their_figures(window, qtbot):
    window.open_quick_start()
    window.commands["show_layers"].trigger()
    table, document = window.layers, window.workspace.document

    def titles():
        return [table.sorted.index(i, 0).data() for i in range(table.sorted.rowCount())]

    qtbot.waitUntil(lambda: "Backbone › stage1 › c2f" in titles(), timeout=30_000)
    assert (titles()[0], titles()[-1]) == ("Image", "NMS")
    assert sum(int(line.split(",")[-4]) for line in table.as_csv().splitlines()[1:] if line[-1] != ",") == 3_011_433
    row = titles().index("Backbone › stage1 › c2f")
    where = table.view.visualRect(table.sorted.index(row, 0)).center()
    QTest.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, pos=where)
    backbone = next(n.id for n in document.data.nodes if n.title == "Backbone")
    assert window.canvas.selected_ids() == [backbone]
    shape = table.sorted.index(row, 2).data()
    document.set_param("n1", "width", 640)
    qtbot.waitUntil(lambda: table.sorted.index(row, 2).data() != shape, timeout=15_000)
    assert [i.row() for i in table.view.selectionModel().selectedRows()] == [row]
    document.disconnect(document.data.wires[0].id)
    qtbot.waitUntil(lambda: titles() == ["Image", "Backbone", "Neck", "Head", "NMS"], timeout=15_000)


def test_a_composite_is_unpacked_where_it_stood_and_comes_back_in_one_step(window, qtbot):
    window.open_quick_start()
    document = window.workspace.document
    params = "3.01 M"
    qtbot.waitUntil(lambda: params in window.status.params.text(), timeout=30_000)
    backbone = next(n for n in document.data.nodes if n.title == "Backbone")
    before = {n.id: (n.x, n.y) for n in document.data.nodes}
    window.canvas.select([backbone.id])
    window.commands["unpack"].trigger()
    qtbot.waitUntil(lambda: "Backbone stage1" in {n.title for n in document.data.nodes}, timeout=15_000)
    cards = [item.scene_card() for item in window.canvas.nodes.values()]
    assert not any(a.intersects(b) for i, a in enumerate(cards) for b in cards[i + 1 :])
    assert set(window.canvas.selected_ids()) == {n.id for n in document.data.nodes if n.title.startswith("Backbone ")}
    qtbot.waitUntil(lambda: not window.problems.rows and params in window.status.params.text(), timeout=15_000)
    assert document.undo_name == "Unpack Backbone"
    document.undo()
    assert {n.id: (n.x, n.y) for n in document.data.nodes} == before
    window.canvas.select(["n1"])
    window.commands["unpack"].trigger()
    assert window.messages.text().startswith("Select a composite")


def test_a_composite_opens_with_the_engines_shapes_and_escape_leads_back(window, qtbot):
    window.open_quick_start()
    canvas, document = window.canvas, window.workspace.document
    qtbot.waitUntil(lambda: all(wire.label for wire in canvas.wires.values()), timeout=30_000)
    backbone = next(n for n in document.data.nodes if n.title == "Backbone")
    canvas.select([backbone.id])
    window.commands["open_inside"].trigger()
    qtbot.waitUntil(lambda: bool(canvas.inside.levels), timeout=15_000)
    qtbot.waitUntil(lambda: all(wire.label for wire in canvas.wires.values()), timeout=15_000)
    assert "stage1" in {item.name for item in canvas.nodes.values()}
    window.commands["delete"].trigger()
    window.commands["unpack"].trigger()  # nothing of the document is selected
    QTest.keyClick(canvas.viewer, Qt.Key.Key_Escape)
    assert not canvas.inside.levels
    assert canvas.selected_ids() == [backbone.id]
    assert len(document.data.nodes) == 5
    assert not document.can_undo
