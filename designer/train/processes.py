"""Several processes that train one run: who is first, what all agree on, which share of a batch is whose.

Every process makes the whole run's way: the same order of images, the same steps. Of each batch it takes its share;
the first writes the events, checkpoints and samples. Whatever is named collective here must be called by all of them.
"""

from __future__ import annotations

import datetime
import os
import threading
import time
from contextlib import suppress
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from designer.data.items import Batch
from designer.graph.errors import NetwrightError
from designer.graph.training import TrainingSettings

T = TypeVar("T")
LONGEST = datetime.timedelta(hours=2)
"""That a process waits for another: the first may evaluate large data sets and write checkpoints to slow disks."""


class Processes:
    """This process among those of a run; one alone finds nothing to wait for.

    Args:
        accelerator: has started the process group, where there is one.
    """

    def __init__(self, accelerator: Accelerator | None = None) -> None:
        self.rank = accelerator.process_index if accelerator is not None else 0
        self.count = accelerator.num_processes if accelerator is not None else 1
        self._device = accelerator.device if accelerator is not None else torch.device("cpu")
        # Words go over gloo: over NCCL each would make the GPU stand still.
        self._words: Any = dist.new_group(backend="gloo", timeout=LONGEST) if self.count > 1 else None

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def agree(self, value: T) -> T:
        """What the first process has, in all of them. Collective."""
        if self._words is None:
            return value
        box: list[Any] = [value if self.is_first else None]
        dist.broadcast_object_list(box, src=0, group=self._words)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """What each process has, by rank, at the first; nothing at the others. Collective."""
        if self._words is None:
            return [value]
        found: list[Any] | None = [None] * self.count if self.is_first else None
        dist.gather_object(value, found, dst=0, group=self._words)
        return found or []

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes. Collective."""
        if self._words is None:
            return values
        total = values.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def share_buffers(self, module: nn.Module) -> None:
        """Gives all processes the first one's running statistics, for one evaluation of one model. Collective."""
        if self._words is not None:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def filled(self, batch: Batch, task: str, size: tuple[int, int]) -> tuple[Batch, float]:
        """The batch and the weight of its loss: a share without images is blank ones without objects that weigh 0.

        A process that left a step out would keep the others waiting. Two images, since norms want more than one value.
        """
        if batch.items or self.count == 1:
            return batch, 1.0
        targets: Any = torch.full((2,), -1, dtype=torch.int64)
        if task in ("detect", "segment"):
            targets = {"boxes": torch.zeros(2, 0, 4), "labels": torch.zeros(2, 0, dtype=torch.int64)}
        if task == "semantic":
            targets = torch.full((2, *size), 255)
        if task == "segment":
            targets["masks"] = torch.zeros(2, 0, size[0] // 4, size[1] // 4, dtype=torch.uint8)
        return Batch(torch.zeros(2, 3, *size), targets, [], batch.skipped), 0.0


def make_accelerator(device: str, amp: bool, accumulate: int) -> Accelerator:
    """An Accelerator for a device setting: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        NetwrightError: when there is no such device.
    """
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise NetwrightError(f"The device is {device}, but torch sees no CUDA GPU here. Set it to auto or cpu.")
        with suppress(ValueError):
            torch.cuda.set_device(int(device.partition(":")[2] or 0))
    elif device == "mps" and not torch.backends.mps.is_available():
        raise NetwrightError("The device is mps, but there is none here. Set it to auto or cpu.")
    elif device not in ("auto", "cpu", "mps"):
        raise NetwrightError(f"There is no device {device!r}. Use auto, cpu, cuda, cuda:1 or mps.")
    precision = "no"
    if amp and device != "cpu" and torch.cuda.is_available():
        precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    # Some composites hold parts that a document does not use; they have no gradients to wait for.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(
        # Told so, several processes without a GPU find each other over gloo; left to itself each would train alone.
        cpu=device == "cpu" or not torch.accelerator.is_available(),
        mixed_precision=precision,
        gradient_accumulation_steps=accumulate,
        kwargs_handlers=[unused],
    )


def share_norms(models: tuple[nn.Module, ...]) -> None:
    """Lets batch norms take their statistics of the whole batch instead of one process's share, in place.

    Args:
        models: may share submodules, and share the changed ones afterwards.
    """
    made: dict[int, nn.Module] = {}
    for model in models:
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, _BatchNorm) and not isinstance(child, nn.SyncBatchNorm):
                    if id(child) not in made:
                        made[id(child)] = nn.SyncBatchNorm.convert_sync_batchnorm(child)
                    setattr(parent, name, made[id(child)])


def check_group(settings: TrainingSettings) -> None:
    """Raises NetwrightError for settings that several processes cannot have."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    device, gpus = settings.device, torch.cuda.device_count() if settings.device != "cpu" else 0
    if ":" in device:
        raise NetwrightError(f"Several processes take a GPU each, but the device is {device}. Set it to auto.")
    if settings.sync_norm and not gpus:
        raise NetwrightError("Shared norms (sync_norm) work between GPUs only. Turn it off, or train on GPUs.")
    if settings.strategy == "fsdp" and (settings.compile or settings.unfreeze_after or settings.optimizer == "muon"):
        raise NetwrightError(
            "A model that is spread over devices (strategy fsdp) does without compile, unfreeze_after and Muon. "
            "Turn them off, or set the strategy to ddp."
        )
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if gpus and here > gpus:
        raise NetwrightError(
            f"{here} processes want a GPU each, but this machine has {gpus}. Set Devices to {gpus}, or use the CPU."
        )


def whole(value: Any) -> Any:
    """All of a tensor that is spread over the processes (FSDP); any other as it is. Collective."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def end_with_parent() -> None:
    """Ends this process when its starter is gone: one that was killed cannot end its workers any more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
