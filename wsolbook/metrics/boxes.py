"""Boxes: how two overlap, and how a localization map becomes some.

All boxes are `(x0, y0, x1, y1)` with inclusive corners: a single pixel has the box (x, y, x, y), of area 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Num, Real, UInt8
from torch import Tensor
from torchvision import ops

from wsolbook.metrics import contours as search
from wsolbook.metrics.counts import require_thresholds, require_unit_range

Contours = Literal["all", "largest"]


def box_iou(a: Real[Tensor, "n 4"], b: Real[Tensor, "k 4"]) -> Float[Tensor, "n k"]:
    """Intersection over union of each box of `a` with each of `b`, as float64 in [0, 1], on the processor.

    Pixels are counted, corners included: width = x1 - x0 + 1 (the ILSVRC convention).

    Raises:
        ValueError: on a box with a negative coordinate, x1 < x0 or y1 < y0.
    """
    a, b = a.detach().cpu(), b.detach().cpu()
    require_boxes(a)
    require_boxes(b)
    far = torch.tensor([0, 0, 1, 1])  # edges lie one pixel beyond inclusive corners
    return ops.box_iou(a.double() + far, b.double() + far)


def require_boxes(boxes: Num[Tensor, "n 4"]) -> None:
    """Raise a ValueError that shows the first box which is not one."""
    bad = ~((boxes[:, :2] >= 0) & (boxes[:, 2:] >= boxes[:, :2]) & torch.isfinite(boxes[:, 2:])).all(-1)
    if bad.any():
        raise ValueError(
            f"box {tuple(boxes[bad][0].tolist())} is not (x0, y0, x1, y1) "
            "with 0 <= x0 <= x1 and 0 <= y0 <= y1"
        )


def grid(thresholds: int) -> Float[np.ndarray, " thresholds"]:
    """Return 0, d, 2d, ... below 1, for d = 1 / thresholds, as float64."""
    return np.arange(thresholds) * (1 / thresholds)


def gray_levels(maps: Float[Tensor, "*n h w"]) -> UInt8[np.ndarray, "*n h w"]:
    """Truncate maps in [0, 1] to 256 gray levels; the protocol thresholds these, not the map."""
    require_unit_range(maps)
    return (maps.detach().cpu().double() * 255).to(torch.uint8).numpy()


def candidates(gray: UInt8[np.ndarray, "h w"], contours: Contours) -> Iterator[Int[np.ndarray, "_ 8"]]:
    """Yield the lives of every box of every threshold (see `wsolbook.metrics.contours`), kind by kind.

    Right and bottom edges lie one pixel beyond the contour, except at the edge of the picture, as in the
    protocol's code.
    """
    height, width = gray.shape
    for find in (search.outer, search.holes) if contours == "all" else (search.largest,):
        lives = find(gray)
        lives[:, search.X1] = np.minimum(lives[:, search.X1] + 1, width - 1)
        lives[:, search.Y1] = np.minimum(lives[:, search.Y1] + 1, height - 1)
        yield lives


def boxes_from_map(
    localization_map: Float[Tensor, "h w"],
    thresholds: int | Sequence[float] = 1000,
    contours: Contours = "all",
) -> list[Int[np.ndarray, "k 4"]]:
    """Return the candidate boxes of a map at each threshold, as in the protocol of Choe et al. (2020).

    The map is truncated to 8 bits, a pixel is on where it is strictly above int(threshold * maximum), and
    each contour gives its bounding box, whose right and bottom edges lie one pixel outside, except at the
    border.

    Args:
        localization_map: values in [0, 1].
        thresholds: fractions of the maximum in [0, 1), or the length of the grid 0, d, 2d, ... < 1.
        contours: `"all"` (MaxBoxAccV2) takes the outer and the inner contours, so a ring gives two boxes;
            `"largest"` (MaxBoxAcc) takes the contour with the largest polygon area.

    Returns:
        One array a threshold, of one row a box; a single (0, 0, 0, 0) where no pixel is on.

    Raises:
        ValueError: when the map holds NaN or leaves [0, 1], or a threshold leaves [0, 1).
    """
    require_contours(contours)
    if isinstance(thresholds, int):
        require_thresholds(thresholds)
        fractions = grid(thresholds)
    else:
        fractions = np.asarray(thresholds, np.float64)
    if len(fractions) == 0 or not ((fractions >= 0) & (fractions < 1)).all():
        raise ValueError(f"thresholds must lie in [0, 1), at least one of them, got {thresholds}")
    gray = gray_levels(localization_map)
    found = np.concatenate(list(candidates(gray, contours)))
    boxes = []
    for level in (fractions * int(gray.max())).astype(int):
        alive = (found[:, 0] <= level) & (level < found[:, 1])
        boxes.append(found[alive, 2:6] if alive.any() else np.zeros((1, 4), found.dtype))
    return boxes


def require_contours(contours: str) -> None:
    """Raise a ValueError on an unknown rule for contours."""
    if contours not in ("all", "largest"):
        raise ValueError(f'contours must be "all" or "largest", got {contours!r}')


def box_above(localization_map: Float[Tensor, "h w"], threshold: float = 0.2) -> Int[Tensor, "4"]:
    """Return the tight box of the largest region above a share of the maximum (Zhou et al. 2016, 3.2).

    Pixels strictly above `threshold` times the maximum are kept, and the 8-connected component with the most
    pixels is boxed. Grad-CAM (Selvaraju et al. 2017) does the same at 0.15.

    Args:
        localization_map: any range; negative values are never kept.
        threshold: share of the maximum, in [0, 1).

    Returns:
        Inclusive corners; the whole picture for a map without a positive value.
    """
    height, width = localization_map.shape
    peak = float(localization_map.max())
    if not peak > 0:
        return torch.tensor([0, 0, width - 1, height - 1])
    kept = (localization_map > threshold * peak).detach().cpu().numpy()
    return torch.from_numpy(search.most_pixels(kept)).long()
