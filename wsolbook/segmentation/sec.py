"""SEC: Kolesnikov and Lampert, "Seed, Expand and Constrain", ECCV 2016.

A LargeFOV network learns from few pixels that are sure, the cues; from which classes the picture has, by
pooling scores so that a class must cover a part of it and not a pixel; and from a dense CRF of its own
scores, which knows where the picture has edges.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wsolbook.backbones import build_trunk, start
from wsolbook.data.transforms import IGNORE, to_bytes
from wsolbook.maps import resize
from wsolbook.refine.crf import PRESETS, mean_field
from wsolbook.segmentation.deeplab import DeepLab
from wsolbook.types import Batch

FLOOR = 1e-4  # added to every probability, so that each has a logarithm
POSITIONS = 41 * 41  # for which the decays are given


def build(
    backbone: str = "tiny",
    classes: int = 8,
    *,
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    dilation: bool = True,
    rates: Sequence[int] = (6, 12, 18, 24),
    foreground: float = 0.996,
    background: float = 0.999,
    crf_scale: float = 1 / 12,
) -> Sec:
    """Build a SEC; the network of the paper is `backbone="vgg16_largefov"`.

    Args:
        backbone: as in `wsolbook.segmentation.deeplab.build`, like the next five.
        classes: as there.
        output_stride: as there.
        weights: as there.
        dilation: as there.
        rates: as there.
        foreground: decay of the rank weights for a class that is present, of one position out of 41 x 41 to
            the next: 1 is the mean of all, 0 the maximum.
        background: the same for background.
        crf_scale: factor on the spatial widths of the CRF, which sees the grid; 1 / 12 in the paper, whose
            pictures have 500 pixels and whose grid 41.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    settings |= {"rates": list(rates)}  # as JSON holds it
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    for decay in (foreground, background):
        rank_weights(POSITIONS, decay)  # refuses what is out of range
    PRESETS["sec"].scaled(crf_scale)
    trunk = build_trunk(backbone, output_stride=output_stride, dilation=dilation)
    model = Sec(trunk, settings)
    model.fresh = start(model, trunk, weights)
    return model


class Sec(DeepLab):
    """A DeepLab that learns from cues, labels and edges."""

    method = "sec"
    settings: dict[str, Any]

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the three losses, each a mean over the pictures.

        Raises:
            ValueError: when the batch has no label maps with the cues.
        """
        scores = self.scores(batch.images)
        p = scores.softmax(1) + FLOOR
        p = p / p.sum(1, keepdim=True)
        s = self.settings
        return {
            "seed": self._seed(p, batch),
            "expand": expand_loss(p, batch.labels, s["foreground"], s["background"]),
            "constrain": self._constrain(p, scores.detach(), batch),
        }

    def _seed(self, p: Float[Tensor, "n l u v"], batch: Batch) -> Float[Tensor, ""]:
        """Return the cross-entropy at the cues, a mean over those of a picture; 0 for one without any."""
        cues = self.labels(batch, (p.shape[-2], p.shape[-1])).long()
        known = cues != IGNORE
        chosen = p.gather(1, cues.masked_fill(~known, 0)[:, None])[:, 0]
        total = -(chosen.log() * known).sum((1, 2))
        return (total / known.sum((1, 2)).clamp(min=1)).mean()

    def _constrain(
        self, p: Float[Tensor, "n l u v"], scores: Float[Tensor, "n l u v"], batch: Batch
    ) -> Float[Tensor, ""]:
        """Return how far the CRF's answer is from the network's: KL(CRF || network), a mean over cells."""
        with torch.no_grad():
            # On the processor, which builds the lattices while a device computes the scores.
            small = to_bytes(resize(batch.host.images, (p.shape[-2], p.shape[-1])))
            q = mean_field(-scores.float(), small, PRESETS["sec"].scaled(self.settings["crf_scale"]))
            q = q.clamp(min=FLOOR)
            q = q / q.sum(1, keepdim=True)
        return (q * (q.log() - p.log())).sum(1).mean()


def rank_weights(positions: int, decay: float) -> Float[Tensor, " m"]:
    """Return the weight of the largest value, the second, and so on, which sum to one.

    Args:
        positions: number of values; `decay` is for 41 x 41, and another number spans the same share of them.
        decay: ratio of a weight to the one before, in [0, 1].

    Raises:
        ValueError: when decay is out of range.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decays must be in [0, 1], got {decay}")
    ranks = torch.arange(positions, dtype=torch.float64)
    weights = decay ** (ranks * POSITIONS / positions)
    return (weights / weights.sum()).float()


def expand_loss(
    p: Float[Tensor, "n l u v"],
    labels: Float[Tensor, "n c"],
    foreground: float = 0.996,
    background: float = 0.999,
) -> Float[Tensor, ""]:
    """Return the loss of the image labels by global weighted rank pooling, a mean over the pictures.

    For a picture, the mean over its classes of `-log G(p)`, the mean over the others of `-log(1 - max p)`,
    and `-log G(p)` of background; a mean over no class is 0.

    Args:
        p: probabilities of background and the classes, above 0 and below 1.
        labels: multi-hot.
        foreground: decay of a class that is present.
        background: decay of background.
    """
    ranked = p.flatten(2).sort(2, descending=True).values
    front, behind = (
        rank_weights(ranked.shape[2], d).to(p.device, p.dtype, non_blocking=True)
        for d in (foreground, background)
    )
    present = -(ranked[:, 1:] @ front).log()
    absent = -torch.log1p(-ranked[:, 1:, 0])
    back = -(ranked[:, 0] @ behind).log()
    here, others = labels, 1 - labels
    there = (present * here).sum(1) / here.sum(1).clamp(min=1)
    gone = (absent * others).sum(1) / others.sum(1).clamp(min=1)
    return (there + gone + back).mean()
