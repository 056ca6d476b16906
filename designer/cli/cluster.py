"""Commands about other machines: a SLURM script, hosts to train on, results from there."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from designer.cli.output import console, errors, print_json, table
from designer.cli.runs import before_training
from designer.graph.document import Document
from designer.train.hosts import HostError, forget_host, hosts, keep_host, parse_host
from designer.train.remote import Mirror
from designer.train.run import RunFolder
from designer.train.slurm import batch_script


def slurm_script(file: Path, runs: Path, name: str, changes: dict[str, Any], **options: Any) -> None:
    """Freezes a document into a run folder and prints the script that trains it there."""
    document = Document.load(file)
    document.set_training(**changes)
    before_training(document.data, here=False)
    run = RunFolder.create(runs, document.data, name or document.data.name)
    print(batch_script(run, **options), end="")
    errors.print(f"Run folder: {run.path}", highlight=False, soft_wrap=True)


def edit_hosts(name: str, address: str, command: str, remove: bool, as_json: bool) -> None:
    """Keeps or forgets a host, or lists them."""
    if remove:
        forget_host(name)
    elif address:
        keep_host(replace(parse_host(address), name=name, command=command))
    elif name:
        raise HostError(f"Say where {name} is: netwright hosts {name} user@host[:folder]")
    if as_json:
        print_json([asdict(host) for host in hosts()])
        return
    rows = [(host.name, host.address, host.folder, host.command) for host in hosts()]
    table(f"{len(rows)} hosts", ("name", "address", "folder", "command"), rows)


def fetch_run(path: Path) -> None:
    """Copies what a run has on its host by now."""
    run = RunFolder.open(path)
    if not run.remote_path.is_file():
        raise HostError(f"{path} trains on this machine: everything is there already.")
    Mirror(run).fetch_now()
    console.print(f"Fetched into {path}", highlight=False, soft_wrap=True)
