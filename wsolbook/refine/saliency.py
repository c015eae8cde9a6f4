"""Saliency without learning: what is not connected to the edge of a picture stands out.

Zhang et al., "Minimum Barrier Salient Object Detection at 80 FPS", ICCV 2015: a path from a pixel to the edge
crosses a barrier, the difference between the highest and the lowest value on it; the saliency is the lowest
barrier of all paths. Nothing is known of any class. It is the basic method of that paper, MB, without what
it does to maps in the end: smoothing, a bonus for the center, and more contrast.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wsolbook.compiled import compiled
from wsolbook.maps import require_finite

XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))  # of linear sRGB
WHITE = (0.9505, 1.0, 1.089)


def minimum_barrier(image: Float[Tensor, "3 h w"], passes: int = 3) -> Float[Tensor, "h w"]:
    """Return how much each pixel stands out: the barriers of the Lab channels together, of the highest 1.

    Args:
        image: RGB in [0, 1].
        passes: over all pixels, forth and back in turns; 3 in the paper, after which little changes.

    Raises:
        ValueError: when a color is outside [0, 1], or there is no pass.
    """
    require_finite(image)
    if not (image.min() >= 0 and image.max() <= 1 + 1e-4):
        low, high = image.min().item(), image.max().item()
        raise ValueError(f"colors must be in 0 to 1, got {low:.4g} to {high:.4g}")
    if passes < 1:
        raise ValueError(f"passes must be at least 1, got {passes}")
    barriers = np.sum([_barriers(channel, passes) for channel in lab(image).cpu().numpy()], axis=0)
    found = torch.from_numpy(barriers).to(image)
    return found / found.max().clamp(min=1e-3)  # of Lab units: a picture of one color has rounding errors


def lab(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """Return the CIE Lab color of each pixel, L in 0 to 100, under D65."""
    image = image.clamp(0, 1)
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,jhw->ihw", torch.tensor(XYZ).to(image), linear)
    shares = xyz / torch.tensor(WHITE).to(image)[:, None, None]
    x, y, z = torch.where(shares > 0.008856, shares.clamp(min=1e-8) ** (1 / 3), 7.787 * shares + 16 / 116)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@compiled
@no_type_check
def _barriers(values, passes):
    """Return the lowest barrier between each pixel and the edge, as far as raster scans find it."""
    height, width = values.shape
    highest, lowest = values.copy(), values.copy()  # on the best path that is known
    barriers = np.full((height, width), np.inf, np.float32)
    barriers[0], barriers[-1], barriers[:, 0], barriers[:, -1] = 0, 0, 0, 0
    for turn in range(passes):
        back = -1 if turn % 2 == 0 else 1
        for row in range(1, height - 1):
            y = row if back < 0 else height - 1 - row
            for column in range(1, width - 1):
                x = column if back < 0 else width - 1 - column
                for ny, nx in ((y + back, x), (y, x + back)):
                    top = max(highest[ny, nx], values[y, x])
                    bottom = min(lowest[ny, nx], values[y, x])
                    if top - bottom < barriers[y, x]:
                        barriers[y, x] = top - bottom
                        highest[y, x], lowest[y, x] = top, bottom
    return barriers
