"""`python -m designer.train --run DIR [--resume]`: the trainer process.

Exit codes: 0 done or stopped, 2 something the user can mend, 1 a bug. The reason is the last event of the run.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path

from designer.graph.errors import NetwrightError
from designer.train.events import EventWriter
from designer.train.queue import start_next
from designer.train.run import RunFolder, process_of, record_process


def main() -> int:
    """Trains the run of the command line."""
    parser = argparse.ArgumentParser(prog="python -m designer.train", description="Trains one run folder.")
    parser.add_argument("--run", type=Path, required=True, help="the run folder")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args()
    try:
        run = RunFolder.open(options.run)
    except NetwrightError as error:
        print(error, file=sys.stderr)
        return 2
    other = process_of(run)
    if other is not None and other.pid != os.getpid():
        print(f"{run.path} is being trained by process {other.pid} already.", file=sys.stderr)
        return 2
    if int(os.environ.get("RANK", "0")) == 0:
        record_process(run, os.getpid())
    run.control_path.unlink(missing_ok=True)  # a command meant for an earlier trainer
    try:
        return _train(run, resume=options.resume)
    finally:
        start_next(run.path.parent, but=run.path.name)


def _train(run: RunFolder, *, resume: bool) -> int:
    try:
        from designer.train.loop import Trainer

        Trainer(run, resume=resume).train()
    except NetwrightError as error:
        return _say(run, str(error), "", 2)
    except KeyboardInterrupt:
        return _say(run, "Interrupted. Resume goes on from the last checkpoint.", "", 2)
    except Exception as error:  # a bug, or torch running out of something
        return _unexpected(run, error)
    return 0


def _unexpected(run: RunFolder, error: Exception) -> int:
    from designer.train.full import batch_that_fits
    from designer.train.memory import out_of_memory

    traceback.print_exc()  # into trainer.log
    if out_of_memory(error):
        traceback.clear_frames(error.__traceback__)  # they hold the model and what it kept
        batch = run.document().training.batch
        fits = batch_that_fits(run)
        use = f"A batch of {fits} fits. Use that" if fits else "Not one image fits. Use"
        hint = f"{use}{',' if fits else ''} a smaller image, or a smaller model."
        return _say(run, f"The memory is full: a batch of {batch or 'one image'} does not fit.", hint, 2)
    text = str(error).splitlines()[0] if str(error) else "no reason given"
    return _say(run, f"The trainer failed: {type(error).__name__}: {text}", f"The whole story is in {run.log_path}.", 1)


def _say(run: RunFolder, message: str, hint: str, code: int) -> int:
    events = EventWriter(run.events_path)
    events.write("error", message=message, hint=hint)
    events.close()
    print(message, hint, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
