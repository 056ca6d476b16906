"""The palette's catalogue between two starts."""

import os
from pathlib import Path

import pytest

from designer.engine import catalogue_cache
from designer.engine.catalogue_cache import cache_file, load_catalogue, save_catalogue
from nodes.sdk.discover import library


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue_cache.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    return tmp_path / "netwright"


def test_kept_between_starts(folder):
    assert load_catalogue() is None
    save_catalogue(library().catalogue)
    assert load_catalogue().to_json() == library().catalogue.to_json()
    assert [p.name for p in folder.iterdir()] == [cache_file().name]


def test_another_state_of_the_components_is_another_catalogue(folder, tmp_path, monkeypatch):
    source = tmp_path / "nodes" / "mine.py"
    source.parent.mkdir()
    source.write_text("a = 1")
    monkeypatch.setattr(catalogue_cache.nodes, "__path__", [str(source.parent)])
    save_catalogue(library().catalogue)
    before = cache_file()
    os.utime(source, (1, 1))
    assert cache_file() != before
    assert load_catalogue() is None
    save_catalogue(library().catalogue)
    assert list(folder.iterdir()) == [cache_file()]  # the old one is dropped


@pytest.mark.parametrize("content", ["", "{", "[3]", '{"a": 1}', '[{"id": 1}]', "\udcff"])
def test_a_broken_file_is_as_none(folder, content):
    folder.mkdir()
    cache_file().write_bytes(content.encode(errors="surrogateescape"))
    assert load_catalogue() is None
    save_catalogue(library().catalogue)
    assert load_catalogue() is not None


def test_a_folder_that_cannot_be_written_is_no_error(folder):
    Path(folder).write_text("a file where the folder should be")
    save_catalogue(library().catalogue)
    assert load_catalogue() is None
