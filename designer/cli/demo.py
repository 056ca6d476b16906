"""`netwright demo`: the whole job in the terminal, from a drawn network to a verified ONNX file."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from designer.cli.output import console
from designer.cli.runs import follow
from designer.graph.errors import NetwrightError
from designer.graph.templates import load_template
from designer.train.events import METRICS, EventTail
from designer.train.run import RunFolder


def run_demo(out: Path, epochs: int | None = None) -> None:
    """Writes the quick-start document, trains it, measures it, exports it twice, and says where everything is.

    Args:
        out: folder for all of it.
        epochs: passes over the data; those of the document by default.
    """
    from designer.export import export_onnx, export_pytorch
    from designer.train import trained
    from designer.train.plots import plot_curves
    from designer.train.samples import save_samples
    from nodes.sdk.discover import library

    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    document = load_template("quick-start", library().catalogue)
    if epochs:
        document.set_training(epochs=epochs)
    drawn = document.save(out / "quick-start.netwright")
    _step(1, f"Wrote the document {drawn}")

    run = RunFolder.create(out / "runs", document.data)
    _step(2, "Training it on drawn shapes (circle, square, triangle)")
    follow(run)

    _step(3, "Measuring the best checkpoint on images it has not seen")
    values = trained.evaluate_run(run)
    console.print(
        "   " + ", ".join(f"{label} {values[k]:.3f}" for k, label in METRICS.items() if k in values), highlight=False
    )
    curves = plot_curves(EventTail(run.events_path).read(), out / "loss-curves.png")
    model = trained.load_trained(run, "cpu")
    val = trained.validation_data(run)
    pictures = save_samples(
        model.compiled.model, val, model.task, model.class_names, model.device, out / "predictions.png"
    )

    _step(4, "Exporting to PyTorch")
    folder = out / "pytorch"
    if folder.exists():
        shutil.rmtree(folder)
    console.print(f"   {export_pytorch(document.data, folder, run.path).text()}", highlight=False)
    _step(5, "Exporting to ONNX and comparing it with onnxruntime")
    onnx = export_onnx(document.data, out / "quick-start.onnx", run.path)
    console.print(f"   {onnx.text()}", highlight=False)

    console.print(f"\n[bold]Done in {time.perf_counter() - started:.0f} s.[/] Everything is in {out}:", highlight=False)
    made = {"document": drawn, "run": run.path, "loss curves": curves, "predictions": pictures}
    made |= {"PyTorch": folder, "ONNX": onnx.path}
    for name, path in made.items():
        console.print(f"  {name:<12} {path}", highlight=False, soft_wrap=True)
    if values.get("map50", 0) < 0.3:
        raise NetwrightError(f"The model learned little (mAP50 {values['map50']:.3f}). Train longer: --epochs 20.")


def _step(number: int, text: str) -> None:
    console.print(f"[bold cyan]{number}[/]  {text}", highlight=False)
