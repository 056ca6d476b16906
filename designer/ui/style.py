"""The style sheet: how a theme's named colours become the look of Qt's widgets.

Widgets ask for a look by object name or by the dynamic property `look` (`primary`, `ghost`, `danger`, `card`, `title`,
`muted`, ...), never by a style sheet of their own.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from designer.ui.theme import Theme

_ICONS = (Path(__file__).parent / "icons").as_posix()

_BASE = """
* { outline: 0; }
QWidget { color: $text; }
QMainWindow, QDialog { background: $window; }
QToolTip { background: $raised; color: $text; border: 1px solid $border_strong; padding: 4px 8px; }
QLabel { background: transparent; }
QLabel[look="title"] { font-size: 15px; font-weight: 600; }
QLabel[look="hero"] { font-size: 26px; font-weight: 600; }
QLabel[look="section"] { color: $text_muted; font-size: 11px; font-weight: 600; }
QLabel[look="muted"] { color: $text_muted; font-size: 12px; }
QLabel[look="faint"] { color: $text_faint; font-size: 12px; }
QLabel[look="value"] { font-size: 14px; font-weight: 600; }
QLabel[look="danger"] { color: $danger; font-size: 12px; }
QLabel[look="link"] { color: $info; font-size: 12px; }
QLabel[look="chip"] { background: $surface; color: $text_muted; border: 1px solid $border; border-radius: 9px;
    padding: 1px 8px; font-size: 11px; }
QFrame[look="card"] { background: $surface; border: 1px solid $border; border-radius: 8px; }
QFrame[look="panel"], QWidget[look="panel"] { background: $panel; }
QFrame[look="row"] { border: 1px solid transparent; }
QFrame[look="row"]:hover { background: $surface; }
QFrame[look="row"]:focus { border-color: $accent; }
QFrame[look="line"] { background: $border; border: 0; max-height: 1px; min-height: 1px; }
QFrame[look="vline"] { background: $border; border: 0; max-width: 1px; min-width: 1px; }
QScrollArea, QScrollArea > QWidget > QWidget[look="page"] { background: transparent; border: 0; }
QSplitter::handle { background: $border; }
QSplitter::handle:horizontal { width: 1px; }
"""

_WINDOW = """
QMenuBar { background: $window; padding: 2px 8px; }
QMenuBar::item { background: transparent; padding: 4px 8px; border-radius: 4px; }
QMenuBar::item:selected { background: $raised; }
QMenu { background: $raised; border: 1px solid $border_strong; padding: 4px; }
QMenu::item { padding: 6px 28px 6px 12px; border-radius: 4px; }
QMenu::item:selected { background: $accent; color: $on_accent; }
QMenu::item:disabled { color: $text_faint; background: transparent; }
QMenu::separator { height: 1px; background: $border; margin: 4px 8px; }
QMenu::icon { padding-left: 8px; }
QToolBar { background: $window; border: 0; border-bottom: 1px solid $border; padding: 4px 8px; spacing: 4px; }
QToolBar::separator { background: $border; width: 1px; margin: 6px 4px; }
QStatusBar { background: $window; border-top: 1px solid $border; }
QStatusBar::item { border: 0; }
QStatusBar QLabel { color: $text_muted; font-size: 12px; padding: 0 8px; }
QMainWindow::separator { background: $border; width: 1px; height: 1px; }
QMainWindow::separator:hover { background: $accent; }
QDockWidget { background: $panel; }
QDockWidget > QWidget { background: $panel; }
#dock_header { background: $panel; border-bottom: 1px solid $border; }
#dock_header QLabel { color: $text_muted; font-size: 11px; font-weight: 600; }
QTabWidget::pane { border: 0; background: $panel; border-top: 1px solid $border; }
QTabWidget > QStackedWidget { background: $panel; }
QTabWidget::tab-bar { left: 0; }
QTabBar { background: $panel; qproperty-drawBase: 0; }
QTabBar::tab { background: transparent; color: $text_muted; padding: 7px 12px 6px; border: 0;
    border-bottom: 2px solid transparent; margin-right: 4px; }
QTabBar::tab:first { margin-left: 4px; }
QTabBar::tab:hover { color: $text; }
QTabBar::tab:selected { color: $text; border-bottom: 2px solid $accent; }
QTabBar::tab:focus { color: $info; }
"""

_BUTTONS = """
QPushButton { background: $surface; border: 1px solid $border_strong; border-radius: 6px; padding: 5px 12px;
    min-height: 18px; }
QPushButton:hover { background: $raised; }
QPushButton:pressed { background: $border; }
QPushButton:focus { border-color: $accent; }
QPushButton:disabled { color: $text_faint; border-color: $border; background: $panel; }
QPushButton[look="primary"] { background: $accent; border-color: $accent; color: $on_accent; font-weight: 600; }
QPushButton[look="primary"]:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton[look="primary"]:pressed { background: $accent_pressed; }
QPushButton[look="primary"]:focus { border-color: $text; }
QPushButton[look="primary"]:disabled { background: $surface; border-color: $border; color: $text_faint; }
QPushButton[look="ghost"] { background: transparent; border-color: transparent; color: $text_muted; padding: 5px 8px; }
QPushButton[look="ghost"]:hover { background: $surface; color: $text; }
QPushButton[look="ghost"]:focus { border-color: $accent; }
QPushButton[look="small"] { padding: 2px 8px; min-height: 16px; font-size: 12px; }
QPushButton[look="danger"]:hover { color: $danger; border-color: $danger; }
QPushButton::menu-indicator { image: url($icons/chevron_down.svg); width: 12px; subcontrol-position: right center;
    right: 6px; }
