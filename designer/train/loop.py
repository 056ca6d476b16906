"""The training loop, in plain sight, on accelerate: device, mixed precision, several processes."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from torch import Tensor, nn

from designer.data.dataset import CHECK, Shares, load_dataset, make_loader
from designer.data.items import Batch
from designer.engine.compile import compile_document
from designer.engine.pretrained import load_pretrained
from designer.graph.errors import NetwrightError
from designer.graph.unused import without_effect
from designer.train import checkpoint, control
from designer.train.auto_batch import choose_batch
from designer.train.checks import check_classes, misfits
from designer.train.company import takes_one, with_company
from designer.train.compiling import try_compile
from designer.train.environment import record_environment
from designer.train.events import EventWriter
from designer.train.freezing import Freezing
from designer.train.live import Live
from designer.train.losses import head_losses
from designer.train.memory import check_batch
from designer.train.optim import batches_a_step, make_optimizer, schedule
from designer.train.processes import Processes, check_group, make_accelerator, share_norms, whole
from designer.train.quality import save_quality
from designer.train.run import RunError, RunFolder
from designer.train.samples import save_samples
from designer.train.stopping import stop_ends_process
from designer.train.tasks import BEST, evaluate, task_of
from designer.train.trackers import NoTrackers, Trackers
from designer.train.trial import Trial
from designer.train.weights import Whole, make_weights

EVENT_EVERY = 0.1
"""Seconds between step events; the first steps and the last of each epoch are always told."""
NAMED = 8
"""Files that a sentence about skipped ones names."""


class Diverged(NetwrightError):
    """The loss is not a number any more."""


class Trainer:
    """One run, from its folder to its end.

    Args:
        run: the folder with the frozen document.
        resume: go on from the last checkpoint.

    Raises:
        NetwrightError: for whatever the user can mend: the document, the data, memory, the checkpoint.
    """

    def __init__(self, run: RunFolder, *, resume: bool = False) -> None:
        self.run = run
        self.document = run.document()
        self.settings = self.document.training
        check_group(self.settings)
        self.accelerator = make_accelerator(self.settings.device, self.settings.amp, 1)
        self.group = Processes(self.accelerator)
        self.device = self.accelerator.device
        set_seed(self.settings.seed)
        self.compiled = compile_document(self.document)
        # Killed before the first checkpoint, a run starts over, and with it its given weights.
        saved, self.fallen_back = checkpoint.load_last(run.last_path) if resume else (None, "")
        loaded = load_pretrained(self.compiled, self.document) if saved is None else []
        self.said = [one.text() for one in loaded]
        names = [name for one in loaded for name in one.names]
        self.pretrained = names if saved is None else checkpoint.pretrained(saved, self.document, self.compiled)
        self.task = task_of(self.compiled)
        self.splits = load_dataset(self.document.data, self.compiled.image_size, self.task, self.settings)
        check_classes(self.document, self.compiled, self.splits.class_names)
        assert self.compiled.train_model is not None
        self.compiled.model.to(self.device)
        if self.device.type == "cuda":
            self.compiled.model.to(memory_format=torch.channels_last)
        self._settle_batch()
        check_batch(self.document, self.device, self.group.count)
        self.together = self.accelerator.gradient_accumulation_steps = batches_a_step(self.settings)
        pin = self.device.type == "cuda"
        options: dict[str, Any] = {"workers": self.settings.workers, "seed": self.settings.seed, "pin": pin}
        share = self.group.rank, self.group.count
        self.loader = make_loader(
            self.splits.train, self.task, self.settings.batch, shuffle=True, share=share, **options
        )
        self.val_loader = make_loader(self.splits.val, self.task, self.settings.batch, shuffle=False, share=share)
        self.batches = len(self.loader)
        self.steps = self.batches * self.settings.epochs
        if self.settings.sync_norm and self.group.count > 1:
            share_norms((self.compiled.train_model, self.compiled.model))
        self.weights = make_weights(self.compiled, self.settings, self.device, self.group.count)
        self.freezing = Freezing(self.compiled, self.settings)
        self.optimizer = make_optimizer(self.compiled.model, self.settings, self.pretrained, self.freezing.parameters())
        self.network, self.optimizer = self._prepare()
        self.fast: nn.Module | None = None
        """The compiled network, where that is wanted and works."""
        self.factor = schedule(self.settings, self.steps, self.batches)
        self.step = self.epoch = self.batch = 0
        self.best: float | None = None
        self.since_best = 0
        self._skipped: set[str] = set()
        self._summed = False
        """Whether there are gradients that the optimizer has not taken yet."""
        self._one_is_enough: bool | None = None
        self.resumed_from: int | None = None
        if resume:
            self._restore(saved)
        self.live = Live(run, self.document, self.compiled, self.device, writes=self.group.is_first)
        self.trackers = Trackers(run, self.document) if self.group.is_first else NoTrackers()
        self.events = EventWriter(run.events_path if self.group.is_first else Path(os.devnull))

    def _prepare(self) -> Any:
        if not isinstance(self.weights, Whole):
            return self.compiled.train_model, self.accelerator.prepare(self.optimizer)
        with self.freezing.all_learning():  # gradients are shared of what learns now, and these will
            return self.accelerator.prepare(self.compiled.train_model, self.optimizer)

    def _settle_batch(self) -> None:
        """Finds the batch where that was left open, and records it: a resumed run takes the same."""
        if self.settings.batch:
            return
        if self.accelerator.is_main_process:
            choice = choose_batch(self.document, self.compiled, self.splits.train, self.task, self.accelerator)
            self.settings.batch = choice.batch * (self.group.count if self.device.type == "cuda" else 1)
            self.said.append(choice.text())
            self.run.record(self.document)
        self.accelerator.wait_for_everyone()
        self.settings.batch = self.run.document().training.batch

    # -- the loop ----------------------------------------------------------------------------------------------------

    def train(self) -> dict[str, Any]:
        """Trains to the end, to a stop command, or until patience runs out. Returns the last metrics."""
        self._say_start()
        self._compile()
        metrics: dict[str, Any] = {}
        try:
            while self.epoch < self.settings.epochs:
                if not self._train_epoch():
                    self._save()
                    self.events.write("stopped", step=self.step, epoch=self.epoch)
                    return metrics
                last = self.epoch + 1 == self.settings.epochs
                if last or (self.epoch + 1) % self.settings.eval_every == 0:
                    metrics = self._evaluate()
                self.epoch, self.batch = self.epoch + 1, 0
                enough = bool(self.settings.patience) and self.since_best >= self.settings.patience and not last
                if last or enough or self.epoch % self.settings.checkpoint_every == 0:
                    self._save()
                if enough:
                    text = f"No gain in {self.since_best} evaluations, so training ends here (patience)."
                    self.events.write("warning", message=text)
                    break
            self.events.write("finished", step=self.step, epoch=self.epoch, values=metrics)
        finally:
            self.trackers.close()
            self.events.close()
        return metrics

    def _train_epoch(self) -> bool:
        """One pass over the data, or what is left of it after a resume. False when a stop was asked."""
        self._unfreeze()
        self.compiled.train()
        self._told = self._clock = time.perf_counter()
        self._images, started = 0, self.batch
        skipped: list[str] = []
        for number, batch in self._batches():
            self.batch = number
            batch, weight = self.group.filled(batch, self.task, self.compiled.image_size)
            if len(batch.items) == 1 and not self._takes_one():
                batch = with_company(batch, self.splits.train, self.task, self.step)
            if len(batch.images):
                loss, parts = self._train_step(batch, weight)
                self._images += len(batch.items) * self.group.count
            else:  # none of its images can be used; those of the batches before it in its group shall count
                with self._summing():
                    self._update()
            self.step += 1
            if self.group.is_first:
                self._say_skipped(batch.skipped)
            else:
                skipped += batch.skipped
            if len(batch.images):
                self._tell_step(loss, parts, last=self.batch == self.batches)
            # Only between steps of the optimizer: a checkpoint holds no half-summed gradients.
            if self.accelerator.sync_gradients and not self._obey():
                return False
        for names in self.group.gather(skipped):
            self._say_skipped(names)
        used = self.group.agree(sum(self.group.gather(self._images)))
        if not used and started == 0:
            raise NetwrightError(f"Not one of the training images can be used. {CHECK}")
        return True

    def _takes_one(self) -> bool:
        """Whether a batch may have one image, as the last of an epoch; tried out once it has."""
        if self._one_is_enough is None:
            alike = isinstance(self.weights, Whole) and not (self.settings.sync_norm and self.group.count > 1)
            assert self.compiled.train_model is not None
            trial = Trial(self.compiled, self.splits.train, self.task, self.accelerator) if alike else None
            self._one_is_enough = trial is None or takes_one(self.compiled.train_model, trial)
        return self._one_is_enough

    def _compile(self) -> None:
        """Tries torch.compile where it is wanted, and says what came of it."""
        if self.settings.compile:
            self.events.write("note", message="Compiling the model; the first step takes up to some minutes.")
            trial = Trial(self.compiled, self.splits.train, self.task, self.accelerator)
            assert isinstance(self.loader.batch_sampler, Shares)
            batches = [n if n > 1 or (n and self._takes_one()) else 2 for n in self.loader.batch_sampler.sizes()]
            with stop_ends_process(self.run, self._say_stopped, first=self.group.is_first):
                self.fast, text = try_compile(self.network, trial, batches)
                self.group.agree(None)  # all watch until the last is done
            self.events.write("note" if self.fast is not None else "warning", message=text)

    def _say_stopped(self) -> None:
        self.events.write("stopped", step=self.step, epoch=self.epoch)
        self.trackers.close()

    def _unfreeze(self) -> None:
        """Lets frozen nodes learn from the epoch on that the settings say."""
        if nodes := self.freezing.unfreeze(self.epoch):
            self.events.write("unfrozen", step=self.step, epoch=self.epoch, nodes=nodes)
            if self.fast is not None:  # code for what learns now; a stop meanwhile ends the process
                self._save()
                self._compile()

    def _say_skipped(self, names: list[str]) -> None:
        """Names what cannot be used, each once: it is met in every epoch."""
        if new := [name for name in names if name not in self._skipped]:
            self._skipped.update(new)
            more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
            text = f"Skipped {len(new)} image(s) that cannot be used: {', '.join(new[:NAMED])}{more}"
            self.events.write("warning", message=text, step=self.step)

    def _batches(self) -> Iterator[tuple[int, Batch]]:
        """Batches with their number in the epoch, 1-based; those already done before a resume are passed over.

        The order and the augmentation of an epoch follow from (seed, epoch), so a resumed run sees the same batches.
        """
        done, state = self.batch, self._rng if self.batch else None
        assert isinstance(self.loader.batch_sampler, Shares)
        self.loader.batch_sampler.generator.manual_seed(self.settings.seed * 1_000_003 + self.epoch)
        self.splits.train.epoch.fill_(self.epoch)  # type: ignore[attr-defined]  # mosaic ends before the last epochs
        if self.loader.num_workers == 0:
            torch.manual_seed(self.settings.seed * 1_000_003 + self.epoch + 1 + self.group.rank * 7919)
        for number, batch in enumerate(self.live.waiting(self.loader), 1):
            if number == done and state is not None:
                checkpoint.restore_rng(state)
            if number > done:
                yield number, batch

    def _train_step(self, batch: Batch, weight: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self.factor(self.step) * group.get("factor", 1.0)
        images, targets = batch.to(self.device)
        with self._summing():
            with self.live.watching(self.step):
                parts = self._forward(images, targets)
            terms = torch.stack(list(parts.values())) * weight
            loss = terms.sum()
            # What is told and judged is of the whole batch, so that all processes come to the same conclusion.
            told = self.group.mean(terms.detach())
            parts, mean = dict(zip(parts, told, strict=True)), told.sum()
            self.live.look_at(mean)
            self.accelerator.backward(loss)
            if not self.live.is_finite():  # asked before the weights are spoilt, so that the step can be repeated
                named = ", ".join(f"{k} {v.item():g}" for k, v in parts.items())
                why = self.live.explain(partial(self._forward, images, targets), images, self.settings.learning_rate)
                raise Diverged(f"The loss is {mean.item()} at step {self.step + 1} ({named}). {why}")
            self._summed = True
            self._update()
        return mean, parts

    def _update(self) -> None:
        """A step of the optimizer, where a group of batches is complete and anything was summed in it."""
        if self.accelerator.sync_gradients and self._summed:
            norm = self.settings.clip_norm or math.inf
            self.live.norm = whole(self.accelerator.clip_grad_norm_(self.network.parameters(), norm))
        self.live.before_update(self.step)
        if self.accelerator.sync_gradients and self._summed:
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.weights.update_average()
            self._summed = False

    @contextmanager
    def _summing(self) -> Iterator[None]:
        """Several batches a step of the optimizer; what is left at the end of an epoch steps too."""
        whole = self.batch % self.together == 0 or self.batch == self.batches
        self.accelerator.sync_gradients = whole
        with nullcontext() if whole else self.accelerator.no_sync(self.network):
            yield

    def _forward(self, images: Tensor, targets: Any) -> dict[str, Tensor]:
        """A forward pass in the run's precision; the losses by name. Hooks do not reach into compiled code."""
        network = self.network if self.fast is None or self.live.hooked else self.fast
        with self.accelerator.autocast():
            return head_losses(self.compiled.heads, network(images), targets)

    def _evaluate(self) -> dict[str, Any]:
        model = self.weights.to_measure()
        self.group.share_buffers(model)
        metrics = evaluate(
            model, self.val_loader, self.task, self.splits.class_names, self.device, processes=self.group,
            on_quality=lambda quality, values: save_quality(
                self.run.evaluation_path, quality, values, self.epoch, self.step
            ),
            on_skipped=self._say_skipped,
        )  # fmt: skip
        self.compiled.train()
        value = float(metrics[BEST[self.task]])
        improved = self.best is None or value > self.best
        self.best = value if improved else self.best
        self.since_best = 0 if improved else self.since_best + 1
        self.events.write("metrics", epoch=self.epoch, step=self.step, values=metrics)
        self.trackers.log({f"val/{name}": number for name, number in metrics.items()}, self.step)
        if self.group.is_first:
            names, path = self.splits.class_names, self.run.samples / f"epoch{self.epoch + 1:04}.png"
            save_samples(model, self.splits.val, self.task, names, self.device, path)
        self.compiled.train()
        if improved:
            self._write(self.run.best_path, best=True)
        return metrics

    # -- telling and obeying -----------------------------------------------------------------------------------------

    def _say_start(self) -> None:
        if self.group.is_first:
            record_environment(self.run, self.document, self.splits, self.device)
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        self.events.write(
            "start",
            device=name,
            torch=torch.__version__,
            params=sum(p.numel() for p in self.compiled.model.parameters()),
            batches=self.batches,
            epochs=self.settings.epochs,
            images=len(self.splits.train),  # type: ignore[arg-type]
            task=self.task,
            class_names=self.splits.class_names,
            precision=self.accelerator.mixed_precision,
            resumed_from=self.resumed_from,
            processes=self.group.count,
        )
        for text in self.said:
            self.events.write("note", message=text)
        fallen_back = [self.fallen_back] if self.fallen_back else []
        unused = without_effect(self.document, self.task, self.group.count) if self.resumed_from is None else ()
        unfit = misfits(self.document, self.compiled, self.splits.train)
        for note in (*fallen_back, *self.splits.notes, *unused, *unfit):
            self.events.write("warning", message=note)

    def _tell_step(self, loss: Tensor, parts: dict[str, Tensor], *, last: bool) -> None:
        now = time.perf_counter()
        if now - self._told < EVENT_EVERY and not last and self.step > 20:
            return
        value = float(loss)  # waits for the device, hence not at every step
        rate = self._images / max(1e-9, now - self._clock)
        left = (self.steps - self.step) * (now - self._clock) / max(1, self._images) * self.settings.batch
        values = {k: float(v) for k, v in parts.items()}
        rates = [group["lr"] for group in self.optimizer.param_groups]
        lr, live = max(rates), self.live.fields(rates)
        self.events.write(
            "step", step=self.step, epoch=self.epoch, loss=value, losses=values, lr=lr,
            images_per_s=round(rate, 2), eta_s=round(left, 1), **live,
        )  # fmt: skip
        for fault in self.live.faults(value, values):
            self.events.write("warning", step=self.step, **fault.event())
        said = {"loss": value, **values, "lr": lr, "images_per_s": rate, **live}
        self.trackers.log({f"train/{name}": number for name, number in said.items()}, self.step)
        self._told = now

    def _obey(self) -> bool:
        """Carries out a command from the control file. False when it was stop."""
        command = self._command()
        if command == "pause":
            self._save()
            self.events.write("paused", step=self.step)
            began = time.perf_counter()
            while (command := self._command()) not in ("resume", "stop"):
                time.sleep(0.1)
            self._clock += time.perf_counter() - began
            self.live.restart()
            if command == "resume":
                self.events.write("resumed", step=self.step)
        elif command == "save":
            self._save()
            self.events.write("note", message=f"The state after step {self.step} is saved.", step=self.step)
        return command != "stop"

    def _command(self) -> str | None:
        """What was asked, the same in every process. Collective."""
        return self.group.agree(control.take(self.run) if self.group.is_first else None)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        self._write(self.run.last_path, best=False)

    def _write(self, path: Any, *, best: bool) -> None:
        rngs = self.group.gather(checkpoint.rng_state())
        state = {
            **self.weights.state(self.optimizer),
            "step": self.step, "epoch": self.epoch, "batch": self.batch,
            "best": self.best, "since_best": self.since_best,
            "rng": rngs,
            "scaler": scaler.state_dict() if (scaler := self.accelerator.scaler) is not None else None,
            "task": self.task, "class_names": self.splits.class_names, "pretrained": self.pretrained,
        }  # fmt: skip
        if self.group.is_first:
            checkpoint.save(path, state)
        self.events.write("checkpoint", path=str(path), step=self.step, best=best)

    def _restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            # Killed before the first checkpoint: the run starts over, and its curve with it.
            self.resumed_from = 0
            return
        try:
            self.weights.restore(state, self.optimizer)
        except (RuntimeError, ValueError, KeyError) as error:
            text = str(error).splitlines()[0]
            raise RunError(f"{self.run.last_path} does not fit the run's document ({text}). Start a new run.") from None
        if self.accelerator.scaler is not None and state.get("scaler"):  # of half precision: else it is sought anew
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.best, self.since_best = state["best"], state["since_best"]
        rngs = state["rng"] if isinstance(state["rng"], list) else [state["rng"]]
        self._rng = rngs[self.group.rank % len(rngs)]
        self.resumed_from = self.step
        checkpoint.restore_rng(self._rng)
