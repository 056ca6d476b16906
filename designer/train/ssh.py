"""The system's own ssh, rsync and scp: the user's configuration and keys, and never a question. Imports no torch.

NETWRIGHT_SSH is the ssh command with its options, as GIT_SSH_COMMAND is for git.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from designer.train.hosts import Host, HostError

OPTIONS = (
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
)  # fmt: skip
LOST = 255
"""Exit code of ssh itself; others are of what it ran."""
REASONS = (
    (("could not resolve", "name or service not known", "nodename nor servname"),
     "The host {host} is not known. Check its name, or ~/.ssh/config."),
    (("permission denied",),
     "{host} refuses the key. Netwright cannot ask for a password: `ssh-copy-id {address}` puts your key there, "
     "`ssh-add` unlocks one with a passphrase."),
    (("host key verification failed", "remote host identification has changed"),
     "The key of {host} is not known, or has changed. Connect once with `ssh {address}` in a terminal and look at it."),
    (("connection refused", "timed out", "no route to host", "network is unreachable"),
     "{host} does not answer: {text}. Check that it is on and that its ssh server runs."),
    (("no space left", "disk quota exceeded"),
     "The disk of {host} is full: {text}. Free some space there, or choose another folder."),
)  # fmt: skip


def ssh_command() -> list[str]:
    """ssh with the user's options and ours."""
    return [*shlex.split(os.environ.get("NETWRIGHT_SSH", "ssh")), *OPTIONS]


def call(host: Host, script: str, timeout: float = 60) -> str:
    """Runs a line of shell on a host. Returns what it printed.

    Raises:
        HostError: when it cannot be reached, or the line fails.
    """
    try:
        done = subprocess.run(
            [*ssh_command(), host.address, script], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
            text=True, errors="replace",
        )  # fmt: skip
    except FileNotFoundError:
        raise HostError("There is no ssh on this machine. Install the OpenSSH client.") from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{host.title()} has not answered for {timeout:.0f} seconds.") from None
    if done.returncode:
        raise HostError(reason(host, done.returncode, done.stderr))
    return done.stdout


def reason(host: Host, code: int, text: str) -> str:
    """What an exit code and what was said on stderr mean, and what to do."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for words, said in REASONS:
        for line in lines:
            if any(word in line.lower() for word in words):
                return said.format(host=host.title(), address=host.address, text=line.rstrip("."))
    last = lines[-1] if lines else f"exit code {code}"
    if code == 127:
        return (
            f"Netwright is not found on {host.title()} (its command there is {host.command!r}; {last}). Install it "
            "there, or set the command: netwright hosts NAME ADDRESS --command PATH."
        )
    return f"{host.title()}: {last}"


def send(host: Host, source: Path, target: str, timeout: float = 86_400) -> None:
    """Copies a folder's content, or a file, into a folder of the host. Raises HostError."""
    content = f"{source}/" if source.is_dir() else str(source)
    if not _rsync(host, [content, f"{host.address}:{target}/"], timeout):
        _scp(host, [f"{source}/." if source.is_dir() else str(source), f"{host.address}:{target}/"], timeout)


def fetch(host: Host, folder: str, names: Iterable[str], target: Path, timeout: float = 86_400) -> None:
    """Copies some of what is in a folder of the host; what is not there is passed over. Raises HostError."""
    there = call(host, f"cd {shlex.quote(folder)} && ls -d {shlex.join(names)} 2>/dev/null; true").split()
    if not there:
        return
    sources = [f"{host.address}:{folder}/{name}" for name in there]
    if not _rsync(host, [*sources, f"{target}/"], timeout):
        _scp(host, [*sources, f"{target}/"], timeout)


def _rsync(host: Host, places: list[str], timeout: float) -> bool:
    """False where one of the two machines has no rsync."""
    if shutil.which("rsync") is None:
        return False
    command = ["rsync", "-rtz", "--partial", "-e", shlex.join(ssh_command()), *places]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if done.returncode == 127 or "rsync: command not found" in done.stderr or "rsync: not found" in done.stderr:
        return False
    if done.returncode:
        raise HostError(reason(host, done.returncode, done.stderr))
    return True


def _scp(host: Host, places: list[str], timeout: float) -> None:
    command = ["scp", "-rq", *ssh_command()[1:], *places]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise HostError(reason(host, LOST, done.stderr))
