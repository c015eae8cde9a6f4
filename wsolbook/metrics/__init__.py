"""Boxes, pixels, segmentation and localization errors: every number that the book reports."""

from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.baselines import centre_box, centre_gaussian
from wsolbook.metrics.bootstrap import Interval, PerImage, paired_bootstrap
from wsolbook.metrics.boxes import box_above, box_iou, boxes_from_map
from wsolbook.metrics.counts import Counts, reduce
from wsolbook.metrics.frame import frame_boxes, frame_maps, frame_masks
from wsolbook.metrics.localization import LocalizationError
from wsolbook.metrics.parts import (
    best_threshold,
    part_coverage,
    part_evidence,
    part_importance,
    rank_agreement,
)
from wsolbook.metrics.pixels import PixelAP
from wsolbook.metrics.protocol import Row, box_accuracy, compare, held_out
from wsolbook.metrics.released import loose_and_tight, released_boxes, two_two_one
from wsolbook.metrics.segmentation import ConfusionMatrix, SeedIoU

__all__ = [
    "BoxAccuracy",
    "ConfusionMatrix",
    "Counts",
    "Interval",
    "LocalizationError",
    "PerImage",
    "PixelAP",
    "Row",
    "SeedIoU",
    "best_threshold",
    "box_above",
    "box_accuracy",
    "box_iou",
    "boxes_from_map",
    "centre_box",
    "centre_gaussian",
    "compare",
    "frame_boxes",
    "frame_maps",
    "frame_masks",
    "held_out",
    "loose_and_tight",
    "paired_bootstrap",
    "part_coverage",
    "part_evidence",
    "part_importance",
    "rank_agreement",
    "reduce",
    "released_boxes",
    "two_two_one",
]
