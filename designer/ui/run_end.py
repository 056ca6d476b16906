"""What is said when a run has ended: how, and what can be done."""

from __future__ import annotations

from designer.train.run import RunFolder
from designer.ui.run_bar import best_metric, run_title
from designer.ui.run_watch import ENDED, RunWatch

ENDS = (*ENDED, "died")


def end_words(watch: RunWatch) -> str:
    """A sentence or two about the end of the run that is watched; its state is one of `ENDS`."""
    assert watch.run is not None
    run, name = watch.run, run_title(watch.run.path.name)
    if watch.state == "failed":
        event = watch.last.get("error", {})
        return " ".join(str(event.get(key, "")) for key in ("message", "hint")).strip()
    if watch.state == "died":
        why = _log_end(run) or "it was killed or ran out of memory"
        return f"The trainer of {name} ended unexpectedly: {why}. {run.resume_words()}"
    if watch.state == "stopped":
        if not run.can_resume():
            return f"{name} was stopped before anything was learnt. {run.resume_words()}"
        return f"{name} was stopped; its last state is saved."
    return f"Training of {name} is finished{best_metric(watch.last)}."


def _log_end(run: RunFolder) -> str:
    """The last line that the trainer printed, which names the error if there was one."""
    try:
        text = run.log_path.read_text(errors="replace")
    except OSError:
        return ""
    last = text.strip().rpartition("\n")[2]
    return last[:200].rstrip(".") if "Error" in last else ""
