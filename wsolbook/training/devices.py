"""One process or many: the same code, with sums over all of them where it matters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from wsolbook.training.config import TrainConfig


def build_accelerator(config: TrainConfig) -> Accelerator:
    """Return the accelerator of this process; device and precision may differ from an earlier training's."""
    # accelerate keeps one state a process, and a notebook trains more than once.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    precision = "no" if config.precision == "fp32" else config.precision
    return Accelerator(mixed_precision=precision, cpu=config.device == "cpu")


def add_up(values: Sequence[float | int], device: torch.device | str = "cpu") -> list[float]:
    """Return the sums of `values` over all processes, in double precision."""
    if not torch.distributed.is_initialized():
        return [float(value) for value in values]
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(sums)
    return sums.tolist()


def share_buffers(model: nn.Module) -> None:
    """Give every process the running statistics of the first, as DDP does before each forward pass."""
    if torch.distributed.is_initialized():
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)
