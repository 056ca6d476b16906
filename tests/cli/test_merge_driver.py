"""Documents under git: the driver is installed, real branches merge, conflicts are said and leave a file that opens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from designer.graph.document import Document
from designer.graph.storage import read

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shell(tmp_path):
    """Runs a command in an empty folder whose git knows nobody else's settings."""
    identity = {f"GIT_{who}_{what}": "tester" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {**os.environ, **identity, "PYTHONPATH": str(ROOT), "GIT_CONFIG_GLOBAL": os.devnull, "COLUMNS": "200"}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])

    def run(*args, code=0):
        done = subprocess.run(args, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_branches_of_a_document_merge(tmp_path, shell):
    file = tmp_path / "net.netwright"
    document = Document.new("Net")
    image = document.add("io.image_input", title="Image", height=64, width=64)
    stem = document.add("stem.conv_stem", title="Stem", out_channels=16, activation="silu")
    document.connect(image, stem, "out", "x")
    document.save(file)
    shell("git", "init", "-q", "-b", "main")
    said = shell("netwright", "merge-driver", "--install")
    assert "Wrote to" in said
    assert "merge.netwright.driver" in said
    assert "already" in shell("netwright", "merge-driver", "--install")
    assert (tmp_path / ".gitattributes").read_text() == "*.netwright merge=netwright diff=netwright\n"
    shell("git", "add", ".")
    shell("git", "commit", "-qm", "base")

    shell("git", "checkout", "-qb", "other")
    document.set_param(stem, "activation", "relu")
    document.connect(stem, document.add("pooling.max_pool", title="Pool"), "out", "x")
    document.save()
    assert "+    activation: relu" in shell("git", "diff")
    shell("git", "commit", "-qam", "their edit")

    shell("git", "checkout", "-q", "main")
    document = Document.load(file)
    document.set_param("n2", "out_channels", 32)
    document.connect("n2", document.add("attention.cbam", title="CBAM"), "out", "x")
    document.save()
    shell("git", "commit", "-qam", "our edit")
    shell("git", "merge", "-q", "--no-edit", "other")
    merged = read(file)
    assert merged.node("n2").params == {"out_channels": 32, "activation": "relu"}
    assert {n.title for n in merged.nodes} == {"Image", "Stem", "Pool", "CBAM"}

    shell("git", "checkout", "-qb", "again")
    document = Document.load(file)
    document.set_param("n2", "out_channels", 48)
    document.save()
    shell("git", "commit", "-qam", "48")
    shell("git", "checkout", "-q", "main")
    document.set_param("n2", "out_channels", 64)
    document.save()
    shell("git", "commit", "-qam", "64")
    said = shell("git", "merge", "again", code=1)
    assert "net.netwright: merged, but for 1 conflict(s), where ours was kept" in said
    assert "Stem, out_channels: 64 in ours, 48 in theirs" in said
    assert read(file).node("n2").params["out_channels"] == 64
    assert shell("git", "status", "--porcelain") == "UU net.netwright\n"


def test_a_side_that_is_no_document_leaves_ours_alone(tmp_path, shell):
    document = Document.new("Net")
    ours, base = (document.save(tmp_path / f"{name}.netwright") for name in ("ours", "base"))
    before = ours.read_bytes()
    (tmp_path / "theirs").write_text('{"version": 1,\n<<<<<<< HEAD\n')
    said = shell("netwright", "merge-driver", base, ours, "theirs", "--path", "models/net.netwright", code=1)
    assert "models/net.netwright was not merged" in said
    assert "Your own version was kept" in said
    assert ours.read_bytes() == before
    assert "Three files are needed" in shell("netwright", "merge-driver", base, code=2)
    assert "Run this inside a git repository" in shell("netwright", "merge-driver", "--install", code=2)
