"""Drawn composites in the window: settings and ports in the inspector, the user's library in every palette."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from designer.graph.composite_library import CompositeLibrary
from designer.graph.grouping import group_nodes
from designer.graph.redefine import drawn
from tests.ui.canvas_support import CATALOGUE, drop


@pytest.fixture
def grouped(quiet_window):
    """Image -> Pair -> Tail, with Pair selected; the catalogue is small and nothing is computed."""
    window = quiet_window
    window.engine.catalogue = CATALOGUE
    window._on_catalogue(CATALOGUE)
    document = window.workspace.new()
    nodes = [document.add("conv.conv", title=t, at=(300 * i, 0)) for i, t in enumerate("AB")]
    tail = document.add("conv.conv", title="Tail", at=(900, 0))
    document.connect(nodes[0], nodes[1])
    document.connect(nodes[1], tail)
    pair = group_nodes(document, nodes, "Pair")
    window.canvas.select([pair.id])
    return window, document, pair, tail


def section(window):
    return window.inspector.page.composite


def tick(window, part, param):
    tree, item = section(window).tree, section(window).item(part, param)
    item.parent().setExpanded(True)
    tree.scrollToItem(item)
    box = tree.visualItemRect(item)
    QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(box.left() + 10, box.center().y()))


def test_a_ticked_setting_stands_on_every_node_and_undo_takes_it_off(grouped, qtbot):
    window, document, pair, _ = grouped
    part = drawn(document, pair.component).nodes[0]
    assert window.inspector.page.params.rows == {}
    tick(window, part.id, "kernel_size")
    qtbot.waitUntil(lambda: "kernel_size" in window.inspector.page.params.rows, timeout=2000)
    row = window.inspector.page.params.rows["kernel_size"]
    assert row.editor.value() == 3
    assert section(window).item(part.id, "kernel_size").checkState(0) == Qt.CheckState.Checked
    tick(window, part.id, "kernel_size")
    qtbot.waitUntil(lambda: not window.inspector.page.params.rows, timeout=2000)
    window.commands["undo"].trigger()
    qtbot.waitUntil(lambda: "kernel_size" in window.inspector.page.params.rows, timeout=2000)


def test_a_port_is_renamed_where_it_stands(grouped, qtbot):
    window, document, pair, tail = grouped
    line = section(window).ports[False, "out"]
    line.selectAll()
    QTest.keyClicks(line, "features")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert [w.ends for w in document.data.wires] == [(pair.id, "features", tail.id, "x")]
    assert (False, "features") in window.canvas.nodes[pair.id].ports
    qtbot.waitUntil(lambda: (False, "features") in section(window).ports, timeout=2000)
    line = section(window).ports[True, "x"]
    line.selectAll()
    QTest.keyClicks(line, "no name")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert "cannot be the name of a port" in window.messages.text()
    assert line.text() == "x"
    window.commands["undo"].trigger()
    assert [w.ends for w in document.data.wires] == [(pair.id, "out", tail.id, "x")]


def test_a_composite_is_saved_placed_in_another_document_and_updated(grouped, qtbot):
    window, document, pair, _ = grouped
    qtbot.mouseClick(section(window).save, Qt.MouseButton.LeftButton)
    assert "“Pair” is in your library" in window.messages.text()
    other = window.workspace.new()
    assert "library.pair" in window.palette_panel.shown_ids()
    drop(window.canvas, "library.pair", QPoint(200, 200))
    placed = other.data.nodes[-1]
    assert other.spec(placed).title == "Pair"
    assert other.data.composites[0].library == "pair"
    assert other.undo_name == "Add Pair"
    other.undo()
    assert other.data.composites == []
    other.redo()
    window.document_tabs.step(-1)
    part = drawn(document, pair.component).nodes[0]
    window.canvas.select([pair.id])
    tick(window, part.id, "out_channels")
    window.my_composites.save(document, pair.component)
    window.document_tabs.step(1)
    row = next(r for r in window.problems.rows if "another version" in r.problem.message)
    window.apply_fix(row.problem.fixes[0])
    assert other.spec(placed).param("out_channels") is not None
    qtbot.waitUntil(lambda: not any("another version" in r.problem.message for r in window.problems.rows), timeout=2000)


def test_another_version_in_the_library_is_replaced_only_when_told(grouped, qtbot):
    window, document, pair, tail = grouped
    library = window.my_composites.library
    window.my_composites.save(document, pair.component)
    twin = group_nodes(document, [tail], "Pair")
    window.my_composites.save(document, twin.component)
    assert "has another version of “Pair”" in window.messages.text()
    keep = next(b for b in window.messages.buttons() if b.text().strip() == "Keep both")
    qtbot.mouseClick(keep, Qt.MouseButton.LeftButton)
    assert sorted(library.entries) == ["pair", "pair_2"]
    assert len(library.entries["pair"].composites[-1].nodes) == 2


def test_the_name_of_a_composite_is_typed_where_it_is_made_and_in_the_inspector(grouped, qtbot):
    window, document, _, tail = grouped
    window.canvas.select([tail.id])
    window.canvas.group_selection()
    QTest.keyClicks(window.canvas.titles, "Last part")
    QTest.keyClick(window.canvas.titles, Qt.Key.Key_Return)
    made = document.node(window.canvas.selected_ids()[0])
    assert (made.title, drawn(document, made.component).title) == ("Last part", "Last part")
    qtbot.waitUntil(lambda: section(window).name.text() == "Last part", timeout=2000)
    line = section(window).name
    line.selectAll()
    QTest.keyClicks(line, "Ending")
    QTest.keyClick(line, Qt.Key.Key_Return)
    assert (made.title, document.spec(made).title) == ("Last part", "Ending")
    document.undo()
    document.undo()
    assert (made.title, drawn(document, made.component).title) == ("Tail 2", "Tail")


def test_a_setting_is_ticked_by_its_words_too(grouped, qtbot):
    window, document, pair, _ = grouped
    part = drawn(document, pair.component).nodes[0]
    tree, item = section(window).tree, section(window).item(part.id, "kernel_size")
    item.parent().setExpanded(True)
    tree.scrollToItem(item)
    words = tree.visualItemRect(item).center()
    QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, pos=words)
    assert [e.param for e in drawn(document, pair.component).params] == ["kernel_size"]


def test_a_library_made_by_another_window_is_seen(grouped, qtbot, tmp_path):
    window, document, pair, _ = grouped
    place = tmp_path / "not there" / "yet"
    window.my_composites.library.place = place
    window.my_composites.refresh()
    elsewhere = CompositeLibrary(place)
    elsewhere.save(document, pair.component)
    qtbot.waitUntil(lambda: "library.pair" in window.palette_panel.shown_ids(), timeout=10_000)
    elsewhere.save(document, pair.component, "twin")
    qtbot.waitUntil(lambda: "library.twin" in window.palette_panel.shown_ids(), timeout=10_000)
