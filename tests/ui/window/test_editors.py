"""Each type of parameter has an editor that takes keys, keeps to the range and can be reached without a mouse."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from designer.ui.editors import CalmComboBox, IntsEditor, editor_for
from designer.ui.param_rows import ParamRows
from designer.ui.widgets import Switch, column
from nodes.sdk.spec import ComponentSpec, Param

PARAMS = [
    Param("width", "int", 64, minimum=1, maximum=512, step=8, unit="ch", help="channels it gives"),
    Param("drop_rate", "float", 0.1, minimum=0, maximum=1),
    Param("mode", "choice", "nearest", choices=("nearest", "bilinear")),
    Param("bias", "bool", True),
    Param("label", "str", "a"),
    Param("kernels", "ints", (3, 5), minimum=1),
]


@pytest.fixture
def shown(home, qtbot):
    """Puts an editor on the screen and collects what it reports."""

    holders = []  # Qt deletes a widget that Python has let go of

    def show(param, value):
        editor = editor_for(param)
        holder = QWidget()
        holder.setLayout(column(editor, QWidget()))
        qtbot.addWidget(holder)
        holders.append(holder)
        holder.show()
        qtbot.waitExposed(holder)
        holder.activateWindow()
        editor.set_value(value)
        reports = []
        editor.edited.connect(reports.append)
        editor.setFocus()
        return editor, reports

    return show


@pytest.mark.parametrize("param", PARAMS, ids=lambda p: p.type)
def test_shows_what_it_is_given_without_reporting_it(shown, param):
    value = list(param.default) if param.type == "ints" else param.default
    editor, reports = shown(param, value)
    assert editor.value() == value
    assert reports == []
    assert editor.focusProxy().accessibleName()


def test_whole_number_by_keys_and_steps(shown):
    editor, reports = shown(PARAMS[0], 64)
    field = editor.focusProxy()
    field.selectAll()
    QTest.keyClicks(field, "100")
    assert reports == []  # nothing is sent while the number is half typed
    QTest.keyClick(field, Qt.Key.Key_Return)
    QTest.keyClick(field, Qt.Key.Key_Up)
    assert reports == [100, 108]
    field.selectAll()
    QTest.keyClicks(field, "9999")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert editor.value() <= 512


@pytest.mark.parametrize(("typed", "value"), [("0.25", 0.25), ("1e-4", 1e-4), ("0,5", 0.5)])
def test_number_as_people_write_it(shown, typed, value):
    editor, reports = shown(PARAMS[1], 0.1)
    field = editor.focusProxy()
    field.selectAll()
    QTest.keyClicks(field, typed)
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert reports == [value]
    assert field.text() in (f"{value:g}", "0.0001")


def test_number_steps_by_its_own_size(shown):
    editor, reports = shown(Param("learning_rate", "float", 0.001, minimum=0), 0.001)
    QTest.keyClick(editor.focusProxy(), Qt.Key.Key_Up)
    assert reports == [pytest.approx(0.0011)]


def test_switch_by_space_and_by_click(shown, qtbot):
    editor, reports = shown(PARAMS[3], True)
    switch = editor.focusProxy()
    assert isinstance(switch, Switch)
    QTest.keyClick(switch, Qt.Key.Key_Space)
    qtbot.mouseClick(switch, Qt.MouseButton.LeftButton)
    assert reports == [False, True]


def test_choice_by_key(shown):
    editor, reports = shown(PARAMS[2], "nearest")
    QTest.keyClick(editor.focusProxy(), Qt.Key.Key_Down)
    assert reports == ["bilinear"]


def test_list_of_numbers_refuses_what_is_none(shown):
    editor, reports = shown(PARAMS[5], [3, 5])
    assert isinstance(editor, IntsEditor)
    field = editor.focusProxy()
    field.selectAll()
    QTest.keyClicks(field, "3, x")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert reports == []
    assert field.property("invalid") == "true"
    assert "3, 5, 7" in field.toolTip()
    field.selectAll()
    QTest.keyClicks(field, "1 2,9")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert reports[-1] == [1, 2, 9]
    assert field.property("invalid") == "false"


def test_the_wheel_changes_nothing_that_has_no_focus(shown):
    editor, reports = shown(PARAMS[0], 64)
    field = editor.focusProxy()
    field.clearFocus()
    middle = QPointF(field.rect().center())
    wheel = QWheelEvent(
        middle,
        field.mapToGlobal(middle),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(field, wheel)
    assert reports == []


def test_rows_reset_and_tab_order(home, qtbot):
    spec = ComponentSpec("x.y", "Y", "x", "", params=(*PARAMS, Param("channels", "int", derived="dim:C")))
    rows = ParamRows(spec)
    qtbot.addWidget(rows)
    rows.show()
    qtbot.waitExposed(rows)
    rows.activateWindow()
    edits = []
    rows.edited.connect(lambda name, value: edits.append((name, value)))
    rows.show_values({"width": 128, "kernels": [3, 5]})
    width = rows.rows["width"]
    assert width.reset.isVisible()
    assert not rows.rows["kernels"].reset.isVisible()
    qtbot.mouseClick(width.reset, Qt.MouseButton.LeftButton)
    assert edits == [("width", 64)]
    assert "channels" not in rows.rows  # it follows from the shape, so nobody sets it
    width.editor.setFocus()
    order = []
    for _ in PARAMS:
        order.append(rows.focusWidget().accessibleName())
        QTest.keyClick(rows.focusWidget(), Qt.Key.Key_Tab)
        if rows.focusWidget() is width.reset:
            QTest.keyClick(width.reset, Qt.Key.Key_Tab)
    assert order == ["Width", "Drop rate", "Mode", "Bias", "Label", "Kernels"]


def test_a_text_that_is_too_long_for_a_list_ends_in_three_points(home, qtbot):
    """It was cut off in the middle of a letter: `small-fine-tune.saf`."""
    box = CalmComboBox()
    qtbot.addWidget(box)
    box.addItems(["small-fine-tune.safetensors", "n"])
    box.setFixedWidth(140)
    box.show()
    qtbot.waitExposed(box)
    assert box.shown_text().endswith("…")
    assert len(box.shown_text()) > 8
    before = box.grab().toImage()
    box.setCurrentIndex(1)
    assert box.shown_text() == "n"
    assert box.grab().toImage() != before
