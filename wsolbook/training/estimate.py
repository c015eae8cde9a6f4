"""How much memory a training will take: counted, not guessed."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from wsolbook.data.sampling import load, with_masks
from wsolbook.data.transforms import IGNORE
from wsolbook.precision import chosen
from wsolbook.profiles import best_device
from wsolbook.training.config import TrainConfig
from wsolbook.types import Batch, Samples, Trainable

# Numbers that each optimizer keeps for a parameter.
STATES = {"sgd": 1, "adam": 2, "adamw": 2}


def memory(model: Trainable, data: Samples, config: TrainConfig) -> dict[str, int]:
    """Return bytes of weights, gradients, optimizer and activations in one process.

    Activations are what one picture's forward pass keeps for its backward pass, counted in fp32 where the
    network is, times the pictures of a micro-batch. Kernels need working space besides.
    """
    assert isinstance(model, nn.Module)
    weights = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    learning = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    states = 0 if config.optim.name == "sgd" and config.optim.momentum == 0 else STATES[config.optim.name]
    held = config.micro_batch or config.batch_size
    device = torch.device("cpu") if config.device == "cpu" else best_device()
    halved = 2 if chosen(config.precision, device) in ("bf16", "fp16") else 1
    made = model.supervision.made  # label maps that may not be made yet: what is unknown takes as much room
    masks = () if made else with_masks(len(data), model.supervision.masks, config.seed)
    batch = next(load(data, [(0, (0,))], masks=masks)).to(next(model.parameters()).device)
    if made:
        unknown = torch.full((1, *batch.pictures.shape[-2:]), IGNORE, dtype=torch.uint8)
        batch = replace(batch, masks=unknown.to(batch.pictures.device))
    return {
        "weights": weights,
        "gradients": learning,
        "optimizer": learning * (states + bool(config.ema)),
        "activations": _kept_for_backward(model, batch) * held // halved,
    }


def readable(size: int) -> str:
    """Return a number of bytes as MiB or GiB."""
    return f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.2f} GiB"


def _kept_for_backward(model: Trainable, batch: Batch) -> int:
    """Count the bytes that the graph of one picture holds, beside the parameters themselves."""
    assert isinstance(model, nn.Module)
    own = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no later tensor gets the same address
        return tensor

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model.eval()  # batch statistics must not change
        terms = model.loss(batch)
    del terms
    return sum(storage.nbytes() for storage in kept.values())
