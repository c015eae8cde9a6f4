"""What benchmarks share: contenders that take turns, and what a stored result says of its origin."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch


def milliseconds(
    contenders: dict[str, Callable[[], object]],
    rounds: int,
    of: Callable[[Sequence[float]], float] = statistics.median,
) -> dict[str, float]:
    """Return the median time of each on its thread, or another choice of its times."""
    found = times(contenders, rounds, clock=time.thread_time)
    return {name: 1000 * of(values) for name, values in found.items()}


def times(
    contenders: dict[str, Callable[[], object]],
    rounds: int,
    device: str = "cpu",
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Return the seconds of each in each round after a first one.

    They take turns, so that a busy moment hits all, and another one begins each round.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            elapsed = seconds(contenders[name], device, clock)
            if turn:
                found[name].append(elapsed)
    return found


def seconds(
    work: Callable[[], object], device: str = "cpu", clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return how long some work takes by a clock; on a GPU by that of the wall, until it is done there."""
    if device == "cuda":
        torch.cuda.synchronize()
        clock = time.perf_counter
    start = clock()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def origin(started: float, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance of the benchmark that runs.

    Args:
        started: when, on `time.perf_counter`.
        about: machine and versions, from `wsolbook.results.provenance`.
    """
    return {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "seeds": [0],
        "seconds": round(time.perf_counter() - started, 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        **about,
    }
