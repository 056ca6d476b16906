"""Pascal VOC folders as they are found: 1-based corners, difficult objects, lists, and files that are refused."""

import pytest
from PIL import Image

from designer.data.dataset import load_dataset
from designer.data.errors import DataError
from designer.data.readers import kind_of
from designer.data.voc import read_objects, read_voc
from designer.graph.training import DataSettings, TrainingSettings


def voc_object(name, box, difficult=0, extra=""):
    corners = "".join(f"<{t}>{v}</{t}>" for t, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return (
        f"<object>\n<name>{name}</name><difficult>{difficult}</difficult><bndbox>{corners}</bndbox>{extra}</object>\n"
    )


def write_voc(root, files, lists=None):
    (root / "Annotations").mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, objects in files.items():
        Image.new("RGB", (60, 40), (len(name) * 20, 90, 30)).save(root / "JPEGImages" / f"{name}.jpg")
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>\n{objects}</annotation>")
    for part, names in (lists or {}).items():
        (root / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(names) + "\n")
    return root


HEAD = "<part><name>head</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax><ymax>6</ymax></bndbox></part>"


def test_corners_from_one_parts_of_objects_and_difficult_ones(tmp_path):
    first = voc_object("dog", (1, 1, 10, 20), extra=HEAD) + voc_object("cat", (11, 5, 30, 40))
    files = {"a": first, "b": voc_object("dog", (2, 2, 9, 9), difficult=1)}
    write_voc(tmp_path, files, {"train": ["a"], "val": ["b"]})
    train, val, names = read_voc(tmp_path)
    assert names == ["cat", "dog"]
    assert train.records[0].boxes == ((0, 0, 10, 20), (10, 4, 30, 40))
    assert train.records[0].labels == (1, 0)
    assert val.records[0].boxes == ()
    assert val.notes == ["1 objects marked difficult are left out, as the benchmark does not count them."]
    assert kind_of(tmp_path) == "voc"


def test_a_split_is_made_where_none_is_given(tmp_path):
    root = write_voc(tmp_path / "VOC2007", {f"n{i:02}": voc_object("cat", (1, 1, 9, 9)) for i in range(20)})
    train, val, _ = read_voc(tmp_path, seed=3)
    again = read_voc(tmp_path, seed=3)
    assert (len(train.records), len(val.records)) == (18, 2)
    assert again[1].records == val.records != read_voc(tmp_path, seed=4)[1].records
    assert train.notes == [f"{root} has no validation list, so 2 training images are held out."]


def test_a_detector_can_train_on_it(tmp_path):
    write_voc(tmp_path, {"a": voc_object("cat", (1, 1, 30, 20)), "b": ""}, {"train": ["a"], "val": ["b"]})
    settings = DataSettings(kind="voc", path=str(tmp_path))
    splits = load_dataset(settings, (60, 60), "detect", TrainingSettings())
    assert splits.class_names == ["cat"]
    assert splits.train[0].image.shape == (3, 60, 60)
    assert len(splits.val[0].labels) == 0
    with pytest.raises(DataError, match="voc data cannot train a model whose head does segment"):
        load_dataset(settings, (60, 60), "segment", TrainingSettings())


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n<annotation><filename>&b;</filename></annotation>'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (BOMB, 1, "declares entities"),
        ("<annotation>\n<object></annotation>", 2, "not XML: mismatched tag"),
        ("<html></html>", 1, "outermost element is html"),
    ],
)
def test_files_that_are_refused(tmp_path, text, line, said):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read_objects(path)
    assert (caught.value.path, caught.value.line) == (str(path), line)


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ("<object><name>cat</name></object>", "The object has no xmin"),
        (voc_object("cat", (1, 1, "nan", 9)), "not a finite number"),
        (voc_object("cat", (1, 1, "x", 9)), "no number"),
        (voc_object("", (1, 1, 5, 9)), "has no name"),
    ],
)
def test_objects_that_are_refused(tmp_path, objects, said):
    write_voc(tmp_path, {"a": voc_object("dog", (1, 1, 5, 5)) + objects})
    with pytest.raises(DataError, match=said) as caught:
        read_voc(tmp_path)
    assert caught.value.line == 4


def test_a_missing_list_names_those_that_are_there(tmp_path):
    write_voc(tmp_path, {"a": voc_object("cat", (1, 1, 5, 5))}, {"train": ["a"], "cat_train": ["a 1"]})
    with pytest.raises(DataError, match="there are train"):
        read_voc(tmp_path, val="test")
