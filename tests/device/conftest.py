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
    # The walk adds up in double precision, save on devices that have none.
    assert not [place for place in simulator.doubles if "random_walk" not in place]


def pytest_terminal_summary(terminalreporter):
    """Print how often the processor waits for the device, as the tests counted it."""
    passed = terminalreporter.stats.get("passed", ())
    counted = [value for report in passed for name, value in report.user_properties if name == "waits"]
    if counted and not torch.cuda.is_available():
        terminalreporter.section("waits for the device")
        for what, waits in counted:
            terminalreporter.write_line(f"{waits:4.0f}  {what}")
