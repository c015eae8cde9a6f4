"""Several processes that work as one: which of them this is, its share, and sums over all.

Alone, every function does nothing. Together, each must be called by every process, in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Num, Shaped
from torch import Tensor, distributed, nn

from wsolbook.profiles import best_device


@contextmanager
def joined() -> Iterator[None]:
    """Work together with the processes of one launcher, such as torchrun, for the length of a block.

    Tensors are exchanged on the processor (gloo): enough for counts, wherever the network runs.
    """
    ours = "RANK" in os.environ and not distributed.is_initialized()
    if ours:
        distributed.init_process_group("gloo")
    try:
        yield
    finally:
        if ours:
            distributed.destroy_process_group()


def rank_and_world() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many there are; (0, 1) alone."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def launched() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many a launcher started, joined or not."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def own_device() -> torch.device:
    """Return the accelerator that is this process's on its machine, or the CPU.

    Raises:
        ValueError: when the launcher started more processes than the machine has CUDA devices.
    """
    device = best_device()
    if device.type != "cuda":
        return device
    local, there = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if local >= there:
        raise ValueError(f"process {local + 1} has no CUDA device of its own: this machine has {there}")
    return torch.device("cuda", local)


def sum_over_processes(tensor: Num[Tensor, "*any"]) -> Num[Tensor, "*any"]:
    """Return the sum of a tensor over all processes, where it lies; exact for integers."""
    if rank_and_world()[1] == 1:
        return tensor
    sums = tensor.to(_carrier(), copy=True)
    distributed.all_reduce(sums)
    return sums.to(tensor.device)


def add_up(values: Sequence[float | int]) -> list[float]:
    """Return the sum of each number over all processes, in double precision."""
    if rank_and_world()[1] == 1:
        return [float(value) for value in values]
    return sum_over_processes(torch.tensor(values, dtype=torch.float64)).tolist()


def gather(tensor: Shaped[Tensor, "n *any"]) -> Shaped[Tensor, "m *any"]:
    """Return the rows of all processes, those of the first one first; their numbers may differ, and be 0."""
    rank, world = rank_and_world()
    if world == 1:
        return tensor
    lengths = sum_over_processes(len(tensor) * (torch.arange(world) == rank)).tolist()
    padded = tensor.new_zeros(max(lengths), *tensor.shape[1:], device=_carrier())
    padded[: len(tensor)] = tensor.detach()
    parts = [torch.empty_like(padded) for _ in range(world)]
    distributed.all_gather(parts, padded)
    rows = [part[:length] for part, length in zip(parts, lengths, strict=True)]
    return torch.cat(rows).to(tensor.device)


def share_buffers(model: nn.Module) -> None:
    """Give every process the running statistics of the first, as DDP does before each forward pass."""
    if rank_and_world()[1] > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


def _carrier() -> torch.device:
    """Return where tensors must lie to be exchanged."""
    if "nccl" in distributed.get_backend():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
