"""Export to a PyTorch folder that runs with torch, torchvision and safetensors alone, checked by running it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from designer import __version__
from designer.engine.compile import Compiled
from designer.export.code import write_model
from designer.export.errors import ExportError
from designer.export.formatting import format_folder
from designer.export.onnx_check import flat_tensors
from designer.export.sources import collect
from designer.export.weights import class_names, prepared, sample_image
from designer.graph.model import GraphData
from designer.graph.training import TrainingSettings

STANDALONE = Path(__file__).parent / "standalone"

TRAINS = {"classify": "train_classify.py", "semantic": "train_semantic.py"}
"""What trains a task whose data is not COCO's."""
EXPORTED = "Exported by Netwright"
WRITTEN = {path.name for path in STANDALONE.glob("*.py")} | {
    ".mypy_cache", ".ruff_cache", "__pycache__", "layers", "letterbox.py", "model.py", "predict.py", "pyproject.toml",
    "README.md", "requirements.txt", "train.py", "weights.safetensors",
}  # fmt: skip
"""What an export may have at its top, also one of an earlier version, and the next one replaces."""
TOOLS = """[tool.ruff]
line-length = 120

[tool.mypy]
ignore_missing_imports = true  # torchvision comes without types
"""
READS = {"classify": "FOLDER", "semantic": "IMAGES_FOLDER MASKS_FOLDER"}


@dataclass
class PytorchReport:
    """What was written, and how far its outputs are from the document's: 0.0 is bit for bit."""

    path: Path
    files: list[str]
    parameters: int
    max_abs_diff: float

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}

    def text(self) -> str:
        same = "equal to the document's bit for bit" if self.max_abs_diff == 0 else f"within {self.max_abs_diff:.2g}"
        size = f"{len(self.files)} files, {self.parameters:,} parameters"
        return f"{self.path}: {size}; outputs {same}, run without Netwright."


def export_pytorch(data: GraphData, folder: str | Path, weights: str | Path | None = None) -> PytorchReport:
    """Writes the folder.

    Args:
        data: the document.
        folder: where to; a folder that holds anything but an earlier export is refused.
        weights: run folder, checkpoint or safetensors file; by default those that the nodes name, the rest drawn.

    Raises:
        GraphError: when the document cannot run.
        ExportError: when the folder cannot be written, or what was written does not agree. Nothing is left then.
    """
    folder = Path(folder)
    if other := _not_ours(folder):
        raise ExportError(f"{folder} holds other things already ({other}). Choose an empty or new folder.")
    compiled, loaded = prepared(data, weights)
    sample = sample_image(compiled.input_shape)
    text, needed = write_model(compiled, data.name, class_names(data, loaded, compiled), sample)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".netwright-", dir=folder.parent) as place:
            made = Path(place) / "export"
            _write(made, text, needed, compiled, data)
            difference = _verify(made, compiled, sample)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(made, folder)
    except OSError as error:
        raise ExportError(f"{folder}: the folder cannot be written: {error.strerror}. Choose another place.") from None
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return PytorchReport(folder, files, sum(p.numel() for p in compiled.model.parameters()), difference)


def _not_ours(folder: Path) -> str:
    """The name of something in the way that no earlier export wrote, else an empty string."""
    if not folder.exists():
        return ""
    if not folder.is_dir():
        return "a file"
    readme = folder / "README.md"
    ours = WRITTEN if readme.is_file() and EXPORTED in readme.read_text(encoding="utf-8", errors="replace") else set()
    return next((name for name in sorted(p.name for p in folder.iterdir()) if name not in ours), "")


