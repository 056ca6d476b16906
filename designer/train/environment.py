"""What a run was made with: versions, device, platform, and fingerprints of its document and its data."""

from __future__ import annotations

import json
import os
import platform
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import torch

from designer import __version__
from designer.data.dataset import DataSplits
from designer.graph.compare import fingerprint
from designer.graph.model import GraphData
from designer.graph.storage import write_text
from designer.train.run import RunFolder

PACKAGES = ("torch", "torchvision", "accelerate", "numpy", "pillow", "pydantic", "timm")


def record_environment(run: RunFolder, document: GraphData, splits: DataSplits, device: torch.device) -> None:
    """Writes `environment.json` of a run; a run that is resumed elsewhere gets that machine's."""
    write_text(run.environment_path, json.dumps(environment(document, splits, device), indent=2) + "\n")


def environment(document: GraphData, splits: DataSplits, device: torch.device) -> dict[str, Any]:
    """It as plain data."""
    gpu = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
    return {
        "netwright": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": gpu.name if gpu is not None else device.type,
        "gpu_mb": gpu.total_memory >> 20 if gpu is not None else None,
        "cuda": torch.version.cuda if gpu is not None else None,
        "packages": {**{name: version(name) for name in PACKAGES}, "torch": torch.__version__},
        "document": fingerprint(document),
        "data": data_fingerprint(document, splits),
        "images": {"train": _length(splits.train), "val": _length(splits.val)},
    }


def data_fingerprint(document: GraphData, splits: DataSplits) -> str:
    """Twelve hex digits that change with the names of the image files, their labels and boxes, or the class names.

    Data that is drawn, as the shapes are, is known by its settings and the seed.
    """
    digest = sha256(json.dumps(splits.class_names).encode())
    for part in (splits.train, splits.val):
        records = getattr(part, "records", None)
        if records is None:
            digest.update(f"{document.data.model_dump_json()} {document.training.seed} {_length(part)}".encode())
            continue
        for record in records:
            digest.update(repr((record.path.name, record.boxes, record.labels, record.outlines)).encode())
            if record.mask is not None:
                digest.update(f"{record.mask.path.name} {record.mask.codes}".encode())
    return digest.hexdigest()[:12]


def _length(part: Any) -> int:
    return len(part)
