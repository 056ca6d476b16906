"""The format as others see it: a schema of what opens, and documents of earlier versions, which open for ever."""

import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest

from designer.engine.propagate import propagate
from designer.graph import Document
from designer.graph.errors import DocumentError
from designer.graph.storage import parse

ROOT = Path(__file__).parents[2]
OLD = sorted(Path(__file__).with_name("documents").glob("*.netwright"))
TEMPLATES = sorted((ROOT / "assets" / "templates").glob("*.netwright"))
PARAMETERS = {
    "v1-drawn": 3_157_200,
    "v1-quick-start": 3_011_433,
    "v1-resnet50": 25_557_032,
    "v1-ssd300": 34_305_206,
    "v1-yolov8n": 3_157_200,
    "v1-yolov8n-seg": 3_409_968,
}


@pytest.fixture(scope="module")
def schema():
    return json.loads((ROOT / "docs" / "document.schema.json").read_text())


def test_schema_is_what_its_script_writes():
    place = importlib.util.spec_from_file_location("make_schema", ROOT / "docs" / "make_schema.py")
    script = importlib.util.module_from_spec(place)
    place.loader.exec_module(script)
    assert (ROOT / "docs" / "document.schema.json").read_text() == script.text(), "run: python docs/make_schema.py"


@pytest.mark.parametrize("path", [*OLD, *TEMPLATES], ids=lambda p: p.stem)
def test_documents_fit_the_schema(path, schema):
    jsonschema.validate(json.loads(path.read_text()), schema)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": "1"},
        {"nodes": {}},
        {"nodes": [{"component": "io.image_input"}]},
        {"wires": [{"id": "w"}]},
        {"training": {"epochs": 0}},
        {"data": {"kind": "magic"}},
    ],
    ids=str,
)
def test_schema_refuses_what_the_program_refuses(change, schema):
    good = {"version": 1, "name": "x", "nodes": [], "wires": []}
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(good | change, schema)
    with pytest.raises(DocumentError):
        parse(json.dumps(good | change))


@pytest.mark.parametrize("path", OLD, ids=lambda p: p.stem)
def test_old_documents_open_and_mean_the_same(path, catalogue, tmp_path):
    document = Document.load(path, catalogue)
    found = propagate(document.data)
    assert not found.errors
    assert sum(r.params for r in found.nodes.values()) == PARAMETERS[path.stem]
    document.save(tmp_path / "again.netwright")
    again = Document.load(tmp_path / "again.netwright", catalogue)
    assert again.data == document.data


def test_what_this_version_does_not_know_is_kept(catalogue, tmp_path):
    document = Document.load(Path(__file__).with_name("documents") / "v1-drawn.netwright", catalogue)
    document.rename(document.data.nodes[0], "Seen")
    document.save(tmp_path / "again.netwright")
    assert json.loads((tmp_path / "again.netwright").read_text())["from_the_future"] == {"kept": [1, 2]}
