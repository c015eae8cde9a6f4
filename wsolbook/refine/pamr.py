"""PAMR: labels move to neighbors of like color, step by step; lighter than a CRF, and trained through.

Pixel-adaptive mask refinement of Araslanov and Roth 2020.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Real
from torch import Tensor
from torch.nn.functional import pad

from wsolbook.maps import require_finite

DILATIONS = (1, 2, 4, 8, 12, 24)
AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def pamr(
    maps: Float[Tensor, "n k h w"],
    images: Real[Tensor, "m c u v"],
    dilations: Sequence[int] = DILATIONS,
    iterations: int = 10,
) -> Float[Tensor, "n k h w"]:
    """Replace each value by a mean over 8 neighbors at each distance, weighted by likeness, several times.

    Args:
        maps: probabilities or scores; where they sum to one they still do.
        images: the pictures at the size of the maps, on any scale: differences are divided by the local
            contrast.
        dilations: distances of the neighbors in pixels, chosen for pictures of about 500.
        iterations: how often.

    Raises:
        ValueError: when a map is not finite, the pictures are not of the size and number of the maps, or
            there is no dilation, or one below 1.
    """
    require_finite(maps)
    if (images.shape[0], images.shape[2:]) != (maps.shape[0], maps.shape[2:]):
        raise ValueError(f"maps are {tuple(maps.shape)} but pictures {tuple(images.shape)}")
    if not dilations or min(dilations) < 1:
        raise ValueError(f"dilations must be at least 1, got {tuple(dilations)}")
    colors = images.to(maps)
    near = torch.stack(list(_neighbors(colors, dilations)), 2)
    own = colors[:, :, None]
    spread = torch.cat((near, own.expand(-1, -1, len(dilations), -1, -1)), 2).std(2, keepdim=True)
    unlike = ((near - own).abs() / (1e-8 + 0.1 * spread)).mean(1)
    weights = (-unlike).softmax(1)
    for _ in range(iterations):
        moved = torch.zeros_like(maps)
        for weight, there in zip(weights.unbind(1), _neighbors(maps, dilations), strict=True):
            moved = moved + weight[:, None] * there
        maps = moved
    return maps


def _neighbors(values: Float[Tensor, "n c h w"], dilations: Sequence[int]) -> Iterator[Tensor]:
    """Give the values of each neighbor in turn; beyond the border, those of the nearest pixel inside."""
    height, width = values.shape[-2:]
    far = max(dilations)
    padded = pad(values, [far] * 4, mode="replicate")
    for distance in dilations:
        for dy, dx in AROUND:
            top, left = far + dy * distance, far + dx * distance
            yield padded[..., top : top + height, left : left + width]
