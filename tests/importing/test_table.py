"""Model tables as documents: published totals to the unit, what is not here kept, bad files refused in words."""

from pathlib import Path

import pytest

from designer.engine.propagate import propagate
from designer.graph.model import GraphData
from designer.importing import ImportFailed, import_table, read_table
from tests.nodes.test_reference import ROWS

TABLES = Path(__file__).with_name("data")


def table_of(text, tmp_path, name="mine.yaml"):
    (tmp_path / name).write_text(text)
    return read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("file", "scale", "name"),
    [
        ("yolov3", "", "yolov3"), ("yolov3-spp", "", "yolov3-spp"), ("yolov5", "n", "yolov5n"),
        ("yolov5", "s", "yolov5s"), ("yolov5", "m", "yolov5m"), ("yolov5", "l", "yolov5l"), ("yolov6", "n", "yolov6n"),
        ("yolov6", "s", "yolov6s"), ("yolov8", "n", "yolov8n"), ("yolov8", "s", "yolov8s"), ("yolov8", "m", "yolov8m"),
        ("yolov8", "l", "yolov8l"), ("yolov8-p2", "n", "yolov8n-p2"), ("yolov8-seg", "n", "yolov8n-seg"),
        ("yolov8-seg", "s", "yolov8s-seg"), ("yolov8-cls", "n", "yolov8n-cls"), ("yolov9t", "", "yolov9t"),
        ("yolov9c", "", "yolov9c"), ("yolov10", "n", "yolov10n"), ("yolo11", "n", "yolo11n"),
        ("yolo11", "s", "yolo11s"), ("yolo11", "m", "yolo11m"), ("yolo11-seg", "n", "yolo11n-seg"),
        ("rtdetr-l", "", "rtdetr-l"), ("rtdetr-x", "", "rtdetr-x"), ("rtdetr-resnet50", "", "rtdetr-resnet50"),
        ("yolov8-rtdetr", "n", "yolov8n-rtdetr"),
    ],
)  # fmt: skip
def test_totals_are_the_published_ones(file, scale, name):
    row = ROWS["ultralytics", f"{name}.yaml"]
    found = import_table(read_table(TABLES / f"{file}.yaml", scale), size=int(row["input"].rpartition("x")[2]))
    result = propagate(found.document.data)
    assert not result.errors
    assert result.totals["params"] == int(row["params"])
    network = [n.id for n in found.document.data.nodes if not n.component.startswith("post.")]
    macs = sum(result.nodes[node].macs for node in network)
    if file != "yolov10":  # the row counts both of its heads, of which one runs here
        assert macs / 1e9 == pytest.approx(float(row["gmacs"]), rel=5e-3)
    assert (found.notes, found.placeholders) == ([], [])


def test_the_scale_follows_from_the_name(tmp_path):
    text = (TABLES / "yolov8.yaml").read_text()
    assert table_of(text, tmp_path, "yolov8s.yaml").width == 0.5
    assert table_of(text, tmp_path, "yolov8m-mine.yaml").scale == "m"
    assert "--scale takes another" in table_of(text, tmp_path, "mine.yaml").notes[0]
    with pytest.raises(ImportFailed, match=r"no scale 'q'\. Choose one of n, s, m, l, x"):
        read_table(TABLES / "yolov8.yaml", "q")


def test_nodes_lie_side_by_side_and_save(tmp_path, catalogue):
    document = import_table(read_table(TABLES / "yolov8.yaml", "n")).document
    assert len({(n.x, n.y) for n in document.data.nodes}) == len(document.data.nodes)
    places = {n.id: n.x for n in document.data.nodes}
    assert all(places[w.source] < places[w.target] for w in document.data.wires)
    assert not document.can_undo
    document.save(tmp_path / "a.netwright")
    assert type(document).load(tmp_path / "a.netwright", catalogue).data == document.data


