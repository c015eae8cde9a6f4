"""Training on a device: what a step waits for; saved and gone on with."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from taught import as_declared

from wsolbook.data import critters
from wsolbook.data.sampling import load, training_batches
from wsolbook.maps import require_finite
from wsolbook.methods import METHODS
from wsolbook.training import NonFiniteLossError, Optim, TrainConfig, train
from wsolbook.training.estimate import memory
from wsolbook.types import Supervision

OPTIM = Optim(lr=0.01, momentum=0.9)
DATA = critters.Critters(16, size=32)


def net(method="cam"):
    torch.manual_seed(0)
    return METHODS[method](backbone="tiny", classes=8)


def config(**settings) -> TrainConfig:
    return TrainConfig(**{"device": "cuda", "batch_size": 4, "optim": OPTIM} | settings)


def waits_a_step(gpu, method="cam", folder=None, kept=0, **settings) -> Counter:
    """Return what one more step waits for."""
    found = []
    for steps in (1, 2):
        model = net(method)
        if kept:
            model.kept.fill_(kept)
        gpu.waits.clear()
        train(model, as_declared(DATA, model.supervision, folder), config(**settings, steps=steps))
        found.append(gpu.waits.copy())
    return found[1] - found[0]


@pytest.mark.parametrize("method", list(METHODS))
def test_a_step_of_each_method(method, gpu, tmp_path, record_property):
    waits = waits_a_step(gpu, method, tmp_path)
    assert sum(waits.values()) <= 1, waits  # for the losses
    record_property("waits", (f"a training step of {method}", sum(waits.values())))


def test_a_step_of_a_later_round_of_erasing(gpu, record_property):
    waits = waits_a_step(gpu, "erasing", kept=2)
    assert sum(waits.values()) <= 1, waits
    record_property("waits", ("a training step of erasing, round 3", sum(waits.values())))


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "bf16"},
        {"ema": 0.9, "micro_batch": 2, "channels_last": True},
        {"optim": Optim(lr=0.01, clip=1.0)},
        pytest.param({"precision": "fp16"}, marks=pytest.mark.slow),
    ],
    ids=["bf16", "average", "clip", "fp16"],
)
def test_a_step_of_each_way_to_train(settings, gpu, record_property, request):
    waits = waits_a_step(gpu, **settings)
    assert sum(waits.values()) <= 1, waits
    record_property("waits", (f"a training step of cam, {request.node.callspec.id}", sum(waits.values())))


def test_what_a_loss_checks_is_said_with_the_losses(gpu):
    class Careful(torch.nn.Linear):
        supervision = Supervision()

        def loss(self, batch):
            require_finite(self(batch.images.mean((2, 3))) / 0)
            return {"sum": self.weight.sum()}

    with pytest.raises(NonFiniteLossError, match="step 0"):
        train(Careful(3, 8), DATA, config(steps=1))


def test_pictures_come_as_bytes_from_memory_that_is_copied_later(gpu):
    wide = critters.Critters(16, size=96)  # more than a driver takes aside at once
    gpu.waits.clear()
    for batch in training_batches(wide, 8, steps=range(2), device=torch.device("cuda")):
        assert batch.pictures.dtype == torch.uint8
        assert batch.to("cuda").images.is_cuda
    assert not gpu.waits
    for batch in training_batches(wide, 8, steps=range(2)):
        batch.to("cuda")
    assert sum(gpu.waits.values()) == (0 if type(gpu) is SimpleNamespace else 2)  # a real one is not counted


def test_the_next_batch_is_made_ready_while_one_is_worked_on(gpu):
    asked = threading.Event()

    class Two(critters.Critters):
        def batch(self, index, epoch=None):
            if index[0] == 4:
                asked.set()
                raise OSError("picture 4 cannot be read")
            return super().batch(index, epoch)

    batches = load(Two(8, size=32), [(None, (0,)), (None, (4,))], device=torch.device("cuda"))
    assert next(batches).index.tolist() == [0]
    assert asked.wait(60)
    with pytest.raises(OSError, match="picture 4"):
        next(batches)


def test_a_step_that_does_not_fit_is_done_in_halves(gpu):
    whole, halved = net(), net()
    small = halved.loss

    def cramped(batch):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return small(batch)

    halved.loss = cramped
    train(halved, DATA, config(steps=1))
    train(whole, DATA, config(steps=1, micro_batch=2))
    assert all(map(torch.equal, whole.parameters(), halved.parameters()))


def test_memory_is_counted_where_the_network_is(gpu):
    there, half = memory(net().to("cuda"), DATA, config()), memory(net(), DATA, config(precision="auto"))
    assert there == memory(net(), DATA, config())
    assert half["activations"] == there["activations"] // 2


def test_a_training_goes_on(gpu, tmp_path):
    whole, again = net(), net()
    saving = config(steps=2, checkpoint_every=1, keep=2, deterministic=True)
    train(whole, DATA, replace(saving, workers=1))
    train(net(), DATA, saving, run=tmp_path)
    next(tmp_path.rglob("step-00000002.pt")).unlink()
    train(again, DATA, saving, run=tmp_path, resume="auto")
    assert not next(again.parameters()).is_cuda  # back where it was
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
