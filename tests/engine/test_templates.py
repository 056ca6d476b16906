"""The shipped templates are what their script draws, run as they are, and say so on the first look."""

import importlib.util
from pathlib import Path

import pytest

from designer.engine.propagate import propagate
from designer.graph.storage import dump
from designer.graph.templates import load_template, templates
from nodes.sdk.discover import library

SCRIPT = Path(__file__).parents[2] / "assets" / "make_templates.py"


def drawn():
    spec = importlib.util.spec_from_file_location("make_templates", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TEMPLATES


def test_files_are_what_the_script_draws():
    made = drawn()
    files = {t.name: t.path.read_text() for t in templates()}
    assert files.keys() == made.keys()
    assert {name: dump(draw().data) for name, draw in made.items()} == files


@pytest.mark.parametrize("name", [t.name for t in templates()])
def test_every_template_runs_without_a_word(name):
    result = propagate(load_template(name, library().catalogue).data)
    assert result.problems == []
    assert all(r.status == "ok" for r in result.nodes.values())
