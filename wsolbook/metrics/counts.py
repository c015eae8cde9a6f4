"""What every metric is: integer counts summed over images, and a number computed from the sums.

Sums do not care about the order of images, about batches, or about which process saw which image. Integers
keep that exact: two processes and one give the same number to the last digit.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from wsolbook.distributed import sum_over_processes
from wsolbook.maps import require_finite

C = TypeVar("C", bound="Counts")


class Counts:
    """Base of the metrics.

    Attributes:
        state: named integer tensors. Adding the states of two metrics is the state of all their images.
        settings: what must agree before two states may be added.
    """

    def __init__(self, settings: dict[str, Any], state: dict[str, Tensor]) -> None:
        self.settings = settings
        self.state = {"images": torch.zeros((), dtype=torch.int64), **state}

    @property
    def images(self) -> int:
        """Number of images counted so far."""
        return int(self.state["images"])

    def merge(self: C, other: C) -> C:
        """Add the counts of another metric of the same kind and settings to this one, and return this one.

        Raises:
            ValueError: when the two do not count the same thing.
        """
        if type(self) is not type(other) or self.settings != other.settings:
            raise ValueError(
                f"cannot merge {type(other).__name__}{other.settings} "
                f"into {type(self).__name__}{self.settings}"
            )
        for name, counts in other.state.items():
            self.state[name] += counts
        return self

    def require_images(self) -> None:
        """Raise a ValueError if nothing has been counted."""
        if self.images == 0:
            raise ValueError(f"{type(self).__name__} has counted no image: the data set is empty")


def reduce(metric: C) -> C:
    """Sum a metric over all processes, in place, and return it.

    Call it once, after the last update, on every process, each of which counted its own share of the images.
    """
    metric.state = {name: sum_over_processes(metric.state[name]) for name in sorted(metric.state)}
    return metric


def require_unit_range(maps: Float[Tensor, "*n h w"]) -> None:
    """Raise a ValueError if a map holds NaN, infinity or a value outside [0, 1]."""
    if maps.numel() == 0:
        return
    low, high = (float(v) for v in maps.detach().aminmax())
    if not (low >= 0 and high <= 1):  # NaN fails every comparison
        require_finite(maps)
        raise ValueError(
            f"localization maps must lie in [0, 1], got values from {low:.4g} to {high:.4g}; "
            "see wsolbook.maps.normalize"
        )


def require_thresholds(thresholds: int) -> None:
    """Raise a ValueError if a threshold grid would be empty."""
    if thresholds < 1:
        raise ValueError(f"thresholds must be at least 1, got {thresholds}")
