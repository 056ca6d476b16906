"""The window's colours, fonts and spacing as named values: one dark and one light theme, and which one is in force.

Nothing here draws. `style.py` turns a theme into a Qt style sheet; the canvas and the plots read the same
names, so that a colour is written down once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from PySide6.QtCore import QObject, QSettings, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

GRID = 8
"""Every margin and gap is a multiple of half of this (pixels)."""

FONT_PX = 13
SMALL_PX = 12
CHOICES = ("system", "dark", "light")

_SANS = ("Inter", "SF Pro Text", "Segoe UI Variable Text", "Segoe UI", "Noto Sans", "Cantarell", "Ubuntu", "Open Sans")
_MONO = ("JetBrains Mono", "SF Mono", "Cascadia Mono", "Consolas", "Noto Sans Mono", "DejaVu Sans Mono")


@dataclass(frozen=True)
class Theme:
    """Named colours (`#rrggbb`). Surfaces go from the back to the front: window, panel, surface, raised."""

    name: str
    is_dark: bool
    window: str
    panel: str
    surface: str
    raised: str
    canvas: str
    grid: str
    border: str
    border_strong: str
    text: str
    text_muted: str
    text_faint: str
    accent: str
    accent_hover: str
    accent_pressed: str
    on_accent: str
    selection: str
    danger: str
    warning: str
    success: str
    info: str
    wire: str
    shadow: str

    def color(self, name: str, alpha: int = 255) -> QColor:
        """The named colour as a QColor; `alpha` 0 to 255."""
        color = QColor(getattr(self, name))
        color.setAlpha(alpha)
        return color

    def category(self, category: str) -> str:
        """The colour of a component category (`attention/channel` or `attention.channel`), by its first part."""
        first = category.replace("/", ".").partition(".")[0]
        light, dark = _CATEGORIES.get(first, _OTHER)
        return dark if self.is_dark else light

    def series(self, index: int) -> str:
        """The colour of the index-th curve of a plot."""
        light, dark = _SERIES[index % len(_SERIES)]
        return dark if self.is_dark else light


# (on light, on dark): the same hue, at a depth that reads on the theme's surfaces.
_CATEGORIES = {
    "io": ("#64748b", "#94a3b8"),
    "stem": ("#0e7490", "#22b8cf"),
    "conv": ("#2563eb", "#5b9bff"),
    "downsample": ("#0369a1", "#38bdf8"),
    "block": ("#4f46e5", "#8b8cff"),
    "backbone": ("#7c3aed", "#a78bfa"),
    "attention": ("#c026d3", "#e07bf0"),
    "fusion": ("#0f766e", "#2dd4bf"),
    "resize": ("#0d9488", "#5eead4"),
    "pooling": ("#15803d", "#4ade80"),
    "neck": ("#b45309", "#fbbf24"),
    "head": ("#dc2626", "#fb7185"),
    "post": ("#c2410c", "#fb923c"),
}
_OTHER = ("#57606f", "#a0a8b8")

_SERIES = (
    ("#3b5bdb", "#7c9aff"),
    ("#d9480f", "#ff9f5a"),
    ("#0f9f6e", "#3ddc97"),
    ("#c026d3", "#e07bf0"),
    ("#0e7490", "#22c3dd"),
    ("#b58900", "#f2c94c"),
)

DARK = Theme(
    name="dark",
    is_dark=True,
    window="#14161b",
    panel="#1a1d24",
    surface="#232730",
    raised="#2b303b",
    canvas="#101217",
    grid="#1c2028",
    border="#2a2f3a",
    border_strong="#3b4250",
    text="#e8eaf0",
    text_muted="#a3abba",
    text_faint="#798294",
    accent="#4c6ef5",
    accent_hover="#5f7ff8",
    accent_pressed="#3f5fe0",
    on_accent="#ffffff",
    selection="#2a3763",
    danger="#ff6b6b",
    warning="#f5b84b",
    success="#3ddc97",
    info="#7c9aff",
    wire="#6d7789",
    shadow="#000000",
)

LIGHT = Theme(
    name="light",
    is_dark=False,
    window="#eef0f4",
    panel="#ffffff",
    surface="#f4f5f8",
    raised="#ffffff",
    canvas="#f7f8fa",
    grid="#e6e9ef",
    border="#dfe3ea",
    border_strong="#c3c9d4",
    text="#1b1f27",
    text_muted="#566072",
    text_faint="#737d8e",
    accent="#3b5bdb",
    accent_hover="#4a69e6",
    accent_pressed="#304cc0",
    on_accent="#ffffff",
    selection="#dbe4ff",
    danger="#d6303f",
    warning="#b26a00",
    success="#0b8457",
    info="#3b5bdb",
    wire="#8b95a5",
    shadow="#5b6472",
)


class ThemeManager(QObject):
    """The theme in force and the user's choice of it, kept in QSettings (`appearance/theme`).

    Signals:
        changed(Theme): another theme is in force; widgets that paint themselves repaint.
    """

    changed = Signal(Theme)

    def __init__(self) -> None:
        super().__init__()
        self._theme = DARK
        self._choice = "system"
        self._following = False

    @property
    def theme(self) -> Theme:
        return self._theme

    @property
    def choice(self) -> str:
        """`system`, `dark` or `light`: what the user picked."""
        return self._choice

    def restore(self, dress: bool = True) -> Theme:
        """Take the choice of the last session and follow the system's scheme from now on.

        Args:
            dress: else the style sheet is left to `dress`. Qt asks it of every widget anew that is put into another, so
                a window is built quicker without.
        """
        if not self._following:
            QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)
            self._following = True
        choice = str(QSettings().value("appearance/theme", "system"))
        self._choice = choice if choice in CHOICES else "system"
        self._put(self._chosen(), dress)
        return self._theme

    def dress(self) -> None:
        """Puts the theme's style sheet on."""
        from designer.ui.style import style_sheet

        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.setStyleSheet(style_sheet(self._theme))

    def set_theme(self, choice: str, *, remember: bool = True) -> Theme:
        """Put `system`, `dark` or `light` in force now.

        Raises:
            ValueError: for any other word.
        """
        if choice not in CHOICES:
            raise ValueError(f"Theme is {choice!r}, must be one of {', '.join(CHOICES)}.")
        self._choice = choice
        if remember:
            QSettings().setValue("appearance/theme", choice)
        self._put(self._chosen())
        return self._theme

    def _chosen(self) -> Theme:
        return {"dark": DARK, "light": LIGHT}.get(self._choice) or system_theme()

    def _follow_system(self, _scheme: Qt.ColorScheme) -> None:
        if self._choice == "system":
            self._put(system_theme())

    def _put(self, theme: Theme, dress: bool = True) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.setPalette(qt_palette(theme))
        before, self._theme = self._theme, theme
        if dress:
            self.dress()
        if theme != before:
            self.changed.emit(theme)


