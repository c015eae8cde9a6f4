"""The protocol of "Evaluating WSOL right" (Choe et al. 2020): thresholds are not chosen on the test set.

A threshold needs boxes, so choosing it is full supervision. The protocol sets a small labeled split apart
for it, reports the test set at that threshold, and shows what choosing on the test set itself would have
given (the oracle). Beside each method stand a map that never looked and a network trained on that split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wsolbook.data.sampling import evaluation_batches
from wsolbook.distributed import rank_and_world
from wsolbook.evaluation.frame import SIZE, frame_boxes, frame_maps
from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.baselines import center_gaussian
from wsolbook.metrics.counts import reduce
from wsolbook.types import Batch, Samples

Method = Callable[[Batch], Float[Tensor, "n h w"]]


@dataclass(frozen=True)
class Row:
    """One method in the protocol's table; accuracies in percent.

    Attributes:
        name: the method.
        held_out: mean accuracy on the test set at the thresholds chosen on the small labeled split.
        oracle: the same at the best thresholds of the test set itself (MaxBoxAccV2); never lower.
        acc: held-out accuracy at each overlap.
        thresholds: chosen for each overlap.
    """

    name: str
    held_out: float
    oracle: float
    acc: dict[float, float]
    thresholds: dict[float, float]


def held_out(name: str, few: BoxAccuracy, test: BoxAccuracy) -> Row:
    """Choose thresholds on `few` and report them on `test`.

    Raises:
        ValueError: when the two were not counted with the same settings, or one of them is empty.
    """
    if few.settings != test.settings:
        raise ValueError(f"the splits were counted differently: {few.settings} and {test.settings}")
    thresholds = few.compute()["thresholds"]
    at = test.at(thresholds)
    return Row(name, at["v2"], test.compute()["v2"], at["acc"], thresholds)


def compare(
    methods: Mapping[str, Method],
    few: Samples,
    test: Samples,
    few_shot: Callable[[Samples], Method] | None = None,
    thresholds: int = 1000,
    batch_size: int = 32,
) -> list[Row]:
    """Return the protocol's table: each method, the few-shot baseline if given, and the center Gaussian.

    Args:
        methods: for each name, what gives the raw map of the true class of each image of a batch.
        few: small split with boxes.
        test: split that is reported.
        few_shot: trains a localizer on `few`, with its boxes or masks, and returns its maps.
        thresholds: length of the grid.
        batch_size: images at once.

    Raises:
        ValueError: when a split has no boxes or no image, or a map holds NaN.
    """
    rows = dict(methods)
    if few_shot is not None:
        rows["few-shot"] = few_shot(few)
    rows["center Gaussian"] = lambda batch: center_gaussian(SIZE).expand(len(batch), -1, -1)
    return [
        held_out(name, *(box_accuracy(method, split, thresholds, batch_size) for split in (few, test)))
        for name, method in rows.items()
    ]


@torch.no_grad()
def box_accuracy(
    method: Method, samples: Samples, thresholds: int = 1000, batch_size: int = 32
) -> BoxAccuracy:
    """Count a method over a split in the protocol's frame; shared by the processes of `torch.distributed`.

    Raises:
        ValueError: when the split has no boxes, or a map holds NaN.
    """
    accuracy = BoxAccuracy(thresholds)
    rank, world = rank_and_world()
    for batch in evaluation_batches(samples, batch_size, rank=rank, world=world):
        if batch.boxes is None:
            raise ValueError(f"{type(samples).__name__} has no boxes to evaluate with")
        size = (batch.images.shape[-2], batch.images.shape[-1])
        accuracy.update(frame_maps(method(batch)), [frame_boxes(b, size) for b in batch.boxes])
    return reduce(accuracy)
