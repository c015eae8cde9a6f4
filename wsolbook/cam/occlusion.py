"""Occlusion sensitivity (Zeiler and Fergus 2014): cover a patch, see how far the score drops."""

from __future__ import annotations

from itertools import product
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsolbook.cam.classes import Classes, Score, score
from wsolbook.cam.network import eager, evaluating, forward, names_of, require_images, unwrap
from wsolbook.maps import require_finite
from wsolbook.types import Maps


def occlusion(
    model: nn.Module,
    images: Float[Tensor, "n c h w"],
    classes: Classes | Score = None,
    *,
    patch: int = 32,
    stride: int = 16,
    fill: float = 0.0,
    batch_size: int = 64,
) -> Maps:
    """Slide a patch over the images and record the scores without what it covers.

    Args:
        model: the network; it runs in evaluation mode and is left as it was.
        images: network input.
        classes: as in `grad_cam`.
        patch: side of the patch in pixels. Patches start at the upper left corner; those at the right and
            lower border are cut off by it.
        stride: step of the patch in pixels, at most its side.
        fill: value under the patch; 0 is the mean color of a normalized image.
        batch_size: covered images in one forward pass.

    Returns:
        Maps `(n, k, h, w)`: at each pixel the fall of the score, mean over the patches that cover it. Figure
        1 of Selvaraju et al. 2017 shows the score that is left instead, low on evidence.

    Raises:
        TypeError: when the images are not floating point or the classes not integers.
        ValueError: when sizes, classes or images do not fit, or a score is not finite.
    """
    require_images(images)
    height, width = images.shape[-2:]
    if not 1 <= stride <= patch <= min(height, width):
        raise ValueError(
            f"occlusion needs 1 <= stride <= patch <= side of the image, got stride {stride}, patch {patch}, "
            f"image {height} x {width}"
        )
    rows, columns = (
        range(0, stride * (ceil((side - patch) / stride) + 1), stride) for side in (height, width)
    )
    corners = list(product(rows, columns))
    step = max(1, batch_size // len(images))
    network = unwrap(model)
    with torch.no_grad(), evaluating(network), eager():
        output = forward(network, images)
        whole, chosen = score(classes, output, names_of(network))
        total = whole.new_zeros(*whole.shape, height, width)
        count = whole.new_zeros(height, width)
        for start in range(0, len(corners), step):
            part = corners[start : start + step]
            covered = images.repeat(len(part), 1, 1, 1)
            for (y, x), view in zip(part, covered.split(len(images)), strict=True):
                view[..., y : y + patch, x : x + patch] = fill
            wanted = classes if callable(classes) else chosen.repeat(len(part), 1)
            scores = score(wanted, forward(network, covered))[0].split(len(images))
            for (y, x), seen in zip(part, scores, strict=True):
                total[..., y : y + patch, x : x + patch] += seen[..., None, None]
                count[y : y + patch, x : x + patch] += 1
    values = whole[..., None, None] - total / count
    require_finite(values, images, "input")
    return Maps(values, output if isinstance(output, Tensor) else whole, chosen, "input")
