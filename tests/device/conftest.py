"""A GPU that is simulated on the CPU, for tests on a machine without one."""

from __future__ import annotations

import pytest
from simulated_device import simulated


@pytest.fixture
def gpu():
    """Return the simulator of a device `cuda:0` that is there for the length of a test."""
    with simulated() as simulator:
        yield simulator
