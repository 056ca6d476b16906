"""Readers on real files: what they give, and each mistake named with file and line."""

import json

import pytest
import torch
from PIL import Image

from designer.data.coco import read_coco
from designer.data.dataset import load_dataset, make_loader
from designer.data.errors import DataError
from designer.data.folder import read_folder
from designer.data.items import collate_detection
from designer.data.readers import read_parts
from designer.data.transforms import letterbox
from designer.data.yolo import label_file, read_yolo
from designer.graph.training import DataSettings, TrainingSettings


def picture(path, size=(60, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 90)).save(path)
    return path


@pytest.fixture
def yolo(tmp_path):
    for part in ("train", "val"):
        picture(tmp_path / "images" / part / "a.jpg")
        (tmp_path / "labels" / part).mkdir(parents=True)
        (tmp_path / "labels" / part / "a.txt").write_text("1 0.5 0.5 0.5 0.25\n0 0 0 0.5 0 0.5 0.5\n\n")
    picture(tmp_path / "images" / "train" / "background.png")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n")
    return tmp_path


def test_yolo_boxes_and_polygons(yolo):
    train, val, names = read_yolo(yolo / "data.yaml")
    assert names == ["cat", "dog"]
    assert (len(train.records), len(val.records)) == (2, 1)
    assert train.records[0].labels == (1, 0)
    assert train.records[0].boxes == ((0.25, 0.375, 0.75, 0.625), (0.0, 0.0, 0.5, 0.5))
    assert train.records[1].boxes == ()  # no label file: background
    splits = load_dataset(
        DataSettings(kind="yolo", path=str(yolo)), (64, 64), "detect", TrainingSettings(flip=0, jitter=0)
    )
    item = splits.val[0]
    # 60 x 40 into 64 x 64: scale 64/60, bars of 10 above and below (43 rows of picture).
    assert item.fit[:3] == (pytest.approx(64 / 60), 0, 10)
    assert item.boxes[0].tolist() == pytest.approx([16, 26, 48, 36 + 2 / 3], abs=1e-3)
    assert torch.allclose(item.fit.undo(item.boxes), item.true_boxes, atol=1e-3)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0 0.5 0.5 1.2 0.2", "1.2 lies outside 0 to 1"),
        ("2 0.5 0.5 0.2 0.2", "Class 2 is beyond the 2 names (0 to 1)"),
        ("0 0.5 0.5 0.2", "A row has class cx cy w h"),
        ("cat 0.5 0.5 0.2 0.2", "is no row of numbers"),
        ("0.5 0.5 0.5 0.2 0.2", "The class is 0.5, not a whole number"),
    ],
)
def test_yolo_labels_are_checked(yolo, row, said):
    path = yolo / "labels" / "train" / "a.txt"
    path.write_text(f"0 0.5 0.5 0.2 0.2\n{row}\n")
    with pytest.raises(DataError) as caught:
        read_yolo(yolo)
    assert f"{path}:2: " in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: [", "not plain YAML"),
        ("!!python/object/apply:os.system [echo]", "not plain YAML"),
        ("train: images/train\n", "names is missing"),
        ("train: images/train\nnc: 3\nnames: [a, b]\n", "nc is 3, and names has 2 entries"),
        ("train: nowhere\nnames: [a, b]\n", "neither a folder nor a list"),
        ("names: [a, b]\n", "train is missing"),
    ],
)
def test_yolo_yaml_is_checked(yolo, text, said):
    (yolo / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=said):
        read_yolo(yolo)


def test_yolo_without_a_validation_part_holds_a_tenth_out(yolo):
    for i in range(20):
        picture(yolo / "images" / "train" / f"more{i}.png", (8, 8))
    (yolo / "data.yaml").write_text("train: images/train\nnames: [cat, dog]\n")
    train, val, _ = read_yolo(yolo)
    assert (len(train.records), len(val.records)) == (20, 2)
    assert "held out" in train.notes[0]
    assert read_yolo(yolo)[1].records == val.records  # the same for the same seed