def test_anchors_make_an_anchor_head(tmp_path):
    text = (TABLES / "yolov5.yaml").read_text().replace("nc: 80\n", (
        "nc: 4\nanchors:\n  - [10, 13, 16, 30]\n  - [30, 61, 62, 45]\n  - [116, 90, 156, 198]\n"
    ))  # fmt: skip
    document = import_table(table_of(text.replace("Detect, [nc]", "Detect, [nc, anchors]"), tmp_path)).document
    head = next(n for n in document.data.nodes if n.component == "head.yolov5_head")
    assert head.params["anchors"] == [10, 13, 16, 30, 30, 61, 62, 45, 116, 90, 156, 198]
    assert head.params["num_classes"] == 4
    assert not propagate(document.data).errors


def test_what_is_not_here_is_kept(tmp_path):
    text = "nc: 3\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\n  - [-1, 2, MyBlock, [32, True, nearest]]\n"
    found = import_table(table_of(text + "head:\n  - [-1, 1, Conv, [64, 1, 1]]\n", tmp_path))
    assert found.placeholders == ["MyBlock 1"]
    assert "MyBlock (row 1) is no component here" in found.notes[0]
    node = next(n for n in found.document.data.nodes if n.component == "imported.myblock")
    assert node.params == {"args": [32, True, "nearest"], "repeats": 2}
    assert "[[0], 2, MyBlock, [32, True, 'nearest']]" in node.note
    assert [p.code for p in propagate(found.document.data).errors] == ["unknown_component"]
    assert len(found.document.data.wires) == 3
    assert GraphData.model_validate(found.document.data.model_dump(mode="json")) == found.document.data


GOOD = "nc: 3\nbackbone:\n  - [-1, 1, Conv, [16, 3, 2]]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backbone: 3\n", "no `backbone` list"),
        ("- 1\n", "no `backbone` list"),
        ("backbone: [\n", "line 2: this is not YAML"),
        ("backbone: !!python/object/apply:os.system ['touch owned']\n", "line 1: a tag .* was refused"),
        ("nc: many\nbackbone:\n  - [-1, 1, Conv, [16]]\n", "`nc` is 'many'; a number above 0"),
        (GOOD + "  - [-1, 1, Conv]\n", r"row 1 is \[-1, 1, 'Conv'\]: a row is \[from, repeats, module, args\]"),
        (GOOD + "  - [5, 1, Conv, [16]]\n", "row 1 .* takes layer 5, but only layers before it"),
        (GOOD + "  - [-9, 1, Conv, [16]]\n", "row 1 .* takes layer -9"),
        (GOOD + "  - [-1, many, Conv, [16]]\n", "row 1 .*`repeats` is a whole number"),
        (GOOD + "  - [-1, 100000, Conv, [16]]\n", "row 1 .*`repeats` is a whole number"),
        (GOOD + "  - [-1, 1, 'os.system(1)', [16]]\n", "row 1 .*`module` is a name"),
        (GOOD + "  - [-1, 1, Conv, &a [*a]]\n", "row 1 .*an argument is a number, a word or a short list"),
        (GOOD + "  - [-1, 1, Conv, [wide]]\n", r"row 1.*argument 1 of Conv must be a whole number, got 'wide'"),
        (GOOD + "scales: {n: [1, 2]}\n", r"scale n is \[1, 2\]; \[depth, width, most channels\]"),
        (GOOD + "anchors: [[a]]\n", "`anchors` is"),
        (GOOD + "head: []\nextra: &x [*x]\n", ""),
    ],
)
def test_bad_tables_are_refused_in_words(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if not said:
        import_table(table_of(text, tmp_path))
        return
    with pytest.raises(ImportFailed, match=said):
        import_table(table_of(text, tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.yaml"]


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ImportFailed, match="not text"):
        read_table(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("#" * (2**20 + 1))
    with pytest.raises(ImportFailed, match="larger than 1 MB"):
        read_table(tmp_path / "b.yaml")
    with pytest.raises(ImportFailed, match="no such file"):
        read_table(tmp_path / "c.yaml")