QToolButton { background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 4px; }
QToolButton:hover { background: $raised; }
QToolButton:pressed, QToolButton:checked { background: $border; }
QToolButton:focus { border-color: $accent; }
QToolButton::menu-indicator { image: none; }
QToolButton[popupMode="2"] { padding-right: 4px; }
QCheckBox { spacing: 8px; }
QCheckBox::indicator, QTreeView::indicator { width: 14px; height: 14px; border: 1px solid $border_strong;
    border-radius: 4px; background: $surface; }
QCheckBox::indicator:checked, QTreeView::indicator:checked { background: $accent; border-color: $accent;
    image: url($icons/check.svg); }
QCheckBox::indicator:focus { border-color: $accent; }
"""

_INPUTS = """
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit { background: $surface; border: 1px solid $border;
    border-radius: 6px; padding: 4px 8px; min-height: 18px; selection-background-color: $accent;
    selection-color: $on_accent; }
QLineEdit:hover, QSpinBox:hover, QDoubleSpinBox:hover, QComboBox:hover, QPlainTextEdit:hover {
    border-color: $border_strong; }
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus, QPlainTextEdit:focus {
    border-color: $accent; }
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled { color: $text_faint;
    background: $panel; }
QLineEdit[invalid="true"] { border-color: $danger; }
QLineEdit[look="heading"] { background: transparent; border-color: transparent; font-size: 15px; font-weight: 600;
    padding: 3px 4px; }
QLineEdit[look="heading"]:hover { border-color: $border; }
QLineEdit[look="heading"]:focus { border-color: $accent; background: $surface; }
QSpinBox, QDoubleSpinBox { padding-right: 20px; }
QSpinBox::up-button, QDoubleSpinBox::up-button { subcontrol-origin: border; subcontrol-position: top right; width: 18px;
    border: 0; margin: 2px 2px 0 0; image: url($icons/chevron_up.svg); }
QSpinBox::down-button, QDoubleSpinBox::down-button { subcontrol-origin: border; subcontrol-position: bottom right;
    width: 18px; border: 0; margin: 0 2px 2px 0; image: url($icons/chevron_down.svg); }
QSpinBox::up-button:hover, QDoubleSpinBox::up-button:hover, QSpinBox::down-button:hover,
QDoubleSpinBox::down-button:hover { background: $border; border-radius: 3px; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow, QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: none;
    width: 0; height: 0; }
QComboBox { padding-right: 22px; }
QComboBox::drop-down { border: 0; width: 22px; }
QComboBox::down-arrow { image: url($icons/chevron_down.svg); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $border_strong; padding: 4px;
    selection-background-color: $accent; selection-color: $on_accent; }
"""

_VIEWS = """
QTreeView, QListView, QTreeWidget, QListWidget { background: transparent; border: 0; show-decoration-selected: 1;
    selection-background-color: $selection; selection-color: $text; }
QTreeView::item, QListView::item { padding: 0; border: 0; }
QTableView { background: transparent; border: 0; selection-background-color: $selection;
    selection-color: $text; }
QTableView::item { padding: 0 5px; border: 0; }
QHeaderView::section { background: $panel; color: $text_muted; border: 0; border-bottom: 1px solid $border;
    padding: 4px 8px; font-size: 12px; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $border_strong; border-radius: 3px; }
QScrollBar::handle:vertical { min-height: 32px; margin: 2px 2px; }
QScrollBar::handle:horizontal { min-width: 32px; margin: 2px 2px; }
QScrollBar::handle:hover { background: $text_faint; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QProgressBar { background: $surface; border: 0; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
"""

_OWN = """
#message_bar { background: $raised; border-bottom: 1px solid $border; }
#message_bar[tone="danger"] { border-left: 3px solid $danger; }
#message_bar[tone="warning"] { border-left: 3px solid $warning; }
#message_bar[tone="success"] { border-left: 3px solid $success; }
#message_bar[tone="info"] { border-left: 3px solid $info; }
#template_card { background: $panel; border: 1px solid $border; border-radius: 10px; }
#template_card:hover { border-color: $accent; background: $raised; }
#template_card:focus { border-color: $accent; }
#welcome { background: $canvas; }
#canvas_search QListView::item { border-radius: 5px; padding-left: 4px; }
#predict_images::item { padding-left: 8px; }
#predict_images::item:selected { background: $selection; color: $text; }
#model_side, #model_tensors, #model_facts { background: $panel; }
#model_tensors, #model_facts { selection-background-color: $selection; selection-color: $text; }
#model_tensors::item, #model_facts::item { padding: 2px 0; }
#model_tensors::item:selected, #model_facts::item:selected { background: $selection; color: $text; }
#canvas_search QListView::item:selected { background: $selection; color: $text; }
"""


def style_sheet(theme: Theme) -> str:
    """The whole application's style sheet in this theme's colours."""
    names = {name: value for name, value in vars(theme).items() if isinstance(value, str)}
    return Template("".join((_BASE, _WINDOW, _BUTTONS, _INPUTS, _VIEWS, _OWN))).substitute(names, icons=_ICONS)
