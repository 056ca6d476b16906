"""Stop while something runs that cannot be interrupted: the process ends, as nothing that was learnt is lost by it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from designer.train import control
from designer.train.launch import AGAIN, ASKED
from designer.train.queue import start_next
from designer.train.run import RunFolder

POLL = 0.2
"""Seconds between two looks at the control file."""


@contextmanager
def stop_ends_process(run: RunFolder, say: Callable[[], None], *, first: bool = True) -> Iterator[None]:
    """Around work that heeds no command: a stop meanwhile ends this process at once, as one that was obeyed does.

    Args:
        run: whose control file is watched. It is left there: each of several processes has to see it.
        say: tells that the run was stopped.
        first: whether this process tells it; the others only end.
    """
    over = threading.Event()

    def end() -> None:
        if first:
            say()
        if "RANK" in os.environ:  # its keeper does what is left to do
            if first:
                time.sleep(2 * POLL)  # the others see it before they miss this one
        else:
            run.reserve_path.unlink(missing_ok=True)
            run.control_path.unlink(missing_ok=True)
            start_next(run.path.parent, but=run.path.name)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(AGAIN if ASKED.is_set() else 0)

    def watch() -> None:
        while not over.is_set():
            if control.peek(run) == "stop":
                end()
            over.wait(POLL)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        if control.peek(run) == "stop":  # it was lost because another process has ended on it
            end()
        raise
    finally:
        over.set()
        thread.join()
