"""The check of a data set on real broken files: every problem is a row with its file and line, none hides another."""

import json

import pytest
from PIL import Image

from designer.data.check import check_data
from designer.data.errors import DataError
from designer.data.yolo import read_yolo
from designer.graph.training import DataSettings
from tests.data.test_voc import voc_object, write_voc


def picture(path, colour, size=(60, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, colour).convert("RGB").save(path)
    return path


def rows(report, root):
    return {(f.severity, f.file.removeprefix(f"{root}/"), f.line, f.what) for f in report.findings}


def check(kind, path, **more):
    return check_data(DataSettings(kind=kind, path=str(path)), **more)


def broken_yolo(root):
    for i, name in enumerate(("a", "b", "cut", "bare")):
        picture(root / "images" / "train" / f"{name}.png", 20 + i)
    cut = root / "images" / "train" / "cut.png"
    cut.write_bytes(cut.read_bytes()[:1500])
    picture(root / "images" / "val" / "v.png", 90)
    (root / "images" / "val" / "leak.png").write_bytes((root / "images" / "train" / "a.png").read_bytes())
    for part in ("train", "val"):
        (root / "labels" / part).mkdir(parents=True)
    labels = root / "labels" / "train"
    (labels / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n0 0.5 0.5\n0 nan 0.5 0.2 0.2\n0 .5 .5 0 .1\n")
    (labels / "b.txt").write_text("0 0.1 0.5 0.4 0.2\n1 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n")
    (labels / "cut.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (labels / "gone.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    for name in ("v", "leak"):
        (root / "labels" / "val" / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return root


def test_a_yolo_folder_with_everything_wrong(tmp_path):
    report = check("yolo", broken_yolo(tmp_path))
    a = "labels/train/a.txt"
    assert rows(report, tmp_path) == {
        ("error", a, 2, "Class 7 is beyond the 2 names (0 to 1)."),
        ("error", a, 3, "A row has class cx cy w h, or class and a polygon; this one has 3 numbers."),
        ("error", a, 4, "nan lies outside 0 to 1."),
        ("error", a, 5, "The box has no area (0 x 4 pixels)."),
        ("error", "images/train/cut.png", 0, "The image ends too early."),
        ("error", "images/val/leak.png", 0, f"The same picture is in train: {tmp_path}/images/train/a.png."),
        ("warning", "labels/train/b.txt", 1, "The box passes the border of its image by 6 pixels."),
        ("warning", "labels/train/b.txt", 3, "The row is the same as that in line 2."),
        ("warning", "labels/train/gone.txt", 0, "The label file has no image."),
        ("warning", "images/train/bare.png", 0, "The image has no labels (there is no bare.txt)."),
    }
    assert all(f.remedy for f in report.findings)
    assert (report.images, report.errors, report.cancelled) == (6, 6, False)
    assert [f.severity for f in report.findings] == ["error"] * 6 + ["warning"] * 4


def test_labels_that_are_no_text(tmp_path):
    broken_yolo(tmp_path)
    (tmp_path / "labels" / "train" / "a.txt").write_bytes(b"\xff\xfe0 1")
    found = [f for f in check("yolo", tmp_path).findings if f.file.endswith("train/a.txt")]
    assert [(f.what, f.remedy) for f in found] == [("The label file is not text.", "Write it again.")]
    with pytest.raises(DataError, match="not text"):
        read_yolo(tmp_path)


def test_a_coco_file_with_everything_wrong(tmp_path):
    picture(tmp_path / "a.png", 30)
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}]
    boxes = [[5, 5, 10, 10], [5, 5, 0, 10], [70, 5, 10, 10], [50, 5, 20, 10], [1, 2], [1, 1, 2, 2], [1, 1, 2, 2]]
    notes = [{"id": i, "image_id": 1, "category_id": 1, "bbox": box} for i, box in enumerate(boxes)]
    notes[5]["category_id"] = 9
    notes[6]["image_id"] = [8]
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"images": images, "annotations": notes, "categories": [{"id": 1, "name": "cat"}]}))
    assert rows(check("coco", path), tmp_path) == {
        ("error", "train.json", 0, "Annotation 1 of a.png has no area (0 x 10 pixels)."),
        ("error", "train.json", 0, "Annotation 2 of a.png lies outside its image of 60 x 40."),
        ("warning", "train.json", 0, "Annotation 3 of a.png passes the border of its image by 10 pixels."),
        ("error", "train.json", 0, "Annotation 4 of a.png has the bbox [1, 2], not four numbers."),
        ("error", "train.json", 0, "Annotation 5 has category 9, which is not listed."),
        ("error", "train.json", 0, "Annotation 6 is for image [8], which is not listed."),
        ("error", "gone.png", 0, "The image is not there."),
        ("warning", "gone.png", 0, "The image has no labels (no annotation is for it)."),
    }
    images = [{"id": 1, "file_name": "a.png", "width": 30, "height": 20}]
    runs = {"size": [20, 30], "counts": [600]}
    notes = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "segmentation": runs}]
    path.write_text(json.dumps({"images": images, "annotations": notes, "categories": [{"id": 1, "name": "cat"}]}))
    assert rows(check("coco", path), tmp_path) == {
        ("warning", "train.json", 0, "a.png has 60 x 40 pixels, here it is said to have 30 x 20."),
        ("error", "train.json", 0, "The mask of annotation 1 of a.png is not of the image's 60 x 40 pixels."),
    }
    path.write_text('{"images": [],\n "annotations": ')
    assert [(f.line, f.what[:16]) for f in check("coco", path).findings] == [(2, "This is not JSON")]


