"""Pseudo labels: from the localization maps of a picture to the class of each pixel, for a network to learn.

Background gets a score from what the classes leave, `(1 - max_c M_c)^alpha`, and each pixel the label that
wins, on request after a random walk and a dense CRF. Two alphas, a strong and a weak background, leave as
unknown what they do not agree on: the labels that teach AffinityNet. Ahn and Kwak 2018, section 3.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from wsolbook.data.transforms import IGNORE
from wsolbook.data.voc import colored
from wsolbook.files import atomic
from wsolbook.maps import normalize, resize
from wsolbook.refine.crf import Constants, dense_crf
from wsolbook.refine.random_walk import random_walk


@dataclass(frozen=True)
class Labeling:
    """How maps become labels.

    Attributes:
        alphas: power of the background score: 16 in the paper. Two, the smaller first, give the labels of
            AffinityNet: 4 and 32 in the official code, 4 and 24 in the paper.
        crf: constants of a dense CRF at the size of the picture, last; None for no CRF.
        power: of the maps themselves, scaled by their maximum; 0.5 for VGG-16 in the official code.
        beta: of the random walk, where there are affinities.
        steps: of the walk.
        radius: of the affinities.

    Raises:
        ValueError: when there are no alphas, more than two, or they do not ascend; when a power is not
            positive.
    """

    alphas: tuple[float, ...] = (16.0,)
    crf: Constants | None = None
    power: float = 1.0
    beta: float = 8.0
    steps: int = 256
    radius: int = 5

    def __post_init__(self) -> None:
        """Refuse what is no power of a background."""
        if len(self.alphas) not in (1, 2) or list(self.alphas) != sorted(set(self.alphas)):
            raise ValueError(f"alphas must be one, or a smaller and a larger one, got {self.alphas}")
        if min(*self.alphas, self.power) <= 0:
            raise ValueError(f"alphas and power must be positive, got {self.alphas} and {self.power}")

    def __call__(
        self,
        maps: Float[Tensor, "k u v"],
        classes: Int[Tensor, " k"],
        picture: UInt8[Tensor, "3 h w"],
        affinities: Float[Tensor, "m s t"] | None = None,
    ) -> UInt8[Tensor, "h w"]:
        """Label a picture.

        Args:
            maps: raw maps of the classes that it shows, at any resolution.
            classes: the class of each; without any, all is background.
            picture: its colors, which the CRF looks at; the labels are of its size.
            affinities: of the cells of a grid; the scores walk there.

        Returns:
            0 background, class + 1, and with two alphas 255 where it is not known.

        Raises:
            ValueError: when a map is not finite.
        """
        size = (picture.shape[1], picture.shape[2])
        if len(classes) == 0:
            return picture.new_zeros(size)
        seen = normalize(resize(maps.float(), size), "max") ** self.power
        scores = torch.stack([with_background(seen, alpha) for alpha in self.alphas])
        if affinities is not None:
            scores = self._walked(scores, affinities, size)
        if self.crf is not None:
            scores = dense_crf(scores, picture[None], self.crf)
        found = [named(each, classes) for each in scores]
        return found[0] if len(found) == 1 else combine(*found)

    def _walked(
        self, scores: Float[Tensor, "a l h w"], affinities: Float[Tensor, "m s t"], size: tuple[int, int]
    ) -> Float[Tensor, "a l h w"]:
        """Return the scores after the walk, resized to the picture."""
        grid = (affinities.shape[-2], affinities.shape[-1])
        cells = adaptive_avg_pool2d(scores, grid).flatten(0, 1)[None]
        walked = random_walk(cells, affinities[None], self.beta, self.steps, self.radius)[0]
        scores = resize(walked.unflatten(0, scores.shape[:2]), size)
        return scores.clamp(0, 1)  # rounding may leave their range


@dataclass(frozen=True)
class Cues:
    """The pixels that a map alone makes sure of, the localization cues of SEC, and 255 elsewhere.

    A pixel is of a class where its map is above a share of its maximum; where several are, of the class that
    has the fewest such pixels. SEC takes background from saliency; here it is where every map is low.

    Attributes:
        foreground: share of the maximum; 0.2 in SEC.
        background: largest share that is background.

    Raises:
        ValueError: unless 0 <= background <= foreground < 1.
    """

    foreground: float = 0.2
    background: float = 0.05

    def __post_init__(self) -> None:
        """Refuse thresholds that leave nothing."""
        if not 0 <= self.background <= self.foreground < 1:
            raise ValueError(
                f"need 0 <= background <= foreground < 1, got {self.background} and {self.foreground}"
            )

    def __call__(
        self,
        maps: Float[Tensor, "k u v"],
        classes: Int[Tensor, " k"],
        picture: UInt8[Tensor, "3 h w"],
        affinities: Float[Tensor, "m s t"] | None = None,
    ) -> UInt8[Tensor, "h w"]:
        """Label a picture as `Labeling` does; what is not sure is 255, and nothing walks."""
        size = (picture.shape[1], picture.shape[2])
        if len(classes) == 0:
            return picture.new_zeros(size)
        shares = normalize(resize(maps.float(), size), "max")
        found = torch.where(shares.amax(0) <= self.background, 0, IGNORE).to(torch.uint8)
        areas = (shares > self.foreground).sum((1, 2))
        for place in areas.argsort(descending=True, stable=True).tolist():
            found[shares[place] > self.foreground] = int(classes[place]) + 1
        return found


def with_background(maps: Float[Tensor, "k h w"], alpha: float) -> Float[Tensor, "l h w"]:
    """Return `(1 - max_c M_c)^alpha` before the maps, which are in [0, 1]; a larger alpha makes it weaker."""
    return torch.cat(((1 - maps.amax(0, keepdim=True)) ** alpha, maps))


def named(scores: Float[Tensor, "l h w"], classes: Int[Tensor, " k"]) -> UInt8[Tensor, "h w"]:
    """Return the label of the largest score at each pixel; the first score is that of background."""
    labels = torch.cat((classes.new_zeros(1), classes + 1)).to(torch.uint8)
    return labels.to(scores.device, non_blocking=True)[scores.argmax(0)]


def combine(low: UInt8[Tensor, "*s"], high: UInt8[Tensor, "*s"]) -> UInt8[Tensor, "*s"]:
    """Return what is sure of the labels under a strong background (`low` alpha) and a weak one (`high`).

    What is background even when it is weak is background, also where the strong one says a class; else what
    is a class even against a strong background is that class; all else is 255.
    """
    return torch.where(high == 0, 0, torch.where(low == 0, IGNORE, low))


def to_grid(
    labels: UInt8[Tensor, "n h w"], size: tuple[int, int], values: Iterable[int] | None = None
) -> UInt8[Tensor, "n u v"]:
    """Return the most frequent label in each cell of a grid; of equally frequent ones, the smallest.

    PSA averages the probabilities of the CRF in a cell, which are nearly all 0 or 1, to the same effect.

    Args:
        labels: label maps.
        size: height and width of the grid.
        values: the labels that there are, ascending; None looks, and waits where a device has the maps.
    """
    found = labels.new_full((len(labels), *size), IGNORE)
    best = torch.zeros(found.shape, device=labels.device)
    for value in labels.unique().tolist() if values is None else values:
        share = adaptive_avg_pool2d((labels == value).float()[:, None], size)[:, 0]
        found = torch.where(share > best, value, found)
        best = torch.maximum(best, share)
    return found


def write_labels(path: str | os.PathLike[str], labels: UInt8[Tensor, "h w"]) -> None:
    """Write a label map as a PNG in the colors of VOC, whole or not at all; the numbers stay as they are.

    Raises:
        OSError: when it cannot be written.
    """
    with atomic(path) as temporary:
        colored(labels).save(temporary, optimize=False)
