"""What only a world that we draw allows: which parts a map covers, and which the network used.

A map should show the whole object. Whether it does is `part_coverage`. Whether a map that misses the body is
wrong, or whether the network does not look at the body, is another question: remove the body, all else equal,
and see what happens to the logit. That is `part_importance`, the causal truth against which maps are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from wsolbook.data.transforms import IGNORE
from wsolbook.metrics.counts import Counts
from wsolbook.metrics.pixels import PixelAP

PARTS = ("head", "body", "limbs")
AREAS = (*PARTS, "background")


def part_coverage(
    maps: Float[Tensor, "n h w"],
    parts: Bool[Tensor, "m p u v"],
    threshold: float,
    names: Sequence[str] = PARTS,
) -> dict[str, float]:
    """Return the share of each part's pixels, pooled over the set, that score at least `threshold`.

    Args:
        maps: localization maps in [0, 1].
        parts: where each part is; background is what no part covers.
        threshold: in [0, 1], for example from `best_threshold`.
        names: of the parts, in their order.

    Returns:
        Recall in [0, 1] of each part and of `"background"`; NaN for a part that no image shows.

    Raises:
        ValueError: when shapes, names or ranges do not fit.
    """
    if maps.shape != parts[:, 0].shape or len(names) != parts.shape[1]:
        raise ValueError(
            f"maps are {tuple(maps.shape)} but parts {tuple(parts.shape)}, with {len(names)} names of parts"
        )
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in [0, 1], got {threshold}")
    on = (maps >= threshold).cpu()
    there = areas(parts).cpu()
    covered = (there & on[:, None]).sum((0, 2, 3)).double()
    share = covered / there.sum((0, 2, 3))
    return dict(zip((*names, "background"), share.tolist(), strict=True))


def best_threshold(
    maps: Float[Tensor, "n h w"], masks: UInt8[Tensor, "n h w"], thresholds: int = 1000
) -> float:
    """Return the one threshold that gives the highest pixel IoU with the foreground, pooled over the set.

    Args:
        maps: localization maps in [0, 1].
        masks: 0 background, 255 ignore, anything else foreground.
        thresholds: length of the grid 0, d, 2d, ... < 1, to which 1 is added.

    Raises:
        ValueError: as `PixelAP.update` and `PixelAP.compute`.
    """
    pixels = PixelAP(thresholds)
    pixels.update(maps, masks)
    return pixels.best_threshold()[0]


class Coverage(Counts):
    """Streaming `part_coverage` at the best threshold of the set, with background as the last part.

    Args:
        thresholds: as in `PixelAP`.
    """

    def __init__(self, thresholds: int = 1000) -> None:
        scores = torch.zeros(len(PARTS) + 1, thresholds + 1, dtype=torch.int64)
        super().__init__({"thresholds": thresholds}, {"scores": scores})

    def update(self, maps: Float[Tensor, "n h w"], parts: Bool[Tensor, "n p h w"]) -> None:
        """Count a batch.

        Raises:
            ValueError: as `PixelAP.update`.
        """
        for scores, area in zip(self.state["scores"], areas(parts).unbind(1), strict=True):
            pixels = PixelAP(self.settings["thresholds"])
            pixels.update(maps, torch.where(area, 0, IGNORE).to(torch.uint8))
            scores += pixels.state["scores"][0]
        self.state["images"] += len(maps)

    def compute(self) -> dict[str, float]:
        """Return threshold, IoU of the whole object there, and share of each part that is on, in percent."""
        pixels, scores = PixelAP(self.settings["thresholds"]), self.state["scores"]
        pixels.state = {
            "images": self.state["images"],
            "scores": torch.stack([scores[-1], scores[:-1].sum(0)]),
        }
        threshold, iou = pixels.best_threshold()
        shares = 100 * scores[:, torch.from_numpy(pixels.edges >= threshold)].sum(1).double() / scores.sum(1)
        return {"best IoU": iou, "threshold": threshold} | dict(zip(AREAS, shares.tolist(), strict=True))


def areas(parts: Bool[Tensor, "n p h w"]) -> Bool[Tensor, "n areas h w"]:
    """Return the parts with background, which is what no part covers, as the last of them."""
    return torch.cat([parts, ~parts.any(1, keepdim=True)], 1)


def attention(maps: Float[Tensor, "n h w"], parts: Bool[Tensor, "n p h w"]) -> Float[Tensor, "n areas"]:
    """Return how the positive evidence of each map is shared out among the parts and background.

    Returns:
        Shares that sum to 1; NaN where a map has no positive evidence.
    """
    evidence = maps.detach().cpu().double().relu()[:, None]
    return (evidence * areas(parts).cpu()).sum((2, 3)) / evidence.sum((2, 3))


class EvidenceShare(Counts):
    """Streaming mean of `attention` in millionths; a map without positive evidence counts 0 everywhere."""

    def __init__(self) -> None:
        super().__init__({}, {"millionths": torch.zeros(len(AREAS), dtype=torch.int64)})

    def update(self, maps: Float[Tensor, "n h w"], parts: Bool[Tensor, "n p h w"]) -> None:
        """Count a batch."""
        self.state["millionths"] += (1e6 * attention(maps, parts).nan_to_num()).round().long().sum(0)
        self.state["images"] += len(maps)

    def compute(self) -> dict[str, float]:
        """Return the mean share of each area in percent; NaN where there is no image."""
        return dict(zip(AREAS, (self.state["millionths"] / 1e4 / self.images).tolist(), strict=True))


def part_evidence(maps: Float[Tensor, "n h w"], parts: Bool[Tensor, "n p h w"]) -> Float[Tensor, "n p"]:
    """Return the mean of each map over each part; NaN where the image does not show the part."""
    return (maps[:, None] * parts).sum((2, 3)) / parts.sum((2, 3))


@torch.no_grad()
def part_importance(
    model: Callable[[Float[Tensor, "n 3 h w"]], Float[Tensor, "n c"]],
    whole: Float[Tensor, "n 3 h w"],
    without: Mapping[str, Float[Tensor, "m 3 u v"]],
    classes: Int[Tensor, " n"],
) -> dict[str, Float[Tensor, " n"]]:
    """Return how far the logit of the true class falls when a part is removed, all else equal.

    Args:
        model: network images to logits, in evaluation mode.
        whole: network input with every part.
        without: for each part, the same images drawn without it.
        classes: true class of each image.

    Returns:
        For each part the fall of the logit of each image; positive where the network used the part.

    Raises:
        ValueError: when the sets of images differ in shape.
    """
    for name, images in without.items():
        if images.shape != whole.shape:
            raise ValueError(
                f"images without {name} are {tuple(images.shape)}, whole ones {tuple(whole.shape)}"
            )

    def score(images: Tensor) -> Tensor:
        return model(images).gather(1, classes[:, None].to(images.device))[:, 0]

    complete = score(whole)
    return {name: complete - score(images) for name, images in without.items()}


def rank_agreement(evidence: Float[Tensor, "n p"], importance: Float[Tensor, "n p"]) -> Float[Tensor, " n"]:
    """Return, for each image, Spearman's rank correlation of the evidence in its parts with their importance.

    Args:
        evidence: for example from `part_evidence`; parts that are NaN in either argument are left out.
        importance: for example from `part_importance`, stacked in the same order of parts.

    Returns:
        Values in [-1, 1]; NaN for an image with fewer than two parts, or where one side has no order.
    """
    agreement = torch.full((len(evidence),), torch.nan, dtype=torch.float64)
    for i, (a, b) in enumerate(
        zip(evidence.cpu().double().numpy(), importance.cpu().double().numpy(), strict=True)
    ):
        known = np.isfinite(a) & np.isfinite(b)
        ranks_a, ranks_b = _ranks(a[known]), _ranks(b[known])
        spread = ranks_a.std() * ranks_b.std() if known.sum() > 1 else 0.0
        if spread > 0:
            agreement[i] = float(((ranks_a - ranks_a.mean()) * (ranks_b - ranks_b.mean())).mean() / spread)
    return agreement


def _ranks(values: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """Rank from 1; equal values share the mean of their ranks."""
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return below + (equal + 1) / 2
