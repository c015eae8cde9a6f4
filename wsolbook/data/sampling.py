"""Which picture comes when: decided by (seed, epoch) alone, not by workers, processes or restarts."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.utils.data import DataLoader, Dataset

from wsolbook.data.counters import seed_of
from wsolbook.types import Batch, Samples

Key = tuple[int | None, Sequence[int]]
CPU = torch.device("cpu")


@functools.lru_cache(maxsize=2)
def order(n: int, seed: int, epoch: int) -> tuple[int, ...]:
    """Return the order of `n` samples in an epoch: a permutation that (seed, epoch) alone decide."""
    generator = torch.Generator().manual_seed(seed_of(seed, epoch))
    return tuple(torch.randperm(n, generator=generator).tolist())


def with_masks(n: int, count: int | None, seed: int) -> Container[int]:
    """Return which of `n` training images show their mask to a method that may see `count`; None means all.

    The seed alone decides. A smaller count is a part of a larger one.

    Raises:
        ValueError: when there are fewer images than that.
    """
    if count is not None and not 0 <= count <= n:
        raise ValueError(f"the method is to see the masks of {count} images; the data set has {n}")
    if count is None:
        return range(n)
    return frozenset(order(n, seed, -1)[:count]) if count else ()


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Return the number of batches that cover `n` samples once, the last one possibly smaller."""
    return math.ceil(n / batch_size)


def batch_index(n: int, batch_size: int, seed: int, step: int) -> tuple[int, tuple[int, ...]]:
    """Return the epoch of a training step and the samples of its batch over all processes."""
    epoch, position = divmod(step, steps_per_epoch(n, batch_size))
    return epoch, order(n, seed, epoch)[position * batch_size : (position + 1) * batch_size]


def training_batches(
    data: Samples,
    batch_size: int,
    *,
    steps: range,
    seed: int = 0,
    rank: int = 0,
    world: int = 1,
    workers: int | None = None,
    masks: Container[int] = (),
    device: torch.device = CPU,
) -> Iterator[Batch]:
    """Yield this process's share of the batch of every step in `steps`.

    A step is counted from the start of training, over epochs, so resuming is asking for a later range.

    Args:
        data: the data set; its training view of the epoch is read.
        batch_size: images a step over all processes; the last batch of an epoch may be smaller.
        steps: the optimizer steps to serve.
        seed: decides the order of every epoch.
        rank: this process takes the samples `rank`, `rank + world`, ... of each batch. Where a batch is
            smaller than `world`, the processes left over receive its first sample.
        world: number of processes.
        workers: processes that read ahead (see `load`). The batches do not depend on it.
        masks: the samples that come with their mask (see `with_masks`).
        device: where the batches will go.

    Raises:
        ValueError: on an empty data set.
    """
    n = len(data)
    if n == 0:
        raise ValueError("the data set is empty")

    def keys() -> Iterator[tuple[int, tuple[int, ...]]]:
        for step in steps:
            epoch, index = batch_index(n, batch_size, seed, step)
            yield epoch, index[rank::world] or index[:1]

    yield from load(data, keys(), workers, masks, device)


def evaluation_batches(
    data: Samples,
    batch_size: int,
    *,
    index: Sequence[int] | None = None,
    rank: int = 0,
    world: int = 1,
    workers: int | None = None,
    device: torch.device = CPU,
) -> Iterator[Batch]:
    """Yield the evaluation view of the samples `index`, by default all, in order.

    Over all processes every sample comes exactly once: the shares `rank`, `rank + world`, ... are not padded
    to equal length, so counts added up over the processes do not depend on their number.
    """
    mine = (range(len(data)) if index is None else index)[rank::world]
    keys = [(None, tuple(mine[i : i + batch_size])) for i in range(0, len(mine), batch_size)]
    yield from load(data, keys, workers, device=device)


class _View(Dataset[Batch]):
    """A data set addressed by (epoch, indices), which is what workers are asked for."""

    def __init__(self, data: Samples, masks: Container[int]) -> None:
        self.data, self.masks = data, masks

    def __getitem__(self, key: Key) -> Batch:
        epoch, index = key
        # Labels are the rule: a data set without masks need not know of the argument.
        return self.data.batch(index, epoch, self.masks) if self.masks else self.data.batch(index, epoch)


def load(
    data: Samples,
    keys: Iterable[Key],
    workers: int | None = None,
    masks: Container[int] = (),
    device: torch.device = CPU,
) -> Iterator[Batch]:
    """Yield batches by (epoch, indices) in their order.

    Args:
        data: the data set.
        keys: epoch and samples of each batch.
        workers: processes that read ahead; 0 reads in this one, for a CUDA device a batch ahead in a thread.
            None takes those of `readers`.
        masks: the samples that come with their mask.
        device: where the batches will go; a CUDA device finds them in memory that it reads by itself.
    """
    view, pin = _View(data, masks), device.type == "cuda"
    workers = readers(data, device) if workers is None else workers
    if workers == 0:
        return _a_batch_ahead(view[key].pin_memory() for key in keys) if pin else map(view.__getitem__, keys)
    private = torch.Generator()  # the loader draws a seed for its workers: not from the global stream
    return iter(
        DataLoader(
            view, batch_size=None, sampler=keys, num_workers=workers, generator=private, pin_memory=pin
        )
    )


def _a_batch_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield batches; while one is worked on, the next is made ready."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def readers(data: Samples, device: torch.device) -> int:
    """Return how many processes keep a device busy: none for the processor and for pictures in memory.

    Pictures in files take a processor each for its part of the time, up to 8. Where processes do not begin as
    copies of this one, as on Windows and macOS, there are none either.
    """
    if device.type != "cuda" or not hasattr(data, "path") or not hasattr(os, "sched_getaffinity"):
        return 0
    return max(1, min(8, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
