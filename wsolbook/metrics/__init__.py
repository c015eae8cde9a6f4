"""Boxes, pixels, segmentation and localization errors: every number that the book reports."""

from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.baselines import center_box, center_gaussian
from wsolbook.metrics.boxes import box_above, box_iou, boxes_from_map
from wsolbook.metrics.counts import Counts, reduce
from wsolbook.metrics.localization import LocalizationError
from wsolbook.metrics.parts import (
    best_threshold,
    part_coverage,
    part_evidence,
    part_importance,
    rank_agreement,
)
from wsolbook.metrics.pixels import PixelAP
from wsolbook.metrics.released import loose_and_tight, released_boxes, two_two_one
from wsolbook.metrics.segmentation import ConfusionMatrix, SeedIoU

__all__ = [
    "BoxAccuracy",
    "ConfusionMatrix",
    "Counts",
    "LocalizationError",
    "PixelAP",
    "SeedIoU",
    "best_threshold",
    "box_above",
    "box_iou",
    "boxes_from_map",
    "center_box",
    "center_gaussian",
    "loose_and_tight",
    "part_coverage",
    "part_evidence",
    "part_importance",
    "rank_agreement",
    "reduce",
    "released_boxes",
    "two_two_one",
]
