"""`netwright data` on real folders."""

import json

from typer.testing import CliRunner

from designer.cli.app import app
from designer.graph.document import Document
from tests.data.test_check import broken_yolo


def run(*words):
    return CliRunner().invoke(app, ["data", *map(str, words)])


def test_check_of_a_folder_and_of_a_document(tmp_path):
    broken_yolo(tmp_path)
    shown = run("check", tmp_path)
    assert shown.exit_code == 1
    assert "6 images: 6 errors, 4 warnings" in shown.stdout
    facts = json.loads(run("check", tmp_path, "--json").stdout)
    assert json.loads(run("check", f"yolo:{tmp_path}", "--json").stdout) == facts
    assert (facts["kind"], facts["errors"], len(facts["findings"])) == ("yolo", 6, 10)
    for part in ("train", "val"):
        for path in (tmp_path / "images" / part).glob("[!v]*"):
            path.unlink()
    (tmp_path / "data.yaml").write_text("train: images/val\nnames: [cat, dog]\n")
    document = Document.new("d", None)
    document.set_data(kind="yolo", path=str(tmp_path))
    document.save(tmp_path / "d.netwright")
    good = run("check", tmp_path / "d.netwright")
    assert good.exit_code == 0, good.stdout
    assert "1 images: 0 errors, 1 warnings" in good.stdout  # the label of the removed image


def test_what_is_no_data_set(tmp_path):
    assert run("check", tmp_path).exit_code == 2
    assert run("check", tmp_path / "nowhere").exit_code == 2


def test_summary_at_the_models_size_and_stride(tmp_path):
    from designer.graph.templates import load_template

    document = load_template("quick-start")
    data = broken_yolo(tmp_path)
    (data / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.02 0.2\n")
    (data / "labels" / "train" / "b.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    document.set_data(kind="yolo", path=str(data))
    document.save(tmp_path / "d.netwright")
    facts = json.loads(run("summary", tmp_path / "d.netwright", "--json").stdout)
    assert facts["train"]["by_class"] == [2, 1]
    assert any("smallest stride of 8 pixels" in line for line in facts["remarks"])
    shown = run("summary", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "Objects by class" in shown.stdout
