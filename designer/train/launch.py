"""Starting a run in several processes: on one machine, on several by hand, or in a SLURM allocation. Imports no torch.

The trainer that was started becomes their keeper (torch's elastic launcher): one process that ends with an error ends
the run within seconds, and the keeper says why as the last event. A signal that asks for an end (SIGTERM; SIGUSR1,
which SLURM sends before its time is over) becomes the command to stop, so that a checkpoint is written.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from designer.graph.errors import NetwrightError
from designer.graph.storage import write_text
from designer.train import control
from designer.train.run import RunFolder

PORT = 29571
KEPT = "NETWRIGHT_KEPT"
"""Set for processes that have a keeper; those that torchrun started have none."""
AGAIN = 75
"""Exit code of a run that a signal ended after a checkpoint: start it again with --resume (EX_TEMPFAIL)."""

ASKED = threading.Event()
"""Set once a signal has asked this process for its end."""


@dataclass(frozen=True)
class Place:
    """Where a trainer stands among the machines of a run.

    Args:
        nodes: machines.
        rank: of this one, 0 for the first.
        address: of the first.
        port: at which it listens.
    """

    nodes: int = 1
    rank: int = 0
    address: str = "127.0.0.1"
    port: int = PORT

    def arguments(self) -> list[str]:
        """As the trainer's command line has it."""
        if self.nodes == 1:
            return []
        names = ("--num-nodes", "--node-rank", "--main-address", "--main-port")
        values = (self.nodes, self.rank, self.address, self.port)
        return [text for name, value in zip(names, values, strict=True) for text in (name, str(value))]


def place_of(
    nodes: int | None = None, rank: int | None = None, address: str = "", port: int | None = None,
    variables: Mapping[str, str] = os.environ,
) -> Place:  # fmt: skip
    """What was given, filled from SLURM's variables where this is one of its tasks.

    Raises:
        NetwrightError: when several machines are wanted and the first is not named.
    """
    if "SLURM_JOB_ID" in variables and "SLURM_PROCID" in variables:
        nodes = nodes or int(variables.get("SLURM_NNODES", "1"))
        rank = int(variables.get("SLURM_NODEID", "0")) if rank is None else rank
        address = address or first_host(variables.get("SLURM_JOB_NODELIST", ""))
        port = port or 20_000 + int(variables["SLURM_JOB_ID"]) % 20_000  # two jobs may share a machine
    nodes = nodes or 1
    if nodes > 1 and not address:
        raise NetwrightError("Several machines have to find each other. Name the first with --main-address.")
    if not 0 <= (rank or 0) < nodes:
        raise NetwrightError(f"--node-rank is {rank}, but with {nodes} machines it goes from 0 to {nodes - 1}.")
    return Place(nodes, rank or 0, address or "127.0.0.1", port or PORT)


def first_host(names: str) -> str:
    """The first of SLURM's list of hosts: `gpu[003-007,12],fat1` gives `gpu003`."""
    found = re.match(r"([^,\[]+)(?:\[([^\],-]+)[^\]]*\]([^,]*))?", names)
    return "" if found is None else "".join(part for part in found.groups() if part)


def agree_on_run(place: Place, path: Path | None) -> Path:
    """The run folder that the first machine made, on every one; they share its file system.

    Args:
        place: this machine's.
        path: of the run, on the first machine.

    Raises:
        NetwrightError: when the first machine does not answer.
    """
    from torch.distributed import TCPStore

    try:
        store = TCPStore(place.address, place.port + 1, place.nodes, is_master=place.rank == 0)
        if path is not None:
            store.set("run", str(path.resolve()))
        found = Path(store.get("run").decode())
        store.add("seen", 1)
        while place.rank == 0 and store.add("seen", 0) < place.nodes:  # the store ends with this function
            time.sleep(0.05)
    except RuntimeError as error:
        text = str(error).splitlines()[0]
        raise NetwrightError(
            f"The machines do not find each other at {place.address}, port {place.port + 1} ({text}). "
            "Check --main-address, --main-port and the firewall."
        ) from None
    return found