manager = ThemeManager()
"""The one theme manager of the process."""


def current() -> Theme:
    return manager.theme


def system_theme() -> Theme:
    """The theme of the desktop; dark where the desktop does not say."""
    return LIGHT if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light else DARK


def install_fonts(app: QApplication) -> None:
    """The first of a list of screen fonts that this machine has, at 13 px; else the desktop's own."""
    font = QFont(_first_installed(_SANS) or QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family())
    font.setPixelSize(FONT_PX)
    app.setFont(font)


def mono_font(pixels: int = SMALL_PX) -> QFont:
    """The fixed-width font that shapes and figures are written in."""
    font = QFont(_first_installed(_MONO) or QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family())
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setPixelSize(pixels)
    return font


def _first_installed(families: tuple[str, ...]) -> str | None:
    installed = set(QFontDatabase.families())
    return next((family for family in families if family in installed), None)


def qt_palette(theme: Theme) -> QPalette:
    """The same colours for what the style sheet does not reach (native dialogs' parts, disabled text, links)."""
    palette = QPalette()
    role = QPalette.ColorRole
    names = {
        role.Window: "panel",
        role.WindowText: "text",
        role.Base: "surface",
        role.AlternateBase: "panel",
        role.Text: "text",
        role.Button: "surface",
        role.ButtonText: "text",
        role.BrightText: "danger",
        role.ToolTipBase: "raised",
        role.ToolTipText: "text",
        role.PlaceholderText: "text_faint",
        role.Highlight: "accent",
        role.HighlightedText: "on_accent",
        role.Link: "info",
        role.LinkVisited: "info",
        role.Light: "raised",
        role.Midlight: "border",
        role.Mid: "border_strong",
        role.Dark: "border",
        role.Shadow: "shadow",
    }
    for key, name in names.items():
        palette.setColor(key, theme.color(name))
    for key in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, key, theme.color("text_faint"))
    return palette


def color_names() -> list[str]:
    """Every named colour, for a check that both themes define them and that text stays readable."""
    return [f.name for f in dataclasses.fields(Theme) if f.type == "str" and f.name != "name"]
