"""What all tests share: reproducible examples, closed figures, markers for what a machine may lack."""

import os
import sys

import matplotlib as mpl
import pytest
import torch
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "agg")
# The same examples on every machine, and no limit of time for one: a busy machine is not a bug.
settings.register_profile("book", derandomize=True, deadline=None)
settings.load_profile("book")


def pytest_collection_modifyitems(items):
    """Skip what needs real pictures or a GPU where there are none, and say so."""
    for item in items:
        if item.get_closest_marker("real") and "WSOLBOOK_REAL" not in os.environ:
            item.add_marker(
                pytest.mark.skip(reason="WSOLBOOK_REAL names no folder of real pictures and weights")
            )
        if item.get_closest_marker("gpu") and not has_gpu():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def has_gpu() -> bool:
    """Say whether torch sees a CUDA device."""
    return torch.cuda.is_available()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Begin with the same random numbers, whatever ran before: here what several tests share."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def nothing_is_left_to_the_next_test():
    """Begin with the same random numbers; close the figures that a test left open, take back their style."""
    torch.manual_seed(0)
    with mpl.rc_context():
        yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
