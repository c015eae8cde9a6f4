"""Boxes, pixels, segmentation and localization errors: every number that the book reports."""

from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.boxes import box_above, box_iou, boxes_from_map, frame_boxes
from wsolbook.metrics.counts import Counts, reduce
from wsolbook.metrics.parts import (
    best_threshold,
    part_coverage,
    part_evidence,
    part_importance,
    rank_agreement,
)
from wsolbook.metrics.pixels import PixelAP

__all__ = [
    "BoxAccuracy",
    "Counts",
    "PixelAP",
    "best_threshold",
    "box_above",
    "box_iou",
    "boxes_from_map",
    "frame_boxes",
    "part_coverage",
    "part_evidence",
    "part_importance",
    "rank_agreement",
    "reduce",
]
