"""The page of components says what the library is."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "make_components.py"


def test_the_page_is_what_its_script_writes():
    spec = importlib.util.spec_from_file_location("make_components", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == module.PAGE.read_text(encoding="utf-8"), "run: python docs/make_components.py"
