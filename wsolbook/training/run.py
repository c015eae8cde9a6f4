"""What a training leaves: the history it returns, and the folder of its run."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import filelock
import torch

from wsolbook.data.transforms import from_network
from wsolbook.files import atomic, write_json
from wsolbook.types import Localizer, Samples


@dataclass
class History:
    """Losses and evaluations by optimizer step.

    Attributes:
        losses: sum of the loss terms at each step of this call.
        terms: each loss term at each step of this call.
        evaluations: metrics with the `step` they were measured at, over the whole run.
        step: number of optimizer steps done over the whole run.
    """

    losses: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)
    evaluations: list[dict[str, int | float]] = field(default_factory=list)
    step: int = 0

    def add(self, terms: dict[str, float]) -> None:
        """Count a step with its loss terms."""
        self.step += 1
        self.losses.append(sum(terms.values()))
        for name, value in terms.items():
            self.terms.setdefault(name, []).append(value)

    @property
    def final(self) -> dict[str, int | float]:
        """The last evaluation; empty when there was none."""
        return self.evaluations[-1] if self.evaluations else {}

    def best_step(self, metric: str) -> int | None:
        """Return the first step at which `metric` was largest; None where it was never measured."""
        measured = [e for e in self.evaluations if math.isfinite(e.get(metric, math.nan))]
        return int(max(measured, key=lambda e: e[metric])["step"]) if measured else None


class Run:
    """`runs/NAME/` with config.json, log.jsonl and checkpoints/, held by one process at a time.

    Args:
        folder: where the run lives; created by `open`.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self._lock = filelock.FileLock(self.folder / "lock", timeout=0)
        self._log: IO[str] | None = None
        self._events: Any = None

    @contextmanager
    def open(self, about: dict[str, Any], tensorboard: bool = False) -> Iterator[Run]:
        """Hold the folder for the length of a block.

        Args:
            about: config, versions and environment, for config.json.
            tensorboard: also write TensorBoard events into the folder.

        Raises:
            OSError: when another process holds the folder, naming it, or the folder cannot be written.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise BlockingIOError(f"run folder {self.folder} is in use by another process") from None
        try:
            write_json(self.folder / "config.json", about)
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as self._log:
                if tensorboard:
                    from torch.utils.tensorboard import SummaryWriter

                    self._events = SummaryWriter(self.folder)
                yield self
        finally:
            if self._events:
                self._events.close()
            self._log = self._events = None
            self._lock.release()

    def log(self, event: str, **values: Any) -> None:
        """Append one record to log.jsonl, flushed so that it survives whatever comes next."""
        assert self._log is not None
        record = {"event": event, "time": round(time.time(), 3)} | values
        self._log.write(json.dumps(record, default=float) + "\n")
        self._log.flush()
        if self._events:
            for name, value in values.items():
                if name != "step" and isinstance(value, int | float):
                    self._events.add_scalar(f"{event}/{name}", value, values.get("step", 0))


def read_log(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the records of a run, leaving out a last line cut short by a crash."""
    records = []
    for line in (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


@torch.no_grad()
def write_pictures(
    path: str | os.PathLike[str], model: Localizer, data: Samples, device: torch.device, count: int = 8
) -> None:
    """Write a PNG of the first samples under their maps, one class each, as the model sees them now."""
    import matplotlib.pyplot as plt

    from wsolbook.show.figures import overlay, show_images

    batch = data.batch(range(min(count, len(data))))
    classes = batch.labels.argmax(1)
    maps = model.maps(batch.images.to(device), classes.to(device)).float().cpu()
    pictures = from_network(batch.images)
    figure = show_images(
        [overlay(picture, heat) for picture, heat in zip(pictures, maps, strict=True)],
        [data.classes[c] for c in classes],
    )
    with atomic(path) as temporary:
        figure.savefig(temporary)
    plt.close(figure)
