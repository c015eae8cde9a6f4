"""From a network and a data set to numbers: one loop, its tasks, the frame, saved maps, intervals."""

from wsolbook.evaluation.bootstrap import Interval, PerImage, paired_bootstrap, paired_bootstraps
from wsolbook.evaluation.frame import frame_boxes, frame_maps, frame_masks
from wsolbook.evaluation.loop import Tally, evaluate, over_processes
from wsolbook.evaluation.sources import Center, FromFolder, FromNetwork, center_gaussian

__all__ = [
    "Center",
    "FromFolder",
    "FromNetwork",
    "Interval",
    "PerImage",
    "Tally",
    "center_gaussian",
    "evaluate",
    "frame_boxes",
    "frame_maps",
    "frame_masks",
    "over_processes",
    "paired_bootstrap",
    "paired_bootstraps",
]
