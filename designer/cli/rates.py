"""`netwright lr-find`: sweeps the learning rate and says which to take."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from designer.cli.output import console, errors, print_json
from designer.cli.runs import use_data
from designer.graph.document import Document

BARS, WIDTH = 24, 48


def find_rate_of(file: Path, data: str, steps: int, write: bool, as_json: bool) -> None:
    """Shows the curve and the suggestion; the document changes only with `write`."""
    from designer.train.rate_finder import find_rate

    trained = Document.load(file)
    use_data(trained, data)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}")
    with Progress(*columns, console=errors, disable=as_json or not errors.is_terminal) as progress:
        bar = progress.add_task("Rates", total=steps, facts="")

        def show(step: int, rate: float, loss: float) -> None:
            progress.update(bar, completed=step, facts=f"rate {rate:.1e}  loss {loss:.3f}")

        found = find_rate(trained.data, on_step=show, steps=steps)
    wrote = write and found.suggested is not None
    if wrote:
        document = Document.load(file)
        document.set_training(learning_rate=found.suggested)
        document.save(file)
    if as_json:
        print_json({**found.to_json(), "written": wrote})
        return
    for line in drawn(found.rates, found.smooth, found.suggested):
        console.print(line, highlight=False, markup=False)
    if found.suggested is not None:
        kept = f"written to {file}" if wrote else "--write puts it into the document"
        console.print(f"\nSuggested learning rate: {found.suggested:g} ({kept})", highlight=False, soft_wrap=True)
    console.print(found.why, highlight=False, soft_wrap=True)


def drawn(rates: list[float], smooth: list[float], suggested: float | None) -> list[str]:
    """The curve as bars, a line for each of some rates; the one nearest the suggestion is marked."""
    if not rates:
        return []
    every = max(1, len(rates) // BARS)
    shown = list(range(0, len(rates), every))
    # What explodes at the end would leave the rest flat.
    top, bottom = max(smooth[: max(1, len(smooth) * 2 // 3)]), min(smooth)
    near = min(shown, key=lambda i: abs(rates[i] / suggested - 1)) if suggested else None
    lines = []
    for i in shown:
        long = round(WIDTH * min(1.0, (smooth[i] - bottom) / max(top - bottom, 1e-12)))
        mark = "  <- suggested" if i == near else ""
        lines.append(f"{rates[i]:8.1e} {smooth[i]:10.4g} {'█' * max(1, long)}{mark}")
    return lines
