"""`python -m designer.train --run DIR [--resume]`: the trainer process, or the keeper of several.

With `--wait` in place of `--run` it imports what it needs and reads its run from standard input (`ready.py` writes it).

Exit codes: 0 done or stopped, 2 something the user can mend, 1 a bug, 75 ended by a signal after a checkpoint (start it
again with --resume). The reason is the last event of the run.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path

from designer.graph.errors import NetwrightError
from designer.train import control
from designer.train.events import EventWriter
from designer.train.launch import (
    AGAIN,
    ASKED,
    KEPT,
    Keeper,
    Place,
    end_unless_asked,
    place_of,
    tell_failure,
    when_asked_to_end,
)
from designer.train.queue import start_next
from designer.train.run import RunFolder, process_of, record_process

LAST_WORDS = 65_536
"""Bytes that are held back, so that there is room to say that the disk is full."""
LOST = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
"""In what a process says that has only lost another one, which is the one to be told of."""


def main() -> int:
    """Trains the run of the command line."""
    options = _options()
    if options.wait:
        order = _wait_for_run()
        if order is None:
            return 0
        options.run, options.resume = order
    try:
        run = RunFolder.open(options.run)
        if "RANK" in os.environ:  # one of several, started by a keeper or by torchrun
            return _one_of_several(run, options.resume)
        place = place_of(options.num_nodes, options.node_rank, options.main_address, options.main_port)
    except NetwrightError as error:
        print(error, file=sys.stderr)
        return 2
    if place.rank > 0:
        return _train(run, place, resume=options.resume)
    other = process_of(run)
    if other is not None and other.pid != os.getpid():
        print(f"{run.path} is being trained by process {other.pid} already.", file=sys.stderr)
        return 2
    record_process(run, os.getpid())
    run.control_path.unlink(missing_ok=True)  # a command meant for an earlier trainer
    with suppress(OSError):
        run.reserve_path.write_bytes(bytes(LAST_WORDS))
    try:
        return _train(run, place, resume=options.resume)
    finally:
        run.reserve_path.unlink(missing_ok=True)
        start_next(run.path.parent, but=run.path.name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m designer.train", description="Trains one run folder.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", type=Path, help="the run folder")
    which.add_argument("--wait", action="store_true", help="read the run folder from standard input, once it is known")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--num-nodes", type=int, help="machines that train together; SLURM tells by itself")
    parser.add_argument("--node-rank", type=int, help="which of them this is, from 0")
    parser.add_argument("--main-address", default="", help="host name of the first")
    parser.add_argument("--main-port", type=int, help="where it listens")
    return parser.parse_args()


def _wait_for_run() -> tuple[Path, bool] | None:
    """Imports what a trainer needs, then reads which run it is to train and whether to resume it.

    Returns:
        None when the starter is gone, or does not want a trainer any more.
    """
    import designer.train.loop  # noqa: F401  (torch, torchvision and the data sets)
    from nodes.sdk.discover import library

    library()
    line = sys.stdin.readline()
    if not line.strip():
        return None
    library().sync_user_files()  # what was trusted or changed meanwhile
    order = json.loads(line)
    run = RunFolder.open(Path(order["run"]))
    with run.log_path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    return run.path, bool(order["resume"])


def _train(run: RunFolder, place: Place, *, resume: bool) -> int:
    """Alone or as a keeper; the reason of a bad end becomes the run's last event."""
    devices = run.document().training.devices
    if devices * place.nodes == 1:
        when_asked_to_end(partial(control.write, run, "stop"))
        code, message, hint = _work(run, resume)
        code = AGAIN if code == 0 and ASKED.is_set() else code
    else:
        code, message, hint = Keeper(run, devices, place, resume).train()
    if message and place.rank == 0:
        _say(run, message, hint)
    return code


def _one_of_several(run: RunFolder, resume: bool) -> int:
    from designer.train.processes import end_with_parent

    end_with_parent()
    when_asked_to_end(partial(end_unless_asked, run))
    speaks = KEPT not in os.environ and os.environ["RANK"] == "0"
    if speaks:
        record_process(run, os.getpid())
    code, message, hint = _work(run, resume)
    if message and not any(word in message for word in LOST):
        tell_failure(run, int(os.environ.get("GROUP_RANK", "0")), code, message, hint)
        if speaks:
            _say(run, message, hint)
        print(message, hint, file=sys.stderr)
    sys.stderr.flush()
    os._exit(code)  # other processes may be gone, and a process group does not like to be taken down then


def _work(run: RunFolder, resume: bool) -> tuple[int, str, str]:
    """Trains. Returns exit code, and message and hint of an error."""
    try:
        from designer.train.loop import Trainer

        Trainer(run, resume=resume).train()
    except NetwrightError as error:
        return 2, str(error), ""
    except KeyboardInterrupt:
        return 2, f"Interrupted. {run.resume_words()}", ""
    except OSError as error:
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            return _unexpected(run, error)
        from designer.train.checkpoint import disk_full

        return 2, disk_full(Path(error.filename) if error.filename else run.path), ""
    except Exception as error:  # a bug, or torch running out of something
        return _unexpected(run, error)
    return 0, "", ""


def _unexpected(run: RunFolder, error: Exception) -> tuple[int, str, str]:
    from designer.train.full import batch_that_fits
    from designer.train.memory import out_of_memory

    traceback.print_exc()  # into trainer.log
    if out_of_memory(error):
        traceback.clear_frames(error.__traceback__)  # they hold the model and what it kept
        batch = run.document().training.batch
        fits = batch_that_fits(run)
        use = f"A batch of {fits} fits. Use that" if fits else "Not one image fits. Use"
        hint = f"{use}{',' if fits else ''} a smaller image, or a smaller model."
        return 2, f"The memory is full: a batch of {batch or 'one image'} does not fit.", hint
    text = str(error).splitlines()[0] if str(error) else "no reason given"
    return 1, f"The trainer failed: {type(error).__name__}: {text}", f"The whole story is in {run.log_path}."


def _say(run: RunFolder, message: str, hint: str) -> None:
    run.reserve_path.unlink(missing_ok=True)
    print(message, hint, file=sys.stderr)
    events = EventWriter(run.events_path)
    events.write("error", message=message, hint=hint)
    events.close()


if __name__ == "__main__":
    sys.exit(main())
