"""The stand-ins have everything that the libraries use of the modules in whose place they stand."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from PySide6 import QtCore

from designer.ui.quick_imports import for_icons, for_node_graph

REAL = """
import importlib, json, sys
names = json.loads(sys.argv[1])
package = {part: importlib.import_module(part) for part, _ in names}
print(json.dumps([[p, n, repr(getattr(package[p], n))] for p, n in names if hasattr(package[p], n)]))
"""


def used(library, pattern):
    """Parts and names that a library's sources mention; qtawesome's browser is a program of its own."""
    files = [f for f in Path(find_spec(library).origin).parent.rglob("*.py") if f.name != "icon_browser.py"]
    return sorted({found for file in files for found in re.findall(pattern, file.read_text())})


def real(names, monkeypatch):
    """Those that the real modules have, and what they are; asked in a process of its own, which is left as it is."""
    monkeypatch.setenv("QT_PREFERRED_BINDING", "PySide6")
    monkeypatch.setenv("QT_API", "pyside6")
    done = subprocess.run([sys.executable, "-c", REAL, json.dumps(names)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_what_node_graph_uses_of_qt_py_is_the_same(monkeypatch):
    names = [(f"Qt.{p}", n) for p, n in used("NodeGraphQt", r"\b(QtCore|QtGui|QtWidgets|QtSvg)\.(\w+)")]
    modules = for_node_graph()["Qt"]
    found = real(names, monkeypatch)
    assert len(found) > 80
    for part, name, is_what in found:
        assert repr(getattr(getattr(modules, part.removeprefix("Qt.")), name)) == is_what
    for _, names in used("NodeGraphQt", r"()\bQtCompat\.([\w.]+)"):
        compatible = modules.QtCompat
        for name in names.split("."):
            compatible = getattr(compatible, name)


def test_versions_compare_as_numbers():
    version = for_node_graph()["distutils.version"].LooseVersion
    assert version(QtCore.qVersion()) >= version("5.10")
    assert not version("5.9") >= version("5.10")


def test_what_the_icons_use_of_qtpy_is_the_same(monkeypatch):
    imported = used("qtawesome", r"from qtpy\.(\w+) import \(?([\w,\s]+)")
    imported = [(part, name) for part, many in imported for name in re.findall(r"\bQ\w+", many)]
    names = [(f"qtpy.{p}", n) for p, n in imported + used("qtawesome", r"\b(QtCore|QtGui|QtWidgets)\.(\w+)")]
    modules = for_icons()
    found = real(names, monkeypatch)
    assert len(found) > 20
    for part, name, is_what in found:
        assert repr(getattr(modules[part], name)) == is_what


def test_the_real_modules_are_left_to_others():
    code = (
        "import designer.ui.canvas.node_graph, sys\n"
        "assert not {'Qt', 'distutils', 'distutils.version'} & sys.modules.keys()\n"
        "import Qt\n"
        "assert Qt.__binding__ == 'PySide6' and Qt.QtGui.QColor"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
