"""Is one run better than another, or were the test images kind to it? Resample the images and see.

Every metric here is a function of counts summed over images. So the counts of each image are kept, images
are drawn with replacement, and the metric is computed from the sums, thresholds chosen anew each time. Both
runs get the same draw: most of what makes an image hard is hard for both, and cancels in the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Int

from wsolbook.distributed import gather
from wsolbook.metrics.counts import Counts

M = TypeVar("M", bound=Counts)


class PerImage(Generic[M]):
    """A metric together with the counts of each image.

    Args:
        make: builds the empty metric.

    Attributes:
        total: the metric over all images.
    """

    def __init__(self, make: Callable[[], M]) -> None:
        self.make, self.total = make, make()
        self._rows: list[Int[np.ndarray, " counts"]] = []

    def add(self, one: M) -> None:
        """Count one image, given as a metric that has counted nothing else."""
        counts = [one.state[name].numpy().ravel() for name in sorted(one.state)]
        self._rows.append(np.concatenate(counts, dtype=np.int32))
        self.total.merge(one)

    def rows(self) -> Int[np.ndarray, "n counts"]:
        """Return the counts of each image, one row each."""
        width = sum(counts.numel() for counts in self.total.state.values())
        return np.stack(self._rows) if self._rows else np.zeros((0, width), np.int32)

    def over_processes(self) -> None:
        """Join the images of all processes; each calls this once, after its last image."""
        self._rows = list(gather(torch.from_numpy(self.rows())).numpy())
        self.total = self.metric_of(self.rows().sum(0, dtype=np.int64))

    def metric_of(self, sums: Int[np.ndarray, " counts"]) -> M:
        """Return the metric whose counts are `sums`."""
        metric = self.make()
        place = 0
        for name in sorted(metric.state):
            old = metric.state[name]
            new = torch.from_numpy(sums[place : place + old.numel()].copy())
            metric.state[name] = new.reshape(old.shape)
            place += old.numel()
        return metric


@dataclass(frozen=True)
class Interval:
    """How much run A scores above run B.

    Attributes:
        a: score of run A on all images.
        b: score of run B.
        difference: a - b.
        low: lower end of the interval of the difference.
        high: upper end.
        level: share of the resamples inside the interval.
    """

    a: float
    b: float
    difference: float
    low: float
    high: float
    level: float


def paired_bootstrap(
    a: PerImage[M],
    b: PerImage[M],
    score: Callable[[M], float],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return the percentile interval of the difference of two runs over the same images in the same order.

    Args:
        a: counts of run A.
        b: counts of run B.
        score: the number that is compared, for example `lambda m: m.compute()["v2"]`.
        resamples: how often images are drawn.
        seed: of the draws.
        level: in (0, 1).

    Raises:
        ValueError: when the runs differ in length or are empty, or an option is out of range.
    """
    return paired_bootstraps(a, b, lambda metric: {"": score(metric)}, resamples, seed, level)[""]


def paired_bootstraps(
    a: PerImage[M],
    b: PerImage[M],
    scores: Callable[[M], Mapping[str, float]],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Return the interval of `paired_bootstrap` for each of several numbers, all from the same draws.

    Args:
        a: counts of run A.
        b: counts of run B.
        scores: the numbers that are compared, by name.
        resamples: how often images are drawn.
        seed: of the draws.
        level: in (0, 1).

    Raises:
        ValueError: as `paired_bootstrap`.
    """
    if a.total.images == 0 or len(a.rows()) != len(b.rows()):
        raise ValueError("a paired bootstrap needs two runs over the same images, at least one")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples must be positive and level in (0, 1), got {resamples} and {level}")
    rows = [torch.from_numpy(run.rows()).double() for run in (a, b)]
    n = len(rows[0])
    rng = np.random.default_rng(seed)
    of_a, of_b = scores(a.total), scores(b.total)
    differences: dict[str, list[float]] = {name: [] for name in of_a}
    for done in range(0, resamples, 100):
        draws = rng.multinomial(n, np.full(n, 1 / n), size=min(100, resamples - done))
        weights = torch.from_numpy(draws).double()
        sums = [(weights @ counts).round().long().numpy() for counts in rows]
        for drawn_a, drawn_b in zip(*sums, strict=True):
            here, there = scores(a.metric_of(drawn_a)), scores(b.metric_of(drawn_b))
            for name, values in differences.items():
                values.append(here[name] - there[name])
    ends = {n: np.nanquantile(v, [(1 - level) / 2, (1 + level) / 2]) for n, v in differences.items()}
    return {
        name: Interval(of_a[name], of_b[name], of_a[name] - of_b[name], float(low), float(high), level)
        for name, (low, high) in ends.items()
    }
