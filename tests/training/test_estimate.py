from __future__ import annotations

import torch
from toys import ToySamples

from wsolbook.training import Optim, TrainConfig
from wsolbook.training.estimate import memory, readable
from wsolbook.types import Supervision


class Square(torch.nn.Module):
    """48 inputs to 3 outputs, squared: the graph keeps the 48 inputs and the 3 outputs of each image."""

    supervision = Supervision()

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(48, 3, bias=False)

    def loss(self, batch):
        return {"square": self.linear(batch.images.flatten(1)).pow(2).sum()}


def test_memory_is_counted():
    config = TrainConfig(batch_size=10, micro_batch=5, optim=Optim("adamw"), ema=0.9)
    assert memory(Square(), ToySamples(), config) == {
        "weights": 4 * 144,
        "gradients": 4 * 144,
        "optimizer": 4 * 144 * 3,  # two moments and the average
        "activations": 5 * 4 * (48 + 3),
    }
    half = TrainConfig(batch_size=10, precision="bf16", optim=Optim(momentum=0.0))
    found = memory(Square(), ToySamples(), half)
    assert found["activations"] == 10 * 4 * (48 + 3) // 2
    assert found["optimizer"] == 0


def test_bytes_read_as_people_say_them():
    assert readable(3 * 2**19) == "1.5 MiB"
    assert readable(5 * 2**29) == "2.50 GiB"
