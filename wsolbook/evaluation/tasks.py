"""One picture and its maps, counted: what `wsolbook evaluate` does for each metric.

A picture with several labels has a map for each. Boxes and pixels are then counted label by label, each map
against the boxes or pixels of its own class; seeds and localization errors are counted once a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from wsolbook.evaluation.frame import SIZE, frame_boxes, frame_maps, frame_masks
from wsolbook.evaluation.saved import SavedMaps
from wsolbook.maps import normalize, resize
from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.baselines import center_gaussian
from wsolbook.metrics.boxes import Contours, box_above
from wsolbook.metrics.counts import Counts
from wsolbook.metrics.localization import LocalizationError
from wsolbook.metrics.pixels import PixelAP
from wsolbook.metrics.segmentation import ConfusionMatrix, SeedIoU
from wsolbook.types import Samples


@dataclass(frozen=True)
class Picture:
    """The ground truth of one picture.

    Attributes:
        index: its number in the data set.
        size: height and width.
        labels: classes present, ascending.
        boxes: inclusive corners.
        box_classes: the class of each box.
        mask: 0 background, class + 1, 255 ignore.
        blacklisted: whether its boxes were withdrawn.
    """

    index: int
    size: tuple[int, int]
    labels: Int[Tensor, " k"]
    boxes: Tensor | None
    box_classes: Int[Tensor, " m"] | None
    mask: UInt8[Tensor, "h w"] | None
    blacklisted: bool

    def boxes_of(self, label: int) -> Tensor:
        """Return the boxes of a class.

        Raises:
            ValueError: when there is none.
        """
        if self.boxes is None or self.box_classes is None:
            raise ValueError(f"picture {self.index} has no boxes to evaluate with")
        boxes = self.boxes[self.box_classes == label]
        if len(boxes) == 0:
            raise ValueError(f"picture {self.index} has no box of class {label}")
        return boxes

    def mask_or_error(self) -> UInt8[Tensor, "h w"]:
        """Return the mask, or raise a ValueError."""
        if self.mask is None:
            raise ValueError(f"picture {self.index} has no mask to evaluate with")
        return self.mask


def picture(samples: Samples, index: int) -> tuple[Picture, Tensor]:
    """Return the ground truth of a picture and its network input `(1, 3, h, w)`."""
    batch = samples.batch([index])
    labels = batch.labels[0].nonzero().flatten()
    boxes = batch.boxes[0] if batch.boxes is not None else None
    box_classes = None
    if boxes is not None:
        known: Any = getattr(samples, "box_classes", None)
        if known is not None:
            box_classes = torch.as_tensor(known(index) if callable(known) else known[index])
        elif len(labels) == 1:
            box_classes = labels.expand(len(boxes))
    mask = batch.masks[0] if batch.masks is not None else None
    withdrawn = getattr(samples, "blacklisted", None)
    return Picture(
        index, (batch.images.shape[-2], batch.images.shape[-1]), labels, boxes, box_classes, mask,
        withdrawn is not None and bool(withdrawn[index]),
    ), batch.images  # fmt: skip


Counted = Iterator[tuple[int | None, Counts]]


@dataclass(frozen=True)
class Task:
    """A metric as the command line offers it.

    Attributes:
        make: builds the empty metric.
        count: counts one picture: yields a class, or None for all, and the metric of that picture alone.
        center: the same for the center Gaussian, where that makes sense.
        score: the headline number in percent.
        values: every number in percent, by name.
        class_values: number of each class, given the metric of that class and the total.
        lower_is_better: whether the headline number is an error.
    """

    make: Callable[[], Any]
    count: Callable[[Picture, SavedMaps], Counted]
    score: Callable[[Any], float]
    values: Callable[[Any], dict[str, float]]
    class_values: Callable[[dict[int, Any], Any], dict[int, float]]
    center: Callable[[Picture], Counted] | None = None
    lower_is_better: bool = False


def box_task(thresholds: int = 1000, contours: Contours = "all") -> Task:
    """MaxBoxAccV2, or with `contours="largest"` MaxBoxAcc, in the 224x224 frame."""
    overlaps = (0.3, 0.5, 0.7) if contours == "all" else (0.5,)

    def make() -> BoxAccuracy:
        return BoxAccuracy(thresholds, contours, overlaps)

    def one(picture: Picture, label: int, values: Tensor) -> BoxAccuracy:
        metric = make()
        metric.update(frame_maps(values[None]), [frame_boxes(picture.boxes_of(label), picture.size)])
        return metric

    count, center = _each_class(one)

    name = "MaxBoxAccV2" if contours == "all" else "MaxBoxAcc"

    def values(metric: BoxAccuracy) -> dict[str, float]:
        found = metric.compute()
        each = {f"IoU {o}": v for o, v in found["acc"].items()} if len(overlaps) > 1 else {}
        return {name: found["v2"], **each, **{f"threshold {o}": t for o, t in found["thresholds"].items()}}

    return Task(
        make, count, lambda m: m.compute()["v2"], values,
        lambda by, total: {c: m.at(total.compute()["thresholds"])["v2"] for c, m in by.items()},
        center,
    )  # fmt: skip


def pixel_task(thresholds: int = 1000) -> Task:
    """PxAP in the 224x224 frame; pixels of other classes are background."""

    def one(picture: Picture, label: int, values: Tensor) -> PixelAP:
        mask = picture.mask_or_error()
        of_class = torch.where(mask == 255, mask, (mask == label + 1).to(torch.uint8))
        metric = PixelAP(thresholds)
        metric.update(frame_maps(values[None]), frame_masks(of_class[None]))
        return metric

    count, center = _each_class(one)

    def values(metric: PixelAP) -> dict[str, float]:
        threshold, iou = metric.best_threshold()
        return {"PxAP": metric.compute(), "best IoU": iou, "threshold": threshold}

    return Task(
        lambda: PixelAP(thresholds), count, PixelAP.compute, values,
        lambda by, _: {c: m.compute() for c, m in by.items() if int(m.state["scores"][1].sum())},
        center,
    )  # fmt: skip


def seed_task(classes: int) -> Task:
    """Mean IoU of maps as seeds, each divided by its maximum, at the best background score."""

    def count(picture: Picture, maps: SavedMaps) -> Counted:
        metric = SeedIoU(classes)
        mask = picture.mask_or_error()
        values = normalize(resize(maps.of(picture.labels), (mask.shape[0], mask.shape[1])), "max")
        metric.update(values, picture.labels + 1, mask)
        yield None, metric

    def values(metric: SeedIoU) -> dict[str, float]:
        best = metric.compute()
        return {"mIoU": best["miou"], "background score": best["score"]} | {
            f"mIoU at {score}": metric.at(score) for score in (0.15, 0.2)
        }

    def class_values(_: dict[int, Any], total: SeedIoU) -> dict[int, float]:
        return _by_class(total.per_class().iou)

    return Task(lambda: SeedIoU(classes), count, lambda m: m.compute()["miou"], values, class_values)


def label_task(classes: int) -> Task:
    """Mean IoU of label maps at the size of the picture; `classes` counts background."""

    def count(picture: Picture, maps: SavedMaps) -> Counted:
        metric = ConfusionMatrix(classes)
        metric.update(maps.values[0].long(), picture.mask_or_error())
        yield None, metric

    def values(metric: ConfusionMatrix) -> dict[str, float]:
        shares = metric.per_class()
        return {
            "mIoU": metric.compute(),
            "mFP": float(100 * np.nanmean(shares.fp)),
            "mFN": float(100 * np.nanmean(shares.fn)),
        }

    return Task(
        lambda: ConfusionMatrix(classes), count, ConfusionMatrix.compute, values,
        lambda _, total: _by_class(total.per_class().iou),
    )  # fmt: skip


def localization_task(share: float = 0.2) -> Task:
    """ILSVRC localization error; the box of a map is `box_above(map, share)` at the size of the picture."""

    def count(picture: Picture, maps: SavedMaps) -> Counted:
        if maps.classes is None:
            raise ValueError("does not say which classes its maps are of; the metric loc needs .npz files")
        if len(picture.labels) != 1:
            raise ValueError(f"picture {picture.index} has {len(picture.labels)} labels; loc needs one")
        label = int(picture.labels[0])
        boxes = torch.stack([box_above(m, share) for m in resize(maps.values, picture.size, "bicubic")])
        known = boxes[maps.classes == label][:1] if label in maps.classes else None
        metric = LocalizationError()
        metric.update(
            maps.classes[None, :5], boxes[None, :5], picture.labels, [picture.boxes_of(label)], known,
            torch.tensor([picture.blacklisted]),
        )  # fmt: skip
        yield label, metric

    return Task(
        LocalizationError, count, lambda m: m.compute()["top1_loc"], LocalizationError.compute,
        lambda by, _: {c: m.compute()["top1_loc"] for c, m in by.items() if int(m.state["localizable"])},
        lower_is_better=True,
    )  # fmt: skip


def _each_class(
    one: Callable[[Picture, int, Tensor], Counts],
) -> tuple[Callable[[Picture, SavedMaps], Counted], Callable[[Picture], Counted]]:
    """Return how to count the saved map of each class in a picture, and the center in its place."""

    def count(picture: Picture, maps: SavedMaps) -> Counted:
        for label, values in zip(picture.labels.tolist(), maps.of(picture.labels), strict=True):
            yield label, one(picture, label, values)

    def center(picture: Picture) -> Counted:
        for label in picture.labels.tolist():
            yield label, one(picture, label, center_gaussian(SIZE))

    return count, center


def _by_class(shares: Any) -> dict[int, float]:
    """Return percentages by label, background as -1, absent classes left out."""
    return {c - 1: float(100 * v) for c, v in enumerate(shares) if v == v}
