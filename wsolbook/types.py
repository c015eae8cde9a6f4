"""The few types that travel between data, networks and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Num, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images with their labels; boxes and masks only where a metric needs them.

    A training batch carries neither boxes nor masks, so that a method cannot learn from what
    weak supervision does not give it.

    Attributes:
        images: network input, normalized (see `wsolbook.data.transforms.to_network`).
        labels: multi-hot, 1.0 where the class is present.
        index: position of each image in its data set.
        boxes: per image the ground-truth boxes, inclusive pixel corners `(x0, y0, x1, y1)`.
        masks: 0 background, class index + 1 on objects, 255 ignore.
    """

    images: Float[Tensor, "n 3 h w"]
    labels: Float[Tensor, "n c"]
    index: Int[Tensor, "n"]
    boxes: list[Num[Tensor, "_ 4"]] | None = None
    masks: UInt8[Tensor, "n h w"] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch with images and labels on `device`; the ground truth stays where it is."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.index,
            self.boxes,
            self.masks,
        )


@dataclass(frozen=True)
class Maps:
    """Localization maps as a method computed them, unscaled, at the resolution of the layer.

    Attributes:
        values: raw map of each image and class.
        logits: class scores of the same forward pass.
        classes: the class of each map.
        layer: dotted name of the layer that the maps come from.
    """

    values: Float[Tensor, "n k *space"]
    logits: Float[Tensor, "n *c"]
    classes: Int[Tensor, "n k"]
    layer: str = ""

    def __len__(self) -> int:
        return len(self.values)


@runtime_checkable
class Samples(Protocol):
    """A data set: pictures by number, as a training view or as an evaluation view."""

    classes: tuple[str, ...]

    def __len__(self) -> int: ...

    def batch(self, index: Sequence[int], epoch: int | None = None) -> Batch:
        """Return the samples `index`.

        `epoch=None` is the evaluation view: no augmentation, ground truth present. With a number it is
        the training view of that epoch: augmented as a function of (seed, epoch, index) alone, and
        without boxes and masks.
        """
        ...


@runtime_checkable
class Localizer(Protocol):
    """A network that classifies images and can say where its evidence is."""

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits."""
        ...

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the named terms whose sum is minimized."""
        ...

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n h w"] | Float[Tensor, "n k h w"]:
        """Return the raw localization map of each requested class."""
        ...
