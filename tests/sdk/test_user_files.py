"""A user's own component: nothing of it runs before it is trusted, then it is a component like any other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from designer.engine.propagate import propagate
from designer.export import export_pytorch
from designer.graph import Document
from designer.ui.user_components import EXAMPLE
from nodes.sdk import user_files
from nodes.sdk.discover import Registry, library


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "components"
    place.mkdir()
    monkeypatch.setenv("NETWRIGHT_COMPONENTS", str(place))
    monkeypatch.setattr(user_files.platformdirs, "user_config_dir", lambda name: str(tmp_path / "config"))
    yield place
    for file in place.glob("*.py"):
        file.unlink()
    library().sync_user_files()


def states() -> dict[str, str]:
    return {f.path.name: f.state for f in user_files.user_files()}


def test_code_runs_only_once_trusted_and_again_after_each_change(folder, tmp_path):
    ran = tmp_path / "ran"
    file = folder / "mine.py"
    file.write_text(f"open({str(ran)!r}, 'a').write('x')\n{EXAMPLE}")
    registry = Registry()
    registry.sync_user_files()
    assert states() == {"mine.py": "new"}
    assert not ran.exists()
    assert not registry.declared
    user_files.trust(file)
    registry.sync_user_files()
    registry.sync_user_files()
    assert ran.read_text() == "x"
    assert [p.name for p in registry.spec("mine.scaled_conv").settings] == ["out_channels", "scale"]
    file.write_text(EXAMPLE.replace("ScaledConv", "OtherConv"))
    registry.sync_user_files()
    assert states() == {"mine.py": "changed"}
    assert not registry.declared
    user_files.trust(file)
    registry.sync_user_files()
    assert list(registry.catalogue) == ["mine.other_conv"]
    user_files.distrust(file)
    registry.sync_user_files()
    assert not registry.declared
    assert states() == {"mine.py": "new"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("import nowhere_to_be_found\n", 1, "No module named 'nowhere_to_be_found'"),
        ("x = (\n", 1, "'(' was never closed"),
        (EXAMPLE.replace('x: Float[Tensor, "B C H W"]', "x"), 11, "x has no annotation. An input is written"),
        (EXAMPLE.replace('Dim("C")', 'Dim("Q")'), 11, "in_channels is Dim('Q'), but no input has that letter"),
    ],
)
def test_what_is_broken_is_named_with_file_line_and_reason(folder, text, line, said):
    file = folder / "broken.py"
    file.write_text(text)
    user_files.trust(file)
    registry = Registry()
    registry.sync_user_files()
    (broken,) = registry.broken
    assert broken.file == str(file)
    assert broken.line == line
    assert said in broken.message


def test_a_damaged_list_trusts_nothing(folder, tmp_path):
    file = folder / "mine.py"
    file.write_text(EXAMPLE)
    user_files.trust(file)
    (tmp_path / "config" / "trusted.json").write_text("{")
    assert states() == {"mine.py": "new"}


def test_the_documented_example_is_the_one_that_the_window_writes():
    page = (Path(__file__).parents[2] / "docs" / "write-a-component.md").read_text(encoding="utf-8")
    shown = page.partition("```python\n")[2].partition("```")[0]
    written = EXAMPLE.partition("\n\n")[2].replace(', aliases=("example",)', "")
    assert shown == written


def test_the_example_is_drawn_propagated_and_exported_to_run_alone(folder, tmp_path):
    (folder / "example.py").write_text(EXAMPLE)
    user_files.trust(folder / "example.py")
    library().sync_user_files()
    doc = Document.new("Mine", library().catalogue)
    image = doc.add("io.image_input", height=32, width=32)
    node = doc.add("mine.scaled_conv", title="Scaled", out_channels=8, scale=2.0)
    doc.connect(image, node)
    result = propagate(doc.data)
    assert not result.errors
    assert result.nodes[node.id].params == 3 * 8 * 9 + 8
    report = export_pytorch(doc.data, tmp_path / "out")
    assert report.max_abs_diff == 0.0
    assert "layers/user_example.py" in report.files
    code = "import json, torch, model; print(json.dumps(list(model.load()(torch.rand(1, 3, 32, 32)).shape)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True)
    assert json.loads(done.stdout) == [1, 8, 32, 32], done.stderr
