"""The engine as the window uses it: a real process at the end of real pipes."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from designer.engine.client import EngineClient, EngineError
from designer.engine.process import COMMAND
from designer.graph import Document
from designer.graph.templates import load_template
from nodes.sdk.discover import library
from tests.engine.documents import new

ROOT = Path(__file__).parent.parent.parent


class Window:
    """What the window is to the engine: someone who collects messages."""

    def __init__(self, **options: Any) -> None:
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.exits: list[int] = []
        self.client = EngineClient(self.messages.put, self.exits.append, **options)

    def until(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 60) -> list[dict[str, Any]]:
        """Messages up to and including the wanted one."""
        seen: list[dict[str, Any]] = []
        end = time.monotonic() + seconds
        while True:
            seen.append(self.messages.get(timeout=max(0.01, end - time.monotonic())))
            if wanted(seen[-1]):
                return seen

    def answer(self, request: int) -> dict[str, Any]:
        return self.until(lambda m: m.get("id") == request and "event" not in m)[-1]


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Installs tests/engine/components.py for child processes as somebody's package with the entry point."""
    package = tmp_path_factory.mktemp("installed")
    info = package / "misbehaving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[netwright.nodes]\nmisbehaving = misbehaving\n")
    (package / "misbehaving.py").write_text((Path(__file__).parent / "components.py").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(package))
        yield


@pytest.fixture
def window() -> Iterator[Window]:
    """A window with an engine of its own, to be ended."""
    made = Window()
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def _lasting(plugin: None) -> Iterator[Window]:
    made = Window()
    yield made
    made.client.close()


@pytest.fixture
def shared(_lasting: Window) -> Window:
    """A window whose engine lives through several tests, because a start takes seconds."""
    while not _lasting.messages.empty():
        _lasting.messages.get()
    _lasting.exits.clear()
    return _lasting


def asked(document: Document, **more: Any) -> dict[str, Any]:
    return {"document": document.data.model_dump(mode="json"), **more}


def with_test_component(name: str, **params: Any) -> Document:
    """Image, a component of the plugin that this process does not know, and a convolution behind it."""
    document, image = new(32, 32)
    document.catalogue = None
    node = document.add(f"test.{name}", title=name, **params)
    document.connect(image, node, "out", "x")
    return document


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")  # where there is no /proc, nobody waits for a zombie either
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int, seconds: float = 6) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_ready_then_catalogue_shapes_inside_and_templates(window):
    ready = window.until(lambda m: m.get("event") == "ready")[-1]
    assert set(ready) >= {"version", "torch", "device", "seconds"}
    client = window.client
    assert {c["id"] for c in client.call("catalogue")["components"]} > set(library().catalogue)
    document = load_template("yolov8n", library().catalogue)
    result = client.call("propagate", asked(document))
    assert result["totals"]["params"] == 3_157_200
    backbone = next(n for n in document.data.nodes if n.component == "backbone.csp_darknet")
    assert result["nodes"][backbone.id]["outputs"]["p3"]["shape"] == [1, 64, 80, 80]
    assert client.call("propagate", asked(document))["ran"] == 0
    inside = client.call("expand", asked(document, node=backbone.id))
    assert [n["name"] for n in inside["nodes"]] == ["stem", "stage1", "stage2", "stage3", "stage4", "sppf"]
    assert inside["outputs"]["p5"] == ["sppf", "out"]
    assert inside["wires"][0] == {"source": "", "source_port": "x", "target": "stem", "target_port": "x"}
    parts = client.call("parts", asked(document))[backbone.id]
    assert [p["path"] for p in parts[:3]] == [["stem"], ["stage1", "down"], ["stage1", "c2f"]]
    for figure in ("params", "deployed", "macs", "activation_bytes"):
        assert sum(p[figure] for p in parts) == result["nodes"][backbone.id][figure]
    assert "quick-start" in [t["name"] for t in client.call("templates")]


def test_mistakes_in_requests_are_answered_in_words(shared):
    client, (document, _) = shared.client, new(32, 32)
    for method, params, kind, text in (
        ("nonsense", {}, "protocol", "There is no method 'nonsense'. There are: catalogue"),
        ("propagate", {}, "protocol", "missing a required argument: 'document'"),
        ("propagate", {"document": {"nodes": [{}]}}, "protocol", "nodes.0.id: Field required"),
        ("expand", asked(document, node="n1"), "NetwrightError", "Image is no composite"),
        ("expand", asked(document, node="n9"), "NetwrightError", "no node 'n9'"),
        ("export_onnx", asked(document, path="x.onnx"), "GraphError", "has no layers"),
    ):
        with pytest.raises(EngineError) as caught:
            client.call(method, params)
        assert caught.value.kind == kind
        assert text in str(caught.value)
    assert client.call("propagate", asked(document))["totals"]["params"] == 0
    assert not shared.exits


