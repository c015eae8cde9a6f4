"""Checks of numbers that a device has: asked at once, or answered together with the result.

Asking a device whether a number is wrong waits until it has done all its work. A loop over batches waits for
results anyway, and inside `later` the answers come with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_unanswered: ContextVar[list[Tensor] | None] = ContextVar("unanswered", default=None)


def wrong(check: Bool[Tensor, ""]) -> bool:
    """Return whether something is wrong; False for now inside `later`, where a device has the answer."""
    unanswered = _unanswered.get()
    if unanswered is None or check.is_cpu:
        return bool(check)
    unanswered.append(check)
    return False


@contextmanager
def later() -> Iterator[Callable[[Float[Tensor, "*any"]], Float[Tensor, "*any"]]]:
    """Wait for no check inside the block.

    Yields:
        What returns numbers as they are, or as NaN if something was wrong so far.
    """
    unanswered: list[Tensor] = []
    before = _unanswered.set(unanswered)

    def marked(numbers: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return torch.where(torch.stack(unanswered).any(), torch.nan, numbers) if unanswered else numbers

    try:
        yield marked
    finally:
        _unanswered.reset(before)


def answered(compute: Callable[[], Float[Tensor, "*any"]]) -> Float[Tensor, "*any"]:
    """Return on the processor what is computed on a device, and wait for it once.

    Where something was wrong it is computed again, and the check at its place raises its own error.
    """
    with later() as marked:
        made = compute()
        found = marked(made).cpu()
    if not (made.is_cpu or found.isfinite().all()):
        compute()
    return found
