"""One clock for the benchmarks of single functions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


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
