"""The class numberings of ILSVRC, and how to go from one to another without confusing them.

The thousand classes carry numbers in three orders. Mixing two gives 0.1 % accuracy with perfect maps, so
a number never travels here without the name of its numbering; WordNet ids ("n01440764") travel freely.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from wsolbook.data.matlab import read_mat
from wsolbook.data.pictures import read_lines


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
        words: what each id means.
        devkit: the ids in the order of ILSVRC2012_ID, where known.
        clsloc: the ids in the order of the CLS-LOC id, where known.

    Raises:
        ValueError: when two orders do not hold the same ids, or an id appears twice.
    """

    def __init__(
        self,
        wnids: list[str],
        words: dict[str, str] | None = None,
        devkit: list[str] | None = None,
        clsloc: list[str] | None = None,
    ) -> None:
        self.orders = {Numbering.SORTED: sorted(wnids)}
        if devkit is not None:
            self.orders[Numbering.DEVKIT] = self.orders[Numbering.DEVKIT_FROM_ZERO] = devkit
        if clsloc is not None:
            self.orders[Numbering.CLSLOC] = clsloc
        for numbering, order in self.orders.items():
            if len(set(order)) < len(order) or set(order) != set(wnids):
                raise ValueError(f"{numbering.value[0]}: not each of the {len(set(wnids))} classes once")
        self.words = words or {}
        self.places = {
            kind: {wnid: place for place, wnid in enumerate(order)} for kind, order in self.orders.items()
        }

    @property
    def wnids(self) -> tuple[str, ...]:
        """WordNet ids in alphabetical order: the order of labels in this package."""
        return tuple(self.orders[Numbering.SORTED])

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
        return self.places[numbering][wnid] + numbering.first

    def convert(self, numbers: Int[Tensor, "*n"], source: Numbering, target: Numbering) -> Int[Tensor, "*n"]:
        """Return the same classes in another numbering.

        Raises:
            ValueError: when a number does not occur in `source`, or one of the orders is not known.
        """
        order, places = self._order(source), numbers - source.first
        self._order(target)
        if len(bad := places[(places < 0) | (places >= len(order))]):
            self.wnid(int(bad[0]) + source.first, source)
        table = torch.tensor([self.places[target][wnid] for wnid in order], dtype=numbers.dtype)
        return table[places.long()] + target.first

    def _order(self, numbering: Numbering) -> list[str]:
        if numbering not in self.orders:
            raise ValueError(f"{numbering.value[0]}: order not known; it is read from the devkit")
        return self.orders[numbering]


def read_synsets(root: Path) -> Synsets:
    """Read the classes from what a copy of ILSVRC holds.

    Looks below `root` for the 2012 devkit (`data/meta.mat`), the devkit of 2014 or 2015 (`map_clsloc.txt`),
    the class list of the challenge's second host (`LOC_synset_mapping.txt`), and the training folders.

    Raises:
        OSError: when none of them is there, or a devkit is and scipy, which reads it, is not.
    """
    words: dict[str, str] = {}
    devkit, clsloc, names = None, None, None
    if meta := _first(root, ("data/meta.mat", "ILSVRC2012_devkit_t12/data/meta.mat", "meta.mat")):
        devkit, words = read_meta(meta)
    if mapping := _first(root, ("map_clsloc.txt", "devkit/data/map_clsloc.txt", "data/map_clsloc.txt")):
        rows = sorted((line.split() for line in read_lines(mapping)), key=lambda row: int(row[1]))
        clsloc = [row[0] for row in rows]
        words = words or {row[0]: row[2].replace("_", " ") for row in rows if len(row) > 2}
    if mapping := _first(root, ("LOC_synset_mapping.txt",)):
        entries = dict(line.split(maxsplit=1) for line in read_lines(mapping))
        names, words = list(entries), words or entries
    folders = root / "Data" / "CLS-LOC" / "train"
    if devkit is None and clsloc is None and names is None and folders.is_dir():
        names = [folder.name for folder in folders.iterdir() if folder.is_dir()]
    known = devkit or clsloc or names
    if known is None:
        raise FileNotFoundError(f"{root}: no devkit, no LOC_synset_mapping.txt, no training folders")
    return Synsets(known, words, devkit, clsloc)


def read_meta(path: Path) -> tuple[list[str], dict[str, str]]:
    """Read `meta.mat` of the 2012 devkit: WordNet ids in the order of ILSVRC2012_ID, and their words.

    Raises:
        OSError: when the file is missing or damaged, naming it; without scipy.
    """
    table = read_mat(path)["synsets"]
    leaves = sorted((int(row["ILSVRC2012_ID"]), row) for row in table if int(row["num_children"]) == 0)
    if [number for number, _ in leaves] != list(range(1, len(leaves) + 1)):
        raise OSError(f"{path}: ILSVRC2012_ID does not count from 1 to {len(leaves)}")
    return [str(row["WNID"]) for _, row in leaves], {str(r["WNID"]): str(r["words"]) for _, r in leaves}


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)
