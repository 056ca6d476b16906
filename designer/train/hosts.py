"""Machines that can train, reached by ssh: their names, kept with the user's settings. Imports no torch."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from designer.graph.errors import NetwrightError
from designer.graph.storage import write_text


class HostError(NetwrightError):
    """A host that is not known, does not answer, or cannot do what it should."""


@dataclass(frozen=True)
class Host:
    """A machine to train on.

    Attributes:
        address: as ssh takes it: `user@host`, or a name from ~/.ssh/config.
        folder: where its runs go; from the home folder on unless it starts with a slash.
        command: what starts Netwright there, as its shell takes it.
        name: what people call it.
    """

    address: str
    folder: str = "netwright-runs"
    command: str = "netwright"
    name: str = ""

    def title(self) -> str:
        """What messages call it."""
        return self.name or self.address


def parse_host(text: str) -> Host:
    """`user@host[:folder]`, or the name of a host that is kept.

    Raises:
        HostError: for anything else.
    """
    for host in hosts():
        if host.name == text:
            return host
    found = re.fullmatch(r"([\w.@-]+)(?::(.+))?", text)
    if found is None or text.startswith("-"):
        raise HostError(f"{text!r} is no host. Write user@host or user@host:folder, or a name from `netwright hosts`.")
    return Host(found[1], found[2].removeprefix("~/") if found[2] else Host.folder)


def hosts_path() -> Path:
    """The file that keeps them; NETWRIGHT_HOSTS names another."""
    given = os.environ.get("NETWRIGHT_HOSTS")
    return Path(given) if given else platformdirs.user_config_path("netwright") / "hosts.json"


def hosts() -> list[Host]:
    """Those that are kept, by name."""
    try:
        found = json.loads(hosts_path().read_text(encoding="utf-8"))
        return sorted((Host(**entry) for entry in found), key=lambda host: host.name)
    except (OSError, ValueError, TypeError):
        return []


def keep_host(host: Host) -> None:
    """Adds a host, or replaces the one of its name."""
    _write([*(other for other in hosts() if other.name != host.name), host])


def forget_host(name: str) -> None:
    """Removes a host. Raises HostError when there is none of that name."""
    left = [host for host in hosts() if host.name != name]
    if len(left) == len(hosts()):
        raise HostError(f"There is no host {name!r}. `netwright hosts` lists them.")
    _write(left)


def _write(kept: list[Host]) -> None:
    hosts_path().parent.mkdir(parents=True, exist_ok=True)
    write_text(hosts_path(), json.dumps([asdict(host) for host in kept], indent=1) + "\n")
