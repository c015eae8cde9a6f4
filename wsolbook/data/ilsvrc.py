"""ILSVRC2012 CLS-LOC: a thousand classes, several boxes a picture."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wsolbook.data.annotations import read_annotation
from wsolbook.data.pictures import Options, Pictures, clip, find_root, read_lines
from wsolbook.data.synsets import Numbering, Synsets, read_synsets

log = logging.getLogger("wsolbook.data")
COUNTS = {"train": 1_281_167, "val": 50_000, "test": 100_000}
LISTS = {"train": "train_cls", "train_loc": "train_loc", "val": "val"}


class ILSVRC(Pictures):
    """ILSVRC2012 in the layout of the CLS-LOC archive.

    Label columns are WordNet ids in alphabetical order, as in torchvision and the protocol of Choe et al.
    2020; every number read from another source is converted (see `wsolbook.data.synsets`).

    Args:
        root: the folder ILSVRC (with Data, Annotations, ImageSets), or one that holds it.
        split: "train" (1,281,167 pictures), "train_loc" (those of them with boxes) or "val" (50,000).
        blacklist: list of validation picture numbers, from 1, that the challenge's localization error leaves
            out (part of the devkits of 2014 and 2015). They stay in the data set: classification counts them;
            `blacklisted` says which they are.
        **options: see `wsolbook.data.pictures.Options`.

    Raises:
        OSError: when layout, lists or annotations are missing; naming them.
        ValueError: on an unknown option, a class outside the list, a picture that the blacklist cannot mean.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        blacklist: str | Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        if split not in LISTS:
            raise ValueError(f"split must be one of {', '.join(LISTS)}, got {split!r}")
        if blacklist is not None and split != "val":
            raise ValueError(f"the blacklist is one of validation pictures, the split is {split!r}")
        self.root = find_root(root, ("ILSVRC",), ("Data/CLS-LOC",), "ILSVRC2012 CLS-LOC")
        self.synsets = find_synsets(self.root)
        self.classes = self.synsets.wnids
        if len(self.classes) != 1000:
            log.warning(
                "%s has %d classes: numbers differ from networks of 1000", self.root, len(self.classes)
            )
        self.folder = "val" if split == "val" else "train"
        self.has_boxes = split != "train" and (self.root / "Annotations/CLS-LOC" / self.folder).is_dir()
        listed = self.root / "ImageSets" / "CLS-LOC" / f"{LISTS[split]}.txt"
        # One array of bytes: a list of 1.3 million strings would be copied by every loader process.
        self.ids = np.array([line.split()[0] for line in read_lines(listed)], dtype=np.bytes_)
        self.numbers = self._val_numbers() if split == "val" else self._train_numbers()
        self.blacklisted = self._blacklist(blacklist)
        super().__init__(**options)

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, index: int) -> Path:
        """Return where picture `index` is."""
        return self.root / "Data" / "CLS-LOC" / self.folder / f"{self.ids[index].decode()}.JPEG"

    def labels(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of picture `index`, in the order of sorted WordNet ids."""
        return self.numbers[index : index + 1]

    def boxes(self, index: int) -> Int[Tensor, "k 4"]:
        """Return every box of picture `index`, as the file has them, cut at the border.

        The files count from 0 and from 1 without saying which, so nothing is subtracted.
        """
        (width, height), things = read_annotation(self._annotation(index))
        boxes = torch.tensor([thing.box for thing in things], dtype=torch.long).reshape(-1, 4)
        return clip(boxes, (width, height)) if width and height else boxes

    def box_classes(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of each box."""
        names = [thing.name for thing in read_annotation(self._annotation(index)).things]
        return torch.tensor([self.synsets.number(name, Numbering.SORTED) for name in names], dtype=torch.long)

    def _annotation(self, index: int) -> Path:
        return self.root / "Annotations" / "CLS-LOC" / self.folder / f"{self.ids[index].decode()}.xml"

    def _train_numbers(self) -> Int[Tensor, " n"]:
        wnids = np.array(self.classes, dtype=np.bytes_)
        folders = self.ids.astype(wnids.dtype)  # "n01440764/n01440764_10026" cut to its first nine bytes
        places = np.searchsorted(wnids, folders).clip(max=len(wnids) - 1)
        if len(strangers := folders[wnids[places] != folders]):
            raise ValueError(f"{strangers[0].decode()} in the list is not one of the {len(wnids)} classes")
        return torch.from_numpy(places)

    def _val_numbers(self) -> Int[Tensor, " n"]:
        """Return the classes from the devkit's ground truth if it is there, else from the annotations."""
        truth = _devkit_file(self.root, "ILSVRC2012_validation_ground_truth.txt")
        if truth is None:
            return torch.stack([self.box_classes(i)[0] for i in range(len(self.ids))])
        numbers = torch.tensor([int(line) for line in read_lines(truth)])
        # Line k of the ground truth is picture k, whatever the order of the list.
        chosen = torch.tensor([int(name.rsplit(b"_", 1)[1]) - 1 for name in self.ids.tolist()])
        if int(chosen.max()) >= len(numbers):
            raise ValueError(f"{truth}: {len(numbers)} lines, but picture {int(chosen.max()) + 1} is listed")
        return self.synsets.convert(numbers[chosen], Numbering.DEVKIT, Numbering.SORTED)

    def _blacklist(self, path: str | Path | None) -> Bool[Tensor, " n"]:
        marked = torch.zeros(len(self.ids), dtype=torch.bool)
        if path is None:
            return marked
        places = {int(name.rsplit(b"_", 1)[1]): i for i, name in enumerate(self.ids.tolist())}
        for number in map(int, read_lines(Path(path))):
            if number not in places:
                raise ValueError(f"{path}: {number} is not the number of a validation picture")
            marked[places[number]] = True
        return marked


def find_synsets(root: Path) -> Synsets:
    """Read the classes from `root` or the folder above it, where the devkit usually lies."""
    try:
        return read_synsets(root)
    except FileNotFoundError:
        return read_synsets(root.parent)


def _devkit_file(root: Path, name: str) -> Path | None:
    places = (root, root / "data", root / "ILSVRC2012_devkit_t12" / "data")
    above = (root.parent / "data", root.parent / "ILSVRC2012_devkit_t12" / "data")
    return next((folder / name for folder in (*places, *above) if (folder / name).is_file()), None)
