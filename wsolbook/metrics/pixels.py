"""PxAP: average precision of a map as a detector of foreground pixels, pooled over the whole set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from wsolbook.compiled import compiled
from wsolbook.data.transforms import IGNORE
from wsolbook.metrics.boxes import grid
from wsolbook.metrics.counts import Counts, mask_bytes, require_thresholds, require_unit_range


@dataclass(frozen=True)
class PrecisionRecall:
    """What a threshold does to the pixels of a set; a pixel is on where its score is at least the threshold.

    Attributes:
        thresholds: the grid 0, d, 2d, ... and 1.
        precision: share of the switched-on pixels that are foreground; NaN where none is on.
        recall: share of the foreground that is on.
        iou: intersection over union of the switched-on pixels and the foreground.
    """

    thresholds: Float[np.ndarray, " t"]
    precision: Float[np.ndarray, " t"]
    recall: Float[np.ndarray, " t"]
    iou: Float[np.ndarray, " t"]


class PixelAP(Counts):
    """Streaming pixel average precision of Choe et al. (2020).

    Args:
        thresholds: length of the grid 0, d, 2d, ... < 1; scores of exactly 1 have a bin of their own.

    Raises:
        ValueError: on fewer than one threshold.
    """

    def __init__(self, thresholds: int = 1000) -> None:
        require_thresholds(thresholds)
        super().__init__(
            {"thresholds": thresholds}, {"scores": torch.zeros(2, thresholds + 1, dtype=torch.int64)}
        )
        self.edges = np.append(grid(thresholds), 1.0)

    def update(self, maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "m u v"]) -> None:
        """Count a batch.

        Args:
            maps: one map an image in [0, 1], at the size of the masks.
            masks: 0 background, 255 ignore, 1 to 254 foreground.

        Raises:
            ValueError: when a map leaves [0, 1], a mask holds anything else, or the shapes differ.
        """
        if maps.shape != masks.shape:
            raise ValueError(f"maps are {tuple(maps.shape)} but masks {tuple(masks.shape)}")
        require_unit_range(maps)
        scores = maps.detach().cpu()
        scores = scores if scores.dtype in (torch.float32, torch.float64) else scores.float()
        pixels = mask_bytes(masks).ravel()
        _histogram(scores.numpy().ravel(), pixels, self.edges, self.state["scores"].numpy())
        self.state["images"] += len(maps)

    def compute(self) -> float:
        """Return PxAP in percent: precision times gain in recall, summed over thresholds from high to low.

        Raises:
            ValueError: when no image or no foreground pixel has been counted.
        """
        curve = self.curve()
        recall = curve.recall[::-1]
        gain = np.diff(recall, prepend=0.0)
        precision = curve.precision[::-1]
        some = np.isfinite(precision)
        return float(100 * (precision * gain)[some].sum())

    def curve(self) -> PrecisionRecall:
        """Return precision, recall and IoU at each threshold, for the figure and for choosing one.

        Raises:
            ValueError: as `compute`.
        """
        self.require_images()
        background, foreground = self.state["scores"].double().numpy()
        if foreground.sum() == 0:
            raise ValueError(f"no foreground pixel in the masks of {self.images} images: PxAP is undefined")
        hits = foreground[::-1].cumsum()[::-1]
        false_alarms = background[::-1].cumsum()[::-1]
        on = hits + false_alarms
        return PrecisionRecall(
            self.edges,
            np.divide(hits, on, out=np.full_like(on, np.nan), where=on > 0),
            hits / foreground.sum(),
            hits / (foreground.sum() + false_alarms),
        )

    def best_threshold(self) -> tuple[float, float]:
        """Return the threshold with the highest pooled IoU, of equals the lowest, and that IoU in percent."""
        curve = self.curve()
        best = int(curve.iou.argmax())
        return float(curve.thresholds[best]), float(100 * curve.iou[best])


@compiled
@no_type_check
def _histogram(scores, mask, edges, counts):
    """Add each score to counts[foreground, bin], bins being [edges[i], edges[i + 1]) and the last one {1}."""
    last = len(edges) - 1
    for i in range(len(scores)):
        if mask[i] == IGNORE:
            continue
        score = np.float64(scores[i])
        place = int(score * last)  # right up to rounding; the edges themselves decide
        if score < edges[place]:
            place -= 1
        elif place < last and score >= edges[place + 1]:
            place += 1
        counts[1 if mask[i] > 0 else 0, place] += 1
