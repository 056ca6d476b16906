"""`python -m designer.train.remote --run DIR [--resume]`: follows a run that trains on another machine.

It stands here for the trainer there: brings the run folder over, starts it, copies its events as they are written,
passes commands on and fetches the results. The run there hangs on no connection. When one is lost it is made again and
the events go on with the line after the last one here. Started again, it takes up a run wherever that is. Imports no
torch. Exit codes are the trainer's.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

from designer.graph.errors import NetwrightError
from designer.graph.model import GraphData
from designer.graph.named_files import BESIDE, weight_files, with_weights
from designer.graph.storage import read, write, write_text
from designer.train import control
from designer.train.events import EventTail, EventWriter
from designer.train.hosts import Host, HostError
from designer.train.queue import start_next
from designer.train.run import RunFolder, process_of, record_process
from designer.train.ssh import LOST, call, fetch, reason, send, ssh_command

ENDS = {"finished": 0, "stopped": 0, "error": 2}
SMALL = ("evaluation.json", "statistics.json", "environment.json", "samples", "plots")
LARGE = ("checkpoints", "tensorboard", "trainer.log")
WAITS = (1, 2, 5, 10, 30)
"""Seconds between attempts to connect again; the last counts from then on."""
HERE = b'"from": "here"'
"""In an event that was written on this side, which has no line in the file over there."""


def send_run(run: RunFolder, host: Host, send_data: bool) -> None:
    """Notes that a run is to train on a host; whoever starts it then starts it there.

    Args:
        run: its folder on this machine.
        host: where.
        send_data: whether its data set is copied there; else the path is one of the host's.
    """
    write_text(run.remote_path, json.dumps({**asdict(host), "send_data": send_data}, indent=1) + "\n")


def start_fetching(run: RunFolder) -> subprocess.Popen[bytes]:
    """Brings over what a run on a host has by now, in a process of its own."""
    command = [sys.executable, "-P", "-m", "designer.train.remote", "--run", str(run.path.resolve()), "--fetch"]
    with run.log_path.open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


class Mirror:
    """A run here of a trainer there.

    Args:
        run: its folder on this machine.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        noted = json.loads(run.remote_path.read_text(encoding="utf-8"))
        self.send_data = bool(noted.pop("send_data"))
        self.host = Host(**noted)
        self.folder = f"{self.host.folder.rstrip('/')}/{run.path.name}"
        self._end: str | None = None

    # -- from start to end -------------------------------------------------------------------------------------------

    def follow(self) -> int:
        """Until the run there has ended. Returns its exit code.

        Raises:
            HostError: when it cannot be brought there or started; a connection lost later is made again.
        """
        _drop_torn_line(self.run.events_path)
        state = self._state()
        if state == "missing":
            self._bring()
        if state == "missing" or (state == "idle" and not self._catch_up()):
            self._start()
        losses = 0
        while self._end is None:
            began = time.monotonic()
            why = self._stream()
            if self._end is not None:
                break
            losses = 0 if time.monotonic() - began > 60 else losses
            if losses == 0:
                self._say("warning", f"The connection to {self.host.title()} is lost ({why}). The run goes on there.")
            time.sleep(WAITS[min(losses, len(WAITS) - 1)])
            losses += 1
        self._fetch(LARGE)
        return ENDS[self._end]

    def _state(self) -> str:
        """`missing`, `alive` or `idle` (it has ended, or never began)."""
        there = f"cd {shlex.quote(self.folder)} 2>/dev/null && [ -f graph.netwright ]"  # it is sent last
        script = f"{there} || {{ echo missing; exit; }}; {_PID}; {_ALIVE}"
        return call(self.host, f"{script} && echo alive || echo idle").strip()

    def _bring(self) -> None:
        """The run folder, the weights that it starts from, and the data set if wanted."""
        call(self.host, f"{self.host.command} --version && mkdir -p {shlex.quote(self.folder)}")
        data = self._send_weights(read(self.run.graph_path))
        if self.send_data:
            data = self._send_data(data)
        given = self.run.path / "there"
        given.mkdir(exist_ok=True)
        write(data, given / self.run.graph_path.name)
        send(self.host, self.run.config_path, self.folder)
        send(self.host, given, self.folder)

    def _send_weights(self, data: GraphData) -> GraphData:
        """Files of this machine go into the run folder there; a path that is none here is one of the host's."""
        files = [path for path in weight_files(data) if Path(path).is_file()]
        names = {path: f"weights/{number}" for number, path in enumerate(files)}
        for path, name in names.items():
            self._say("note", f"Sending {path} to {self.host.title()}.")
            call(self.host, f"mkdir -p {shlex.quote(f'{self.folder}/{name}')}")
            send(self.host, Path(path), f"{self.folder}/{name}")
        return with_weights(data, lambda path: f"{BESIDE}{names[path]}/{Path(path).name}" if path in names else path)

    def _send_data(self, data: GraphData) -> GraphData:
        source = Path(data.data.path)
        whole = source if source.is_dir() else source.parent
        if not data.data.path or not source.exists():
            raise HostError(f"There is no data set to send at {data.data.path or '(no path)'}.")
        target = f"{self.host.folder.rstrip('/')}/data/{whole.name}"
        call(self.host, f"mkdir -p {shlex.quote(target)}")
        self._say("note", f"Sending {whole} to {self.host.title()}.")
        send(self.host, whole, target)
        place = call(self.host, f"cd {shlex.quote(target)} && pwd").strip()
        path = place if source.is_dir() else f"{place}/{source.name}"
        return data.model_copy(update={"data": data.data.model_copy(update={"path": path})})

    def _start(self) -> None:
        """Queues it there: it starts at once where nothing else of the folder trains."""
        call(
            self.host,
            f"cd {shlex.quote(self.folder)} && rm -f control.json && "
            f"{self.host.command} train --resume . --queue --json",
            timeout=180,
        )

    def fetch_now(self) -> None:
        """Everything that is there, also before the end. Raises HostError."""
        fetch(self.host, self.folder, (*SMALL, *LARGE), self.run.path)

    def _fetch(self, names: tuple[str, ...]) -> None:
        """What cannot be fetched is said; the run is not lost for it."""
        try:
            fetch(self.host, self.folder, names, self.run.path)
        except (HostError, subprocess.TimeoutExpired) as error:
            self._say("warning", f"Not everything of the run could be fetched: {error}")

    # -- events and commands -----------------------------------------------------------------------------------------

    def _catch_up(self) -> bool:
        """Takes what was written since; whether the run has ended with it."""
        script = f"cd {shlex.quote(self.folder)} && tail -n +{self._lines() + 1} events.jsonl 2>/dev/null; true"
        for line in call(self.host, script).encode().splitlines(keepends=True):
            self._take(line)
        return self._end is not None

    def _stream(self) -> str:
        """Copies events and passes commands until the run ends or the connection does; then why."""
        command = [*ssh_command(), self.host.address, _FOLLOW.format(
            folder=shlex.quote(self.folder), line=self._lines() + 1, pid=_PID, alive=_ALIVE
        )]  # fmt: skip
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        said = _Said(process.stderr)
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            while process.poll() is None and self._end is None:
                if said.gone > 2:
                    self._gone()
                elif command_here := control.take(self.run):
                    _tell(process.stdin, command_here, self.run)
                time.sleep(0.1)
        finally:
            process.stdin.close()
            process.terminate()
            process.wait()
            reader.join(5)
        return reason(self.host, LOST, said.text)

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._take(line)

    def _take(self, line: bytes) -> None:
        """One line from there. A last one without an end is left: it comes again, whole."""
        if not line.endswith(b"\n"):
            return
        self._write(line)
        try:
            kind = json.loads(line)["type"]
        except (ValueError, KeyError, TypeError):
            return
        if kind == "metrics":
            self._fetch(SMALL)
        self._end = kind if kind in ENDS else None

    def _gone(self) -> None:
        """The trainer there is no more, and its last word came long ago."""
        saved = any(e["type"] == "checkpoint" and not e.get("best") for e in EventTail(self.run.events_path).read())
        todo = (
            "goes on from its last checkpoint" if saved else "starts from the beginning: no checkpoint was written yet"
        )
        hint = f"Resume {todo}. {self.folder}/trainer.log there may say why."
        self._say("error", f"The trainer on {self.host.title()} is gone and did not say why.", hint)
        self._end = "error"

    def _say(self, kind: str, message: str, hint: str = "") -> None:
        event = {"type": kind, "time": time.time(), "from": "here", "message": message}
        event |= {"hint": hint} if hint else {}
        self._write(json.dumps(event).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        with self.run.events_path.open("ab") as file:
            file.write(line)

    def _lines(self) -> int:
        """How many lines of the file there are here."""
        return sum(HERE not in line for line in _lines_of(self.run.events_path))


_PID = """pid=$(sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p' process.json 2>/dev/null)"""
_ALIVE = """[ -n "$pid" ] && kill -0 "$pid" 2>/dev/null"""
# Events go to stdout; whether the trainer is there goes to stderr, a word every two seconds; commands come by stdin,
# whose end, when the connection is lost, ends it all. A run that waits in the queue has no process yet.
_FOLLOW = """cd {folder} || exit 1
touch events.jsonl
tail -n +{line} -f events.jsonl & tail=$!
( while sleep 2; do
    {pid}
    if [ -z "$pid" ]; then echo waiting; elif {alive}; then echo alive; else echo gone; fi
done ) >&2 & watch=$!
while read -r command; do
    printf '{{"command": "%s"}}' "$command" > control.new && mv control.new control.json
done
kill $tail $watch"""


class _Said:
    """What comes on stderr: words about the trainer, and ssh's own."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.gone, self.text = 0, ""
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[bytes]) -> None:
        for raw in stream:
            word = raw.decode(errors="replace").strip()
            if word in ("alive", "waiting", "gone"):
                self.gone = self.gone + 1 if word == "gone" else 0
            else:
                self.text = f"{self.text}\n{word}"[-2000:]


def _tell(stream: IO[bytes], command: str, run: RunFolder) -> None:
    """Passes a command on; one that does not get through waits for the next connection."""
    try:
        stream.write(command.encode() + b"\n")
        stream.flush()
    except OSError:
        control.write(run, command)


def _lines_of(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as file:
            yield from file


def _drop_torn_line(path: Path) -> None:
    """A line that was being copied when this process was killed comes again, whole."""
    text = path.read_bytes() if path.exists() else b""
    if text and not text.endswith(b"\n"):
        with path.open("rb+") as file:
            file.truncate(text.rfind(b"\n") + 1)


def main() -> int:
    """Follows the run of the command line."""
    parser = argparse.ArgumentParser(prog="python -m designer.train.remote")
    parser.add_argument("--run", type=Path, required=True, help="the run folder here")
    parser.add_argument("--resume", action="store_true", help="take it up again")
    parser.add_argument("--fetch", action="store_true", help="only bring over what it has by now")
    options = parser.parse_args()
    run = RunFolder.open(options.run)
    if options.fetch:
        Mirror(run).fetch_now()
        return 0
    if process_of(run) is None:
        record_process(run, os.getpid())
    try:
        return Mirror(run).follow()
    except NetwrightError as error:
        events = EventWriter(run.events_path)
        events.write("error", **{"from": "here"}, message=str(error), hint="")
        events.close()
        print(error, file=sys.stderr)
        return 2
    finally:
        start_next(run.path.parent, but=run.path.name)


if __name__ == "__main__":
    sys.exit(main())
