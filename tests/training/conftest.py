from __future__ import annotations

import pytest

from wsolbook.training import Optim, TrainConfig


@pytest.fixture
def config() -> TrainConfig:
    """Three epochs of four steps (the last batch has one picture) on `ToySamples(25)`."""
    return TrainConfig(epochs=3, batch_size=8, optim=Optim(lr=0.05), log_every=1, device="cpu")
