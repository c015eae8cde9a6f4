"""The questions that an evaluation asks, a class each: how one picture is counted, and what the counts say.

A picture with several labels has a map for each. Boxes and pixels are then counted label by label, each map
against the boxes or pixels of its own class; everything else is counted once a picture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wsolbook.evaluation.frame import frame_boxes, frame_masks
from wsolbook.evaluation.picture import Prediction, Truth
from wsolbook.maps import normalize, resize, size_of
from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.boxes import Contours, box_above
from wsolbook.metrics.classification import AveragePrecision, TopAccuracy
from wsolbook.metrics.counts import Counts
from wsolbook.metrics.localization import LocalizationError
from wsolbook.metrics.parts import AREAS, Coverage
from wsolbook.metrics.pixels import PixelAP
from wsolbook.metrics.segmentation import ConfusionMatrix, SeedIoU

M = TypeVar("M", bound=Counts)
Curve = tuple[str, str, Float[np.ndarray, " t"], Float[np.ndarray, " t"]]


class Task(ABC, Generic[M]):
    """One question; all numbers are in percent, thresholds as they are.

    Attributes:
        empty: builds the metric that has counted nothing.
        headline: name of the number that runs are compared by.
        compared: names of all such numbers, where one is not enough.
        lower_is_better: whether that is an error.
        view: of the pictures: warped into the square frame, or as they are.
        guesses: number of the network's best guesses whose maps are needed, beside those of the labels.
        logits: whether class scores are needed.
        blind: whether the map that guesses the center is worth a comparison.
    """

    empty: Callable[[], M]
    headline: str
    compared: tuple[str, ...] = ()
    lower_is_better: ClassVar[bool] = False
    view: ClassVar[Literal["warp", "original"]] = "warp"
    guesses: ClassVar[int] = 0
    logits: ClassVar[bool] = False
    blind: ClassVar[bool] = False

    @abstractmethod
    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, M]]:
        """Yield what one picture counts: a class, or None for all, and the metric of that alone.

        Raises:
            ValueError: when maps and truth do not fit, or one of them is not there.
        """

    @abstractmethod
    def values(self, metric: M) -> dict[str, float]:
        """Return every number, the headline first."""

    def score(self, metric: M) -> float:
        """Return the headline number."""
        return self.values(metric)[self.headline]

    def scores(self, metric: M) -> dict[str, float]:
        """Return the numbers that runs are compared by."""
        values = self.values(metric)
        return {name: values[name] for name in self.compared or (self.headline,)}

    def class_values(self, by_class: Mapping[int, M], total: M) -> dict[int, float]:
        """Return the headline of each class, background as -1."""
        return {c: self.score(metric) for c, metric in by_class.items()}

    def held_out(self, few: M, test: M) -> dict[str, float]:
        """Return the numbers of `test` at the thresholds that are best for `few`.

        A threshold needs boxes or masks, so choosing it is full supervision: Choe et al. (2020) set a small
        labeled split apart for it. The best threshold of the test set itself, which is what the other
        numbers are at, is the oracle and never lower.

        Raises:
            ValueError: when there is no threshold to choose.
        """
        raise ValueError("only boxes and seeds have a threshold to choose on --few")

    def curve(self, metric: M) -> Curve | None:
        """Return what the threshold does: what runs across and what runs up, by name and as numbers."""
        return None


class Classification(Task[TopAccuracy]):
    """Top-1 and top-5 accuracy, one label a picture."""

    empty = TopAccuracy
    headline = "top-1"
    logits = True

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, TopAccuracy]]:
        metric = self.empty()
        metric.update(*_scored(truth, said))
        yield int(truth.labels[0]), metric

    def values(self, metric: TopAccuracy) -> dict[str, float]:
        return metric.compute()


class MultiLabel(Task[AveragePrecision]):
    """Mean average precision of the classes, several labels a picture."""

    headline = "mAP"
    logits = True

    def __init__(self, classes: int) -> None:
        self.empty = partial(AveragePrecision, classes)

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, AveragePrecision]]:
        metric = self.empty()
        metric.update(*_scored(truth, said))
        yield None, metric

    def values(self, metric: AveragePrecision) -> dict[str, float]:
        return {"mAP": metric.compute()}

    def class_values(
        self, by_class: Mapping[int, AveragePrecision], total: AveragePrecision
    ) -> dict[int, float]:
        return {c: float(100 * v) for c, v in enumerate(total.per_class()) if v == v}


class Boxes(Task[BoxAccuracy]):
    """MaxBoxAccV2, or with `contours="largest"` MaxBoxAcc, in the 224x224 frame."""

    blind = True

    def __init__(self, thresholds: int = 1000, contours: Contours = "all") -> None:
        overlaps = (0.3, 0.5, 0.7) if contours == "all" else (0.5,)
        self.empty = partial(BoxAccuracy, thresholds, contours, overlaps)
        self.headline = "MaxBoxAccV2" if contours == "all" else "MaxBoxAcc"

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, BoxAccuracy]]:
        for label, values in zip(truth.labels.tolist(), said.framed(truth.labels), strict=True):
            metric = self.empty()
            metric.update(values[None], [frame_boxes(truth.boxes_of(label), truth.size)])
            yield label, metric

    def values(self, metric: BoxAccuracy) -> dict[str, float]:
        best = metric.compute()
        return self._named(best["v2"], best["acc"], best["thresholds"])

    def class_values(self, by_class: Mapping[int, BoxAccuracy], total: BoxAccuracy) -> dict[int, float]:
        thresholds = total.compute()["thresholds"]  # one for the whole set
        return {c: metric.at(thresholds)["v2"] for c, metric in by_class.items()}

    def held_out(self, few: BoxAccuracy, test: BoxAccuracy) -> dict[str, float]:
        thresholds = few.compute()["thresholds"]
        at = test.at(thresholds)
        return self._named(at["v2"], at["acc"], thresholds)

    def curve(self, metric: BoxAccuracy) -> Curve:
        return "threshold", "BoxAcc in percent, mean over IoU", metric.thresholds, metric.curve().mean(0)

    def _named(
        self, mean: float, accuracies: Mapping[float, float], thresholds: Mapping[float, float]
    ) -> dict[str, float]:
        each = {f"IoU {o}": v for o, v in accuracies.items()} if len(accuracies) > 1 else {}
        return {self.headline: mean, **each, **{f"threshold {o}": t for o, t in thresholds.items()}}


class Pixels(Task[PixelAP]):
    """PxAP in the 224x224 frame; pixels of other classes are background."""

    headline = "PxAP"
    blind = True

    def __init__(self, thresholds: int = 1000) -> None:
        self.empty = partial(PixelAP, thresholds)

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, PixelAP]]:
        for label, values in zip(truth.labels.tolist(), said.framed(truth.labels), strict=True):
            metric = self.empty()
            metric.update(values[None], frame_masks(truth.mask_of(label)[None]))
            yield label, metric

    def score(self, metric: PixelAP) -> float:
        return metric.compute()

    def values(self, metric: PixelAP) -> dict[str, float]:
        threshold, iou = metric.best_threshold()
        return {"PxAP": metric.compute(), "best IoU": iou, "threshold": threshold}

    def class_values(self, by_class: Mapping[int, PixelAP], total: PixelAP) -> dict[int, float]:
        return {c: m.compute() for c, m in by_class.items() if int(m.state["scores"][1].sum())}

    def curve(self, metric: PixelAP) -> Curve:
        curve = metric.curve()
        return "recall", "precision in percent", curve.recall, 100 * curve.precision


class Parts(Task[Coverage]):
    """Share of each part that a map covers at the best threshold of the set (see `metrics.Coverage`)."""

    headline = "best IoU"
    compared = AREAS

    def __init__(self, thresholds: int = 1000) -> None:
        self.empty = partial(Coverage, thresholds)

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, Coverage]]:
        metric = self.empty()
        values = normalize(resize(said.of(truth.labels), truth.size)).amax(0, keepdim=True)
        metric.update(values, truth.require_parts()[None])
        yield None, metric

    def values(self, metric: Coverage) -> dict[str, float]:
        return metric.compute()


class Seeds(Task[SeedIoU]):
    """Mean IoU of maps as segmentation seeds, each divided by its maximum, at the best background score."""

    headline = "mIoU"
    view = "original"

    def __init__(self, classes: int) -> None:
        self.empty = partial(SeedIoU, classes + 1)

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, SeedIoU]]:
        metric, mask = self.empty(), truth.mask_of()
        values = normalize(resize(said.of(truth.labels), size_of(mask)), "max")
        metric.update(values, truth.labels + 1, mask)
        yield None, metric

    def score(self, metric: SeedIoU) -> float:
        return metric.compute()["miou"]

    def values(self, metric: SeedIoU) -> dict[str, float]:
        best = metric.compute()
        fixed = {f"mIoU at {score}": metric.at(score) for score in (0.15, 0.2)}
        return {"mIoU": best["miou"], "background score": best["score"]} | fixed

    def class_values(self, by_class: Mapping[int, SeedIoU], total: SeedIoU) -> dict[int, float]:
        return _present(total.per_class().iou)

    def held_out(self, few: SeedIoU, test: SeedIoU) -> dict[str, float]:
        background = few.compute()["score"]
        return {"mIoU": test.at(background), "background score": background}

    def curve(self, metric: SeedIoU) -> Curve:
        return "background score", "mIoU in percent", metric.scores.astype(np.float64), metric.curve()


class LabelMaps(Task[ConfusionMatrix]):
    """Mean IoU of label maps, the class of each pixel at the size of the picture."""

    headline = "mIoU"
    view = "original"

    def __init__(self, classes: int) -> None:
        self.empty = partial(ConfusionMatrix, classes + 1)

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, ConfusionMatrix]]:
        metric = self.empty()
        metric.update(said.values[0].long(), truth.mask_of())
        yield None, metric

    def values(self, metric: ConfusionMatrix) -> dict[str, float]:
        shares = metric.per_class()
        named = {self.headline: shares.iou, "mFP": shares.fp, "mFN": shares.fn}
        return {name: float(100 * np.nanmean(share)) for name, share in named.items()}

    def class_values(
        self, by_class: Mapping[int, ConfusionMatrix], total: ConfusionMatrix
    ) -> dict[int, float]:
        return _present(total.per_class().iou)


class Localization(Task[LocalizationError]):
    """ILSVRC localization error; the box of a map is `box_above(map, share)` at the size of the picture."""

    empty = LocalizationError
    headline = "top1_loc"
    lower_is_better = True
    view = "original"
    guesses = 5

    def __init__(self, share: float = 0.2) -> None:
        self.share = share

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, LocalizationError]]:
        if said.classes is None:
            raise ValueError("does not say which classes its maps are of; the metric loc needs .npz files")
        if len(truth.labels) != 1:
            raise ValueError(f"the picture has {len(truth.labels)} labels; loc needs one")
        label = int(truth.labels[0])
        values = resize(said.values, truth.size, "bicubic")
        boxes = torch.stack([box_above(one, self.share) for one in values])
        metric = self.empty()
        metric.update(
            said.classes[None, :5], boxes[None, :5], truth.labels, [truth.boxes_of(label)],
            boxes[said.classes == label][:1] if label in said.classes else None,
            torch.tensor([truth.blacklisted]),
        )  # fmt: skip
        yield label, metric

    def values(self, metric: LocalizationError) -> dict[str, float]:
        return metric.compute()

    def class_values(
        self, by_class: Mapping[int, LocalizationError], total: LocalizationError
    ) -> dict[int, float]:
        return {c: self.score(m) for c, m in by_class.items() if int(m.state["localizable"])}


def _scored(truth: Truth, said: Prediction) -> tuple[Float[Tensor, "1 c"], Float[Tensor, "1 c"]]:
    """Return class scores and labels of one picture."""
    if said.logits is None:
        raise ValueError("says nothing about classes; classification needs a network")
    labels = torch.zeros_like(said.logits)
    labels[truth.labels] = 1
    return said.logits[None], labels[None]


def _present(shares: Float[np.ndarray, " c"]) -> dict[int, float]:
    """Return percentages by label, background as -1; absent classes are left out."""
    return {c - 1: float(100 * v) for c, v in enumerate(shares) if v == v}
