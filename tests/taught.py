"""Label maps for methods that learn from those that a network made."""

from __future__ import annotations

import torch

from wsolbook.data.critters import Critters
from wsolbook.data.made import taught_by
from wsolbook.refine.pseudo_labels import write_labels
from wsolbook.types import Supervision


def stripes(height: int, width: int, classes: int) -> torch.Tensor:
    """Return a label map that has nothing to do with any truth: stripes of all labels, and one unknown."""
    labels = torch.arange(width) * (classes + 2) // width
    return torch.where(labels > classes, 255, labels).to(torch.uint8).expand(height, width).contiguous()


def as_declared(data: Critters, supervision: Supervision, folder) -> Critters:
    """Return the data set, with stripes in the place of masks where a method declares made label maps."""
    if not supervision.made:
        return data
    files = [folder / f"{i}.png" for i in range(len(data))]
    for path in files:
        write_labels(path, stripes(*data.masks.shape[1:], len(data.classes)))
    return taught_by(data, files)
