"""Latency in onnxruntime of our exported YOLOv8n against the same layers exported from a hand-written module.

    python benchmarks/onnx_latency.py [--pairs 20] [--size 320] [--threads 1 2] [--json]

Both start from the same weights; ours goes through `export_onnx` without NMS, the other through `torch.onnx.export` of
the module in `compile_overhead.py`. Runs them in turns and prints the median of the pairs' ratios,
and how many BatchNormalization nodes are left. The bar: 1.00 + 0.03 noise, and no norm left.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from compile_overhead import build
from safetensors.torch import save_file

from designer.export import export_onnx
from designer.graph.onnx_options import OnnxOptions
from designer.graph.templates import load_template

NOISE = 0.03


def exported(folder: Path, size: int) -> tuple[Path, Path]:
    """Our file and the hand-written module's, with equal weights."""
    torch.manual_seed(0)
    document = load_template("yolov8n-blocks")
    image = next(n for n in document.data.nodes if n.component == "io.image_input")
    document.set_param(image, "height", size)
    document.set_param(image, "width", size)
    compiled, hand = build("cpu")
    save_file({k: v.contiguous().clone() for k, v in compiled.model.state_dict().items()}, folder / "w.safetensors")
    ours, theirs = folder / "ours.onnx", folder / "hand.onnx"
    options = OnnxOptions(post=False, batch=1)
    export_onnx(document.data, ours, folder / "w.safetensors", options=options)
    example = torch.rand(1, 3, size, size)
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    torch.onnx.export(hand.eval(), (example,), str(theirs), dynamo=True, external_data=False, verbose=False)
    logging.disable(logging.NOTSET)
    return ours, theirs


def norms(path: Path) -> int:
    return sum(node.op_type == "BatchNormalization" for node in onnx.load(str(path)).graph.node)


def session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def measured(ours: Path, theirs: Path, threads: int, size: int, pairs: int) -> dict[str, float]:
    """Medians over interleaved pairs; which goes first changes, as the second finds warmer caches."""
    both = [session(ours, threads), session(theirs, threads)]
    image = np.random.default_rng(0).random((1, 3, size, size), dtype=np.float32)
    feeds = [{s.get_inputs()[0].name: image} for s in both]
    outputs = [s.run(None, f) for s, f in zip(both, feeds, strict=True)]
    apart = max(float(np.abs(a - b).max()) for a, b in zip(*outputs, strict=True))
    if apart > 1e-2:
        raise SystemExit(f"The two do not compute the same (largest difference {apart:g}), so nothing is compared.")
    times: list[list[float]] = [[], []]
    for pair in range(pairs + 2):
        for which in (0, 1) if pair % 2 else (1, 0):
            started = time.perf_counter()
            both[which].run(None, feeds[which])
            if pair >= 2:
                times[which].append(time.perf_counter() - started)
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    mine, other = (statistics.median(t) * 1e3 for t in times)
    return {"ratio": ratio, "ours_ms": mine, "hand_written_ms": other, "largest_difference": apart}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        ours, theirs = exported(Path(place), options.size)
        left = {"ours": norms(ours), "hand_written": norms(theirs)}
        rows = {n: measured(ours, theirs, n, options.size, options.pairs) for n in options.threads}
    if options.json:
        print(json.dumps({"norms_left": left, "threads": rows}, indent=2))
        return
    print(f"BatchNormalization nodes left: ours {left['ours']}, hand-written {left['hand_written']}; bar 0")
    for threads, row in rows.items():
        met = "met" if row["ratio"] <= 1 + NOISE else "MISSED"
        print(
            f"{threads} thread(s)  ours {row['ours_ms']:7.1f} ms   hand-written {row['hand_written_ms']:7.1f} ms   "
            f"ratio {row['ratio']:.3f}   bar 1.00 + {NOISE}: {met}"
        )


if __name__ == "__main__":
    main()
