"""From a network and a data set to numbers: one loop, the frame, the protocol, intervals, saved maps."""

from wsolbook.evaluation.bootstrap import Interval, PerImage, paired_bootstrap
from wsolbook.evaluation.frame import frame_boxes, frame_maps, frame_masks
from wsolbook.evaluation.protocol import Row, box_accuracy, compare, held_out

__all__ = [
    "Interval",
    "PerImage",
    "Row",
    "box_accuracy",
    "compare",
    "frame_boxes",
    "frame_maps",
    "frame_masks",
    "held_out",
    "paired_bootstrap",
]
