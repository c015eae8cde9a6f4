"""`wsolbook data`: download, prepare, verify, show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro

from wsolbook.data.fetch import download, prepare
from wsolbook.data.fetch.archives import extract
from wsolbook.data.fetch.verify import verify
from wsolbook.data.sets import COUNTS, Name, open_split
from wsolbook.files import atomic


@dataclass(frozen=True)
class Download:
    """Fetch a data set's archives, check them, unpack them. Run again after any interruption.

    Attributes:
        name: which one; ilsvrc2012 needs an account and is only checked.
        root: folder for archives and pictures.
        unpack: unpack what was fetched.
        limit: GB that each archive may unpack to; by default a hundred times its own size, at least 1.
    """

    name: tyro.conf.Positional[Literal["voc2012", "sbd", "cub", "ilsvrc2012"]]
    root: Path = Path("data")
    unpack: bool = True
    limit: float | None = None

    def run(self) -> int:
        """Fetch, check, unpack."""
        if self.limit is not None and not self.limit > 0:
            raise ValueError(f"limit must be positive, got {self.limit}")
        for archive in download.MANIFESTS[self.name]:
            if archive.provides and (self.root / archive.provides).exists():
                print(f"{archive.name}: {self.root / archive.provides} is there already")
                continue
            path = download.fetch(archive, self.root)
            print(f"{path}: {archive.size:,} bytes, {archive.digest.split(':')[0]} as in the manifest")
            if self.unpack and archive.provides:
                extract(path, self.root, None if self.limit is None else int(self.limit * 1e9))
                print(f"{self.root / archive.provides}: unpacked")
        return 0


@dataclass(frozen=True)
class Prepare:
    """Bring unpacked archives into the layout that training reads.

    Attributes:
        name: voc2012 converts SBD's masks and writes the list trainaug; ilsvrc2012 unpacks its archives.
        root: folder that `download` wrote to.
    """

    name: tyro.conf.Positional[Literal["voc2012", "ilsvrc2012"]]
    root: Path = Path("data")

    def run(self) -> int:
        """Write the layout."""
        if self.name == "ilsvrc2012":
            prepare.unpack_ilsvrc(self.root, self.root / "ILSVRC")
            print(f"{self.root / 'ILSVRC'}: ready")
            return 0
        count, official = prepare.trainaug(self.root, self.root), COUNTS["voc2012"]["trainaug"]
        print(f"trainaug: {count:,} pictures")
        if count != official:
            raise ValueError(f"trainaug has {count:,} pictures, the official one {official:,}")
        return 0


@dataclass(frozen=True)
class Split:
    """One list of a data set.

    Attributes:
        name: which data set.
        root: its folder, or the one that holds it.
        split: which list.
    """

    name: tyro.conf.Positional[Name]
    root: Path = Path("data")
    split: str = "train"


@dataclass(frozen=True)
class Verify(Split):
    """Count and decode every file of one split; name each bad one; exit with 1 if there is any.

    Attributes:
        subset: the copy is a part on purpose: do not compare with the official count.
        processes: how many processes decode at once.
    """

    subset: bool = False
    processes: int = 1

    def run(self) -> int:
        """Look at every file."""
        expected = None if self.subset else COUNTS.get(self.name, {}).get(self.split)
        # Bad annotations are to be named one by one, beside the bad pictures.
        samples = open_split(self.name, self.root, self.split, on_error="skip")
        seen = verify(samples, expected, self.processes)
        print(
            *seen.problems,
            f"{seen.checked:,} pictures, {seen.boxes:,} boxes, {seen.masks:,} masks, "
            f"{len(seen.problems)} problems",
            sep="\n",
        )
        return 1 if seen.problems else 0


@dataclass(frozen=True)
class Show(Split):
    """Draw a contact sheet with boxes and masks.

    Attributes:
        out: the picture to write.
        count: how many samples, spread evenly over the split.
        size: side of each in pixels.
    """

    out: Path = Path("contact_sheet.png")
    count: int = 24
    size: int = 224

    def run(self) -> int:
        """Draw the sheet."""
        from wsolbook.show.contact_sheet import contact_sheet

        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")
        samples = open_split(self.name, self.root, self.split, size=self.size)
        spread = torch.linspace(0, len(samples) - 1, min(self.count, len(samples))).round().long().tolist()
        with atomic(self.out) as temporary:
            contact_sheet(samples, spread).save(temporary)
        print(f"{self.out}: {len(spread)} of {len(samples):,} pictures")
        return 0


def data(options: Download | Prepare | Verify | Show) -> int:
    """Run one of the four."""
    return options.run()
