"""What the recipes report: classification, boxes, pixels and segmentation seeds, in percent."""

from __future__ import annotations

from typing import Any

from wsolbook.evaluation.loop import evaluate
from wsolbook.evaluation.sources import FromNetwork
from wsolbook.evaluation.tasks import Boxes, Classification, MultiLabel, Pixels, Seeds, Task
from wsolbook.types import Localizer, Samples


def measure(
    model: Localizer, data: Samples, *, multi_label: bool = False, batch_size: int = 32, workers: int = 0
) -> dict[str, float]:
    """Measure a localizer as recipes report it: classes, boxes and, where the data has masks, pixels.

    Args:
        model: in evaluation mode.
        data: evaluation view with boxes.
        multi_label: report mAP instead of top-1 accuracy.
        batch_size: images at once.
        workers: processes that read ahead.

    Returns:
        `"top-1"` or `"mAP"`; `"MaxBoxAccV2"`; `"MaxBoxAcc"`; `"PxAP"`; in percent.
    """
    classes = MultiLabel(len(data.classes)) if multi_label else Classification()
    tasks: list[Task[Any]] = [classes, Boxes(), Boxes(contours="largest")]
    if getattr(data, "has_masks", True):
        tasks.append(Pixels())
    tallies = evaluate(FromNetwork(model, logits=True), data, tasks, batch_size=batch_size, workers=workers)
    return {tally.task.headline: tally.task.score(tally.total) for tally in tallies}


def measure_seeds(model: Localizer, data: Samples) -> dict[str, float]:
    """Measure maps as segmentation seeds, at the size of each picture.

    The background score is the best of a sweep over this very set.

    Args:
        model: in evaluation mode.
        data: evaluation view `"original"` with masks.

    Returns:
        `"seed mIoU"` in percent and the `"background score"` it was reached at.
    """
    (tally,) = evaluate(FromNetwork(model), data, [Seeds(len(data.classes))], batch_size=1)
    best = tally.total.compute()
    return {"seed mIoU": best["miou"], "background score": best["score"]}
