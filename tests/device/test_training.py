"""Training on a device: what a step waits for; saved and gone on with."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from taught import as_declared

from wsolbook.data import critters
from wsolbook.methods import METHODS
from wsolbook.training import Optim, TrainConfig, train

OPTIM = Optim(lr=0.01, momentum=0.9)
DATA = critters.Critters(16, size=32)
# One wait reads the losses. Erasing looks which round it is, and SEC builds two lattices for each batch, of
# sizes that depend on the pictures.
WAITS = {"erasing": 2, "sec": 11}


def net(method="cam"):
    torch.manual_seed(0)
    return METHODS[method](backbone="tiny", classes=8)


def config(**settings) -> TrainConfig:
    return TrainConfig(**{"device": "cuda", "batch_size": 4, "optim": OPTIM} | settings)


def waits_a_step(gpu, method="cam", folder=None, **settings) -> Counter:
    """Return what one more step waits for."""
    found = []
    for steps in (1, 2):
        model = net(method)
        gpu.waits.clear()
        train(model, as_declared(DATA, model.supervision, folder), config(**settings, steps=steps))
        found.append(gpu.waits.copy())
    return found[1] - found[0]


@pytest.mark.parametrize("method", list(METHODS))
def test_a_step_of_each_method(method, gpu, tmp_path):
    waits = waits_a_step(gpu, method, tmp_path)
    assert sum(waits.values()) <= WAITS.get(method, 1), waits


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"precision": "bf16"}, 0),
        ({"ema": 0.9, "micro_batch": 2, "channels_last": True}, 0),
        ({"optim": Optim(lr=0.01, clip=1.0)}, 1),  # the norm of all gradients
        pytest.param({"precision": "fp16"}, 4, marks=pytest.mark.slow),  # whether the scaled loss overflowed
    ],
    ids=["bf16", "average", "clip", "fp16"],
)
def test_a_step_of_each_way_to_train(settings, more, gpu):
    waits = waits_a_step(gpu, **settings)
    assert sum(waits.values()) <= 1 + more, waits


def test_a_training_goes_on(gpu, tmp_path):
    whole, again = net(), net()
    train(whole, DATA, config(steps=2))
    train(net(), DATA, config(steps=2, checkpoint_every=1, keep=2), run=tmp_path)
    next(tmp_path.rglob("step-00000002.pt")).unlink()
    train(again, DATA, config(steps=2, checkpoint_every=1, keep=2), run=tmp_path, resume="auto")
    assert not next(again.parameters()).is_cuda  # back where it was
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
