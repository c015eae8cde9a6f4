"""Pictures on disk as samples: what VOC, CUB, ILSVRC and a folder of one's own have in common.

A data set says where its pictures are and what is in them; this class reads, augments, moves the ground truth
along, and decides what happens when a file is broken.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Literal, TypedDict, TypeVar

import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from wsolbook.data.augment import AUGMENTATIONS, VIEWS, apply
from wsolbook.data.counters import generator
from wsolbook.data.images import full_size, read_image
from wsolbook.data.made import read_labels
from wsolbook.data.transforms import IGNORE, Sample, boxes_of, sample, stacked, warp_boxes, warp_masks
from wsolbook.types import Batch

log = logging.getLogger("wsolbook.data")
T = TypeVar("T")


class Loading(TypedDict, total=False):
    """What every data set of pictures takes by name.

    Attributes:
        size: side in pixels of what the network sees (default 224).
        view: evaluation view: `"warp"` (default) resizes to `size` x `size` without keeping the aspect: the
            protocol of Choe et al. 2020, boxes scaled and truncated; `"center"` and `"warp-center"`
            crop the middle; `"original"` leaves the picture as it is, for mIoU at full size.
        augment: augmentation of the training view, a key of `augment.AUGMENTATIONS` (default `"wsol"`).
        seed: the augmentation of a sample is a function of (seed, epoch, index).
        on_error: a broken picture or annotation raises (default), or the picture is left out of its batch
            with a warning: `"skip"`.
        limit: with `"skip"`, how many different pictures may be left out before it is an error (default 10).
        min_side: shortest side that a picture may have (default 2 pixels).
    """

    size: int
    view: Literal["warp", "center", "warp-center", "original"]
    augment: str
    seed: int
    on_error: Literal["raise", "skip"]
    limit: int
    min_side: int


class Pictures(ABC):
    """Base of the data sets on disk; implements `Samples`.

    Attributes:
        classes: names in the order of label columns.
        has_boxes: whether evaluation batches carry boxes.
        has_masks: whether evaluation batches carry masks.
        masks_may_differ: whether masks may have another size than their pictures; warping makes them equal.
        label_files: what the training view shows in place of the masks (see `wsolbook.data.made`).
        skipped: which pictures were left out; in shared memory, so loader processes count into the same one.
    """

    classes: tuple[str, ...]
    has_boxes = False
    has_masks = False
    masks_may_differ = False
    label_files: tuple[Path, ...] = ()

    def __init__(
        self,
        *,
        size: int = 224,
        view: Literal["warp", "center", "warp-center", "original"] = "warp",
        augment: str = "wsol",
        seed: int = 0,
        on_error: Literal["raise", "skip"] = "raise",
        limit: int = 10,
        min_side: int = 2,
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {size}")
        for name, value, known in (
            ("view", view, (*VIEWS, "original")),
            ("augment", augment, tuple(AUGMENTATIONS)),
            ("on_error", on_error, ("raise", "skip")),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        self.size, self.view, self.seed = size, view, seed
        self.on_error, self.limit, self.min_side = on_error, limit, min_side
        self.training_steps = AUGMENTATIONS[augment](size)
        self.test_steps = () if view == "original" else VIEWS[view](size)
        self.skipped = torch.zeros(len(self) if on_error == "skip" else 0, dtype=torch.bool).share_memory_()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def path(self, index: int) -> Path:
        """Return where picture `index` is."""

    @abstractmethod
    def labels(self, index: int) -> Int[Tensor, " k"]:
        """Return the classes present in picture `index`, ascending."""

    def boxes(self, index: int) -> Int[Tensor, "k 4"]:
        """Return every box of picture `index`: inclusive corners in the file's own pixels."""
        raise ValueError(f"{type(self).__name__} has no boxes")

    def box_classes(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of each box of picture `index`, in the order of `boxes` and `Batch.boxes`."""
        raise ValueError(f"{type(self).__name__} has no boxes")

    def mask(self, index: int) -> UInt8[Tensor, "h w"]:
        """Return the mask of picture `index` at the file's own size: 0, class + 1, 255 ignore."""
        raise ValueError(f"{type(self).__name__} has no masks")

    def batch(self, index: Sequence[int], epoch: int | None = None, masks: Container[int] = ()) -> Batch:
        """Return the samples `index` (see `wsolbook.types.Samples`).

        Raises:
            OSError: when a picture is missing or damaged and `on_error` is `"raise"`, naming file and index;
                when more than `limit` were skipped, or every picture of the batch.
            ValueError: when a picture has too few or too many pixels; when pictures of different sizes
                meet in one batch of the view `"original"`; when masks are asked for and there are none.
        """
        if masks and not (self.has_masks or self.label_files):
            raise ValueError(f"{type(self).__name__} has no masks to train with")
        kept: list[int] = []
        loaded = []
        for i in index:
            try:
                view = self._load(i) if epoch is None else self._augmented(i, epoch, i in masks)
                loaded.append((*view, self.labels(i)))
                kept.append(i)
            except (OSError, ValueError) as error:
                self._broken(i, error)
        if not kept:
            raise OSError(f"none of the {len(index)} pictures of this batch can be read")
        seen, boxes, truth, present = zip(*loaded, strict=True)
        if (sizes := len({view["image"].shape for view in seen})) > 1:
            raise ValueError(
                f'pictures of {sizes} sizes in one batch; the view "original" needs batches of one'
            )
        labels = torch.zeros(len(kept), len(self.classes))
        for row, classes in enumerate(present):
            labels[row, classes] = 1
        evaluate = epoch is None
        return Batch(
            stacked(seen),
            labels,
            torch.tensor(kept),
            boxes=list(boxes) if evaluate and self.has_boxes else None,
            masks=torch.stack(truth) if masks or (evaluate and self.has_masks) else None,
        )

    def _augmented(self, index: int, epoch: int, with_mask: bool) -> tuple[Sample, None, Tensor]:
        """Return the training view of a picture, and its mask, which ignores everything unless asked for."""
        picture = read_image(self.path(index), min_side=self.min_side, needed=2 * self.size)
        whole = sample(picture)
        if with_mask:  # at the size of the picture, which may have been decoded smaller
            mask = self._taught(index, picture)
            whole["mask"] = F.resize(tv_tensors.Mask(mask), [picture.height, picture.width])
        seen = apply(self.training_steps, whole, generator(self.seed, epoch, index))
        nothing = torch.full(seen["image"].shape[-2:], IGNORE, dtype=torch.uint8)
        return seen, None, seen["mask"].as_subclass(Tensor) if with_mask else nothing

    def _load(self, index: int) -> tuple[Sample, Tensor | None, Tensor | None]:
        """Return the evaluation view of a picture, with its boxes and its mask."""
        path = self.path(index)
        # Only warping can use a picture that was decoded smaller: its target does not depend on the size.
        picture = read_image(
            path, min_side=self.min_side, needed=2 * self.size if self.view == "warp" else None
        )
        boxes = self.boxes(index) if self.has_boxes else None
        if boxes is not None:
            if bool((boxes[:, 2:] < boxes[:, :2]).any()):
                raise ValueError(f"{path}: an impossible box among {boxes.tolist()}")
            boxes = clip(boxes, full_size(picture))
        mask = self._mask_of(index, picture, may_differ=self.view == "warp") if self.has_masks else None
        warped, target = self.view == "warp", (self.size, self.size)
        whole = sample(picture) if warped else sample(picture, boxes, mask)
        seen = apply(self.test_steps, whole, generator(self.seed, -1, index))
        if boxes is not None:
            boxes = warp_boxes(boxes, full_size(picture), target) if warped else boxes_of(seen)
        if mask is not None:
            mask = warp_masks(mask, target) if warped else seen["mask"].as_subclass(Tensor)
        return seen, boxes, mask

    def _mask_of(self, index: int, picture: Image.Image, may_differ: bool = True) -> UInt8[Tensor, "h w"]:
        mask = self.mask(index)
        if not (may_differ and self.masks_may_differ) and mask.shape != full_size(picture)[::-1]:
            raise ValueError(f"{self.path(index)}: picture and mask differ in size")
        return mask

    def _taught(self, index: int, picture: Image.Image) -> UInt8[Tensor, "h w"]:
        """Return the mask that the training view shows."""
        if self.label_files:
            width, height = full_size(picture)
            return read_labels(self.label_files[index], len(self.classes), (height, width))
        mask = self._mask_of(index, picture)
        self._require_labeled(index, mask)
        return mask

    def _require_labeled(self, index: int, mask: UInt8[Tensor, "h w"]) -> None:
        objects = mask[(mask > 0) & (mask < IGNORE)].unique().long() - 1
        if len(objects) == 0:
            raise ValueError(f"{self.path(index)}: its mask shows no object")
        if strangers := set(objects.tolist()) - set(self.labels(index).tolist()):
            raise ValueError(f"{self.path(index)}: its mask shows class {min(strangers)}, its labels do not")

    def _broken(self, index: int, error: OSError | ValueError) -> None:
        kind = OSError if isinstance(error, OSError) else ValueError
        if self.on_error == "raise":
            raise kind(f"sample {index}: {error}") from error
        if not self.skipped[index]:
            self.skipped[index] = True
            log.warning("skipped sample %d: %s", index, error)
        if (count := int(self.skipped.sum())) > self.limit:
            raise kind(f"{count} pictures skipped, {self.limit} allowed; the last: {error}") from error


def read_each(read: Callable[[int], T], count: int, skip: bool) -> tuple[dict[int, T], dict[int, str]]:
    """Read something of every sample; return what could be read, and what is wrong with each of the others.

    Raises:
        OSError, ValueError: naming the first ten, where something is wrong and nothing may be skipped.
    """
    good: dict[int, T] = {}
    bad: dict[int, OSError | ValueError] = {}
    for i in range(count):
        try:
            good[i] = read(i)
        except (OSError, ValueError) as error:
            bad[i] = error
    if bad and not skip:
        kind = OSError if any(isinstance(error, OSError) for error in bad.values()) else ValueError
        named = "; ".join(map(str, list(bad.values())[:10])) + "; ..." * (len(bad) > 10)
        raise kind(f"{len(bad)} of {count} annotations are bad: {named}")
    return good, {i: str(error) for i, error in bad.items()}


def clip(boxes: Int[Tensor, "k 4"], size: tuple[int, int]) -> Int[Tensor, "k 4"]:
    """Move corners that lie outside a picture of `size` (width, height) onto its border."""
    width, height = size
    return boxes.clamp(min=0).minimum(torch.tensor([width - 1, height - 1] * 2))


def require_folder(path: Path, what: str) -> Path:
    """Return `path`, or raise a FileNotFoundError that says what should be there."""
    if not path.is_dir():
        raise FileNotFoundError(f"{what} not found: {path} is not a folder")
    return path


def find_root(root: str | Path, inside: Sequence[str], marks: Sequence[str], what: str) -> Path:
    """Return the first of `root` and its subfolders `inside` that holds everything in `marks`.

    Raises:
        FileNotFoundError: when none does, naming root and what was expected.
    """
    for candidate in (Path(root), *(Path(root) / name for name in inside)):
        if all((candidate / mark).exists() for mark in marks):
            return candidate
    raise FileNotFoundError(f"{what} not found: {root} holds no {', '.join(marks)}")