class Keeper:
    """Starts the processes of one machine and answers for them.

    Args:
        run: what they train.
        devices: processes.
        place: this machine's.
        resume: whether they go on from the last checkpoint.
    """

    def __init__(self, run: RunFolder, devices: int, place: Place, resume: bool) -> None:
        self.run, self.devices, self.place, self.resume = run, devices, place, resume
        self.asked = False
        self._began = time.time()
        self._over = threading.Event()

    def train(self) -> tuple[int, str, str]:
        """Waits for the end. Returns exit code, and message and hint of an error."""
        from torch.distributed.elastic.multiprocessing.api import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import elastic_launch

        failures_of(self.run).mkdir(exist_ok=True)
        for old in failures_of(self.run).glob(f"node{self.place.rank}-*.json"):
            old.unlink(missing_ok=True)
        asked_of(self.run).unlink(missing_ok=True)
        os.environ[KEPT] = "1"
        when_asked_to_end(self._stop)
        if self.place.nodes > 1:
            threading.Thread(target=self._watch_others, daemon=True).start()
        command = ["-P", "-m", "designer.train", "--run", str(self.run.path.resolve())]
        try:
            elastic_launch(self._config(), sys.executable)(*command, *(["--resume"] if self.resume else []))
        except ChildFailedError as error:
            return self._reason(error)
        except SignalException:
            hint = self.run.resume_words()
            said = self._said(lambda node: node != self.place.rank)
            return said or (1, "The processes on another machine have ended.", hint)
        finally:
            self._over.set()
        return (AGAIN if self.asked else 0), "", ""

    def _config(self) -> Any:
        from torch.distributed.launcher.api import LaunchConfig

        known = {field.name for field in fields(LaunchConfig)}
        quick: dict[str, Any] = {"shutdown_timeout": 5} if "shutdown_timeout" in known else {}  # older: 30 s
        several = self.place.nodes > 1
        return LaunchConfig(
            min_nodes=self.place.nodes, max_nodes=self.place.nodes, nproc_per_node=self.devices,
            run_id=self.run.path.name, max_restarts=0, monitor_interval=0.1,
            rdzv_backend="static" if several else "c10d",
            rdzv_endpoint=f"{self.place.address}:{self.place.port}" if several else "localhost:0",
            rdzv_configs={"rank": self.place.rank, "timeout": 900} if several else {},
            local_addr=None if several else "localhost",
            signals_to_handle="SIGQUIT",  # SIGTERM and SIGUSR1 are ours
            **quick,
        )  # fmt: skip

    def _stop(self) -> None:
        self.asked = True
        asked_of(self.run).touch()
        if self.place.rank == 0:
            control.write(self.run, "stop")

    def _watch_others(self) -> None:
        """Ends this machine's processes when another machine's have failed: theirs would wait for them for minutes."""
        while not self._over.wait(0.5):
            if self._said(lambda node: node != self.place.rank):
                os.kill(os.getpid(), signal.SIGQUIT)
                return

    def _reason(self, error: Any) -> tuple[int, str, str]:
        """What the process that failed said, or how it ended; the others only lost it."""
        if said := self._said(lambda node: node == self.place.rank):
            return said
        rank, failure = min(error.failures.items(), key=lambda item: (item[1].exitcode >= 0, item[1].timestamp))
        if failure.exitcode >= 0 and (said := self._said(lambda node: node != self.place.rank, seconds=5)):
            return said
        how = f"was ended by {failure.signal_name()}" if failure.exitcode < 0 else f"ended with code {failure.exitcode}"
        message = (
            f"Process {rank} of {self.devices * self.place.nodes} (on {socket.gethostname()}) {how}, "
            "so the others were ended too."
        )
        hint = f"{self.run.resume_words()} {self.run.log_path} may say more."
        tell_failure(self.run, self.place.rank, 1, message, hint)
        return 1, message, hint

    def _said(self, of: Callable[[int], bool], seconds: float = 0) -> tuple[int, str, str] | None:
        """The first reason that processes of some machines have left since the start; others may take `seconds`."""
        end = time.time() + (seconds if self.place.nodes > 1 else 0)
        while True:
            told = [
                path
                for path in failures_of(self.run).glob("node*.json")
                if of(int(path.name.removeprefix("node").partition("-")[0])) and path.stat().st_mtime > self._began
            ]
            if told:
                said = json.loads(min(told, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))
                return said["code"], said["message"], said["hint"]
            if time.time() >= end:
                return None
            time.sleep(0.1)


def when_asked_to_end(action: Callable[[], None]) -> None:
    """Calls `action` on SIGTERM and SIGUSR1. Processes that are forked later, which load images, end on them."""
    owner = os.getpid()

    def handle(number: int, _frame: object) -> None:
        if os.getpid() != owner:
            os._exit(128 + number)
        ASKED.set()
        action()

    for name in ("SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handle)


def end_unless_asked(run: RunFolder) -> None:
    """For one of several processes: SLURM signals all of them when the run shall end, a keeper when one has failed."""
    for _ in range(10):
        if asked_of(run).exists():
            return
        time.sleep(0.1)
    os._exit(128 + signal.SIGTERM)


def asked_of(run: RunFolder) -> Path:
    """There once a keeper was asked to end the run."""
    return failures_of(run) / "asked"


def failures_of(run: RunFolder) -> Path:
    """Where processes beside the first leave why they ended."""
    return run.path / "failures"


def tell_failure(run: RunFolder, node: int, code: int, message: str, hint: str) -> None:
    """Leaves why a process ended, for its keeper and those on other machines."""
    path = failures_of(run) / f"node{node}-{os.getpid()}.json"
    path.parent.mkdir(exist_ok=True)
    write_text(path, json.dumps({"code": code, "message": message, "hint": hint}))