def test_lines_that_are_no_requests_and_very_long_ones():
    document, _ = new(32, 32)
    document.data.nodes[0].note = "x" * 3_000_000
    lines = [
        b"not json",
        b"[1, 2]",
        b'"text"',
        b'{"method": "templates"}',
        b'{"id": true, "method": "templates"}',
        b'{"id": 1, "method": 5}',
        b'{"id": 1, "method": "templates", "params": 3}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"",
        json.dumps({"id": 2, "method": "propagate", "params": asked(document)}).encode(),
        b'{"id": 3, "method": "shutdown"}',
    ]
    done = subprocess.run(COMMAND, input=b"\n".join(lines) + b"\n", capture_output=True, timeout=60)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    refused = [a for a in answers if a.get("id", 0) is None]
    assert len(refused) == 9
    assert all(a["error"]["kind"] == "protocol" for a in refused)
    assert answers[-2]["result"]["nodes"]["n1"]["status"] == "ok"
    assert answers[-1] == {"id": 3, "result": True}
    assert done.returncode == 0


def test_shapes_are_answered_while_a_model_is_exported(shared, tmp_path):
    document = load_template("quick-start", library().catalogue)
    client = shared.client
    client.call("propagate", asked(document))
    slow = client.request("export_pytorch", asked(document, path=str(tmp_path / "out")))
    shared.until(lambda m: m.get("event") == "progress" and m["id"] == slow)
    quick = client.request("propagate", asked(document))
    seen = shared.until(lambda m: m.get("id") == slow and "event" not in m, 120)
    assert quick in [m.get("id") for m in seen]
    assert "result" in seen[-1], seen[-1]


def test_a_newer_propagate_cancels_older_ones(shared, tmp_path):
    log = tmp_path / "log"
    client = shared.client
    client.call("catalogue")
    slow = with_test_component("slow", seconds=0.3, file=str(log))
    start = slow.data.nodes[1]
    for number in range(5):
        node = slow.add("test.slow", title=f"slow {number}", seconds=0.31 + number / 100, file=str(log))
        slow.connect(start, node, "out", "x")
        start = node
    first = client.request("propagate", asked(slow))
    while not log.exists():
        time.sleep(0.01)
    second, third = (client.request("propagate", asked(new(32, 32)[0])) for _ in range(2))
    assert shared.answer(first) == {"id": first, "cancelled": True}
    assert shared.answer(second) == {"id": second, "cancelled": True}
    assert "result" in shared.answer(third)
    assert log.read_text().count("run") == 1  # the other five nodes were not begun
    # What was done before the cancellation is not done again.
    client.call("propagate", asked(slow))
    assert log.read_text().count("run") == 6


def test_cancel_by_id(shared, tmp_path):
    log = tmp_path / "log"
    document = with_test_component("slow", seconds=0.5, file=str(log))
    request = shared.client.request("propagate", asked(document))
    while not log.exists():
        time.sleep(0.01)
    shared.client.cancel(request)
    assert shared.answer(request) == {"id": request, "cancelled": True}
    with pytest.raises(EngineError, match=r"did not answer 'propagate' within 0\.2 s"):
        shared.client.call("propagate", asked(with_test_component("slow", seconds=0.7)), timeout=0.2)


def test_what_a_component_prints_does_not_reach_the_protocol(window, capfd):
    result = window.client.call("propagate", asked(with_test_component("chatty")))
    assert result["nodes"]["n2"]["status"] == "ok"
    assert window.client.call("templates")
    window.client.close()
    assert "from print" not in str(list(window.messages.queue))
    said = capfd.readouterr().err
    assert all(f"from {road}" in said for road in ("print", "the descriptor", "a child"))


def test_sys_exit_in_a_component_ends_nothing(shared):
    result = shared.client.call("propagate", asked(with_test_component("quits")))
    assert result["problems"][0]["detail"] == "SystemExit: 3"
    assert not shared.exits


