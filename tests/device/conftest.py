"""A GPU for tests: the one of this machine, or one that is simulated on the processor."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from simulated_device import simulated


@pytest.fixture
def gpu():
    """Return what a simulated device `cuda:0` has counted; of a real one nothing is counted."""
    if torch.cuda.is_available():
        yield SimpleNamespace(waits=Counter(), doubles=Counter())
        return
    with simulated() as simulator:
        yield simulator
