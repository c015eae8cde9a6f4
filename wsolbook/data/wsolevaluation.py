"""The metadata format of Choe et al. 2020: splits, labels, boxes and masks as plain text.

With it the published splits can be used as they are: CUBV2, ImageNetV2 and OpenImages30k included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from wsolbook.data.formats import read_keyed, read_lines, read_table, require_distinct
from wsolbook.data.images import read_gray
from wsolbook.data.pictures import Loading, Pictures, require_folder
from wsolbook.data.transforms import IGNORE

Box = tuple[int, int, int, int]
MOST_CLASSES = 100_000  # a label beyond is a typing error
COUNTS = {
    "CUB/train": 5994, "CUB/val": 1000, "CUB/test": 5794, "ILSVRC/val": 10_000, "ILSVRC/test": 50_000,
    "OpenImages/train": 29_819, "OpenImages/val": 2500, "OpenImages/test": 5000,
}  # fmt: skip


@dataclass(frozen=True)
class Metadata:
    """One split, keyed by image id: the path of the picture below the image folder.

    Attributes:
        ids: image ids in order.
        labels: class of each image, from 0.
        boxes: boxes of each image, corners as written; empty where the split has none.
        masks: paths of the object masks of each image; empty where the split has none.
        ignore: path of the ignore mask of each image that has one.
    """

    ids: list[str]
    labels: dict[str, int]
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    masks: dict[str, list[str]] = field(default_factory=dict)
    ignore: dict[str, str] = field(default_factory=dict)


def read_metadata(folder: str | Path) -> Metadata:
    """Read one split, for example the folder metadata/CUB/test.

    Args:
        folder: holds image_ids.txt, class_labels.txt and localization.txt; image_sizes.txt is not needed.

    Raises:
        OSError: when a file is missing.
        ValueError: naming file and line, when a line is not of the format, a box is not a box, or a
            listed image lacks its label or (in a split that has any) its localization.
    """
    folder = require_folder(Path(folder), "metadata")
    ids = read_lines(folder / "image_ids.txt")
    labels = {
        name: label for name, [label] in read_keyed(folder / "class_labels.txt", 1, _label, ",").items()
    }
    boxes: dict[str, list[Box]] = {}
    masks: dict[str, list[str]] = {}
    ignore: dict[str, str] = {}
    for name, *rest in read_table(folder / "localization.txt", 5, 3, 2, separator=","):
        if len(rest) == 4:
            boxes.setdefault(name, []).append(_box(folder, name, rest))
        else:
            masks.setdefault(name, []).append(rest[0])
            if len(rest) == 2 and rest[1]:
                ignore[name] = rest[1]
    require_distinct(ids, folder / "image_ids.txt")
    needed = [("label", labels), *(("localization", found) for found in (boxes, masks) if found)]
    for what, have in needed:
        if lacking := [name for name in ids if name not in have]:
            raise ValueError(f"{folder}: {len(lacking)} images lack a {what}, the first is {lacking[0]}")
    return Metadata(ids, labels, boxes, masks, ignore)


def open_published(root: str | Path, split: str, **options: Unpack[Loading]) -> WSOLEvaluation:
    """Open a split such as "OpenImages/test" in the folders that the protocol's code reads."""
    root = Path(root)
    return WSOLEvaluation(root / "metadata" / split, root / "dataset" / Path(split).parent, **options)


class WSOLEvaluation(Pictures):
    """Pictures of a published split.

    Classes are named by their numbers. Boxes are used as written (inclusive corners in ILSVRC; x + width,
    y + height in CUB). Masks are the union of an image's object masks, 255 where only the ignore mask is set.

    Args:
        metadata: folder of the split, for example metadata/CUB/test.
        images: folder that the image ids and the mask paths start from.
        **options: see `wsolbook.data.pictures.Loading`.

    Raises:
        OSError: when a file of the metadata is missing.
        ValueError: when the metadata contradict themselves.
    """

    masks_may_differ = True

    def __init__(self, metadata: str | Path, images: str | Path, **options: Unpack[Loading]) -> None:
        self.images = require_folder(Path(images), "image folder")
        self.metadata = read_metadata(metadata)
        self.classes = tuple(map(str, range(max(self.metadata.labels.values(), default=-1) + 1)))
        self.has_boxes, self.has_masks = bool(self.metadata.boxes), bool(self.metadata.masks)
        if self.has_masks and len(self.classes) > 254:
            raise ValueError(f"{metadata}: masks of 8 bits hold 254 classes, not {len(self.classes)}")
        super().__init__(**options)

    def __len__(self) -> int:
        return len(self.metadata.ids)

    def path(self, index: int) -> Path:
        """Return where picture `index` is."""
        return self.images / self.metadata.ids[index]

    def labels(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of picture `index`."""
        return torch.tensor([self.metadata.labels[self.metadata.ids[index]]])

    def boxes(self, index: int) -> Int[Tensor, "k 4"]:
        """Return every box of picture `index`, corners as written."""
        return torch.tensor(self.metadata.boxes[self.metadata.ids[index]], dtype=torch.long)

    def box_classes(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of the picture, once for each box."""
        return self.labels(index).repeat(len(self.boxes(index)))

    def mask(self, index: int) -> UInt8[Tensor, "h w"]:
        """Return the union of the masks: class + 1 on objects, 255 where only the ignore mask is set.

        The published masks are PNGs of 1 bit, gray, RGB and RGBA; as in the protocol's code, whatever is not
        black in gray is set.
        """
        name = self.metadata.ids[index]
        objects = [self._marked(path) for path in self.metadata.masks[name]]
        if len({each.shape for each in objects}) > 1:
            raise ValueError(f"{self.path(index)}: its masks differ in size")
        joined = torch.stack(objects).any(0)
        mask = joined.to(torch.uint8) * (self.metadata.labels[name] + 1)
        if name in self.metadata.ignore:
            mask[self._marked(self.metadata.ignore[name]) & ~joined] = IGNORE
        return mask

    def _marked(self, path: str) -> Bool[Tensor, "h w"]:
        return read_gray(self.images / path) > 0


def _label(text: str) -> int:
    if not 0 <= (label := int(text)) < MOST_CLASSES:
        raise ValueError(f"{text} is no class")
    return label


def _box(folder: Path, name: str, fields: list[str]) -> Box:
    try:
        x0, y0, x1, y1 = map(int, fields)
    except ValueError as error:
        raise ValueError(f"{folder / 'localization.txt'}: the box of {name}: {error}") from error
    if min(x0, y0) < 0 or x1 < x0 or y1 < y0 or max(x1, y1) > 1e9:
        raise ValueError(f"{folder / 'localization.txt'}: {name} has the impossible box {','.join(fields)}")
    return x0, y0, x1, y1
