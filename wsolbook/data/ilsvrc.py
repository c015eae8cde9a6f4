"""ILSVRC2012 CLS-LOC: a thousand classes, one a picture, several boxes a picture.

Several orders of the classes are in use, and mixing two of them gives 0.1 % accuracy with perfect maps. A
label here is a place among the WordNet ids ("n01440764") in alphabetical order, as in torchvision and the
protocol of Choe et al. 2020. The devkit's ILSVRC2012_ID is another order (the lists of SPG and ACoL hold
ILSVRC2012_ID - 1).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wsolbook.data.formats import read_lines, read_mat, read_voc
from wsolbook.data.pictures import Loading, Pictures, clip, find_root, read_each

log = logging.getLogger("wsolbook.data")
COUNTS = {"train": 1_281_167, "val": 50_000, "test": 100_000}
LISTS = {"train": "train_cls", "train_loc": "train_loc", "val": "val"}


def read_classes(root: Path) -> tuple[list[str], list[str] | None]:
    """Return the WordNet ids of the classes in alphabetical order, and in that of ILSVRC2012_ID where known.

    Looks in `root` and in the folder above it for the 2012 devkit (`meta.mat`), the devkit of 2014 or 2015
    (`map_clsloc.txt`), the class list of the challenge's second host (`LOC_synset_mapping.txt`), and the
    training folders.

    Raises:
        OSError: when none of them is there, or a devkit is and scipy, which reads it, is not.
    """
    if meta := _devkit_file(root, "meta.mat"):
        devkit = read_meta(meta)
        return sorted(devkit), devkit
    folders = root / "Data" / "CLS-LOC" / "train"
    if mapping := _devkit_file(root, "map_clsloc.txt") or _devkit_file(root, "LOC_synset_mapping.txt"):
        names = [line.split()[0] for line in read_lines(mapping)]
    else:
        names = [folder.name for folder in folders.iterdir() if folder.is_dir()] if folders.is_dir() else []
    if not names:
        raise FileNotFoundError(f"{root}: no devkit, no LOC_synset_mapping.txt, no training folders")
    return sorted(names), None


def read_meta(path: Path) -> list[str]:
    """Read `meta.mat` of the 2012 devkit: WordNet ids in the order of ILSVRC2012_ID.

    Raises:
        OSError: when the file is missing or damaged, naming it; without scipy.
    """
    try:
        table = read_mat(path)["synsets"]
        leaves = {
            int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table if not int(row["num_children"])
        }
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise OSError(f"{path}: holds no table synsets of WordNet ids") from error
    if sorted(leaves) != list(range(1, len(leaves) + 1)):
        raise OSError(f"{path}: ILSVRC2012_ID does not count from 1 to {len(leaves)}")
    return [leaves[number] for number in sorted(leaves)]


class ILSVRC(Pictures):
    """ILSVRC2012 in the layout of the CLS-LOC archive.

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
        wnids, self.devkit = read_classes(self.root)
        self.classes = tuple(wnids)
        self.places = {wnid: place for place, wnid in enumerate(wnids)}
        if len(self.classes) != 1000:
            log.warning(
                "%s has %d classes: numbers differ from networks of 1000", self.root, len(self.classes)
            )
        self.folder = "val" if split == "val" else "train"
        self.has_boxes = split != "train" and (self.root / "Annotations/CLS-LOC" / self.folder).is_dir()
        listed = self.root / "ImageSets" / "CLS-LOC" / f"{LISTS[split]}.txt"
        # One array of bytes: a list of 1.3 million strings would be copied by every loader process.
        self.ids = np.array([line.split()[0] for line in read_lines(listed)], dtype=np.bytes_)
        self.bad: dict[int, str] = {}
        skip = options.get("on_error") == "skip"
        self.numbers = self._val_numbers(skip) if split == "val" else self._train_numbers()
        self.blacklisted = self._blacklist(blacklist)
        super().__init__(**options)

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, index: int) -> Path:
        """Return where picture `index` is."""
        return self.root / "Data" / "CLS-LOC" / self.folder / f"{self.ids[index].decode()}.JPEG"

    def labels(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of picture `index`, in the order of sorted WordNet ids."""
        if index in self.bad:
            raise OSError(self.bad[index])
        return self.numbers[index : index + 1]

    def boxes(self, index: int) -> Int[Tensor, "k 4"]:
        """Return every box of picture `index`, as the file has them, cut at the border.

        The files count from 0 and from 1 without saying which, so nothing is subtracted.
        """
        (width, height), objects = read_voc(self._annotation(index))
        boxes = torch.tensor([each.box for each in objects], dtype=torch.long).reshape(-1, 4)
        return clip(boxes, (width, height)) if width and height else boxes

    def box_classes(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of each box."""
        annotation = self._annotation(index)
        names = [each.name for each in read_voc(annotation).objects]
        if not names:
            raise ValueError(f"{annotation}: holds no object")
        if strangers := set(names) - self.places.keys():
            raise ValueError(
                f"{annotation}: {min(strangers)!r} is not one of the {len(self.classes)} classes"
            )
        return torch.tensor([self.places[name] for name in names], dtype=torch.long)

    def _annotation(self, index: int) -> Path:
        return self.root / "Annotations" / "CLS-LOC" / self.folder / f"{self.ids[index].decode()}.xml"

    def _train_numbers(self) -> Int[Tensor, " n"]:
        wnids = np.array(self.classes, dtype=np.bytes_)
        folders = self.ids.astype(wnids.dtype)  # "n01440764/n01440764_10026" cut to its first nine bytes
        places = np.searchsorted(wnids, folders).clip(max=len(wnids) - 1)
        if len(strangers := folders[wnids[places] != folders]):
            raise ValueError(f"{strangers[0].decode()} in the list is not one of the {len(wnids)} classes")
        return torch.from_numpy(places)

    def _val_numbers(self, skip: bool) -> Int[Tensor, " n"]:
        """Return the classes from the devkit's ground truth if it is there, else from the annotations."""
        truth = _devkit_file(self.root, "ILSVRC2012_validation_ground_truth.txt")
        if truth is None:
            good, self.bad = read_each(self.box_classes, len(self.ids), skip)
            return torch.tensor([int(good[i][0]) if i in good else -1 for i in range(len(self.ids))])
        numbers = _numbers(truth)
        # Line k of the ground truth is picture k, whatever the order of the list.
        chosen = self._picture_numbers() - 1
        if int(chosen.max()) >= len(numbers):
            raise ValueError(f"{truth}: {len(numbers)} lines, but picture {int(chosen.max()) + 1} is listed")
        if self.devkit is None:
            raise ValueError(f"{truth}: its numbers need meta.mat of the devkit")
        if not 1 <= int(numbers.min()) <= int(numbers.max()) <= len(self.devkit):
            raise ValueError(f"{truth}: ILSVRC2012_ID goes from 1 to {len(self.devkit)}")
        return torch.tensor([self.places[wnid] for wnid in self.devkit])[numbers[chosen] - 1]

    def _blacklist(self, path: str | Path | None) -> Bool[Tensor, " n"]:
        if path is None:
            return torch.zeros(len(self.ids), dtype=torch.bool)
        listed, pictures = _numbers(Path(path)), self._picture_numbers()
        if len(strangers := listed[~torch.isin(listed, pictures)]):
            raise ValueError(f"{path}: {int(strangers[0])} is not the number of a validation picture")
        return torch.isin(pictures, listed)

    def _picture_numbers(self) -> Int[Tensor, " n"]:
        """Return what a validation picture is called: ILSVRC2012_val_00000042 is 42."""
        names = [name.decode() for name in self.ids.tolist()]
        if strangers := [name for name in names if not name.rpartition("_")[2].isdecimal()]:
            raise ValueError(f"{strangers[0]!r} in the list is not the name of a validation picture")
        return torch.tensor([int(name.rpartition("_")[2]) for name in names])


def _numbers(path: Path) -> Int[Tensor, " n"]:
    """Read a list of whole numbers, one a line."""
    lines = read_lines(path)
    if strangers := [line for line in lines if not line.isdecimal()]:
        raise ValueError(f"{path}: {strangers[0]!r} is not a whole number")
    return torch.tensor([int(line) for line in lines], dtype=torch.long)


def _devkit_file(root: Path, name: str) -> Path | None:
    inside = ("", "data", "devkit/data", "ILSVRC2012_devkit_t12/data")
    places = [above / folder / name for above in (root, root.parent) for folder in inside]
    return next((place for place in places if place.is_file()), None)
