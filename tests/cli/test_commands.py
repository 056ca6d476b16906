"""The commands as a user types them: real processes, exit codes, clear messages, nothing left behind by a mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from designer.graph.templates import load_template

NETWRIGHT = Path(sys.executable).parent / "netwright"


def run(*args: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "2", "COLUMNS": "120"}
    done = subprocess.run([NETWRIGHT, *map(str, args)], cwd=cwd, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture
def here(monkeypatch, capsys, tmp_path):
    """Runs a command in this process, which has imported torch already: for what is told, not for how it starts."""
    from designer.cli.app import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def command(*args, code=0):
        monkeypatch.setattr(sys, "argv", ["netwright", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.out + said.err
        assert "Traceback" not in said.out + said.err
        return said

    return command


def test_help_lists_every_command(tmp_path):
    said = run("--help", cwd=tmp_path).stdout
    for command in ("gui", "demo", "new", "templates", "components", "check", "summary", "train", "evaluate", "export"):
        assert f" {command} " in said


def test_new_check_summary_and_lists(tmp_path, here):
    run("new", "mine", "--template", "yolov8n", cwd=tmp_path)
    assert json.loads((tmp_path / "mine.netwright").read_text())["name"] == "mine"
    checked = json.loads(run("check", "mine.netwright", "--json", cwd=tmp_path).stdout)
    assert checked["ok"]
    facts = json.loads(here("summary", "mine.netwright", "--json").out)
    assert facts["totals"]["params"] == 3_157_200
    assert "3,157,200" in here("summary", "mine.netwright").out
    assert "Backbone › stage1 › c2f" in here("summary", "mine.netwright", "--parts").out
    assert "exists already" in here("new", "mine", code=2).err
    listed = json.loads(here("templates", "--json").out)
    assert {t["name"] for t in listed} >= {"quick-start", "resnet50"}
    found = json.loads(here("components", "squeeze", "--json").out)
    assert "attention.channel.squeeze_excite" in {c["id"] for c in found}
    assert "Did you mean post.nms?" in here("components", "post.nsm", code=2).err


@pytest.fixture
def quick(tmp_path):
    """The quick start, made small, as a file."""
    doc = load_template("quick-start")
    doc.set_training(epochs=1, batch=8)
    doc.set_data(train_images=16, val_images=8)
    doc.set_param(doc.data.nodes[0], "height", 64)
    doc.set_param(doc.data.nodes[0], "width", 64)
    return doc.save(tmp_path / "quick.netwright")


@pytest.mark.slow
def test_train_resume_evaluate_predict_export(tmp_path, quick):
    trained = json.loads(run("train", quick, "--json", cwd=tmp_path).stdout)
    folder = Path(trained["run"])
    assert trained["metrics"]["images"] == 8
    facts = json.loads(run("evaluate", folder, "--json", cwd=tmp_path).stdout)
    assert facts["map"] == pytest.approx(trained["metrics"]["map"], abs=1e-6)
    assert 0 < facts["speed"]["latency_p50_ms"] <= facts["speed"]["latency_p95_ms"]
    Image.new("RGB", (50, 80), "red").save(tmp_path / "photo.png")
    args = ("photo.png", "--json", "--threshold", "0", "--save-json", "coco.json")
    found = json.loads(run("predict", folder, *args, cwd=tmp_path).stdout)
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert coco["images"] == [{"id": 1, "file_name": "photo.png", "width": 50, "height": 80}]
    assert found[0]["image"] == "photo.png"
    assert Image.open(tmp_path / found[0]["drawn"]).size == (50, 80)
    assert "cannot be read" in run("predict", folder, quick, cwd=tmp_path, code=2).stderr
    report = json.loads(run("export", folder, "--to", "pytorch", "--out", "code", "--json", cwd=tmp_path).stdout)
    assert report["max_abs_diff"] == 0.0
    drawn = subprocess.run(
        [sys.executable, "predict.py", tmp_path / "photo.png"], cwd=tmp_path / "code", capture_output=True, text=True
    )
    assert drawn.returncode == 0, drawn.stderr
    said = run("train", "--resume", folder, cwd=tmp_path).stdout
    assert "resumed from step 2" in said


def edited(path: Path, name: str, change) -> Path:
    data = json.loads(path.read_text())
    change(data)
    target = path.with_name(name)
    target.write_text(json.dumps(data, indent=1))
    return target


def test_a_bad_document_is_refused(tmp_path, quick, here):
    cut = tmp_path / "cut.netwright"
    cut.write_text(quick.read_text()[:500])
    assert "ends in the middle" in here("train", cut, code=2).err

    newer = edited(quick, "newer.netwright", lambda d: d.update(version=7))
    assert "format version 7" in here("check", newer, code=2).err

    def loop(data):
        data["wires"].append({"id": "w9", "source": "n3", "source_port": "n3", "target": "n2", "target_port": "x"})
        data["wires"] = [w for w in data["wires"] if w["id"] != "w1"]

    assert "close a loop" in here("train", edited(quick, "loop.netwright", loop), code=2).err

    def odd(data):
        data["nodes"][0]["params"]["height"] = 72

    said = here("check", edited(quick, "odd.netwright", odd), code=2).out
    assert "Neck" in said
    assert not (tmp_path / "runs").exists()


def yolo(folder: Path, row: str = "0 0.5 0.5 0.2 0.2", names=("circle", "square", "triangle")) -> Path:
    """A YOLO folder with three images, the second of which is no image."""
    for part in ("train", "val"):
        (folder / "images" / part).mkdir(parents=True)
        (folder / "labels" / part).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (64, 48), (40 * i, 90, 200)).save(folder / "images" / part / f"{i}.png")
            (folder / "labels" / part / f"{i}.txt").write_text(f"{row}\n")
    (folder / "data.yaml").write_text(
        yaml.safe_dump({"train": "images/train", "val": "images/val", "names": list(names)})
    )
    return folder


@pytest.mark.parametrize(
    ("row", "names", "said"),
    [
        ("0 1.5 0.5 0.2 0.2", ("a", "b", "c"), "0.txt:1: 1.5 lies outside 0 to 1"),
        ("3 0.5 0.5 0.2 0.2", ("a", "b", "c"), "0.txt:1: Class 3 is beyond the 3 names"),
        ("0 0.5 0.5", ("a", "b", "c"), "0.txt:1: A row has class cx cy w h"),
        ("0 0.5 0.5 0.2 0.2", ("a", "b", "c", "d"), "Head tells 3 classes apart, the data has 4"),
    ],
)
def test_bad_data_is_refused(tmp_path, quick, row, names, said, here):
    folder = yolo(tmp_path / "data", row, names)
    err = here("train", quick, "--data", f"yolo:{folder}", code=2).err
    assert said in err
    assert ("netwright data check" in err) == (".txt:1" in said)
    assert not (tmp_path / "runs").exists()


def test_missing_data_and_a_batch_too_large_are_refused(tmp_path, quick, here):
    assert "no such file" in here("train", quick, "--data", "yolo:nowhere", code=2).err
    said = here("train", quick, "--batch", "60000", code=2).err
    assert "A batch of 60000 needs about" in said
    assert "Use a batch of" in said
    assert "no CUDA" in here("train", quick, "--device", "cuda:7", code=2).err or _has_gpu()
    assert not (tmp_path / "runs").exists()


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.mark.slow
def test_an_unreadable_image_is_named_skipped_and_counted(tmp_path, quick):
    folder = yolo(tmp_path / "data")
    (folder / "images" / "train" / "1.png").write_bytes(b"this is no picture")
    said = run("train", quick, "--data", f"yolo:{folder}", cwd=tmp_path).stdout
    assert "Skipped 1 image(s) that cannot be used" in said
    assert "1.png" in said


def test_without_a_display_gui_says_so(tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    process = subprocess.Popen([NETWRIGHT], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    process.kill()
    process.wait()
    assert first.startswith("No display found")


def test_diff_says_what_was_changed(tmp_path, quick):
    other = load_template("quick-start")
    other.set_training(epochs=3)
    other.save(tmp_path / "other.netwright")
    said = run("diff", quick, "other.netwright", cwd=tmp_path).stdout
    assert "Image: height 64 -> " in said
    assert "training: epochs 1 -> 3" in said
    found = json.loads(run("diff", quick, quick, "--json", cwd=tmp_path).stdout)
    assert found["equal"]
    assert found["differences"] == []


def ends_before_torch(commands, folder):
    """Runs each command line in one process: its exit code and whether torch was loaded by then, and what was said."""
    code = (
        "import sys\nfrom designer.cli.app import app\n"
        f"for words in {commands!r}:\n"
        "    try:\n        app(words.split())\n"
        "    except SystemExit as end:\n        print(end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr


def test_a_file_that_is_not_there_is_said_before_torch_is_loaded(tmp_path):
    names = ("check", "export", "summary", "train", "sweep run", "evaluate", "advise", "import")
    ends, said = ends_before_torch([f"{name} none.netwright" for name in names], tmp_path)
    assert ends == ["2 False"] * 8
    assert said.count("none.netwright: There is no such file.") == 8


def test_a_folder_that_is_no_run_is_said_before_torch_is_loaded(tmp_path):
    commands = ["evaluate .", "predict . a.png", "predict . a.mp4", "export . --to onnx"]
    ends, said = ends_before_torch(commands, tmp_path)
    assert ends == ["2 False"] * 4
    assert said.count("is no run folder") == 4
