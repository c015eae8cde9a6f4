"""The metadata format of Choe et al. 2020: splits, labels, sizes, boxes and masks as plain text.

With it the published splits can be used as they are, CUBV2 and ImageNetV2 included, and any data set of this
package can be written for other code to evaluate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from wsolbook.data.images import full_size, read_image, read_mask
from wsolbook.data.pictures import Options, Pictures, clip, read_lines, require_folder
from wsolbook.files import atomic

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Metadata:
    """One split, keyed by image id: the path of the picture below the image folder.

    Attributes:
        ids: image ids in order.
        labels: class of each image, from 0.
        sizes: width and height of each image.
        boxes: boxes of each image, corners as written; empty where the split has none.
        masks: paths of the object masks of each image; empty where the split has none.
        ignore: path of the ignore mask of each image that has one.
    """

    ids: list[str]
    labels: dict[str, int]
    sizes: dict[str, tuple[int, int]]
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    masks: dict[str, list[str]] = field(default_factory=dict)
    ignore: dict[str, str] = field(default_factory=dict)


def read_metadata(folder: str | Path, proxy: bool = False) -> Metadata:
    """Read one split, for example the folder metadata/CUB/test.

    Args:
        folder: holds image_ids.txt, class_labels.txt, image_sizes.txt and localization.txt.
        proxy: read the smaller list image_ids_proxy.txt, which hyper-parameters are searched on.

    Raises:
        OSError: when a file is missing.
        ValueError: naming file and line, when a line is not of the format, a box is not a box, or a
            listed image lacks its label, size, or (in a split that has any) its localization.
    """
    folder = require_folder(Path(folder), "metadata")
    ids = read_lines(folder / f"image_ids{'_proxy' if proxy else ''}.txt")
    labels = {name: int(label) for name, label in _rows(folder / "class_labels.txt", (2,))}
    sizes = {name: (int(w), int(h)) for name, w, h in _rows(folder / "image_sizes.txt", (3,))}
    boxes: dict[str, list[Box]] = {}
    masks: dict[str, list[str]] = {}
    ignore: dict[str, str] = {}
    for name, *rest in _rows(folder / "localization.txt", (5, 3, 2)):
        if len(rest) == 4:
            boxes.setdefault(name, []).append(_box(folder, name, rest))
        else:
            masks.setdefault(name, []).append(rest[0])
            if len(rest) == 2 and rest[1]:
                ignore[name] = rest[1]
    needed = {"label": set(labels), "size": set(sizes)}
    if boxes or masks:
        needed["localization"] = set(boxes) | set(masks)
    for what, have in needed.items():
        if lacking := [name for name in ids if name not in have]:
            raise ValueError(f"{folder}: {len(lacking)} images lack a {what}, the first is {lacking[0]}")
    return Metadata(ids, labels, sizes, boxes, masks, ignore)


def write_metadata(folder: str | Path, metadata: Metadata) -> None:
    """Write one split in the same format, without a newline after the last line, as the published files."""
    folder = Path(folder)
    localization = [
        ",".join(map(str, (name, *box))) for name in metadata.ids for box in metadata.boxes.get(name, [])
    ]
    for name in metadata.ids:
        for i, mask in enumerate(metadata.masks.get(name, [])):
            localization.append(f"{name},{mask},{metadata.ignore.get(name, '') if i == 0 else ''}")
    files = {
        "image_ids.txt": metadata.ids,
        "class_labels.txt": [f"{name},{metadata.labels[name]}" for name in metadata.ids],
        "image_sizes.txt": [f"{name},{w},{h}" for name in metadata.ids for w, h in [metadata.sizes[name]]],
        "localization.txt": localization,
    }
    for file, lines in files.items():
        with atomic(folder / file) as temporary:
            temporary.write_text("\n".join(lines), encoding="utf-8")


def metadata_of(data: Pictures, images: str | Path) -> Metadata:
    """Describe a data set with one class a picture, its ids relative to the folder `images`.

    Raises:
        ValueError: when a picture has no class or more than one; the format has no place for them.
    """
    ids, labels, sizes, boxes = [], {}, {}, {}
    for i in range(len(data)):
        name = data.path(i).relative_to(images).as_posix()
        if len(classes := data.labels(i)) != 1:
            raise ValueError(f"{data.path(i)}: {len(classes)} classes; the format holds exactly one")
        ids.append(name)
        labels[name] = int(classes[0])
        sizes[name] = full_size(read_image(data.path(i)))
        if data.has_boxes:
            corners = clip(data.boxes(i), sizes[name]).tolist()
            boxes[name] = [(x0, y0, x1, y1) for x0, y0, x1, y1 in corners]
    return Metadata(ids, labels, sizes, boxes)


class WSOLEvaluation(Pictures):
    """Pictures of a published split.

    Boxes are used as written (inclusive corners in ILSVRC; x + width, y + height in CUB). Masks are the union
    of an image's object masks, 255 where only the ignore mask is set.

    Args:
        metadata: folder of the split, for example metadata/CUB/test.
        images: folder that the image ids start from.
        masks: folder that the mask paths start from; by default `images`.
        classes: names of the classes; by default their numbers.
        proxy: use the smaller list of the training split.
        **options: see `wsolbook.data.pictures.Options`.

    Raises:
        OSError: when a file of the metadata is missing.
        ValueError: when the metadata contradict themselves, or `classes` are too few.
    """

    masks_may_differ = True

    def __init__(
        self,
        metadata: str | Path,
        images: str | Path,
        *,
        masks: str | Path | None = None,
        classes: tuple[str, ...] | None = None,
        proxy: bool = False,
        **options: Unpack[Options],
    ) -> None:
        self.images = require_folder(Path(images), "image folder")
        self.mask_folder = Path(masks) if masks is not None else self.images
        self.metadata = read_metadata(metadata, proxy)
        highest = max(self.metadata.labels.values(), default=-1)
        self.classes = classes or tuple(map(str, range(highest + 1)))
        if highest >= len(self.classes):
            raise ValueError(f"{metadata}: label {highest}, but {len(self.classes)} class names")
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
        """Return the union of the masks: class + 1 on objects (gray above half), 255 where to be ignored."""
        name = self.metadata.ids[index]
        objects = [self._marked(path) for path in self.metadata.masks[name]]
        joined = torch.stack(objects).any(0)
        mask = joined.to(torch.uint8) * (self.metadata.labels[name] + 1)
        if name in self.metadata.ignore:
            mask[self._marked(self.metadata.ignore[name]) & ~joined] = 255
        return mask

    def _marked(self, path: str) -> Tensor:
        return read_mask(self.mask_folder / path) > 127


def _rows(path: Path, widths: tuple[int, ...]) -> list[list[str]]:
    rows = [line.split(",") for line in read_lines(path)]
    for number, row in enumerate(rows, 1):
        if len(row) not in widths:
            raise ValueError(f"{path}, line {number}: {len(row)} fields, expected {min(widths)}")
    return rows


def _box(folder: Path, name: str, fields: list[str]) -> Box:
    x0, y0, x1, y1 = map(int, fields)
    if min(x0, y0) < 0 or x1 < x0 or y1 < y0:
        raise ValueError(f"{folder / 'localization.txt'}: {name} has the impossible box {','.join(fields)}")
    return x0, y0, x1, y1
