"""The training loop: read a batch, sum the loss terms, step; everything else keeps that from being lost."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from wsolbook.data.sampling import batch_index, counter, steps_per_epoch, training_batches
from wsolbook.profiles import progress
from wsolbook.training import faults
from wsolbook.training.checkpoint import (
    checkpoint_path,
    load_checkpoint,
    load_newest,
    newest_first,
    prune,
    save_checkpoint,
)
from wsolbook.training.config import ConfigError, TrainConfig, differences, digest, plain
from wsolbook.training.devices import add_up, build_accelerator
from wsolbook.training.interrupt import Interrupt, Stopped
from wsolbook.training.optim import Average, build_optimizer, parameter_groups
from wsolbook.training.pictures import write_pictures
from wsolbook.training.provenance import provenance
from wsolbook.training.run import Run
from wsolbook.training.schedule import factor
from wsolbook.types import Batch, Samples

Evaluate = Callable[[Any], dict[str, float]]


@dataclass
class History:
    """What happened in training.

    Attributes:
        losses: sum of the loss terms at each step of this call.
        terms: each loss term at each step of this call.
        evaluations: metrics with the `step` they were measured at, over the whole run.
        step: number of optimizer steps done over the whole run.
    """

    losses: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)
    evaluations: list[dict[str, float]] = field(default_factory=list)
    step: int = 0

    def add(self, terms: dict[str, float]) -> None:
        """Count a step with its loss terms."""
        self.step += 1
        self.losses.append(sum(terms.values()))
        for name, value in terms.items():
            self.terms.setdefault(name, []).append(value)

    @property
    def final(self) -> dict[str, float]:
        """The last evaluation; empty when there was none."""
        return self.evaluations[-1] if self.evaluations else {}


def train(
    model: Any,
    data: Samples,
    config: TrainConfig,
    *,
    run: str | os.PathLike[str] | None = None,
    evaluate: Evaluate | None = None,
    seed: int | None = None,
    resume: Literal["never", "auto"] | os.PathLike[str] = "never",
) -> History:
    """Train a localizer on image labels.

    Works the same in a notebook, under `wsolbook train`, and under `accelerate launch` or `torchrun`.

    Args:
        model: an `nn.Module` that is a `Localizer`; trained in place, left in evaluation mode.
        data: the data set; its training view is read.
        config: settings.
        run: folder for config, log and checkpoints, for example `runs/first`; None writes nothing.
        evaluate: returns metrics of the model, called between epochs with the model in evaluation mode.
        seed: takes the place of `config.seed`.
        resume: `"auto"` goes on from the newest valid checkpoint of `run`, if there is one; a path names one.

    Returns:
        Losses and evaluations. On resume, losses are those of the steps done here.

    Raises:
        ConfigError: listing all that is wrong with `config`, before anything is created.
        ValueError: when the data set is empty, `run` holds a run already, or a checkpoint does not fit.
        faults.NonFiniteLossError: when a loss is NaN or infinite, naming the samples; the state before that
            step was saved.
        Stopped: after SIGTERM or Ctrl-C during a training with `run`; the finished step was saved.
    """
    config = config if seed is None else replace(config, seed=seed)
    config.check()
    if len(data) == 0:
        raise ValueError("the data set is empty")
    training = _Training(model, data, config, evaluate, Run(run) if run is not None else None)
    with training.open(resume):
        training.go()
    return training.history


class _Training:
    """The state of a training and the moves on it; `step` and the tensors are all that a checkpoint needs."""

    def __init__(
        self, model: nn.Module, data: Samples, config: TrainConfig, evaluate: Evaluate | None, run: Run | None
    ) -> None:
        self.model, self.data, self.config, self.evaluate, self.run = model, data, config, evaluate, run
        self.accelerator = build_accelerator(config)
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        self.per_epoch = steps_per_epoch(len(data), config.batch_size)
        self.total = config.total_steps(len(data))
        self.micro_batch = config.micro_batch or config.batch_size
        self.history = History()
        self.interrupt = Interrupt()
        self.plain = plain(config)
        self.best: dict[str, Any] = {}
        self.passed_over: list[str] = []
        self.skipped = self.seen = 0
        self.clock = time.perf_counter()

    # ------------------------------------------------------------------------------- before and after

    @contextmanager
    def open(self, resume: Literal["never", "auto"] | os.PathLike[str]) -> Iterator[None]:
        """Hold folder, device, signals and global settings for the length of the training."""
        config, device = self.config, self.accelerator.device
        home = next(self.model.parameters()).device
        state = self._find(resume)
        with ExitStack() as stack:
            if self.run is not None and self.accelerator.is_main_process:
                about = {"config": self.plain, "digest": digest(self.plain)} | provenance(device)
                stack.enter_context(self.run.open(about, config.tensorboard))
            stack.enter_context(faults.kept_random_state(config.deterministic))
            if self.run is not None:
                stack.enter_context(self.interrupt.listening())
            layout = torch.channels_last if config.channels_last else torch.preserve_format
            self.model.to(device).to(memory_format=layout)
            if state:
                self.model.load_state_dict(state["model"])
            self.groups = parameter_groups(self.model, config.optim)
            if not self.groups:
                raise ValueError("the model has no parameters to train")
            optimizer = build_optimizer(self.groups, config.optim)
            self.average = Average(self.model, config.ema) if config.ema else None
            if config.compile:
                self.model.compile()
            self.loss, self.optimizer = self.accelerator.prepare(_Loss(self.model), optimizer)
            if state:
                self._restore(state)
            try:
                yield
                if self.average:
                    self.average.swap()
            finally:
                self.model.eval()
                self.model.to(home)

    def go(self) -> None:
        """Do the steps that are left."""
        steps = range(self.history.step, self.total)
        batches = training_batches(
            self.data, self.config.batch_size, steps=steps, seed=self.config.seed, rank=self.rank,
            world=self.world, workers=self.config.workers, corrupt=self.config.corrupt,
        )  # fmt: skip
        self._log("start", step=steps.start, of=steps.stop, passed_over=self.passed_over)
        self.model.train()
        self._between_steps()
        for batch in progress(batches, "training", len(steps)):
            self._step(batch)
            if self._due(self.config.log_every):
                self._log_step()
            self._between_steps()
        self._log("end", step=self.history.step)

    # ----------------------------------------------------------------------------------- a single step

    def _step(self, batch: Batch) -> None:
        """Do one optimizer step on one batch, in as many micro-batches as memory asks for."""
        share = factor(self.config.schedule, self.history.step, self.total, self.per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.optim.lr * group["scale"] * share
        planned = batch_index(len(self.data), self.config.batch_size, self.config.seed, self.history.step)[1]
        self._notice_skipped(batch, planned[self.rank :: self.world])
        while True:
            try:
                terms = self._gradients(batch, planned)
                break
            except RuntimeError as error:
                size = min(self.micro_batch, len(batch))
                if not faults.out_of_memory(error) or size == 1 or self.world > 1:
                    raise
            self.micro_batch = math.ceil(size / 2)
            faults.free_memory()
            self._log("out of memory", micro_batch=self.micro_batch)
        flags = [not all(map(math.isfinite, terms.values())), self.interrupt.requested]
        bad, stop, *sums = add_up([*flags, *terms.values()], self.accelerator.device)
        terms = dict(zip(terms, sums, strict=True))
        if bad:
            self._give_up(batch, terms)
        self.interrupt.requested = bool(stop)
        if self.config.optim.clip:
            self.accelerator.clip_grad_norm_(self.loss.parameters(), self.config.optim.clip)
        self.optimizer.step()
        if self.average:
            self.average.update()
        self.seen += len(planned)
        self.history.add(terms)

    def _gradients(self, batch: Batch, planned: Sequence[int]) -> dict[str, float]:
        """Accumulate the gradient of the batch's mean loss; return this process's share of the terms."""
        # What the network draws (dropout) is a function of seed, step and process.
        torch.manual_seed(counter(self.config.seed, self.history.step, self.rank, 1))
        self.optimizer.zero_grad()
        everyone = len(batch) if self.world == 1 else len(planned)
        idle = self.rank >= len(planned)
        sums: dict[str, float] = {}
        for start in range(0, len(batch), self.micro_batch):
            part = _part(batch, start, start + self.micro_batch).to(self.accelerator.device)
            if self.config.channels_last:
                part = replace(part, images=part.images.contiguous(memory_format=torch.channels_last))
            share = 0.0 if idle else len(part) / everyone
            last = start + self.micro_batch >= len(batch)
            with nullcontext() if last else self.accelerator.no_sync(self.loss):
                terms: dict[str, Tensor] = self.loss(part)
                values = torch.stack([term.detach().float() for term in terms.values()]).tolist()
                # DDP averages gradients over processes; we want their sum, weighted by images.
                self.accelerator.backward(torch.stack(list(terms.values())).sum() * (share * self.world))
            for name, value in zip(terms, values, strict=True):
                sums[name] = sums.get(name, 0.0) + share * value
        return sums

    def _notice_skipped(self, batch: Batch, planned: Sequence[int]) -> None:
        """Log the samples that could not be read; stop when there are too many."""
        missing = sorted(set(planned) - set(batch.index.tolist()))
        if not missing:
            return
        self.skipped += len(missing)
        self._log("skipped", step=self.history.step, samples=missing, skipped=self.skipped)
        if self.skipped > self.config.corrupt_limit:
            raise ValueError(
                f"{self.skipped} pictures could not be read, more than corrupt_limit = "
                f"{self.config.corrupt_limit}; the last were samples {missing}"
            )

    def _give_up(self, batch: Batch, terms: dict[str, float]) -> None:
        """Save the state before this step, unless the forward pass has spoilt it, and stop."""
        samples = batch.index.tolist()
        finite = all(torch.isfinite(t).all() for t in self.model.state_dict().values())
        if finite:
            self._save()
        self._log("loss not finite", step=self.history.step, samples=samples, saved=finite)
        raise faults.NonFiniteLossError(self.history.step, terms, samples)

    # -------------------------------------------------------------------------------- between two steps

    def _between_steps(self) -> None:
        """Evaluate, draw and save where it is due; stop where it was asked for."""
        step, config = self.history.step, self.config
        if self.interrupt.requested:
            self._save()
            self._log("stopped", step=step)
            raise Stopped(f"stopped after step {step} of {self.total}; go on with --resume auto")
        if step == 0:
            return
        better = self._due(config.evaluate_every * self.per_epoch) and self._evaluate()
        if config.images_every and step % config.images_every == 0:
            self._draw()
        if better or self._due(config.checkpoint_every or self.per_epoch):
            self._save()

    def _due(self, every: int) -> bool:
        return self.history.step == self.total or (every > 0 and self.history.step % every == 0)

    def _evaluate(self) -> bool:
        """Measure, once a step; return whether this is the best so far."""
        step = self.history.step
        if self.evaluate is None or any(e["step"] == step for e in self.history.evaluations):
            return False
        with self._as_seen_from_outside():
            found = self.evaluate(self.model)
        self.history.evaluations.append({"step": step} | found)
        self._log("evaluation", **self.history.evaluations[-1])
        if not self.config.best:
            return False
        if self.config.best not in found:
            raise ConfigError([f"best is {self.config.best!r}, but the metrics are {', '.join(found)}"])
        better = found[self.config.best] > self.best.get("value", -math.inf)
        if better:
            self.best = {"step": step, "value": float(found[self.config.best])}
        return better

    def _draw(self) -> None:
        if self.run is not None and self.accelerator.is_main_process:
            with self._as_seen_from_outside():
                path = self.run.folder / "maps" / f"step-{self.history.step:08d}.png"
                write_pictures(path, self.model, self.data)

    @contextmanager
    def _as_seen_from_outside(self) -> Iterator[None]:
        """Put the network into evaluation mode, with averaged weights where there are."""
        started = time.perf_counter()
        self.model.eval()
        with self.average.applied() if self.average else nullcontext():
            yield
        self.model.train()
        self.clock += time.perf_counter() - started

    # ---------------------------------------------------------------------------------- what is kept

    def _save(self) -> None:
        """Write a checkpoint of this step and drop old ones."""
        if self.run is None or not self.accelerator.is_main_process:
            return
        path = checkpoint_path(self.run.checkpoints, self.history.step)
        if path.exists():
            return
        scaler = self.accelerator.scaler
        state = {
            "config": self.plain,
            "digest": digest(self.plain),
            "step": self.history.step,
            "micro_batch": self.micro_batch,
            "skipped": self.skipped,
            "evaluations": self.history.evaluations,
            "best": self.best,
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.values if self.average else [],
            "scaler": scaler.state_dict() if scaler else {},
        }
        save_checkpoint(path, state)
        prune(self.run.checkpoints, self.config.keep, self.best.get("step"))

    def _find(self, resume: str | os.PathLike[str]) -> dict[str, Any] | None:
        """Return the state to go on from, or None for a new training."""
        if resume == "never":
            if self.run is not None and any(newest_first(self.run.checkpoints)):
                raise ValueError(
                    f"{self.run.folder} holds a run already; go on with resume auto, or name another folder"
                )
            return None
        if resume == "auto":
            if self.run is None:
                raise ValueError("resume auto needs a run folder")
            state, self.passed_over = load_newest(self.run.checkpoints)
        else:
            state = load_checkpoint(resume)
        if state and (changed := differences(state["config"], self.plain)):
            raise ValueError(f"the checkpoint was made with another config: {'; '.join(changed)}")
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        """Take over everything but the weights of the network, which are in place already."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            for value, saved in zip(self.average.values, state["average"], strict=True):
                value.copy_(saved)
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.history.step = state["step"]
        self.history.evaluations = state["evaluations"]
        self.micro_batch, self.skipped, self.best = state["micro_batch"], state["skipped"], state["best"]

    def _log_step(self) -> None:
        now, history = time.perf_counter(), self.history
        rate = self.seen / max(now - self.clock, 1e-9)
        self.clock, self.seen = now, 0
        terms = {name: values[-1] for name, values in history.terms.items()}
        self._log(
            "step", step=history.step, epoch=(history.step - 1) // self.per_epoch, loss=history.losses[-1],
            **terms, lr=self.optimizer.param_groups[0]["lr"] / self.optimizer.param_groups[0]["scale"],
            images_per_second=round(rate, 1),
        )  # fmt: skip

    def _log(self, event: str, **values: Any) -> None:
        if self.run is not None and self.accelerator.is_main_process:
            self.run.log(event, **values)


class _Loss(nn.Module):
    """The loss as a forward pass, which is what accelerate wraps for many devices and mixed precision."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.model.loss(batch)


def _part(batch: Batch, start: int, stop: int) -> Batch:
    """Return some samples of a training batch, which has neither boxes nor masks."""
    if start == 0 and stop >= len(batch):
        return batch
    return Batch(batch.images[start:stop], batch.labels[start:stop], batch.index[start:stop])