def test_killed_and_asked_again(window, tmp_path):
    log = tmp_path / "log"
    client = window.client
    slow = with_test_component("slow", seconds=0.6, file=str(log))
    older = client.request("propagate", asked(new(32, 32)[0]))
    window.answer(older)
    request = client.request("propagate", asked(slow))
    listing = client.request("templates")
    while not log.exists():
        time.sleep(0.01)
    first = client.pid
    os.kill(first, signal.SIGKILL)
    seen = window.until(lambda m: m.get("id") == request and "event" not in m)
    assert "result" in seen[-1]
    assert [m["event"] for m in seen if "event" in m] == ["ready"]
    ids = [m["id"] for m in [*seen, *list(window.messages.queue)] if "event" not in m]
    while listing not in ids:
        ids.append(window.messages.get(timeout=10).get("id"))
    assert window.exits == [-signal.SIGKILL]
    assert client.pid != first
    assert log.read_text().count("run") == 2


@pytest.mark.slow
def test_a_request_that_kills_the_engine_is_given_up_and_the_engine_is_not(window):
    document = with_test_component("deadly")
    started = time.monotonic()
    text = r"ended 3 times \(killed by SIGKILL\) while it worked on 'propagate'"
    with pytest.raises(EngineError, match=text) as caught:
        window.client.call("propagate", asked(document))
    assert caught.value.kind == "dead"
    assert len(window.exits) == 3
    assert time.monotonic() - started < 40
    assert window.client.call("templates")


def test_a_process_that_never_gets_ready_is_reported():
    window = Window(command=(sys.executable, "-c", "import sys; sys.exit('no torch here')"))
    request = window.client.request("catalogue")
    seen = window.until(lambda m: m.get("event") == "dead", 20)
    assert seen[0]["id"] == request
    assert seen[0]["error"]["kind"] == "dead"
    assert "does not stay alive (exit code 1). no torch here" in seen[-1]["message"]
    assert window.exits == [1, 1, 1]
    with pytest.raises(EngineError, match="does not stay alive"):
        window.client.call("templates", timeout=5)
    window.client.close()


def test_nothing_is_left_running_after_close(window):
    window.client.call("templates")
    pid = window.client.pid
    started = time.monotonic()
    window.client.close()
    assert time.monotonic() - started < 2
    assert not alive(pid)
    with pytest.raises(EngineError, match="closed"):
        window.client.request("templates")
    window.client.close()


def test_an_engine_that_hangs_is_killed_on_close(window, tmp_path):
    log = tmp_path / "log"
    window.client.request("propagate", asked(with_test_component("slow", seconds=60.0, file=str(log))))
    while not log.exists():
        time.sleep(0.01)
    pid, started = window.client.pid, time.monotonic()
    window.client.close()
    assert time.monotonic() - started < 4
    assert not alive(pid)


PARENT = """
import sys, time
from designer.engine.client import EngineClient
client = EngineClient()
client.call("templates")
print(client.pid, flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["time.sleep(60)", "pass", "raise SystemExit(1)", "import os; os._exit(0)"])
def test_the_engine_leaves_with_its_parent(end):
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(end=end)], stdout=subprocess.PIPE, cwd=ROOT)
    pid = int(parent.stdout.readline())
    assert alive(pid) or end != "time.sleep(60)"
    if end.startswith("time"):
        parent.kill()
    parent.wait(10)
    parent.stdout.close()
    assert gone(pid)


def test_a_busy_engine_leaves_with_its_parent(tmp_path):
    log, request = tmp_path / "log", tmp_path / "request"
    request.write_text(json.dumps(asked(with_test_component("slow", seconds=60.0, file=str(log)))))
    end = f"""
import json, os
client.request("propagate", json.load(open({str(request)!r})))
while not os.path.exists({str(log)!r}):
    time.sleep(0.01)
os._exit(0)
"""
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(end=end)], stdout=subprocess.PIPE, cwd=ROOT)
    pid = int(parent.stdout.readline())
    parent.wait(30)
    parent.stdout.close()
    assert gone(pid)


def test_ctrl_c_is_the_parents_to_decide(shared):
    shared.client.call("templates")
    os.kill(shared.client.pid, signal.SIGINT)
    assert shared.client.call("templates")
    assert not shared.exits


def test_many_requests_of_many_threads(shared):
    failed: list[object] = []

    def ask() -> None:
        for _ in range(30):
            if len(shared.client.call("templates")) < 3:
                failed.append("short")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert not any(t.is_alive() for t in threads)


def test_the_client_and_its_cache_import_no_torch():
    code = (
        "import sys, designer.engine.client, designer.engine.protocol, designer.engine.catalogue_cache;"
        "assert not {'torch', 'torchvision', 'networkx'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
