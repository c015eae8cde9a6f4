"""What decides a training run, checked as a whole before anything is created."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from wsolbook.data.sampling import steps_per_epoch
from wsolbook.precision import Precision
from wsolbook.profiles import SEEDS
from wsolbook.training.optim import Optim
from wsolbook.training.schedule import Schedule

# What may differ between a run and its continuation without changing a single weight.
FREE = {
    "workers", "log_every", "checkpoint_every", "keep", "images_every", "tensorboard", "device", "root",
    "source", "target", "columns",
}  # fmt: skip


class ConfigError(ValueError):
    """A config that cannot be run; its message lists everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{count} in the config: " + "; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `train`.

    Attributes:
        epochs: passes over the data.
        steps: optimizer steps; takes the place of `epochs` when given.
        batch_size: images a step, over all processes and micro-batches.
        micro_batch: images that one process holds at once; gradients accumulate over the rest. 0 means all.
        seed: decides order, augmentation and dropout.
        workers: processes that read ahead; None as many as help on the device. Changes no result.
        optim: optimizer and parameter groups.
        schedule: learning rate over time.
        ema: decay of a moving average of the weights, which is then evaluated and returned; 0 for none.
        device: `"auto"` takes the accelerator of the machine where there is one.
        precision: number format of forward and backward passes; weights stay in fp32. `"tf32"` lets cards
            round the products of fp32; `"auto"` is the half-sized format that a card has, else fp32.
        channels_last: memory layout that convolutions on recent processors and GPUs prefer.
        sync_norms: batch normalization by the pictures of all CUDA devices together, where each has few.
        static_graph: tells several processes that every step uses the parameters that the first one used:
            some may go unused, and gradients are exchanged sooner. Not for losses whose terms come and go
            with the pictures.
        tune_kernels: let cuDNN try its convolutions for each size of input and keep the fastest.
        compile: compile the network with `torch.compile`.
        deterministic: use deterministic kernels where they exist.
        evaluate_every: epochs between evaluations; 0 evaluates at the end alone.
        best: name of the metric by which the best checkpoint is kept.
        log_every: steps between records of the log.
        checkpoint_every: steps between checkpoints; 0 writes one after each epoch.
        keep: number of newest checkpoints to keep, besides the best one.
        images_every: steps between pictures of localization maps in the run folder; 0 for none.
        tensorboard: also write TensorBoard events (needs the package `tensorboard`).
    """

    epochs: int = 10
    steps: int | None = None
    batch_size: int = 64
    micro_batch: int = 0
    seed: int = 0
    workers: int | None = None
    optim: Optim = Optim()
    schedule: Schedule = Schedule()
    ema: float = 0.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "fp32"
    channels_last: bool = False
    sync_norms: bool = False
    static_graph: bool = False
    tune_kernels: bool = False
    compile: bool = False
    deterministic: bool = False
    evaluate_every: int = 1
    best: str = ""
    log_every: int = 10
    checkpoint_every: int = 0
    keep: int = 2
    images_every: int = 0
    tensorboard: bool = False

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = _not_finite(dataclasses.asdict(self))
        found += too_small(
            self, epochs=1, steps=1, batch_size=1, micro_batch=0, workers=0, evaluate_every=0, log_every=1,
            checkpoint_every=0, keep=1, images_every=0,
        )  # fmt: skip
        if self.seed not in SEEDS:
            found.append(f"seed must be in 0 to {SEEDS[-1]}, got {self.seed}")
        if not 0 <= self.ema < 1:
            found.append(f"ema must be in [0, 1), got {self.ema}")
        if self.device == "cuda" and not torch.cuda.is_available():
            found.append("device is cuda, but this machine has no CUDA device")
        if self.precision == "fp16" and (self.device == "cpu" or not torch.cuda.is_available()):
            found.append("precision fp16 needs a CUDA device; bf16 works on the CPU too")
        if self.sync_norms and (self.device == "cpu" or not torch.cuda.is_available()):
            found.append("sync_norms needs CUDA devices")
        if self.tune_kernels and self.deterministic:
            found.append("tune_kernels takes whatever is fastest, deterministic what is the same every time")
        if self.tensorboard and find_spec("tensorboard") is None:
            found.append("tensorboard is asked for, but the package tensorboard is not installed")
        return found + self.optim.problems() + self.schedule.problems()

    def check(self) -> None:
        """Raise a `ConfigError` that lists all problems, if there are any."""
        if found := self.problems():
            raise ConfigError(found)

    def total_steps(self, n: int) -> int:
        """Return the number of optimizer steps on `n` samples."""
        return self.steps or self.epochs * steps_per_epoch(n, self.batch_size)


def too_small(options: object, **least: int) -> list[str]:
    """Return one sentence for each option below the least value that it may have; None is no value."""
    values = ((name, low, getattr(options, name)) for name, low in least.items())
    return [
        f"{name} must be at least {low}, got {value}"
        for name, low, value in values
        if value is not None and value < low
    ]


def _not_finite(value: Any, name: str = "") -> list[str]:
    """Return one sentence for each number of a nested value that is NaN or infinite."""
    if isinstance(value, dict):
        each = [_not_finite(v, f"{name}.{k}" if name else str(k)) for k, v in value.items()]
    elif isinstance(value, list | tuple):
        each = [_not_finite(v, name) for v in value]
    else:
        finite = not isinstance(value, float) or math.isfinite(value)
        return [] if finite else [f"{name} must be finite, got {value}"]
    return list(itertools.chain(*each))


def plain(config: Any) -> Any:
    """Return a config as dicts, lists, strings and numbers."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def digest(config: dict[str, Any]) -> str:
    """Return a short hash of everything in a plain config that can change a result."""
    return hashlib.sha256(json.dumps(_fixed(config), sort_keys=True).encode()).hexdigest()[:16]


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Name the settings in which two plain configs differ, those that change no result left out."""
    old, new, found = _fixed(old), _fixed(new), []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key} was {a}, is {b}")
    return found


def _fixed(config: dict[str, Any]) -> dict[str, Any]:
    """Leave out what changes no result, and the folders of files, which differ between machines."""
    config = {k: _fixed(v) if isinstance(v, dict) else v for k, v in config.items() if k not in FREE}
    return config | {k: Path(config[k]).name for k in ("weights", "network", "labels") if config.get(k)}
