"""The one loop of every evaluation: each picture is read once, looked at once, and counted by each task.

Commands, recipes and chapters all come here, whatever gives the maps. Over several processes each picture is
counted by one of them, and all get the same numbers as one alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

import torch

from wsolbook.data.sampling import CPU, evaluation_batches
from wsolbook.distributed import gather, rank_and_world, sum_over_processes
from wsolbook.evaluation.bootstrap import PerImage
from wsolbook.evaluation.picture import Prediction, Truth, truths
from wsolbook.evaluation.sources import Source
from wsolbook.evaluation.tasks import Task
from wsolbook.memory import within_memory
from wsolbook.metrics.counts import Counts
from wsolbook.profiles import progress
from wsolbook.types import Samples

M = TypeVar("M", bound=Counts)


class Tally(Generic[M]):
    """What a task counted.

    Attributes:
        total: over all images.
        by_class: over those of each class, where the task counts by class.
        each: the counts of each image, if `keep` asks for them and they add up.
    """

    def __init__(self, task: Task[M], keep: bool = False) -> None:
        self.task, self.total = task, task.empty()
        self.by_class: dict[int, M] = {}
        self.each = PerImage(task.empty)
        self.keep = keep and not any(counts.is_floating_point() for counts in self.total.state.values())

    def add(self, pictures: Sequence[Sequence[tuple[int | None, M]]]) -> None:
        """Add what each of some pictures counts."""
        self.total.merge(*(metric for counted in pictures for _, metric in counted))
        for counted in pictures:
            for label, metric in counted:
                if label is not None:
                    self.by_class.setdefault(label, self.task.empty()).merge(metric)
            if self.keep:
                self.each.add(self.task.empty().merge(*(metric for _, metric in counted)))

    def over_processes(self, classes: int) -> None:
        """Join what all processes counted; each calls this once, after its last image."""
        over_processes(self.total)
        if self.keep:
            self.each.over_processes()
        if rank_and_world()[1] > 1:  # every process takes part in every sum
            all_of_them = {c: over_processes(self.by_class.get(c, self.task.empty())) for c in range(classes)}
            self.by_class = {c: metric for c, metric in all_of_them.items() if metric.images}


@torch.no_grad()
def evaluate(
    source: Source,
    data: Samples,
    tasks: Sequence[Task[Any]],
    *,
    batch_size: int = 32,
    workers: int | None = None,
    keep: bool = False,
) -> list[Tally[Any]]:
    """Count a data set by some tasks, shared by all processes (see `wsolbook.distributed`).

    Args:
        source: gives the maps of a batch: `FromNetwork`, `FromFolder`.
        data: evaluation view; at its own size (`task.view`) in batches of one.
        tasks: what to count.
        batch_size: pictures at once; fewer where memory does not hold them.
        workers: processes that read ahead; None as many as help on the device of the source.
        keep: also keep the counts of each image, for a paired bootstrap.

    Returns:
        What each task counted.

    Raises:
        ValueError: when maps and truth of a picture do not fit, naming it; when the data set is empty.
        OSError: when a picture or a map cannot be read.
    """
    tallies = [Tally(task, keep) for task in tasks]
    rank, world = rank_and_world()
    device = getattr(source, "device", CPU)
    batches = evaluation_batches(data, batch_size, rank=rank, world=world, workers=workers, device=device)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        counting: list[Iterator[Any]] = []  # of the batch before, while the network looks at the next
        for batch in progress(batches, "evaluating", -(-len(data) // (batch_size * world))):
            pictures = list(zip(truths(data, batch), within_memory(source, batch), strict=True))
            _add(tallies, counting)
            each = list(zip(*pictures, strict=True))
            counting = [pool.map(partial(_counted, tally.task), *each) for tally in tallies]
        _add(tallies, counting)
    for tally in tallies:
        tally.over_processes(len(data.classes))
        tally.total.require_images()
    return tallies


def _add(tallies: list[Tally[Any]], counting: list[Iterator[Any]]) -> None:
    for tally, counted in zip(tallies, counting, strict=False):  # of no batch nothing is counted yet
        tally.add(list(counted))


def _counted(task: Task[M], truth: Truth, said: Prediction) -> list[tuple[int | None, M]]:
    try:
        return list(task.count(truth, said))
    except ValueError as error:
        raise ValueError(f"{said.origin}: {error}") from error


def over_processes(metric: M) -> M:
    """Join the images that every process counted, in place, and return the metric."""
    for name in sorted(metric.state):
        counts = metric.state[name]
        metric.state[name] = gather(counts) if counts.is_floating_point() else sum_over_processes(counts)
    return metric
