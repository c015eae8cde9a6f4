"""PASCAL VOC 2012: image labels, boxes, masks, and the 10,582 images of trainaug."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from wsolbook.data.formats import Annotated, read_lines, read_voc, require_distinct
from wsolbook.data.images import read_mask
from wsolbook.data.pictures import Loading, Pictures, find_root, read_each, require_folder

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
NUMBER = {name: number for number, name in enumerate(CLASSES)}
# Pictures in each official segmentation list, and in the list most papers train on.
COUNTS = {"train": 1464, "val": 1449, "trainval": 2913, "trainaug": 10_582}


class VOC(Pictures):
    """VOC 2012 in its official layout.

    Labels say which classes have an object in the annotation file. 0-based; masks store class + 1.

    Args:
        root: the folder VOC2012, or one that holds it or VOCdevkit/VOC2012.
        split: a list in ImageSets/Segmentation ("train", "val", "trainval", "trainaug"), or the path of a
            file of ids, one a line, or of "/JPEGImages/<id>.jpg /SegmentationClassAug/<id>.png" pairs.
        difficult: whether objects marked difficult count, for labels and boxes alike. `"include"` gives the
            labels that weakly supervised segmentation trains with (Ahn and Kwak 2018); `"exclude"` follows
            the detection challenge, and leaves some pictures without any label.
        masks: folder of the evaluation masks; by default SegmentationClass for train, val and trainval, and
            none for other lists. SegmentationClassAug is for training, never for reporting.
        **options: see `wsolbook.data.pictures.Loading`.

    Raises:
        OSError: when the layout, the list or the mask folder is missing; when annotations are missing or
            damaged, unless `on_error` is `"skip"`.
        ValueError: on an unknown option; when annotations name other classes, unless `on_error` is `"skip"`.
    """

    classes = CLASSES
    has_boxes = True

    def __init__(
        self,
        root: str | Path,
        split: str | Path = "train",
        *,
        difficult: Literal["include", "exclude"] = "include",
        masks: Literal["SegmentationClass", "SegmentationClassAug"] | None = None,
        **options: Unpack[Loading],
    ) -> None:
        if difficult not in ("include", "exclude"):
            raise ValueError(f'difficult must be "include" or "exclude", got {difficult!r}')
        inside = ("VOC2012", "VOCdevkit/VOC2012")
        self.root = find_root(root, inside, ("JPEGImages", "Annotations"), "VOC 2012")
        self.difficult = difficult
        self.ids = read_ids(_list_file(self.root / "ImageSets" / "Segmentation", split))
        if masks is None and str(split) in ("train", "val", "trainval"):
            masks = "SegmentationClass"
        self.masks = masks
        self.has_masks = masks is not None
        if masks is not None:
            require_folder(self.root / masks, "masks")
        self.present = torch.zeros(len(self.ids), len(CLASSES), dtype=torch.bool)
        good, self.bad = read_each(self.box_classes, len(self.ids), options.get("on_error") == "skip")
        for i, classes in good.items():
            self.present[i, classes] = True
        super().__init__(**options)

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, index: int) -> Path:
        """Return where picture `index` is."""
        return self.root / "JPEGImages" / f"{self.ids[index]}.jpg"

    def labels(self, index: int) -> Int[Tensor, " k"]:
        """Return the classes present in picture `index`, ascending."""
        if index in self.bad:
            raise OSError(self.bad[index])
        return self.present[index].nonzero().flatten()

    def boxes(self, index: int) -> Int[Tensor, "k 4"]:
        """Return every box of picture `index` as 0-based inclusive corners (the files count from 1)."""
        boxes = [each.box for each in self._objects(index)]
        return torch.tensor(boxes, dtype=torch.long).reshape(-1, 4) - 1

    def box_classes(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of each box of picture `index`."""
        return torch.tensor([NUMBER[each.name] for each in self._objects(index)], dtype=torch.long)

    def mask(self, index: int) -> UInt8[Tensor, "h w"]:
        """Return the mask of picture `index` at full size: 0, class + 1, 255 on borders."""
        folder = self.root / (self.masks or "SegmentationClass")
        return read_mask(folder / f"{self.ids[index]}.png", len(CLASSES))

    def _objects(self, index: int) -> list[Annotated]:
        path = self.root / "Annotations" / f"{self.ids[index]}.xml"
        objects = read_voc(path).objects
        if strangers := {each.name for each in objects} - NUMBER.keys():
            raise ValueError(f"{path}: {min(strangers)!r} is not a class of VOC")
        return [each for each in objects if self.difficult == "include" or not each.difficult]


def read_ids(path: Path) -> list[str]:
    """Read picture ids from a list in any format in use: plain ids, ids with -1/0/1, or pairs of paths.

    Raises:
        OSError: when the file is missing.
        ValueError: when the list is empty or names a picture twice.
    """
    ids = [Path(line.split()[0]).stem for line in read_lines(path)]
    require_distinct(ids, path)
    return ids


def palette() -> UInt8[Tensor, "256 3"]:
    """Return the color of each mask value: its bits, dealt to red, green and blue in turn, highest first."""
    values = torch.arange(256).unsqueeze(1)
    channels = torch.arange(3)
    colors = torch.zeros(256, 3, dtype=torch.long)
    for bit in range(8):
        colors |= ((values >> (3 * bit + channels)) & 1) << (7 - bit)
    return colors.to(torch.uint8)


def colored(mask: UInt8[Tensor, "h w"]) -> Image.Image:
    """Return a mask as a picture whose palette has the colors of VOC; the numbers stay as they are."""
    image = Image.fromarray(mask.cpu().contiguous().numpy())
    image.putpalette(palette().flatten().tolist())
    return image


def _list_file(folder: Path, split: str | Path) -> Path:
    if isinstance(split, Path) or Path(split).suffix == ".txt":
        return Path(split)
    spellings = ("trainaug", "train_aug") if split == "trainaug" else (split,)
    for name in spellings:
        if (folder / f"{name}.txt").is_file():
            return folder / f"{name}.txt"
    known = ", ".join(sorted(file.stem for file in folder.glob("*.txt"))) or "nothing"
    raise FileNotFoundError(f"{folder / f'{spellings[0]}.txt'} is missing; the folder holds {known}")
