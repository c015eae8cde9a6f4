"""The training loop: a batch, a step, and between steps whatever is due."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from wsolbook.data.made import require_declared
from wsolbook.data.sampling import batch_index, steps_per_epoch, training_batches, with_masks
from wsolbook.distributed import share_buffers
from wsolbook.files import decoding
from wsolbook.precision import products
from wsolbook.profiles import progress
from wsolbook.results import provenance
from wsolbook.training import faults
from wsolbook.training.checkpoint import (
    REMEDY,
    checkpoint_path,
    load_checkpoint,
    load_newest,
    newest_first,
    prune,
    save_checkpoint,
)
from wsolbook.training.config import ConfigError, TrainConfig, differences, digest, plain
from wsolbook.training.run import History, Run, write_pictures
from wsolbook.training.schedule import factor
from wsolbook.training.step import Stepper, build_accelerator
from wsolbook.types import Batch, Localizer, Samples, Trainable

M = TypeVar("M", bound=Trainable)
Resume = Literal["never", "auto"] | os.PathLike[str]


def train(
    model: M,
    data: Samples,
    config: TrainConfig,
    *,
    run: str | os.PathLike[str] | None = None,
    evaluate: Callable[[M], dict[str, float]] | None = None,
    seed: int | None = None,
    resume: Resume = "never",
) -> History:
    """Train a network on image labels, and on what else it declares to see.

    Works the same in a notebook, under `wsolbook train`, and under `accelerate launch` or `torchrun`.

    Args:
        model: an `nn.Module` with a loss; trained in place, left in evaluation mode.
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
        TypeError: when `model` has no loss, or does not say what it may see.
        ValueError: when the data set is empty, has fewer masks than the method is to see, or the truth where
            it declares to see made label maps, or these instead of the truth; when `run` holds a run already,
            or a checkpoint does not fit.
        NonFiniteLossError: when a loss is NaN or infinite, naming the samples; the state before that step
            was saved.
        Stopped: after SIGTERM or Ctrl-C during a training with `run`; the finished step was saved.
    """
    config = config if seed is None else replace(config, seed=seed)
    config.check()
    if len(data) == 0:
        raise ValueError("the data set is empty")
    if not (isinstance(model, nn.Module) and isinstance(model, Trainable)):
        kind = type(model).__name__
        raise TypeError(f"{kind} cannot be trained: it needs loss and supervision, see types.Trainable")
    require_declared(model.supervision, data)
    if config.images_every and not isinstance(model, Localizer):
        raise ConfigError([f"images_every needs a network with maps, which {type(model).__name__} has not"])
    measure = partial(evaluate, model) if evaluate else None
    training = _Training(model, data, config, measure, Run(run) if run is not None else None)
    with training.open(resume):
        training.go()
    return training.history


class _Training:
    """Where a training is, and what is due there."""

    def __init__(
        self,
        model: Trainable,
        data: Samples,
        config: TrainConfig,
        evaluate: Callable[[], dict[str, float]] | None,
        run: Run | None,
    ) -> None:
        assert isinstance(model, nn.Module)
        self.model, self.data, self.config, self.evaluate, self.run = model, data, config, evaluate, run
        self.accelerator = build_accelerator(config)
        self.writes = run is not None and self.accelerator.is_main_process
        self.per_epoch = steps_per_epoch(len(data), config.batch_size)
        self.total = config.total_steps(len(data))
        self.masks = with_masks(len(data), model.supervision.masks, config.seed)
        self.plain = plain(config)
        self.history = History()
        self.interrupt = faults.Interrupt()
        self.stopping = False  # agreed on by all processes, unlike a signal
        self.saved: int | None = None  # step of the last checkpoint that is whole
        self.passed_over: list[str] = []
        self.seen, self.clock = 0, time.perf_counter()

    @contextmanager
    def open(self, resume: Resume) -> Iterator[None]:
        """Hold folder, signals, random state and device for the length of the training."""
        home = next(self.model.parameters()).device
        state = self._find(resume)
        with ExitStack() as stack:
            if self.run is not None and self.writes:
                about = {"config": self.plain, "digest": digest(self.plain)}
                about |= provenance(self.accelerator.device)
                stack.enter_context(self.run.open(about, self.config.tensorboard))
            if self.run is not None:
                stack.enter_context(self.interrupt.listening())
            stack.enter_context(faults.kept_random_state(self.config.deterministic, self.config.tune_kernels))
            stack.enter_context(products(self.config.precision))
            self.stepper = Stepper(self.model, self.config, self.accelerator)
            if state:
                with decoding(f"the checkpoint of step {state['step']}", "state of this network", REMEDY):
                    self.stepper.restore(state)
                self.history.step, self.history.evaluations = state["step"], state["evaluations"]
            del state  # as large as the network and its optimizer
            try:
                yield
                if self.stepper.average:
                    self.stepper.average.swap()
            finally:
                self.model.eval()
                self.model.to(home)

    def go(self) -> None:
        """Do the steps that are left."""
        config, history = self.config, self.history
        steps = range(history.step, self.total)
        rank, world = self.stepper.rank, self.stepper.world
        batches = training_batches(
            self.data, config.batch_size, steps=steps, seed=config.seed, rank=rank, world=world,
            workers=config.workers, masks=self.masks, device=self.accelerator.device,
        )  # fmt: skip
        self._log("start", step=steps.start, of=steps.stop, passed_over=self.passed_over)
        self.model.train()
        self._between_steps()
        for batch in progress(batches, "training", len(steps)):
            planned = batch_index(len(self.data), config.batch_size, config.seed, history.step)[1]
            self._step(batch, planned)
            if self._due(config.log_every):
                self._log_step()
            self._between_steps()
        self._log("end", step=history.step)

    def _step(self, batch: Batch, planned: tuple[int, ...]) -> None:
        """Take one step; log what went wrong on the way."""
        step, micro_batch = self.history.step, self.stepper.micro_batch
        mine = set(planned[self.stepper.rank :: self.stepper.world])
        if unread := sorted(mine - set(batch.index.tolist())):
            self._log("skipped", step=step, samples=unread)
        everyone = len(batch) if self.stepper.world == 1 else len(planned)
        share = factor(self.config.schedule, step, self.total, self.per_epoch)
        try:
            terms, stop = self.stepper.do(batch, step, everyone, share, self.interrupt.requested)
        except faults.NonFiniteLossError as error:
            # The forward pass may have spoilt batch statistics; then the last checkpoint is the good one.
            finite = all(torch.isfinite(t).all() for t in self.model.state_dict().values())
            if finite:
                self._save()
            self._log("loss not finite", step=step, samples=error.samples, saved=finite)
            raise
        if self.stepper.micro_batch < micro_batch:
            self._log("out of memory", step=step, micro_batch=self.stepper.micro_batch)
        self.stopping = stop
        self.seen += len(planned)
        self.history.add(terms)

    def _between_steps(self) -> None:
        """Evaluate, draw and save where it is due; stop where it was asked for."""
        step, config = self.history.step, self.config
        if self.stopping:
            self._save()
            self._log("stopped", step=step)
            raise faults.Stopped(f"stopped after step {step} of {self.total}; go on with --resume auto")
        if step == 0:
            return
        better = self._due(config.evaluate_every * self.per_epoch) and self._evaluate()
        if config.images_every and step % config.images_every == 0 and self.run and self.writes:
            assert isinstance(self.model, Localizer)
            with self._as_seen_from_outside():
                path = self.run.folder / "maps" / f"step-{step:08d}.png"
                write_pictures(path, self.model, self.data, self.accelerator.device)
        if better or self._due(config.checkpoint_every or self.per_epoch):
            self._save()

    def _due(self, every: int) -> bool:
        return self.history.step == self.total or (every > 0 and self.history.step % every == 0)

    def _evaluate(self) -> bool:
        """Measure, once a step; return whether this is the best so far."""
        step = self.history.step
        if self.evaluate is None or any(e["step"] == step for e in self.history.evaluations):
            return False
        share_buffers(self.model)
        with self._as_seen_from_outside():
            found = self.evaluate()
        if self.config.best and self.config.best not in found:
            raise ConfigError([f"best is {self.config.best!r}, but the metrics are {', '.join(found)}"])
        self.history.evaluations.append({"step": step, **found})
        self._log("evaluation", **self.history.evaluations[-1])
        return bool(self.config.best) and self.history.best_step(self.config.best) == step

    @contextmanager
    def _as_seen_from_outside(self) -> Iterator[None]:
        """Put the network into evaluation mode, with averaged weights where there are; stop the clock."""
        started = time.perf_counter()
        self.model.eval()
        average = self.stepper.average
        with average.applied() if average else nullcontext():
            yield
        self.model.train()
        self.clock += time.perf_counter() - started

    def _save(self) -> None:
        """Write a checkpoint of this step and drop old ones."""
        if self.run is None or not self.writes:
            return
        step = self.history.step
        if self.saved == step:
            return
        about = {"config": self.plain, "digest": digest(self.plain)}
        where = {"step": step, "pictures": len(self.data), "evaluations": self.history.evaluations}
        save_checkpoint(checkpoint_path(self.run.checkpoints, step), about | where | self.stepper.state())
        self.saved = step
        best = self.history.best_step(self.config.best) if self.config.best else None
        prune(self.run.checkpoints, step, self.config.keep, best)

    def _find(self, resume: Resume) -> dict[str, Any] | None:
        """Return the state to go on from, or None for a new training."""
        state = None
        if resume == "auto":
            if self.run is None:
                raise ValueError("resume auto needs a run folder")
            state, self.passed_over = load_newest(self.run.checkpoints)
            self.saved = state["step"] if state else None
            for reason in self.passed_over if self.writes else ():
                print(f"wsolbook: passed over: {reason}", file=sys.stderr)
        elif resume != "never":
            state = load_checkpoint(resume)
        elif self.run is not None and any(newest_first(self.run.checkpoints)):
            raise ValueError(f"{self.run.folder} holds a run already; resume it, or name another folder")
        if state and (changed := differences(state["config"], self.plain)):
            raise ValueError(f"the checkpoint was made with another config: {'; '.join(changed)}")
        if state and (seen := state.get("pictures", len(self.data))) != len(self.data):
            raise ValueError(f"the checkpoint was made on {seen} pictures, these are {len(self.data)}")
        if state and not 0 <= state["step"] <= self.total:
            raise ValueError(f"the checkpoint is of step {state['step']}, this training has {self.total}")
        return state

    def _log_step(self) -> None:
        now, history = time.perf_counter(), self.history
        rate = self.seen / max(now - self.clock, 1e-9)
        self.clock, self.seen = now, 0
        self._log(
            "step", step=history.step, epoch=(history.step - 1) // self.per_epoch, loss=history.losses[-1],
            terms={name: values[-1] for name, values in history.terms.items()},
            lr=self.stepper.learning_rate(), images_per_second=round(rate, 1),
        )  # fmt: skip

    def _log(self, event: str, **values: Any) -> None:
        if self.run is not None and self.writes:
            self.run.log(event, **values)
