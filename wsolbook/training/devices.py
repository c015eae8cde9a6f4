"""The device of a training, alone or as one of several processes."""

from __future__ import annotations

import torch
import torch.distributed
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from wsolbook.training.config import TrainConfig


def build_accelerator(config: TrainConfig) -> Accelerator:
    """Return the accelerator of this process; device and precision may differ from an earlier training's."""
    # accelerate keeps one state a process, and a notebook trains more than once.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    precision = "no" if config.precision == "fp32" else config.precision
    return Accelerator(mixed_precision=precision, cpu=config.device == "cpu")
