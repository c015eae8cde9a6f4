"""Boxes, pixels, segmentation and localization errors: every number that the book reports."""

from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.boxes import box_above, box_iou, boxes_from_map
from wsolbook.metrics.classification import AveragePrecision, TopAccuracy
from wsolbook.metrics.counts import Counts, MeanShare
from wsolbook.metrics.localization import LocalizationError
from wsolbook.metrics.parts import (
    AREAS,
    Coverage,
    EvidenceShare,
    attention,
    best_threshold,
    part_coverage,
    part_evidence,
    part_importance,
    rank_agreement,
)
from wsolbook.metrics.pixels import PixelAP
from wsolbook.metrics.segmentation import ConfusionMatrix, SeedIoU

__all__ = [
    "AREAS",
    "AveragePrecision",
    "BoxAccuracy",
    "ConfusionMatrix",
    "Counts",
    "Coverage",
    "EvidenceShare",
    "LocalizationError",
    "MeanShare",
    "PixelAP",
    "SeedIoU",
    "TopAccuracy",
    "attention",
    "best_threshold",
    "box_above",
    "box_iou",
    "boxes_from_map",
    "part_coverage",
    "part_evidence",
    "part_importance",
    "rank_agreement",
]
