"""What every metric is: integer counts summed over images, and a number computed from the sums.

Sums do not care about the order of images, about batches, or about which process saw which image. Integers
keep that exact: two processes and one give the same number to the last digit. Average precision alone ranks
all images, so it keeps their scores, which are joined instead of added.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from wsolbook.maps import require_finite

C = TypeVar("C", bound="Counts")


class Counts:
    """Base of the metrics.

    Attributes:
        state: named tensors: integer counts, which add up over images, or floats, one row an image.
        settings: what must agree before two states may be merged.
    """

    def __init__(self, settings: dict[str, Any], state: dict[str, Tensor]) -> None:
        self.settings = settings
        self.state = {"images": torch.zeros((), dtype=torch.int64), **state}

    @property
    def images(self) -> int:
        """Number of images counted so far."""
        return int(self.state["images"])

    def merge(self: C, *others: C) -> C:
        """Add the images of other metrics of the same kind and settings to this one, and return this one.

        Raises:
            ValueError: when they do not count the same thing.
        """
        for other in others:
            if type(self) is not type(other) or self.settings != other.settings:
                raise ValueError(
                    f"cannot merge {type(other).__name__}{other.settings} "
                    f"into {type(self).__name__}{self.settings}"
                )
        for name, mine in self.state.items():
            theirs = [other.state[name] for other in others]
            self.state[name] = torch.cat([mine, *theirs]) if mine.is_floating_point() else sum(theirs, mine)
        return self

    def require_images(self) -> None:
        """Raise a ValueError if nothing has been counted."""
        if self.images == 0:
            raise ValueError(f"{type(self).__name__} has counted no image: the data set is empty")


class MeanShare(Counts):
    """Mean over images of a share in [0, 1], counted in millionths, so that sums stay whole numbers."""

    def __init__(self) -> None:
        super().__init__({}, {"millionths": torch.zeros((), dtype=torch.int64)})

    def update(self, shares: Float[Tensor, " n"]) -> None:
        """Count a batch."""
        self.state["millionths"] += (shares.cpu().double() * 1e6).round().long().sum()
        self.state["images"] += len(shares)

    def compute(self) -> float:
        """Return the mean in percent; NaN where a resample of the images holds none that counts."""
        return int(self.state["millionths"]) / 1e4 / self.images if self.images else math.nan


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


def mask_bytes(masks: Shaped[Tensor, "*n h w"], what: str = "masks") -> UInt8[np.ndarray, "*n h w"]:
    """Return masks as bytes.

    Raises:
        ValueError: when they hold something else than whole numbers from 0 to 255; calling them `what`.
    """
    masks = masks.detach().cpu()
    if masks.dtype in (torch.uint8, torch.bool):
        return masks.to(torch.uint8).numpy()
    kept = masks.clamp(0, 255).to(torch.uint8)
    if (wrong := masks[kept != masks]).numel():
        raise ValueError(f"{what} must hold whole numbers from 0 to 255, got {wrong[0].item():g}")
    return kept.numpy()


def require_thresholds(thresholds: int) -> None:
    """Raise a ValueError if a threshold grid would be empty."""
    if thresholds < 1:
        raise ValueError(f"thresholds must be at least 1, got {thresholds}")
