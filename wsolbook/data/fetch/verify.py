"""Looking at every file of a data set once, before a training run meets it at night."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from torch.utils.data import DataLoader, Dataset

from wsolbook.data.images import full_size, read_image
from wsolbook.data.pictures import Pictures
from wsolbook.profiles import progress


@dataclass
class Findings:
    """What `verify` saw.

    Attributes:
        checked: how many samples were looked at.
        boxes: boxes seen.
        masks: masks seen.
        problems: one sentence for each thing that is wrong, naming the file.
    """

    checked: int = 0
    boxes: int = 0
    masks: int = 0
    problems: list[str] = field(default_factory=list)


def verify(data: Pictures, expected: int | None = None, processes: int = 1) -> Findings:
    """Decode every picture, annotation and mask of a data set.

    Args:
        data: any data set on disk.
        expected: how many samples the official list has; another number is a problem.
        processes: how many processes decode at once.

    Returns:
        Counts and problems; a sound data set has none.
    """
    findings = Findings()
    if expected is not None and len(data) != expected:
        findings.problems.append(f"{len(data):,} pictures, the official list has {expected:,}")
    if not len(data):
        findings.problems.append("the data set is empty")
    look = partial(inspect, data)
    looked = DataLoader[Any](
        cast(Dataset[Any], range(len(data))), None, collate_fn=look, num_workers=processes * (processes > 1)
    )
    for boxes, masks, problems in progress(looked, "verify", total=len(data)):
        findings.checked += 1
        findings.boxes += boxes
        findings.masks += masks
        findings.problems += problems
    return findings


def inspect(data: Pictures, index: int) -> tuple[int, int, list[str]]:
    """Return the number of boxes and masks of one sample, and what is wrong with it."""
    problems: list[str] = []
    boxes = masks = 0
    path = data.path(index)
    size = None
    with _collecting(problems):
        size = full_size(read_image(path, min_side=data.min_side))
    with _collecting(problems):
        data.labels(index)
    if data.has_boxes:
        with _collecting(problems):
            corners = data.boxes(index)
            boxes = len(corners)
            if bool((corners[:, 2:] < corners[:, :2]).any()) or bool((corners < 0).any()):
                problems.append(f"{path}: an impossible box among {corners.tolist()}")
            # x + width is one pixel beyond the box, and the official CUB boxes stick out by one more.
            elif size and bool((corners[:, 2:] > corners.new_tensor(size) + 1).any()):
                problems.append(f"{path}: a box beyond the border, {corners.tolist()} in {size}")
    if data.has_masks:
        with _collecting(problems):
            mask = data.mask(index)
            masks = 1
            if size and not data.masks_may_differ and mask.shape != size[::-1]:
                problems.append(f"{path}: picture {size}, mask {tuple(mask.shape[::-1])}")
    return boxes, masks, list(dict.fromkeys(problems))  # a bad annotation has neither labels nor boxes


@contextlib.contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        problems.append(str(error))
