"""What can stop a training: a loss, a signal; and what is put back after it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from wsolbook.profiles import repeatable_products

EXIT_STOPPED = 75  # "try again later" of sysexits.h: saved, and to be continued with --resume auto


class NonFiniteLossError(ArithmeticError, ValueError):
    """A loss became NaN or infinite.

    Attributes:
        step: the optimizer step that was not done.
        samples: index of every sample of its batch in this process.
    """

    def __init__(self, step: int, terms: dict[str, float], samples: list[int]) -> None:
        values = ", ".join(f"{name} = {value:g}" for name, value in terms.items())
        super().__init__(f"the loss is not finite at step {step} ({values}); samples of its batch: {samples}")
        self.step, self.samples = step, samples


class Stopped(Exception):
    """Training ended at a signal, after the step was finished and saved."""


class Interrupt:
    """Turns the first SIGTERM or Ctrl-C into a request to stop; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def listening(self) -> Iterator[Interrupt]:
        """Listen for the length of a block; only the main thread of a process can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {s: signal.signal(s, self._request) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _request(self, number: int, _frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def kept_random_state(deterministic: bool, tuned: bool = False) -> Iterator[None]:
    """Leave the random state and the choice of kernels of the caller as they were.

    Args:
        deterministic: inside the block, use deterministic kernels where torch has them and warn where not.
        tuned: inside the block, use the convolutions that cuDNN finds fastest.
    """
    cudnn, only_warns = torch.backends.cudnn, torch.is_deterministic_algorithms_warn_only_enabled()
    before = torch.are_deterministic_algorithms_enabled(), cudnn.benchmark
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        if deterministic:
            repeatable_products()
            torch.use_deterministic_algorithms(True, warn_only=True)
        if deterministic or tuned:
            cudnn.benchmark = tuned
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=only_warns)
            cudnn.benchmark = before[1]
