"""Dense CRF: each pixel agrees on a label with the pixels near it, and more so if they have its color.

Mean field of Krähenbühl and Koltun 2011 with the Potts model, with the constants of the field's papers by
name. Its Gaussian filters run on a permutohedral lattice, which approximates them; `exact=True` takes all
pairs of pixels, for pictures small enough for such a matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor

from wsolbook.doubts import wrong
from wsolbook.maps import outside, require_finite
from wsolbook.refine.lattice import lattice
from wsolbook.refine.present import pack, unpack

FLOOR = 1e-5  # a probability below counts as this


@dataclass(frozen=True)
class Constants:
    """Widths and weights of the two kernels; widths are standard deviations.

    Attributes:
        near: width in pixels of the kernel that sees where pixels are.
        near_weight: what it adds for a label that all neighbors have.
        far: width in pixels of the kernel that sees their colors too.
        color: its width in color, of 0 to 255.
        far_weight: its weight.
        iterations: of the mean field.

    Raises:
        ValueError: when a width is not positive, or a weight or the number of iterations is negative.
    """

    near: float
    near_weight: float
    far: float
    color: float
    far_weight: float
    iterations: int = 10

    def __post_init__(self) -> None:
        """Refuse what is no Gaussian."""
        if min(self.near, self.far, self.color) <= 0:
            raise ValueError(f"widths must be positive, got {self}")
        if min(self.near_weight, self.far_weight, self.iterations) < 0:
            raise ValueError(f"weights and iterations must not be negative, got {self}")

    def scaled(self, factor: float) -> Constants:
        """Return the constants for pictures `factor` times as large as those they were chosen on.

        The presets were chosen on VOC, whose pictures are 500 pixels wide: 128 / 500 is the factor for 128.
        """
        return replace(self, near=self.near * factor, far=self.far * factor)


# SEC trains with its constants scaled by 1 / 12, on a map of 41 x 41 and the picture shrunk to it.
PRESETS = {
    "psa": Constants(near=3.0, near_weight=3.0, far=80.0, color=13.0, far_weight=10.0),
    "sec": Constants(near=3.0, near_weight=3.0, far=80.0, color=13.0, far_weight=10.0),
    "irn": Constants(near=3.0, near_weight=3.0, far=50.0, color=5.0, far_weight=10.0),
    "deeplab-v1": Constants(near=3.0, near_weight=3.0, far=140.0, color=5.0, far_weight=5.0),
    "deeplab-v2": Constants(near=1.0, near_weight=3.0, far=67.0, color=3.0, far_weight=4.0),
}


def dense_crf(
    probabilities: Float[Tensor, "n k h w"],
    images: Real[Tensor, "m 3 u v"],
    constants: Constants = PRESETS["psa"],
    present: Bool[Tensor, "p l"] | None = None,
    exact: bool = False,
) -> Float[Tensor, "n k h w"]:
    """Refine the probabilities of labels by the pictures they belong to.

    Args:
        probabilities: in 0 to 1; zeros count as 1e-5. They need not sum to one: a factor common to all
            labels of a pixel changes nothing, and PSA passes scores as they are.
        images: the pictures at the size of the maps, as bytes or as numbers in 0 to 255; or one picture that
            all maps belong to, whose lattices are then built once. They are built where the pictures lie: on
            the processor, while a device that has the probabilities still works on something else.
        constants: one of `PRESETS`, scaled to the size of the pictures, or others.
        present: labels that each picture has, background included; the others get probability 0 and cost
            nothing. All by default.
        exact: no lattice, a matrix of all pairs of pixels.

    Returns:
        Probabilities that sum to one at each pixel. Gradients reach `probabilities`.

    Raises:
        ValueError: when a probability is outside 0 to 1, or what `mean_field` refuses.
    """
    require_finite(probabilities)
    if probabilities.numel() and wrong(outside(probabilities, 1 + 1e-4)):
        low, high = probabilities.min().item(), probabilities.max().item()
        raise ValueError(f"probabilities must be in 0 to 1, got {low:.4g} to {high:.4g}")
    return mean_field(-probabilities.clamp(FLOOR, 1).log(), images, constants, present, exact)


def mean_field(
    energies: Float[Tensor, "n k h w"],
    images: Real[Tensor, "m 3 u v"],
    constants: Constants = PRESETS["psa"],
    present: Bool[Tensor, "p l"] | None = None,
    exact: bool = False,
) -> Float[Tensor, "n k h w"]:
    """Run the mean field from unary energies, such as minus the logits of a network, as SEC does.

    Arguments and result are those of `dense_crf`; a number added to all energies of a pixel changes nothing.

    Raises:
        ValueError: when an energy is not finite, the pictures are not of the size and number of the maps or
            not in 0 to 255, or a map has no label.
    """
    require_finite(energies)
    _require_pictures(images, energies)
    labels = energies.shape[1]
    if labels == 0 or (present is not None and not present.any(1).all()):
        raise ValueError("a picture has no label present; background counts as one")
    if present is not None:
        energies, index, there = pack(energies, present)
        energies = energies.masked_fill(~there[:, :, None, None], torch.inf)
    precise = energies if energies.dtype == torch.float64 else energies.float()
    # One row a pixel for the filters, with the labels of all maps of its picture; one a map for the softmax.
    rows = -precise.unflatten(0, (len(images), -1)).permute(0, 3, 4, 1, 2)
    unary = rows.flatten(0, 3)
    near, far = _kernels(images.to(unary.dtype), constants, exact, unary.device)
    q = _softmax(unary)
    for _ in range(constants.iterations):
        q = q.view(-1, rows.shape[3] * rows.shape[4])
        agreement = near(q).mul_(constants.near_weight).add_(far(q), alpha=constants.far_weight)
        q = _softmax(agreement.view_as(unary).add_(unary))
    refined = q.view(rows.shape).permute(0, 3, 4, 1, 2).flatten(0, 1).to(energies).contiguous()
    return refined if present is None else unpack(refined, index, labels)


def _kernels(
    images: Float[Tensor, "n 3 h w"], constants: Constants, exact: bool, device: torch.device
) -> list[Callable[[Float[Tensor, "p k"]], Float[Tensor, "p k"]]]:
    """Return the two normalized filters for pixels in rows, picture after picture, of values on a device."""
    n, _, height, width = images.shape
    y, x = (torch.arange(s, dtype=images.dtype, device=images.device) for s in (height, width))
    place = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1).repeat(n, 1)
    color = images.permute(0, 2, 3, 1).flatten(0, 2) / constants.color
    features = place / constants.near, torch.cat((place / constants.far, color), 1)
    if exact:
        return [_all_pairs(f.to(device).unflatten(0, (n, -1))) for f in features]
    picture = torch.arange(n, device=images.device).repeat_interleave(height * width)
    return [lattice(f, picture).normalized().to(device).filter for f in features]


def _all_pairs(features: Float[Tensor, "n p d"]) -> Callable[[Tensor], Tensor]:
    """Return the filter `N^-1/2 K N^-1/2` as a matrix of all pairs; a pixel is its own neighbor too."""
    distance = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    kernel = torch.exp(-(distance**2) / 2)
    scale = kernel.sum(2).rsqrt()
    kernel = kernel * scale[:, :, None] * scale[:, None]
    return lambda q: (kernel @ q.unflatten(0, features.shape[:2])).flatten(0, 1)


def _softmax(rows: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
    """Return the softmax of each row; torch is slow on short rows, so these are computed as columns."""
    return rows.softmax(1) if rows.shape[1] >= 16 else rows.T.softmax(0).T.contiguous()


def _require_pictures(images: Tensor, maps: Tensor) -> None:
    n, _, height, width = maps.shape
    if len(images) not in (1, n) or images.shape[2:] != (height, width):
        raise ValueError(
            f"{n} maps of {height} x {width} need as many pictures of that size, or one for all, "
            f"got {tuple(images.shape)}"
        )
    if not images.numel():
        raise ValueError(f"there is no pixel in pictures of shape {tuple(images.shape)}")
    most = images.amax()
    as_shares = (most > 0) & (most <= 1) & images.is_floating_point()
    if wrong(outside(images, 255.0) | as_shares):
        raise ValueError(f"colors must be in 0 to 255, got {images.min():.4g} to {most:.4g}")