def test_label_file_swaps_the_last_images_folder(tmp_path):
    assert (
        label_file(tmp_path / "images" / "set" / "images" / "a.jpg") == tmp_path / "images" / "set" / "labels" / "a.txt"
    )


@pytest.fixture
def coco(tmp_path):
    picture(tmp_path / "train2017" / "a.jpg")
    picture(tmp_path / "val2017" / "b.jpg")
    for part, name in (("train", "a.jpg"), ("val", "b.jpg")):
        content = {
            "images": [{"id": 7, "file_name": name, "width": 60, "height": 40}],
            "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}],
            "annotations": [
                {"id": 1, "image_id": 7, "category_id": 90, "bbox": [10, 5, 20, 10], "iscrowd": 0},
                {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 0, 10], "iscrowd": 0},
                {"id": 3, "image_id": 7, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
            ],
        }
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(content))
    return tmp_path


def test_coco(coco):
    train, val, names = read_coco(coco)
    assert names == ["cat", "dog"]  # in the order of their ids
    assert train.records[0].boxes == ((10, 5, 30, 15),)
    assert train.records[0].labels == (1,)
    assert train.records[0].path == coco / "train2017" / "a.jpg"
    assert val.records[0].path == coco / "val2017" / "b.jpg"
    assert "annotation 2 has no area" in train.notes[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["annotations"][0].update(category_id=5), "Annotation 1 has category 5, which is not listed"),
        (lambda c: c["annotations"][0].update(image_id=5), "Annotation 1 is for image 5"),
        (lambda c: c["annotations"][0].update(image_id=[5]), r"Annotation 1 is for image \[5\]"),
        (lambda c: c["annotations"][0].pop("bbox"), "Annotation 1 has the bbox null, not four numbers"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, "3", 4]), "not four numbers"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, float("nan"), 4]), "is not a finite number"),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2, "3", 4, 5, 6]]), "segmentation of annotation 1"),
        (lambda c: c["annotations"].append("none"), "annotations is not a list of objects"),
        (lambda c: c["images"][0].pop("id"), "images is not a list of objects with an id"),
        (lambda c: c["images"][0].pop("file_name"), "Image 7 has no file_name"),
        (lambda c: c["categories"][1].pop("name"), "Category 3 has no name"),
        (lambda c: c.pop("categories"), "categories is missing"),
        (lambda c: c["images"][0].update(file_name="none.jpg"), "The image 'none.jpg' is in none of"),
    ],
)
def test_coco_is_checked(coco, change, said):
    path = coco / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=said) as caught:
        read_coco(coco)
    assert str(path) in str(caught.value)


def test_coco_that_is_not_json(coco):
    (coco / "annotations" / "instances_train2017.json").write_text('{"images": [\n oops')
    with pytest.raises(DataError, match=r"train2017\.json:2: This is not JSON"):
        read_coco(coco)


def test_class_folders(tmp_path):
    for name in ("b", "a"):
        for i in range(5):
            picture(tmp_path / name / f"{i}.png", (8, 8))
    train, val, names = read_folder(tmp_path)
    assert names == ["a", "b"]
    assert (len(train.records), len(val.records)) == (9, 1)
    settings = DataSettings(kind="folder", path=str(tmp_path), val_share=0.4)
    train, val, _ = read_parts(settings)
    assert (len(train.records), len(val.records)) == (6, 4)
    for part in ("train", "test"):
        picture(tmp_path / "split" / part / "x" / "0.png")
    train, val, names = read_folder(tmp_path / "split")
    assert (names, len(train.records), len(val.records)) == (["x"], 1, 1)
    picture(tmp_path / "split" / "test" / "y" / "0.png")
    with pytest.raises(DataError, match="Class 'y' is not among the training classes"):
        read_folder(tmp_path / "split")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no sub-folders"):
        read_folder(tmp_path / "empty")


def test_the_wrong_kind_and_no_choice_are_said(yolo):
    with pytest.raises(DataError, match="yolo data cannot train a model whose head does classify"):
        load_dataset(DataSettings(kind="yolo", path=str(yolo)), (64, 64), "classify")
    with pytest.raises(DataError, match="No data set is chosen"):
        load_dataset(DataSettings(kind="coco"), (64, 64), "detect")


