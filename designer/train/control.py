"""Steering a run by a file in its folder, so that it works from the window, over ssh and on a cluster alike."""

from __future__ import annotations

import json
from typing import Literal, get_args

from designer.graph.storage import write_text
from designer.train.run import Worked

Command = Literal["pause", "resume", "stop", "save"]


def write(run: Worked, command: Command | str) -> None:
    """Leaves a command for the trainer; a newer one replaces one that was not taken yet."""
    if command not in get_args(Command):
        raise ValueError(f"{command!r} is no command. Use one of {', '.join(get_args(Command))}.")
    write_text(run.control_path, json.dumps({"command": command}))


def take(run: Worked) -> str | None:
    """The command that was left, if any; it is gone after that."""
    if not run.control_path.exists():
        return None
    command = peek(run)
    run.control_path.unlink(missing_ok=True)
    return command


def peek(run: Worked) -> str | None:
    """The command that was left, if any; it stays there."""
    try:
        command = json.loads(run.control_path.read_text(encoding="utf-8"))["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return command if command in get_args(Command) else None
