"""The few types that travel between data, networks and metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Num, UInt8
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """Images with their labels; boxes and masks only where a metric or a declared supervision needs them.

    A training batch never carries boxes, and masks only of those images that the method declares to see (see
    `Supervision`), so that a method cannot learn from what weak supervision does not give it.

    Attributes:
        pictures: as they travel: bytes, a quarter of their size as numbers, or network input already.
        labels: multi-hot, 1.0 where the class is present.
        index: position of each image in its data set.
        boxes: per image the ground-truth boxes, inclusive pixel corners `(x0, y0, x1, y1)`.
        masks: 0 background, class index + 1 on objects, 255 ignore.
    """

    pictures: UInt8[Tensor, "n 3 h w"] | Float[Tensor, "n 3 h w"]
    labels: Float[Tensor, "n c"]
    index: Int[Tensor, "n"]
    boxes: list[Num[Tensor, "_ 4"]] | None = None
    masks: UInt8[Tensor, "n h w"] | None = None
    _host: Batch | None = field(default=None, init=False, repr=False, compare=False)  # `replace` forgets it

    def __len__(self) -> int:
        return len(self.pictures)

    @cached_property
    def images(self) -> Float[Tensor, "n 3 h w"]:
        """Network input, normalized where the pictures lie (see `wsolbook.data.transforms.to_network`)."""
        from wsolbook.data.transforms import to_network

        return self.pictures if self.pictures.is_floating_point() else to_network(self.pictures)

    def __getitem__(self, part: slice) -> Batch:
        """Return some of the images, with everything that belongs to them."""
        return Batch(
            self.pictures[part],
            self.labels[part],
            self.index[part],
            self.boxes[part] if self.boxes is not None else None,
            self.masks[part] if self.masks is not None else None,
        )

    def one_class(self) -> Int[Tensor, "n"]:
        """Return the class of each image.

        Raises:
            ValueError: when an image has no class, or several; naming it.
        """
        self.require_classes(several=False)
        return self.labels.argmax(1)

    def require_classes(self, several: bool = True) -> None:
        """Refuse a batch for methods that learn from what each image shows.

        Args:
            several: whether an image may have several classes.

        Raises:
            ValueError: when an image has no class, or several against `several`; naming it.
        """
        counts = self.host.labels.count_nonzero(1)
        for image, count in zip(self.index.tolist(), counts.tolist(), strict=True):
            if count == 0 or (count > 1 and not several):
                takes = "one or several" if several else "one"
                raise ValueError(f"image {image} has {count or 'no'} classes, the method takes {takes}")

    def pin_memory(self) -> Batch:
        """Return the same batch where a device can read it while the processor goes on."""
        return replace(
            self,
            pictures=self.pictures.pin_memory(),
            labels=self.labels.pin_memory(),
            masks=self.masks.pin_memory() if self.masks is not None else None,
        )

    @property
    def host(self) -> Batch:
        """The same batch on the processor: reading what it says there waits for no device."""
        if self.labels.is_cpu:
            return self
        return self.to("cpu") if self._host is None else self._host

    def to(
        self, device: torch.device | str, memory_format: torch.memory_format = torch.preserve_format
    ) -> Batch:
        """Return the same batch with pictures, labels and masks on `device`; boxes and index stay."""
        goes = torch.device(device).type != "cpu"  # what comes must be there before somebody reads it
        moved = replace(
            self,
            pictures=self.pictures.to(device, non_blocking=goes, memory_format=memory_format),
            labels=self.labels.to(device, non_blocking=goes),
            masks=self.masks.to(device, non_blocking=goes) if self.masks is not None else None,
        )
        object.__setattr__(moved, "_host", self if self.labels.is_cpu else self._host)
        return moved


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

    def batch(self, index: Sequence[int], epoch: int | None = None, masks: Container[int] = ()) -> Batch:
        """Return the samples `index`.

        `epoch=None` is the evaluation view: no augmentation, ground truth present. With a number it is
        the training view of that epoch: augmented as a function of (seed, epoch, index) alone, without
        boxes, and without masks unless `masks` names images: these come with their mask, moved along with
        the picture, all others with a mask that is 255, ignore, everywhere.
        """
        ...


@dataclass(frozen=True)
class Supervision:
    """What a method may see in training beyond the labels of images.

    Attributes:
        masks: number of training images whose masks it sees; None for all of them.
        made: these masks are label maps that a network made (see `wsolbook.data.made`), never the truth.
    """

    masks: int | None = 0
    made: bool = False


@runtime_checkable
class Trainable(Protocol):
    """A network that can be trained: it has a loss and says what it may see."""

    supervision: Supervision

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the named terms whose sum is minimized, under the same names for every batch."""
        ...


@runtime_checkable
class Localizer(Protocol):
    """A network that classifies images and can say where its evidence is."""

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits."""
        ...

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the raw localization map of each requested class."""
        ...


class Network(nn.Module, ABC):
    """What a method builds: trainable, a localizer, and kept in one file by `wsolbook.methods.save`.

    Attributes:
        method: its key in `wsolbook.methods.METHODS`.
        settings: arguments of that function that build this network again, as JSON can hold them; `classes`,
            the number of logits, is one.
        names: what the classes are called; empty when nobody said.
        supervision: labels alone, unless the method says otherwise.
        fresh: names of the parameters that did not come from pre-training; empty when nothing did.
    """

    method: str
    settings: dict[str, Any]
    names: tuple[str, ...] = ()
    supervision: Supervision = Supervision()
    fresh: frozenset[str] = frozenset()

    def new_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that did not come from pre-training, to be trained at a higher rate.

        Empty when nothing was pre-trained: then all parameters learn at one rate.
        """
        return [p for name, p in self.named_parameters() if name in self.fresh and p.requires_grad]

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the terms of `Trainable`."""

    @abstractmethod
    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the maps of `Localizer`."""
