"""Files: what we write reads back to the byte, what we cannot read is refused with line and reason and left alone."""

import os
import stat

import pytest

from designer.graph import Document
from designer.graph.errors import DocumentError
from designer.graph.storage import autosave_path, dump, find_autosave, parse, read, write
from designer.graph.templates import load_template, templates


@pytest.mark.parametrize("template", [t.name for t in templates()])
def test_templates_round_trip_to_the_byte(template):
    path = next(t.path for t in templates() if t.name == template)
    assert dump(read(path)) == path.read_text()


def test_one_node_a_line():
    lines = dump(load_template("yolov8n").data).splitlines()
    assert sum('"component"' in line for line in lines) == 5
    assert all(line.count('"id"') <= 1 for line in lines)


def test_unknown_fields_and_components_survive():
    text = """{"version": 1, "name": "x", "author": "me",
    "nodes": [{"id": "a", "component": "their.thing", "params": {"q": [1, {"z": null}]}, "mood": 3}],
    "wires": [], "training": {"epochs": 3, "new_option": true}}"""
    again = parse(dump(parse(text)))
    assert again.model_extra["author"] == "me"
    assert again.nodes[0].model_extra["mood"] == 3
    assert again.nodes[0].params == {"q": [1, {"z": None}]}
    assert again.training.model_extra["new_option"] is True


GOOD = dump(load_template("quick-start").data)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (GOOD[:400], 7, "ends in the middle"),
        ("{\n  oops", 2, "not JSON"),
        ("", 1, "ends in the middle"),
        ("[1, 2]", 0, 'no "version" and "nodes"'),
        (GOOD.replace('"version": 1', '"version": 99'), 2, "format version 99, this program reads up to 1. Update"),
        (GOOD.replace('"version": 1', '"version": "one"'), 2, 'version is "one"'),
        (GOOD.replace('"id": "n3"', '"id": "n2"'), 7, "Two nodes have the id 'n2'"),
        (GOOD.replace('"component": "neck.pafpn"', '"component": 7'), 7, "nodes.2.component"),
        (GOOD.replace('"epochs": 6', '"epochs": 0'), 0, "epochs"),
        (GOOD.replace('"x": 312', '"x": NaN'), 0, "NaN"),
        ('{"version": 1, "nodes": ' + "[" * 100_000, 0, "recursion"),
    ],
)
def test_what_cannot_be_read_is_refused_and_left_alone(tmp_path, text, line, said):
    path = tmp_path / "bad.netwright"
    path.write_text(text)
    with pytest.raises(DocumentError) as caught:
        Document.load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    if line:
        assert caught.value.line == line
    assert path.read_text() == text


def test_missing_and_binary_files_are_named(tmp_path):
    with pytest.raises(DocumentError, match="no such file"):
        read(tmp_path / "none.netwright")
    (tmp_path / "b.netwright").write_bytes(b"\x80\xff\x00")
    with pytest.raises(DocumentError, match="not text"):
        read(tmp_path / "b.netwright")


def test_a_save_is_whole_keeps_permissions_and_follows_links(tmp_path):
    data = load_template("yolov8n").data
    real, link = tmp_path / "real.netwright", tmp_path / "link.netwright"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write(data, link)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_text() == dump(data)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.netwright"
    doc = load_template("yolov8n")
    doc.save(path)
    before = path.read_text()
    doc.data.nodes[0].params["height"] = float("nan")
    with pytest.raises(DocumentError, match="cannot be written"):
        doc.save(path)
    assert path.read_text() == before
    with pytest.raises(DocumentError, match="cannot be written"):
        write(doc.data, tmp_path / "no" / "folder.netwright")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.netwright"]


def test_autosave_is_offered_only_when_newer(tmp_path):
    path = tmp_path / "x.netwright"
    doc = load_template("yolov8n")
    doc.save(path)
    write(doc.data, autosave_path(path))
    assert find_autosave(path) == autosave_path(path)
    os.utime(autosave_path(path), (1, 1))
    assert find_autosave(path) is None


def test_files_in_the_folder_of_a_document_are_named_from_there(tmp_path):
    """So that a folder can be moved whole; what lies elsewhere keeps its path."""
    doc = load_template("quick-start")
    own, there = tmp_path / "own", tmp_path / "there"
    own.mkdir()
    first, second, third = doc.data.nodes[:3]
    first.weights = f"file:{own}/kept/a#1.safetensors"
    second.weights = f"file:{own}/kept/b.safetensors#backbone"
    third.weights = f"file:{tmp_path}/ownership.safetensors"
    doc.set_data(path=str(own / "images"))
    write(doc.data, own / "mine.netwright")
    text = (own / "mine.netwright").read_text()
    assert '"file:./kept/a#1.safetensors"' in text
    assert '"file:./kept/b.safetensors#backbone"' in text
    assert f'"file:{tmp_path}/ownership.safetensors"' in text
    assert '"path": "./images"' in text
    assert dump(read(own / "mine.netwright")) == dump(doc.data)  # in memory they are whole
    own.rename(there)
    moved = read(there / "mine.netwright")
    assert [n.weights for n in moved.nodes[:2]] == [
        f"file:{there}/kept/a#1.safetensors",
        f"file:{there}/kept/b.safetensors#backbone",
    ]
    assert moved.data.path == str(there / "images")
    write(moved, there / "mine.netwright")
    assert (there / "mine.netwright").read_text() == text


def test_a_path_that_is_not_whole_is_left_as_it_is(tmp_path):
    doc = load_template("quick-start")
    doc.set_data(path="images/train")  # from where the program runs
    write(doc.data, tmp_path / "mine.netwright")
    assert read(tmp_path / "mine.netwright").data.path == "images/train"
