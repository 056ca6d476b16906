"""Both themes name every colour, text on them can be read, and every icon that is asked for exists."""

import ast
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

import designer.ui
from designer.ui import glyphs, theme, wording
from designer.ui.style import style_sheet


def contrast(a: str, b: str) -> float:
    """WCAG 2.1 contrast ratio of two colours."""

    def luminance(name: str) -> float:
        parts = QColor(name).getRgbF()[:3]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("shades", [theme.DARK, theme.LIGHT], ids=lambda t: t.name)
def test_text_can_be_read_on_every_surface(shades):
    for surface in (shades.window, shades.panel, shades.surface):
        assert contrast(shades.text, surface) >= 7
        assert contrast(shades.text_muted, surface) >= 4.5
        assert contrast(shades.text_faint, surface) >= 3.5
    for name in ("danger", "warning", "success", "info"):
        assert contrast(getattr(shades, name), shades.panel) >= 3, name
    assert contrast(shades.on_accent, shades.accent) >= 4
    assert all(QColor(getattr(shades, name)).isValid() for name in theme.color_names())
    assert "$" not in style_sheet(shades)


def test_the_choice_of_theme_is_live_and_kept(home):
    seen = []
    theme.manager.changed.connect(seen.append)
    theme.manager.set_theme("light")
    assert seen == [theme.LIGHT]
    assert theme.LIGHT.panel in QApplication.instance().styleSheet()
    assert QSettings().value("appearance/theme") == "light"
    theme.manager.set_theme("dark")
    theme.manager.changed.disconnect(seen.append)
    with pytest.raises(ValueError, match="must be one of"):
        theme.manager.set_theme("pink")


def test_every_icon_that_the_code_names_exists(home):
    import qtawesome

    qtawesome.icon("mdi6.play")
    known = qtawesome._resource["iconic"].charmap["mdi6"]
    names = set(glyphs._CATEGORY_GLYPHS.values())
    for path in Path(designer.ui.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "icon",
                "tool",
                "button",
                "keep_icon",
                "Spec",
            ):
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and "-" in argument.value:
                        names.add(argument.value)
    names = {name for name in names if " " not in name and name == name.lower()}
    assert len(names) > 20
    assert sorted(names - set(known)) == []


def test_figures_as_people_read_them():
    assert wording.count(3_157_200) == "3.16 M"
    assert wording.count(9_999) == "9,999"
    assert wording.macs(4_372_000_000) == "4.37 GMACs"
    assert wording.memory(184 * 2**20) == "184 MB"
    assert wording.shape([1, 64, 80, 80]) == "1 × 64 × 80 × 80"
    assert wording.seconds(75) == "1 min 15 s"
    assert wording.plural(1, "node") == "1 node"
