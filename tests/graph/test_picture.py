"""A PNG carries its document, opens as a picture everywhere, and damage is told."""

import zlib

import pytest
from PIL import Image

from designer.graph import Document
from designer.graph.errors import DocumentError
from designer.graph.picture import embed, read_picture


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "plain.png"
    Image.new("RGB", (8, 4), "orange").save(path)
    return path


def document(name="Größe 中"):
    made = Document.new(name)
    made.add("conv.conv", title="Ñandú")
    return made.data


def test_the_document_comes_back_and_the_picture_is_unharmed(png, tmp_path):
    path = tmp_path / "with.png"
    path.write_bytes(embed(png.read_bytes(), document()))
    assert read_picture(path) == document()
    with Image.open(path) as picture:
        picture.load()
        assert picture.size == (8, 4)
        assert picture.getpixel((3, 3)) == (255, 165, 0)
        assert "Ñandú" in picture.text["netwright"]  # another program's reader finds it
    path.write_bytes(embed(path.read_bytes(), document("Second")))
    assert read_picture(path).name == "Second"
    assert path.read_bytes().count(b"netwright\0") == 1


def test_pictures_without_a_document_and_damaged_ones_are_refused(png, tmp_path):
    with pytest.raises(DocumentError, match="no document in this picture"):
        read_picture(png)
    with pytest.raises(DocumentError, match="cannot be read"):
        read_picture(tmp_path / "none.png")
    whole = embed(png.read_bytes(), document())
    path = tmp_path / "broken.png"
    path.write_bytes(whole[:60])
    with pytest.raises(DocumentError, match="ends in the middle"):
        read_picture(path)
    path.write_bytes(b"GIF89a")
    with pytest.raises(DocumentError, match="no PNG"):
        read_picture(path)
    at = whole.index(b"netwright\0") + 14
    path.write_bytes(whole[:at] + zlib.compress(b"x")[:3] + whole[at + 3 :])
    with pytest.raises(DocumentError):
        read_picture(path)
