"""ILSVRC2012 CLS-LOC: a thousand classes that carry numbers in three orders, several boxes a picture.

Mixing two of the orders gives 0.1 % accuracy with perfect maps, so a number never travels here without the
name of its numbering; WordNet ids ("n01440764") travel freely.
"""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wsolbook.data.formats import read_lines, read_mat, read_voc
from wsolbook.data.pictures import Loading, Pictures, clip, find_root

log = logging.getLogger("wsolbook.data")
COUNTS = {"train": 1_281_167, "val": 50_000, "test": 100_000}
LISTS = {"train": "train_cls", "train_loc": "train_loc", "val": "val"}


class Numbering(Enum):
    """Which order a class number counts in: what it is, and the number of its first class."""

    SORTED = ("WordNet ids in alphabetical order", 0)  # torchvision, wsolevaluation, this package
    DEVKIT = ("ILSVRC2012_ID of the 2012 devkit", 1)  # validation ground truth of the challenge
    DEVKIT_FROM_ZERO = ("ILSVRC2012_ID - 1", 0)  # lists of SPG and ACoL
    CLSLOC = ("CLS-LOC id of the 2014 and 2015 devkits", 1)  # map_clsloc.txt, demo of SPG

    @property
    def first(self) -> int:
        """Number of the first class."""
        return self.value[1]


class Synsets:
    """The classes, in every order that is known.

    Args:
        wnids: WordNet ids of the classes, in any order.
        devkit: the ids in the order of ILSVRC2012_ID, where known.
        clsloc: the ids in the order of the CLS-LOC id, where known.

    Attributes:
        wnids: the ids in alphabetical order, that of labels in this package.

    Raises:
        ValueError: when two orders do not hold the same ids, or an id appears twice.
    """

    def __init__(
        self, wnids: list[str], devkit: list[str] | None = None, clsloc: list[str] | None = None
    ) -> None:
        self.wnids = tuple(sorted(wnids))
        known = {
            Numbering.SORTED: self.wnids,
            Numbering.DEVKIT: devkit,
            Numbering.DEVKIT_FROM_ZERO: devkit,
            Numbering.CLSLOC: clsloc,
        }
        self.orders = {numbering: tuple(order) for numbering, order in known.items() if order is not None}
        for numbering, order in self.orders.items():
            if len(set(order)) < len(order) or set(order) != set(wnids):
                raise ValueError(f"{numbering.value[0]}: not each of the {len(set(wnids))} classes once")
        self.places = {
            numbering: {wnid: place for place, wnid in enumerate(order, numbering.first)}
            for numbering, order in self.orders.items()
        }

    def wnid(self, number: int, numbering: Numbering) -> str:
        """Return the WordNet id that has `number` in `numbering`.

        Raises:
            ValueError: when no class has that number, or the order is not known.
        """
        order, place = self._order(numbering), number - numbering.first
        if not 0 <= place < len(order):
            last = numbering.first + len(order) - 1
            raise ValueError(f"{numbering.value[0]} goes from {numbering.first} to {last}, got {number}")
        return order[place]

    def number(self, wnid: str, numbering: Numbering) -> int:
        """Return the number of a WordNet id in `numbering`.

        Raises:
            ValueError: when the id is not one of the classes, or the order is not known.
        """
        self._order(numbering)
        if wnid not in self.places[numbering]:
            raise ValueError(f"{wnid!r} is not one of the {len(self.wnids)} classes")
        return self.places[numbering][wnid]

    def convert(self, numbers: Int[Tensor, " n"], source: Numbering, target: Numbering) -> Int[Tensor, " n"]:
        """Return the same classes in another numbering.

        Raises:
            ValueError: when a number does not occur in `source`, or one of the orders is not known.
        """
        wnids = (self.wnid(number, source) for number in numbers.tolist())
        return torch.tensor([self.number(wnid, target) for wnid in wnids], dtype=numbers.dtype)

    def _order(self, numbering: Numbering) -> tuple[str, ...]:
        if numbering not in self.orders:
            raise ValueError(f"{numbering.value[0]}: order not known; it is read from the devkit")
        return self.orders[numbering]


