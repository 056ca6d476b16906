"""How fast a trained model is on its device: latency of one image, and images a second in batches."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from designer.train.tasks import detect
from designer.train.trained import Trained

WARM_UP = 3
SECONDS, MOST = 3.0, 200
"""A measurement ends after so long or so many passes, but not before `LEAST` passes."""
LEAST = 10


@torch.no_grad()
def measure_speed(trained: Trained, batch: int) -> dict[str, Any]:
    """Passes from images on the device to detections, NMS included; reading files is not.

    Args:
        trained: the model.
        batch: images at a time for the throughput.

    Returns:
        `latency_p50_ms` and `latency_p95_ms` of one image, `images_per_s` in batches of `batch`, `device`, `threads`.
    """
    height, width = trained.compiled.image_size
    channels = trained.compiled.input_shape[1]
    one, many = (torch.rand(n, channels, height, width, device=trained.device) for n in (1, batch))
    single = torch.tensor(_times(trained, one))
    several = torch.tensor(_times(trained, many)) if batch > 1 else single
    return {
        "latency_p50_ms": round(float(single.quantile(0.5)) * 1e3, 3),
        "latency_p95_ms": round(float(single.quantile(0.95)) * 1e3, 3),
        "images_per_s": round(batch / float(several.median()), 2),
        "batch": batch,
        "device": torch.cuda.get_device_name(trained.device) if trained.device.type == "cuda" else trained.device.type,
        "threads": torch.get_num_threads(),
    }


def _times(trained: Trained, images: torch.Tensor) -> list[float]:
    """Seconds of each pass."""
    model: nn.Module = trained.compiled.model
    times: list[float] = []
    began = 0.0
    for number in range(WARM_UP + MOST):
        if number == WARM_UP:
            began = time.perf_counter()
        elif number >= WARM_UP + LEAST and time.perf_counter() - began > SECONDS:
            break
        started = time.perf_counter()
        if trained.task in ("classify", "semantic"):
            model(images)
        else:
            detect(model, images)
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        if number >= WARM_UP:
            times.append(time.perf_counter() - started)
    return times
