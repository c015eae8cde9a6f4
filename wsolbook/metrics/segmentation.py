"""Mean IoU of label maps, from one integer confusion matrix over the data set, and of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int, Integer, UInt8
from torch import Tensor

from wsolbook.compiled import compiled
from wsolbook.data.transforms import IGNORE
from wsolbook.metrics.counts import Counts, mask_bytes, require_unit_range

SWEEP = tuple(i / 100 for i in range(60))


class ConfusionMatrix(Counts):
    """Streaming confusion matrix over label maps.

    Args:
        classes: number of classes, background included.

    Raises:
        ValueError: when `classes` is not in 1 to 255.
    """

    def __init__(self, classes: int = 21) -> None:
        _require_classes(classes)
        super().__init__({"classes": classes}, {"matrix": torch.zeros(classes, classes, dtype=torch.int64)})
        self.classes = classes

    def update(self, predictions: Integer[Tensor, "*n h w"], masks: Integer[Tensor, "*n u v"]) -> None:
        """Count one label map, or a batch.

        Args:
            predictions: class of each pixel, at the size of the original picture.
            masks: ground truth of the same shape, 255 where a pixel does not count.

        Raises:
            ValueError: when the shapes differ, or a value names no class; 255 in a prediction is such one.
        """
        if predictions.shape != masks.shape:
            raise ValueError(f"predictions are {tuple(predictions.shape)} but masks {tuple(masks.shape)}")
        predicted, true = mask_bytes(predictions, "predictions"), mask_bytes(masks, "masks")
        counts = _count_pairs(true.ravel(), predicted.ravel())
        counts[IGNORE] = 0
        _require_known(counts.sum(1), self.classes, "masks")
        _require_known(counts.sum(0), self.classes, "predictions")
        self.state["matrix"] += torch.from_numpy(counts[: self.classes, : self.classes].copy())
        self.state["images"] += masks.shape[0] if masks.ndim > 2 else 1

    def compute(self) -> float:
        """Return the mean IoU in percent over classes, background included.

        Classes that neither the ground truth nor any prediction holds are left out.

        Raises:
            ValueError: when no image, or no pixel, has been counted.
        """
        return float(100 * np.nanmean(self.per_class().iou))

    def per_class(self) -> PerClass:
        """Return what becomes of each class.

        Raises:
            ValueError: as `compute`.
        """
        self.require_images()
        return per_class(self.state["matrix"].numpy())


@dataclass(frozen=True)
class PerClass:
    """Shares of the union of prediction and ground truth, class by class; they add up to 1, or are all NaN.

    Attributes:
        iou: predicted and true.
        fp: predicted but not true (over-activation).
        fn: true but not predicted (under-activation).
    """

    iou: Float[np.ndarray, " c"]
    fp: Float[np.ndarray, " c"]
    fn: Float[np.ndarray, " c"]


def per_class(matrix: Int[np.ndarray, "c c"]) -> PerClass:
    """Decompose a confusion matrix, rows true and columns predicted.

    Raises:
        ValueError: on an empty matrix.
    """
    if matrix.sum() == 0:
        raise ValueError("no pixel has been counted: every one is ignored")
    hit = np.diag(matrix)
    true, predicted = matrix.sum(1), matrix.sum(0)
    union = np.where(true + predicted > 0, true + predicted - hit, np.nan)
    return PerClass(hit / union, (predicted - hit) / union, (true - hit) / union)


class SeedIoU(Counts):
    """Streaming mean IoU of localization maps used as segmentation seeds, for many background scores at once.

    A pixel takes the class whose map is highest there, or background where no map exceeds the background
    score. The score is a constant, swept (SEAM: 0.00 to 0.59) or fixed (PSA 0.2, IRN 0.15). One histogram
    over (true class, strongest class, its score) holds the confusion matrices of all background scores.

    Args:
        classes: number of classes, background included.
        scores: background scores, ascending.

    Raises:
        ValueError: when `scores` is empty or not ascending, or as `ConfusionMatrix`.
    """

    def __init__(self, classes: int = 21, scores: Sequence[float] = SWEEP) -> None:
        _require_classes(classes)
        if len(scores) == 0 or any(a >= b for a, b in pairwise(scores)):
            raise ValueError(f"scores must ascend, and be at least one, got {tuple(scores)}")
        super().__init__(
            {"classes": classes, "scores": tuple(scores)},
            {"histogram": torch.zeros(classes, classes, len(scores) + 1, dtype=torch.int64)},
        )
        self.classes = classes
        self.scores = np.array(scores, np.float32)

    def update(
        self, maps: Float[Tensor, "k h w"], classes: Int[Tensor, " m"], mask: UInt8[Tensor, "u v"]
    ) -> None:
        """Count one image.

        Args:
            maps: maps in [0, 1] of the classes that the image's labels name, at the size of the mask.
            classes: value in the mask of each map's class: class index + 1.
            mask: ground truth, 255 where a pixel does not count.

        Raises:
            ValueError: when shapes differ, maps hold NaN or leave [0, 1], or a value names no class.
        """
        if maps.shape[1:] != mask.shape or len(maps) != len(classes):
            raise ValueError(
                f"maps are {tuple(maps.shape)} for {len(classes)} classes but the mask is {tuple(mask.shape)}"
            )
        require_unit_range(maps)
        if len(classes) and not (int(classes.min()) >= 1 and int(classes.max()) < self.classes):
            raise ValueError(f"classes of seeds must lie in 1 to {self.classes - 1}, got {classes.tolist()}")
        ascending = classes.argsort()  # of equal maps the lower class wins, as with one argmax over all
        values = maps[ascending].detach().cpu().float().reshape(len(maps), mask.numel()).numpy()
        counts = np.zeros((256, self.classes, len(self.scores) + 1), np.int64)
        true = mask.cpu().numpy().ravel()
        _count_seeds(values, classes[ascending].cpu().numpy(), true, self.scores, counts)
        counts[IGNORE] = 0
        _require_known(counts.sum((1, 2)), self.classes, "mask")
        self.state["histogram"] += torch.from_numpy(counts[: self.classes])
        self.state["images"] += 1

    def matrices(self) -> Int[np.ndarray, "s c c"]:
        """Return the confusion matrix at each background score, rows true and columns predicted."""
        histogram = self.state["histogram"].numpy()
        above = histogram[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]  # the strongest map exceeds score s
        matrices = np.moveaxis(above, -1, 0).copy()
        matrices[:, :, 0] += histogram.sum((1, 2)) - matrices.sum(2)
        return matrices

    def curve(self) -> Float[np.ndarray, " s"]:
        """Return the mean IoU in percent at each background score.

        Raises:
            ValueError: when no image, or no pixel, has been counted.
        """
        self.require_images()
        return np.array([100 * np.nanmean(per_class(matrix).iou) for matrix in self.matrices()])

    def compute(self) -> dict[str, Any]:
        """Return the best mean IoU in percent as `"miou"`, and its background score as `"score"`.

        Raises:
            ValueError: as `curve`.
        """
        curve = self.curve()
        best = int(curve.argmax())
        return {"miou": float(curve[best]), "score": self.settings["scores"][best]}

    def per_class(self) -> PerClass:
        """Return what becomes of each class at the best background score.

        Raises:
            ValueError: as `curve`.
        """
        return per_class(self.matrices()[int(self.curve().argmax())])

    def at(self, score: float) -> float:
        """Return the mean IoU in percent at one background score of the sweep.

        Raises:
            ValueError: when the sweep does not hold the score, or as `curve`.
        """
        if score not in self.settings["scores"]:
            raise ValueError(f"background score {score} is not in the sweep {self.settings['scores']}")
        return float(self.curve()[self.settings["scores"].index(score)])


def _require_known(counts: Int[np.ndarray, "256"], classes: int, what: str) -> None:
    unknown = np.flatnonzero(counts[classes:]) + classes
    if len(unknown):
        raise ValueError(f"{what} hold {unknown[0]}, which is none of the {classes} classes")


def _require_classes(classes: int) -> None:
    if not 1 <= classes <= 255:
        raise ValueError(f"classes must be 1 to 255, got {classes}")


@compiled
@no_type_check
def _count_pairs(true, predicted):
    counts = np.zeros((256, 256), np.int64)
    for i in range(len(true)):
        counts[true[i], predicted[i]] += 1
    return counts


@compiled
@no_type_check
def _count_seeds(values, classes, true, scores, counts):
    """Add each pixel to counts[true class, strongest class, number of background scores that it exceeds]."""
    for i in range(len(true)):
        strongest, best = 0, np.float32(-1)
        for k in range(len(classes)):
            if values[k, i] > best:
                strongest, best = classes[k], values[k, i]
        low, high = 0, len(scores)
        while low < high:
            middle = (low + high) // 2
            if scores[middle] < best:
                low = middle + 1
            else:
                high = middle
        counts[true[i], strongest, low] += 1