def read_synsets(root: Path) -> Synsets:
    """Read the classes from what a copy of ILSVRC holds.

    Looks in `root` and in the folder above it for the 2012 devkit (`meta.mat`), the devkit of 2014 or 2015
    (`map_clsloc.txt`), the class list of the challenge's second host (`LOC_synset_mapping.txt`), and the
    training folders.

    Raises:
        OSError: when none of them is there, or a devkit is and scipy, which reads it, is not.
    """
    devkit, clsloc, names = None, None, None
    if meta := _devkit_file(root, "meta.mat"):
        devkit = read_meta(meta)
    if mapping := _devkit_file(root, "map_clsloc.txt"):
        rows = sorted((line.split() for line in read_lines(mapping)), key=lambda row: int(row[1]))
        clsloc = [row[0] for row in rows]
    if mapping := _devkit_file(root, "LOC_synset_mapping.txt"):
        names = [line.split()[0] for line in read_lines(mapping)]
    folders = root / "Data" / "CLS-LOC" / "train"
    if not (devkit or clsloc or names) and folders.is_dir():
        names = [folder.name for folder in folders.iterdir() if folder.is_dir()]
    known = devkit or clsloc or names
    if not known:
        raise FileNotFoundError(f"{root}: no devkit, no LOC_synset_mapping.txt, no training folders")
    return Synsets(known, devkit, clsloc)


def read_meta(path: Path) -> list[str]:
    """Read `meta.mat` of the 2012 devkit: WordNet ids in the order of ILSVRC2012_ID.

    Raises:
        OSError: when the file is missing or damaged, naming it; without scipy.
    """
    table = read_mat(path)["synsets"]
    leaves = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table if int(row["num_children"]) == 0}
    if sorted(leaves) != list(range(1, len(leaves) + 1)):
        raise OSError(f"{path}: ILSVRC2012_ID does not count from 1 to {len(leaves)}")
    return [leaves[number] for number in sorted(leaves)]


class ILSVRC(Pictures):
    """ILSVRC2012 in the layout of the CLS-LOC archive.

    Label columns are WordNet ids in alphabetical order, as in torchvision and the protocol of Choe et al.
    2020; every number read from another source is converted (see `Synsets`).

    Args:
        root: the folder ILSVRC (with Data, Annotations, ImageSets), or one that holds it.
        split: "train" (1,281,167 pictures), "train_loc" (those of them with boxes) or "val" (50,000).
        blacklist: list of validation picture numbers, from 1, that the challenge's localization error leaves
            out (part of the devkits of 2014 and 2015). They stay in the data set: classification counts them;
            `blacklisted` says which they are.
        **options: see `wsolbook.data.pictures.Loading`.

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
        **options: Unpack[Loading],
    ) -> None:
        if split not in LISTS:
            raise ValueError(f"split must be one of {', '.join(LISTS)}, got {split!r}")
        if blacklist is not None and split != "val":
            raise ValueError(f"the blacklist is one of validation pictures, the split is {split!r}")
        self.root = find_root(root, ("ILSVRC",), ("Data/CLS-LOC",), "ILSVRC2012 CLS-LOC")
        self.synsets = read_synsets(self.root)
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
        (width, height), objects, _ = read_voc(self._annotation(index))
        boxes = torch.tensor([each.box for each in objects], dtype=torch.long).reshape(-1, 4)
        return clip(boxes, (width, height)) if width and height else boxes

    def box_classes(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of each box."""
        names = [each.name for each in read_voc(self._annotation(index)).objects]
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
        chosen = self._picture_numbers() - 1
        if int(chosen.max()) >= len(numbers):
            raise ValueError(f"{truth}: {len(numbers)} lines, but picture {int(chosen.max()) + 1} is listed")
        return self.synsets.convert(numbers[chosen], Numbering.DEVKIT, Numbering.SORTED)

    def _blacklist(self, path: str | Path | None) -> Bool[Tensor, " n"]:
        if path is None:
            return torch.zeros(len(self.ids), dtype=torch.bool)
        listed, pictures = (
            torch.tensor([int(line) for line in read_lines(Path(path))]),
            self._picture_numbers(),
        )
        if len(strangers := listed[~torch.isin(listed, pictures)]):
            raise ValueError(f"{path}: {int(strangers[0])} is not the number of a validation picture")
        return torch.isin(pictures, listed)

    def _picture_numbers(self) -> Int[Tensor, " n"]:
        """Return what a validation picture is called: ILSVRC2012_val_00000042 is 42."""
        return torch.tensor([int(name.rsplit(b"_", 1)[1]) for name in self.ids.tolist()])


def _devkit_file(root: Path, name: str) -> Path | None:
    inside = ("", "data", "devkit/data", "ILSVRC2012_devkit_t12/data")
    places = [above / folder / name for above in (root, root.parent) for folder in inside]
    return next((place for place in places if place.is_file()), None)
