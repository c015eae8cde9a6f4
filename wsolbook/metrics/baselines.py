"""The map that never looked at the picture: what a method must beat before its numbers mean anything."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def center_gaussian(size: int | tuple[int, int] = 224, width: float = 0.25) -> Float[Tensor, "h w"]:
    """Return the map of the baseline that guesses the center.

    Its level sets are ellipses of the picture's aspect around its center, whatever the width: with a
    threshold chosen on the set, only the ladder of sizes that the grid can express depends on it.

    Args:
        size: height and width in pixels; one number means a square.
        width: standard deviation as a share of each side.

    Returns:
        Values in [0, 1]; 1 at the center.

    Raises:
        ValueError: on a size below 1 or a width that is not positive.
    """
    height, breadth = (size, size) if isinstance(size, int) else size
    if height < 1 or breadth < 1 or not width > 0:
        raise ValueError(f"center_gaussian needs positive size and width, got {size} and {width}")
    y = (torch.arange(height, dtype=torch.float64) - (height - 1) / 2) / (width * height)
    x = (torch.arange(breadth, dtype=torch.float64) - (breadth - 1) / 2) / (width * breadth)
    bell = torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / 2)
    return bell / bell.max()
