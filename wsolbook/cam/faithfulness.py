"""Does a map show what the network used? Measures that change the image by the map and look at the score."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from wsolbook.cam.network import eager, evaluating, forward, unwrap
from wsolbook.maps import require_finite, resize, size_of
from wsolbook.types import Maps

Images = Float[Tensor, "n c h w"]


def deletion(
    model: nn.Module, images: Images, maps: Maps, steps: int = 50, fill: float = 0.0
) -> Float[Tensor, "n k points"]:
    """Erase pixels in the order of the map, record the probability of its class (Petsiuk et al. 2018).

    Args:
        model: the network; it runs in evaluation mode and is left as it was.
        images: network input.
        maps: maps of these images; they are resized to them bilinearly.
        steps: equal steps from the whole image to the erased one.
        fill: value of an erased pixel.

    Returns:
        Curves of `steps + 1` probabilities. A faithful map makes them fall early: a small `area`.

    Raises:
        ValueError: when maps and images do not belong together, or a map is not finite.
    """
    return _replaced(model, images, torch.full_like(images, fill), maps, steps)


def insertion(
    model: nn.Module, images: Images, maps: Maps, steps: int = 50, start: Images | None = None
) -> Float[Tensor, "n k points"]:
    """Bring pixels back in the order of the map, record the probability of its class (Petsiuk et al. 2018).

    Args:
        model: the network; it runs in evaluation mode and is left as it was.
        images: network input.
        maps: maps of these images; they are resized to them bilinearly.
        steps: equal steps from the start to the whole image.
        start: what to begin with; None blurs the images (11 pixels, sigma 5).

    Returns:
        Curves of `steps + 1` probabilities. A faithful map makes them rise early: a large `area`.

    Raises:
        ValueError: when maps and images do not belong together, or a map is not finite.
    """
    blurred = gaussian_blur(images, [11, 11], [5.0, 5.0]) if start is None else start
    return _replaced(model, blurred, images, maps, steps)


def area(curve: Float[Tensor, "*n points"]) -> Float[Tensor, "*n"]:
    """Return the area under curves over the unit interval, by the trapezoidal rule."""
    return torch.trapezoid(curve, dx=1 / (curve.shape[-1] - 1))


def _replaced(model: nn.Module, old: Tensor, new: Tensor, maps: Maps, steps: int) -> Tensor:
    """Replace the pixels of `old` by those of `new`, highest of the map first."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    order = _resized(maps, old).flatten(2).argsort(dim=2, descending=True, stable=True)
    rank = order.argsort(2).unflatten(2, old.shape[2:])
    pixels = rank.shape[-2] * rank.shape[-1]
    curve = []
    for step in range(steps + 1):
        changed = rank < round(pixels * step / steps)
        seen = [
            _probability(model, torch.where(changed[:, j, None], new, old), maps.classes[:, j : j + 1])
            for j in range(rank.shape[1])
        ]
        curve.append(torch.cat(seen, 1))
    return torch.stack(curve, 2)


def _resized(maps: Maps, images: Tensor) -> Tensor:
    if len(maps) != len(images) or maps.values.ndim != 4:
        raise ValueError(
            f"maps of shape {tuple(maps.values.shape)} do not belong to images of shape {tuple(images.shape)}"
        )
    require_finite(maps.values, maps.values, maps.layer)
    return resize(maps.values, size_of(images))


def _probability(model: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    network = unwrap(model)
    with torch.no_grad(), evaluating(network), eager():
        return F.softmax(forward(network, images), 1).gather(1, classes)
