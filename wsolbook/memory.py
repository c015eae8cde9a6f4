"""Running out of memory: how it is told from other errors, and less at once as the remedy."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from wsolbook.types import Batch

T = TypeVar("T")
# How the libraries below torch say so: the machine, cuBLAS, cuDNN, Apple's devices.
NO_MEMORY = (
    "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "MPS backend out of memory",
)  # fmt: skip


def out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error means that a device, or the machine, ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in NO_MEMORY)


def free_memory() -> None:
    """Give the memory of a failed attempt back before it is tried again."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def within_memory(ask: Callable[[Batch], list[T]], batch: Batch) -> list[T]:
    """Return what is said of each picture of a batch, asked in halves where memory does not hold all at once.

    Raises:
        RuntimeError: when it does not hold one.
    """
    try:
        return ask(batch)
    except RuntimeError as error:
        if not out_of_memory(error) or len(batch) == 1:
            raise
    free_memory()
    middle = len(batch) // 2
    return [said for half in (batch[:middle], batch[middle:]) for said in within_memory(ask, half)]
