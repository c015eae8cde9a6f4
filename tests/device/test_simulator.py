"""Bugs that a card shows the simulator shows too, and what a card takes it takes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy


class Shifted(nn.Module):
    """A network whose constant does not move with it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.constant = nn.Linear(3, 3), torch.ones(3)

    def forward(self, x):
        return self.layer(x) + self.constant


def card(*shape):
    return torch.ones(*shape, device="cuda")


BUGS = {
    "a new tensor without a device": lambda: card(2, 3) * torch.arange(3),
    "a mask from elsewhere": lambda: torch.where(torch.ones(2, 3) > 0, card(2, 3), 0),
    "labels left behind": lambda: cross_entropy(card(2, 3), torch.tensor([0, 1])),
    "a constant that is no buffer": lambda: Shifted().to("cuda")(card(2, 3)),
    "NumPy from a card": lambda: card(2).numpy(),
    "a generator of the processor": lambda: torch.rand(2, device="cuda", generator=torch.Generator()),
    "rows gathered by foreign numbers": lambda: card(2, 3).gather(1, torch.zeros(2, 1, dtype=torch.long)),
    "joined from both": lambda: torch.cat([card(2), torch.ones(2)]),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_caught(bug, gpu):
    with pytest.raises((RuntimeError, TypeError)):  # of mixed devices both say a RuntimeError
        BUGS[bug]()


def test_what_a_card_takes(gpu):
    x = card(2, 3)
    assert (x * torch.tensor(2.0)).is_cuda
    assert x[torch.tensor([0])].is_cuda
    x[0].copy_(torch.zeros(3))
    assert x.sum().item() == 3
    assert x.cpu().numpy().shape == (2, 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts waits, which only the simulator does")
def test_waits_are_counted_where_they_are(gpu):
    x = card(4)
    gpu.waits.clear()
    x.sum().item()
    x.nonzero()
    x.tolist()
    x.cpu()
    torch.ones(2).to("cuda")
    torch.tensor([1, 2], device="cuda")
    reading = {"_local_scalar_dense", "nonzero", "tolist", "to cpu", "to cuda", "numbers to cuda"}
    assert {what for what, _ in gpu.waits} == reading
    assert sum(gpu.waits.values()) == 6


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts waits, which only the simulator does")
def test_a_copy_to_the_device_waits_unless_it_is_small_or_pinned_and_may_be_made_later(gpu):
    small, large = torch.zeros(2**16, dtype=torch.uint8), torch.zeros(2**16 + 1, dtype=torch.uint8)
    for source in (small, large.pin_memory()[1:], large.to("cuda", non_blocking=True)):
        source.to("cuda", non_blocking=True)
    assert sum(gpu.waits.values()) == 1  # of the large one
    small.to("cuda")
    assert sum(gpu.waits.values()) == 2


def test_a_copy_of_a_network_is_where_the_network_is(gpu):
    copied = deepcopy(nn.BatchNorm2d(2).to("cuda"))
    assert copied(card(1, 2, 3, 3)).is_cuda
    assert copied.running_mean.is_cuda


def test_gradients_are_on_the_card_too(gpu):
    layer = nn.Linear(3, 1).to("cuda")
    layer(card(2, 3)).sum().backward()
    assert layer.weight.grad.is_cuda
    assert not torch.nn.Linear(3, 1).weight.is_cuda