def test_boxes_at_the_border_are_learnt(yolo):
    """Rounding puts corners a hair outside; a box that passes the border is cut there, one without area left out."""
    rows = "1 0.1 0.5 0.20001 0.2\n0 0.95 0.5 0.2 0.3\n0 0.5 0.5 0 0.3\n"
    for part in ("train", "val"):
        (yolo / "labels" / part / "a.txt").write_text("\ufeff" + rows, encoding="utf-8")
    options = DataSettings(kind="yolo", path=str(yolo))
    splits = load_dataset(options, (60, 60), "detect", TrainingSettings(flip=0, jitter=0))
    for item in (splits.train[0], splits.val[0]):
        assert item.labels.tolist() == [1, 0]
        assert item.boxes[:, 0].tolist() == pytest.approx([0, 51])
        assert item.boxes[:, 2].tolist() == pytest.approx([12, 60], abs=0.001)
        assert item.boxes[:, 2].max() <= 60


def test_unreadable_images_are_skipped_and_named(yolo):
    (yolo / "images" / "train" / "a.jpg").write_bytes(b"no picture")
    splits = load_dataset(DataSettings(kind="yolo", path=str(yolo)), (64, 64), "detect")
    batch = collate_detection([splits.train[0], splits.train[1]])
    assert batch.images.shape == (1, 3, 64, 64)
    assert batch.skipped == [str(yolo / "images" / "train" / "a.jpg")]
    nothing = collate_detection([splits.train[0]])
    assert nothing.items == []


def test_shapes_are_seeded_disjoint_and_exact():
    options = DataSettings(train_images=6, val_images=6, classes=6)
    one, two = (load_dataset(options, (96, 64), "detect", TrainingSettings(flip=0, jitter=0)) for _ in range(2))
    for i in range(6):
        a, b = one.train[i], two.train[i]
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.boxes, b.boxes)
        assert a.image.shape == (3, 96, 64)
        assert not torch.equal(a.image, one.val[i].image)
        assert (a.boxes[:, :2] >= 0).all()
        assert (a.boxes[:, 2] <= 64).all()
        assert (a.boxes[:, 3] <= 96).all()
        assert len(a.boxes) == len(a.labels) >= 1
    other = load_dataset(options, (96, 64), "detect", TrainingSettings(seed=1))
    assert not torch.equal(other.val[0].image, one.val[0].image)


def test_flip_moves_the_boxes_along():
    settings = DataSettings(train_images=4)
    plain = load_dataset(settings, (64, 64), "detect", TrainingSettings(flip=0, jitter=0)).train
    flipped = load_dataset(settings, (64, 64), "detect", TrainingSettings(flip=1, jitter=0)).train
    for i in range(4):
        a, b = plain[i], flipped[i]
        assert torch.equal(a.image.flip(-1), b.image)
        assert torch.allclose(64 - a.boxes[:, [2, 0]], b.boxes[:, [0, 2]])


def test_letterbox_by_hand():
    image = torch.full((3, 10, 20), 7, dtype=torch.uint8)
    boxes = torch.tensor([[0.0, 0, 20, 10]])
    fitted, moved, fit = letterbox(image, boxes, (40, 40))
    assert fitted.shape == (3, 40, 40)
    assert moved.tolist() == [[0, 10, 40, 30]]
    assert fitted[0, 0, 0] == 114
    assert fitted[0, 20, 20] == 7
    assert fit.undo(moved).tolist() == boxes.tolist()


def test_loaders_repeat_for_the_same_seed():
    data = load_dataset(DataSettings(train_images=12), (32, 32), "detect").train
    orders = []
    for _ in range(2):
        torch.manual_seed(0)
        loader = make_loader(data, "detect", 4, shuffle=True, seed=3)
        orders.append([item.name for batch in loader for item in batch.items])
    assert orders[0] == orders[1] != sorted(orders[0])
