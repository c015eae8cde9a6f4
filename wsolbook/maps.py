"""Everything that happens to a raw localization map: normalize, resize, average over scales.

Nothing here is applied behind the user's back. Which normalization comes before which resize is
half of the field's irreproducibility, so each step is a function with its variant in the name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Num, Shaped
from torch import Tensor
from torch.nn.functional import interpolate

from wsolbook.doubts import wrong

Normalization = Literal["min-max", "max"]
Interpolation = Literal["bilinear", "bicubic", "nearest"]


def normalize(maps: Float[Tensor, "*n h w"], how: Normalization = "min-max") -> Float[Tensor, "*n h w"]:
    """Scale each map on its own into [0, 1].

    Args:
        maps: raw maps; each `(h, w)` slice is scaled independently of the others.
        how: `"min-max"` subtracts the minimum and divides by the maximum of the result (the evaluation
            protocol of Choe et al. 2020); `"max"` clips negative evidence at 0 and divides by the maximum
            (Zhou et al. 2016, section 3.2).

    Returns:
        Maps of the same shape. A map without contrast (constant, or without a positive value for
        `"max"`) becomes all zeros.

    Raises:
        ValueError: on an unknown `how`, or when a map holds NaN or infinity.
    """
    if how not in ("min-max", "max"):
        raise ValueError(f'how must be "min-max" or "max", got {how!r}')
    require_finite(maps)
    return stretch(maps, how)


def stretch(maps: Float[Tensor, "*n h w"], how: Normalization = "min-max") -> Float[Tensor, "*n h w"]:
    """Scale maps as `normalize` does, without looking at them first: in training no step waits for a device.

    A map that holds NaN becomes all zeros; its loss is for the training loop to report.
    """
    floor = maps.amin((-2, -1), keepdim=True) if how == "min-max" else torch.zeros_like(maps[..., :1, :1])
    lifted = (maps - floor).clamp(min=0)
    peak = lifted.amax((-2, -1), keepdim=True)
    return torch.where(peak > 0, lifted / torch.where(peak > 0, peak, torch.ones_like(peak)), 0)


def resize(
    maps: Float[Tensor, "*n h w"], size: int | tuple[int, int], how: Interpolation = "bilinear"
) -> Float[Tensor, "*n H W"]:
    """Resample maps to `size`, with half-pixel centers (`align_corners=False`).

    Args:
        maps: maps of any leading shape.
        size: target height and width in pixels; one number means a square.
        how: `"bilinear"`, `"bicubic"` (may overshoot the range of its input) or `"nearest"`.

    Raises:
        ValueError: when a side of `size` is below 1.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least 1 pixel each way, got {(height, width)}")
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    align = None if how == "nearest" else False
    return interpolate(flat, (height, width), mode=how, align_corners=align).reshape(
        *maps.shape[:-2], height, width
    )


def size_of(pictures: Shaped[Tensor, "*n h w"]) -> tuple[int, int]:
    """Return height and width of pictures, maps or masks."""
    return pictures.shape[-2], pictures.shape[-1]


def of_classes(
    maps: Float[Tensor, "n c h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
) -> Float[Tensor, "n h w"] | Float[Tensor, "n k h w"]:
    """Return the maps of the wanted classes of each image, out of those of all classes."""
    image = torch.arange(len(maps), device=maps.device)
    return maps[image if classes.ndim == 1 else image[:, None], classes]


def multi_scale(
    compute: Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, "n k u v"]],
    images: Float[Tensor, "n 3 h w"],
    scales: Sequence[float] = (0.5, 1.0, 1.5, 2.0),
    mirror: bool = True,
) -> Float[Tensor, "n k h w"]:
    """Average the maps of an image seen at several sizes, and mirrored, at the size of the image.

    Args:
        compute: returns raw maps of a batch of images, for example
            `lambda x: cam(model, x, classes).values`.
        images: the batch at scale 1.
        scales: factors of the image side.
        mirror: also see each size mirrored; its map is mirrored back.
    """
    size = size_of(images)
    views = []
    for scale in scales:
        seen = images if scale == 1 else resize(images, (round(size[0] * scale), round(size[1] * scale)))
        views.append(resize(compute(seen), size))
        if mirror:
            views.append(resize(compute(seen.flip(-1)).flip(-1), size))
    return torch.stack(views).mean(0)


def outside(numbers: Num[Tensor, "..."], high: float) -> Bool[Tensor, ""]:
    """Return whether a number is below 0, above `high` or NaN."""
    least, most = numbers.aminmax()
    return ~((least >= 0) & (most <= high))


def require_finite(
    maps: Float[Tensor, "..."], source: Float[Tensor, "..."] | None = None, layer: str = ""
) -> None:
    """Raise a ValueError that says which map holds NaN or infinity, if one does.

    Args:
        maps: maps; the first axis is that of the images.
        source: the activation `(n, ...)` they were computed from, so that the culprit can be told.
        layer: where that comes from.
    """
    bad = ~torch.isfinite(maps)
    if not wrong(bad.any()):
        return
    where = tuple(bad.nonzero()[0].tolist())
    if source is None:
        raise ValueError(
            f"localization map holds {maps[where].item()} at {where}; {int(bad.sum())} such values"
        )
    culprit = "weight" if torch.isfinite(source[where[0]]).all() else "activation"
    raise ValueError(
        f"the map of image {where[0]} is not finite: the {culprit} of layer {layer} is NaN or infinite"
    )
