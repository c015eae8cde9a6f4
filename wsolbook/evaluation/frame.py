"""The square frame in which the protocol of Choe et al. (2020) compares maps, boxes and masks: 224x224.

The aspect of the picture is not kept. Maps, boxes and masks must all be brought into the frame: a map at
another size gives wrong overlaps without any error.
"""

from __future__ import annotations

from jaxtyping import Float, Int, Num, UInt8
from torch import Tensor

from wsolbook.data.transforms import warp_boxes, warp_masks
from wsolbook.maps import normalize, require_finite, resize
from wsolbook.metrics.boxes import require_boxes

SIZE = 224


def frame_maps(maps: Float[Tensor, "n h w"], size: int | tuple[int, int] = SIZE) -> Float[Tensor, "n H W"]:
    """Bring raw maps into the frame: bicubic, then min-max; a map without contrast becomes zeros.

    Raises:
        ValueError: when a map holds NaN or infinity.
    """
    require_finite(maps)
    maps = maps.detach().float()
    flat = maps.amax((1, 2), keepdim=True) == maps.amin((1, 2), keepdim=True)
    # Interpolation rounds: scaling what it makes of a constant would show the rounding errors.
    return normalize(resize(maps, size, "bicubic").masked_fill(flat, 0))


def frame_boxes(boxes: Num[Tensor, "k 4"], image_size: tuple[int, int]) -> Int[Tensor, "k 4"]:
    """Bring boxes of a picture into the frame.

    Args:
        boxes: inclusive corners in pixels of the picture.
        image_size: its height and width.

    Returns:
        Corners scaled by 224 / width and 224 / height and truncated, as published numbers have them.
    """
    require_boxes(boxes)
    height, width = image_size
    return warp_boxes(boxes, (width, height), (SIZE, SIZE))


def frame_masks(masks: UInt8[Tensor, "n h w"], size: int | tuple[int, int] = SIZE) -> UInt8[Tensor, "n H W"]:
    """Bring masks into the frame by nearest neighbor, to the pixel as the protocol does."""
    height, width = (size, size) if isinstance(size, int) else size
    return warp_masks(masks, (width, height))
