"""One picture under evaluation: the truth about it, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Num, UInt8
from torch import Tensor

from wsolbook.data.transforms import IGNORE
from wsolbook.evaluation.frame import frame_maps
from wsolbook.maps import size_of
from wsolbook.types import Batch, Samples


@dataclass(frozen=True)
class Truth:
    """The ground truth of one picture.

    Attributes:
        size: height and width.
        labels: classes present, ascending.
        boxes: inclusive corners.
        box_classes: the class of each box.
        mask: 0 background, class + 1, 255 ignore.
        blacklisted: whether its boxes were withdrawn.
        parts: where each part of the object is, in drawn pictures.
        index: position of the picture in its data set.
    """

    size: tuple[int, int]
    labels: Int[Tensor, " k"]
    boxes: Num[Tensor, "m 4"] | None = None
    box_classes: Int[Tensor, " m"] | None = None
    mask: UInt8[Tensor, "h w"] | None = None
    blacklisted: bool = False
    parts: Bool[Tensor, "p h w"] | None = None
    index: int = 0

    def boxes_of(self, label: int) -> Num[Tensor, "_ 4"]:
        """Return the boxes of a class.

        Raises:
            ValueError: when there is none.
        """
        if self.boxes is None or self.box_classes is None:
            raise ValueError("the data set has no boxes to evaluate with")
        boxes = self.boxes[self.box_classes == label]
        if len(boxes) == 0:
            raise ValueError(f"the picture has no box of class {label}")
        return boxes

    def mask_of(self, label: int | None = None) -> UInt8[Tensor, "h w"]:
        """Return the mask; with a label, what is of other classes becomes background and the class 1.

        Raises:
            ValueError: when there is none.
        """
        if self.mask is None:
            raise ValueError("the data set has no masks to evaluate with")
        if label is None:
            return self.mask
        return torch.where(self.mask == IGNORE, IGNORE, self.mask == label + 1).to(torch.uint8)

    def require_parts(self) -> Bool[Tensor, "p h w"]:
        """Return where each part is.

        Raises:
            ValueError: when nobody knows.
        """
        if self.parts is None:
            raise ValueError("the data set has no parts to evaluate with")
        return self.parts


@dataclass(frozen=True)
class Prediction:
    """What a network or a file says about one picture.

    Attributes:
        values: one raw map a class, at any resolution.
        classes: the class of each, best guess first; None where a file does not say.
        logits: class scores, where they were asked for.
        origin: where this comes from, for messages.
    """

    values: Float[Tensor, "k h w"]
    classes: Int[Tensor, " k"] | None = None
    logits: Float[Tensor, " c"] | None = None
    origin: str = "these maps"

    def of(self, labels: Int[Tensor, " m"]) -> Float[Tensor, "m h w"]:
        """Return the maps of some classes, in their order.

        Raises:
            ValueError: when they are not there.
        """
        return self.values[self._places(labels)]

    def framed(self, labels: Int[Tensor, " m"]) -> Float[Tensor, "m 224 224"]:
        """Return the same maps in the frame of the protocol (see `frame_maps`).

        Raises:
            ValueError: when they are not there, or one holds NaN or infinity.
        """
        return self._framed[self._places(labels)]

    @cached_property
    def _framed(self) -> Float[Tensor, "k 224 224"]:
        return frame_maps(self.values)

    def _places(self, labels: Int[Tensor, " m"]) -> list[int]:
        if self.classes is None:
            if len(self.values) != len(labels):
                raise ValueError(f"holds {len(self.values)} maps for {len(labels)} labels")
            return list(range(len(labels)))
        classes = self.classes.tolist()
        for c in labels.tolist():
            if c not in classes:
                raise ValueError(f"holds no map of class {c}")
        return [classes.index(c) for c in labels.tolist()]


def truths(data: Samples, batch: Batch) -> Iterator[Truth]:
    """Yield the ground truth of each picture of an evaluation batch.

    Boxes are told apart by the data set's `box_classes`; without it, all are of the only label.
    """
    owners: Any = getattr(data, "box_classes", None)
    withdrawn, parts = getattr(data, "blacklisted", None), getattr(data, "parts", None)
    for place, index in enumerate(batch.index.tolist()):
        labels = batch.labels[place].nonzero().flatten()
        boxes = batch.boxes[place] if batch.boxes is not None else None
        box_classes = None
        if boxes is not None and owners is not None:
            box_classes = torch.as_tensor(owners(index) if callable(owners) else owners[index])
        elif boxes is not None and len(labels) == 1:
            box_classes = labels.expand(len(boxes))
        yield Truth(
            size_of(batch.pictures), labels, boxes, box_classes,
            batch.masks[place] if batch.masks is not None else None,
            withdrawn is not None and bool(withdrawn[index]),
            parts[index] if parts is not None else None,
            index,
        )  # fmt: skip
