"""What benchmarks share: a clock for single functions, and what a stored result says of its origin."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


def milliseconds(
    contenders: dict[str, Callable[[], object]],
    rounds: int,
    of: Callable[[Sequence[float]], float] = statistics.median,
) -> dict[str, float]:
    """Return the median time of each, or another choice, taking turns so that a busy moment hits all."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()
    for _ in range(rounds):
        for name, work in contenders.items():
            start = time.thread_time()
            work()
            times[name].append(1000 * (time.thread_time() - start))
    return {name: of(values) for name, values in times.items()}


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
