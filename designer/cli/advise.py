"""The advise command: which training settings suit a document, and why."""

from __future__ import annotations

from pathlib import Path

from designer.cli.output import console, print_json, table
from designer.graph.advisor import Goal, advise, as_fix, goal_of
from designer.graph.document import Document


def advise_on(file: Path, goal: Goal, apply: bool, as_json: bool) -> None:
    """Prints the proposals, and writes those that change something into the document if asked."""
    from nodes.sdk.discover import library

    document = Document.load(file, library().catalogue)
    proposals = advise(document.data, library().catalogue, goal)
    if apply and any(p.is_change for p in proposals):
        fix = as_fix(proposals)
        document.apply(fix.edits, fix.label)
        document.save(file)
    if as_json:
        print_json([p.to_json() for p in proposals])
        return
    rows = [(p.field, f"{p.now}", f"{p.value}" if p.is_change else "as it is", p.why) for p in proposals]
    aim = goal_of(document.data) if goal == "auto" else goal
    words = "from scratch" if aim == "scratch" else "fine-tuning"
    table(f"Training {document.data.name}, {words}", ("setting", "now", "advised", "why"), rows)
    console.print(f"Written to {file}." if apply else f"To use them: netwright advise {file} --apply", soft_wrap=True)
