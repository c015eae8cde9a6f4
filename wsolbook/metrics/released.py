"""The box generator released with CAM, which is not the rule that the paper states, and its five guesses.

The paper keeps what is above 20 % of the maximum (`wsolbook.metrics.boxes.box_above`). The code that made
its numbers thresholds at three gray levels, for ILSVRC 20, 100 and 110 of 255, and boxes the cores of what is
left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsolbook.metrics import contours as search

ILSVRC_LEVELS = (20, 100, 110)
CORE = 10  # of 255: how deep, relative to the deepest pixel, a pixel lies to belong to the core
MARGIN = 5  # boxes keep this distance from the right and bottom border


def released_boxes(
    localization_map: Float[Tensor, "h w"], levels: Sequence[int] = ILSVRC_LEVELS
) -> Int[Tensor, "k 4"]:
    """Return the boxes of a map, large ones first, as the code released with Zhou et al. (2016) finds them.

    At each level the map is binarized, each pixel is replaced by its distance to the background, scaled to
    255, binarized again at 10, and each outer and inner contour boxed. From the boxes of all levels, sorted
    by area, one is dropped when its intersection with a larger one exceeds half of the larger area.

    Args:
        localization_map: no negative values; divided by its maximum and truncated to 8 bits.
        levels: gray levels in [0, 255).

    Returns:
        Inclusive corners, at least one box: the whole picture where no level leaves anything.

    Raises:
        ValueError: when the map holds NaN or negative values, or a level is out of range.
    """
    if not float(localization_map.min()) >= 0:
        raise ValueError("released_boxes needs a map without NaN and negative values")
    if not levels or not all(0 <= level < 255 for level in levels):
        raise ValueError(f"levels must lie in [0, 255), got {tuple(levels)}")
    height, width = localization_map.shape
    peak = localization_map.max().clamp(min=torch.finfo(localization_map.dtype).tiny)
    gray = (localization_map / peak * 255).detach().cpu().numpy().astype(np.uint8)
    found = []
    for level in levels:
        depth = distance_transform(gray > level)
        if depth.max() > 0:
            core = (depth * 255 > CORE * depth.max()).astype(np.uint8)
            found += [search.outer(core)[:, 2:6], search.holes(core)[:, 2:6]]
    boxes = np.concatenate(found) if found else np.array([[0, 0, width - 1, height - 1]])
    boxes[:, 2] = np.maximum(np.minimum(boxes[:, 2], width - 1 - MARGIN), boxes[:, 0])
    boxes[:, 3] = np.maximum(np.minimum(boxes[:, 3], height - 1 - MARGIN), boxes[:, 1])
    return torch.from_numpy(_suppress(boxes)).long()


def loose_and_tight(boxes: Int[Tensor, "k 4"]) -> Int[Tensor, "2 4"]:
    """Return the first two boxes of `released_boxes`; the first twice where there is no second."""
    return boxes[[0, min(1, len(boxes) - 1)]]


def two_two_one(
    classes: Int[Tensor, "n c"], boxes: Int[Tensor, "n c 2 4"]
) -> tuple[Int[Tensor, "n 5"], Int[Tensor, "n 5 4"]]:
    """Return the five guesses behind the test-set number of Zhou et al. (2016), 37.1 % top-5 error.

    Args:
        classes: the best three classes of each image or more, best first.
        boxes: loose and tight box of each, from `loose_and_tight`.

    Returns:
        Classes (1, 1, 2, 2, 3) and boxes (loose, tight, loose, tight, loose) for `LocalizationError`.

    Raises:
        ValueError: with fewer than three classes.
    """
    if classes.shape[1] < 3:
        raise ValueError(f"two_two_one needs at least 3 classes an image, got {classes.shape[1]}")
    return classes[:, [0, 0, 1, 1, 2]], boxes[:, [0, 0, 1, 1, 2], [0, 1, 0, 1, 0]]


def distance_transform(on: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return the Euclidean distance of each pixel to the nearest one that is off; 0 where all are on.

    Distances along columns first; then, along rows, the smallest of `distance(x + d)**2 + d**2` over shifts
    d, which can stop as soon as d alone exceeds every distance found.
    """
    height, width = on.shape
    if on.all():
        return np.zeros((height, width))
    far = float(height + width)
    down = np.zeros((height, width))
    reach = np.full(width, far)
    for y in range(height):
        reach = np.where(on[y], reach + 1, 0)
        down[y] = reach
    reach = np.full(width, far)
    for y in reversed(range(height)):
        reach = np.where(on[y], reach + 1, 0)
        down[y] = np.minimum(down[y], reach)
    square = np.minimum(down, far) ** 2
    nearest = square.copy()
    for d in range(1, width):
        if d * d >= nearest.max():
            break
        nearest[:, d:] = np.minimum(nearest[:, d:], square[:, :-d] + d * d)
        nearest[:, :-d] = np.minimum(nearest[:, :-d], square[:, d:] + d * d)
    return np.sqrt(nearest)


def _suppress(boxes: Int[np.ndarray, "m 4"]) -> Int[np.ndarray, "k 4"]:
    """Sort boxes by area, large ones first, and drop those that cover over half of a larger one kept."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    boxes = boxes[np.argsort(-sides.prod(1), kind="stable")]
    kept: list[np.ndarray] = []
    for box in boxes:
        for larger in kept:
            shared = np.maximum(np.minimum(box[2:], larger[2:]) - np.maximum(box[:2], larger[:2]) + 1, 0)
            if 2 * shared.prod() > (larger[2:] - larger[:2] + 1).prod():
                break
        else:
            kept.append(box)
    return np.stack(kept)