def _write(folder: Path, text: str, needed: list[tuple[str, str]], compiled: Compiled, data: GraphData) -> None:
    (folder / "layers").mkdir(parents=True)
    (folder / "model.py").write_text(text, encoding="utf-8")
    (folder / "layers" / "__init__.py").write_text(
        '"""The components that the model is made of."""\n', encoding="utf-8"
    )
    for name, source in collect(needed).items():
        path = folder / "layers" / name
        for parent in reversed(path.relative_to(folder / "layers").parents[:-1]):
            package = folder / "layers" / parent
            package.mkdir(exist_ok=True)
            (package / "__init__.py").touch()
        path.write_text(source, encoding="utf-8")
    state = {k: v.contiguous().clone() for k, v in compiled.model.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    task = compiled.heads[0].task if compiled.heads else ""
    if task:
        shutil.copy(STANDALONE / f"predict_{task}.py", folder / "predict.py")
        for name in ("files.py", "images.py"):
            shutil.copy(STANDALONE / name, folder)
        (folder / "loop.py").write_text(_loop(data.training), encoding="utf-8")
        shutil.copy(STANDALONE / TRAINS.get(task, "train_coco.py"), folder / "train.py")
        if task not in TRAINS:
            shutil.copy(STANDALONE / "coco.py", folder)
    requirements = ["torch>=2.11", "torchvision>=0.26", "safetensors", "pillow"]
    if (folder / "layers" / "backbones" / "timm_backbone.py").exists():
        requirements.append("timm")
    (folder / "pyproject.toml").write_text(TOOLS, encoding="utf-8")
    (folder / "requirements.txt").write_text("\n".join([*requirements, ""]), encoding="utf-8")
    (folder / "README.md").write_text(_readme(data.name, task), encoding="utf-8")
    format_folder(folder)


def _loop(settings: TrainingSettings) -> str:
    """The training loop with the document's optimizer and figures."""
    nesterov = settings.nesterov and settings.momentum > 0
    betas = f"betas=({min(settings.momentum, 0.9)}, 0.999)"
    optimizers = {
        "sgd": f"SGD(groups, lr=rate, momentum={settings.momentum}, nesterov={nesterov})",
        "adam": f"Adam(groups, lr=rate, {betas})",
        "rmsprop": f"RMSprop(groups, lr=rate, momentum={settings.momentum})",
    }
    made = optimizers.get(settings.optimizer, f"AdamW(groups, lr=rate, {betas})")  # also for Muon's rates
    text = (STANDALONE / "loop.py").read_text(encoding="utf-8")
    for pattern, line in (
        (r"EPOCHS, BATCH = .*", f"EPOCHS, BATCH = {settings.epochs}, {settings.batch or 16}"),
        (r"RATE = \S+", f"RATE = {settings.learning_rate}"),
        (r"WEIGHT_DECAY = .*", f"WEIGHT_DECAY = {settings.weight_decay}"),
        (r"LARGEST_NORM = \S+", f"LARGEST_NORM = {settings.clip_norm or 'math.inf'}"),
        (r"    return torch\.optim\..*", f"    return torch.optim.{made}"),
    ):
        text, found = re.subn(f"^{pattern}", line, text, flags=re.MULTILINE)
        assert found == 1, pattern
    return text


def _readme(name: str, task: str) -> str:
    use = "python predict.py IMAGE [IMAGE ...]\n" if task else "python model.py\n"
    data = READS.get(task, "IMAGES_FOLDER ANNOTATIONS.json")
    training = (
        f"""
`train.py` trains it in a plain loop, by default with the optimizer and figures that the document had, and writes
`trained.safetensors`:

    python train.py {data} [--epochs N]
    python predict.py --weights trained.safetensors IMAGE

In training mode the model returns the raw outputs of its heads; `model.losses(raws, targets)` gives their losses.
"""
        if task
        else ""
    )
    return f"""# {name}

{EXPORTED} {__version__}. Runs without it:

    pip install -r requirements.txt
    {use}
`model.py` is the network, `layers/` the components it uses, `weights.safetensors` its weights. Images go in as RGB,
values 0 to 1, shape [batch, 3, height, width]; `IMAGE_SIZE` in `model.py` is the size it was designed for.
{training}"""


# Runs in the exported folder. Importing our packages is made impossible, as on a machine without Netwright.
_CHECK = """
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("nodes", "designer", "jaxtyping"):
            raise ImportError(name + " must not be needed")
sys.meta_path.insert(0, Absent())
sys.path.insert(0, ".")
import torch
torch.set_num_threads(int(sys.argv[2]))
from model import load
case = torch.load(sys.argv[1], weights_only=True)
with torch.no_grad():
    out = load()(case["input"])
def flat(x):
    return [x] if isinstance(x, torch.Tensor) else [t for v in x for t in flat(v)]
pairs = list(zip(flat(out), case["output"], strict=True))
same = all(torch.equal(a, b) for a, b in pairs)
print(json.dumps(0.0 if same else max(float((a.double() - b.double()).abs().max()) for a, b in pairs)))
"""


def _verify(folder: Path, compiled: Compiled, sample: torch.Tensor) -> float:
    """Runs the written folder in a process of its own and compares: largest absolute difference, 0.0 when equal."""
    with torch.no_grad():
        expected = flat_tensors(compiled.model(sample))
    with tempfile.TemporaryDirectory() as place:
        case = Path(place) / "case.pt"
        torch.save({"input": sample, "output": expected}, case)
        command = [sys.executable, "-I", "-c", _CHECK, str(case), str(torch.get_num_threads())]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    for cached in folder.rglob("__pycache__"):
        shutil.rmtree(cached, ignore_errors=True)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given"
        raise ExportError(f"The written code does not run by itself: {reason}. Nothing was exported; please report it.")
    difference = float(json.loads(done.stdout.strip().splitlines()[-1]))
    if difference > 1e-4:
        raise ExportError(
            f"The written code gives other outputs (off by {difference:.2g}). Nothing was exported; please report it."
        )
    return difference
