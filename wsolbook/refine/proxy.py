"""Proxy ground truth: which class each pixel is of, from localization maps and a map of saliency.

As Hou et al., "Self-Erasing Network for Integral Object Attention" (NeurIPS 2018), algorithm 1. Saliency says
where something is, whatever it is, and the localization maps what it is.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from wsolbook.data.transforms import IGNORE
from wsolbook.metrics.counts import require_unit_range


def harmonic(
    maps: Float[Tensor, "*k h w"], saliency: Float[Tensor, "h w"], weight: float = 1.0
) -> Float[Tensor, "*k h w"]:
    """Return the weighted harmonic mean of maps and saliency, `(w + 1) / (w / map + 1 / saliency)`; 0 of 0.

    Args:
        maps: in [0, 1].
        saliency: in [0, 1].
        weight: of the maps, above 0; the paper does not say which it took.

    Raises:
        ValueError: when the weight is not above 0.
    """
    if not weight > 0:
        raise ValueError(f"weight must be above 0, got {weight}")
    under = weight * saliency + maps
    return torch.where(under > 0, (weight + 1) * maps * saliency / under.clamp(min=1e-12), 0)


def proxy(
    maps: Float[Tensor, "k h w"],
    classes: Int[Tensor, " k"],
    saliency: Float[Tensor, "u v"],
    *,
    weight: float = 1.0,
    conflict: float | None = None,
    low_saliency: float | None = None,
    attended: float = 0.0,
) -> UInt8[Tensor, "h w"]:
    """Return the class of each pixel of an image, or 0, background, or 255, where the proxy does not say.

    Background has the probability `1 - saliency`, each class the harmonic mean of its map and the saliency;
    the highest wins, background and then the lower class where there are several. So a saliency of 0 and 1
    decides figure and ground alone, and the maps choose only among several labels: methods are not compared
    by proxies with such a one.

    Args:
        maps: in [0, 1], of the classes that the image's labels name.
        classes: value of each map's class in the result: class index + 1.
        saliency: in [0, 1].
        weight: as in `harmonic`.
        conflict: 255 where two maps are at least this; the authors' advice for images of several classes.
        low_saliency: 255 where the saliency is below this; they advise 32 / 255, without which others did not
            come near their numbers.
        attended: where some map is at least this, that is: 0, as they put it, is everywhere, so that the
            surest background is left out; above 0 it is where map and saliency contradict each other.

    Raises:
        ValueError: when sizes differ, or a value is outside [0, 1].
    """
    if maps.shape[1:] != saliency.shape or len(maps) != len(classes):
        raise ValueError(
            f"maps are {tuple(maps.shape)} for {len(classes)} classes, "
            f"the saliency is {tuple(saliency.shape)}"
        )
    require_unit_range(maps)
    require_unit_saliency(saliency)
    ascending = classes.argsort()
    scores = torch.cat([1 - saliency[None], harmonic(maps[ascending], saliency, weight)])
    values = torch.cat([classes.new_zeros(1), classes[ascending]])
    found = values[scores.argmax(0)].to(torch.uint8)
    if conflict is not None:
        found[(maps >= conflict).sum(0) >= 2] = IGNORE
    if low_saliency is not None:
        found[(saliency < low_saliency) & (maps >= attended).any(0)] = IGNORE
    return found


def require_unit_saliency(saliency: Float[Tensor, "h w"], of: str = "saliency") -> None:
    """Raise a ValueError if a saliency is not finite or leaves [0, 1]; calling it `of`."""
    low, high = (float(v) for v in saliency.aminmax())
    if not (low >= 0 and high <= 1):  # NaN fails every comparison
        raise ValueError(f"{of} must lie in [0, 1], got values from {low:.4g} to {high:.4g}")