def test_voc_and_class_folders(tmp_path):
    objects = voc_object("cat", (1, 1, 10, 20)) + voc_object("cat", (30, 1, 20, 20)) + voc_object("", (1, 1, 2, 2))
    root = write_voc(tmp_path / "voc", {"a": objects, "bb": "<broken>"}, {"train": ["a"], "val": ["bb"]})
    assert rows(check("voc", root), root) == {
        ("error", "Annotations/a.xml", 4, "The box of 'cat' has no area (-9 x 20 pixels)."),
        ("error", "Annotations/a.xml", 6, "The object has no name."),
        ("error", "Annotations/bb.xml", 2, "This is not XML: mismatched tag."),
    }
    for part, name in (("train", "cat"), ("train", "dog"), ("val", "cat"), ("val", "fox")):
        picture(tmp_path / "f" / part / name / "x.png", 10 + len(part + name) + ord(name[0]))
    (tmp_path / "f" / "train" / "dog" / "x.png").write_bytes(b"no image")
    assert rows(check("folder", tmp_path / "f"), tmp_path / "f") == {
        ("error", "train/dog/x.png", 0, "The image cannot be read."),
        ("error", "val/fox", 0, "The class 'fox' is not among those of the training part."),
    }


def test_it_can_be_cancelled_and_says_how_far_it_is(tmp_path):
    said = []
    report = check("yolo", broken_yolo(tmp_path), progress=lambda *at: said.append(at), cancelled=lambda: len(said) > 0)
    assert (said, report.cancelled, report.images) == ([(0, 6), (1, 6)], True, 1)


def test_a_cameras_note_is_said_and_findings_name_their_image(tmp_path):
    root = broken_yolo(tmp_path)
    path = root / "images" / "train" / "b.jpg"
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (60, 40), "teal").save(path, exif=turned)
    (root / "labels" / "train" / "b.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    report = check("yolo", root)
    assert [f.image for f in report.findings if "camera's note" in f.what] == [str(path)]
    wrong = next(f for f in report.findings if f.file.endswith("a.txt"))
    assert wrong.image == str(root / "images" / "train" / "a.png")
