"""`wsolbook data`: download, prepare, verify, show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from wsolbook.data import cub, ilsvrc, voc
from wsolbook.data.fetch import download, prepare
from wsolbook.data.fetch.archives import extract
from wsolbook.data.fetch.verify import verify
from wsolbook.data.folder import Folder
from wsolbook.data.pictures import Pictures
from wsolbook.files import atomic

# Name: how to open a split, and how many pictures the official splits have.
SETS: dict[str, tuple[Callable[..., Pictures], dict[str, int]]] = {
    "voc2012": (voc.VOC, voc.COUNTS),
    "cub": (cub.CUB, cub.COUNTS),
    "ilsvrc2012": (ilsvrc.ILSVRC, ilsvrc.COUNTS),
    "folder": (lambda root, split, **options: Folder(root, **options), {}),
}
Name = Literal["voc2012", "cub", "ilsvrc2012", "folder"]


@dataclass(frozen=True)
class Download:
    """Fetch a data set's archives, check them, unpack them. Run again after any interruption.

    Attributes:
        name: which one; ilsvrc2012 needs an account and is only checked.
        root: folder for archives and pictures.
        unpack: unpack what was fetched.
    """

    name: tyro.conf.Positional[Literal["voc2012", "sbd", "cub", "ilsvrc2012"]]
    root: Path = Path("data")
    unpack: bool = True


@dataclass(frozen=True)
class Prepare:
    """Bring unpacked archives into the layout that training reads.

    Attributes:
        name: voc2012 converts SBD's masks and writes the list trainaug; ilsvrc2012 unpacks its archives.
        root: folder that `download` wrote to.
    """

    name: tyro.conf.Positional[Literal["voc2012", "ilsvrc2012"]]
    root: Path = Path("data")


@dataclass(frozen=True)
class Verify:
    """Count and decode every file of one split; name each bad one; exit with 1 if there is any.

    Attributes:
        name: which data set.
        root: its folder, or the one that holds it.
        split: which list.
        subset: the copy is a part on purpose: do not compare with the official count.
        processes: how many processes decode at once.
    """

    name: tyro.conf.Positional[Name]
    root: Path = Path("data")
    split: str = "train"
    subset: bool = False
    processes: int = 1


@dataclass(frozen=True)
class Show:
    """Draw a contact sheet with boxes and masks.

    Attributes:
        name: which data set.
        root: its folder, or the one that holds it.
        split: which list.
        out: the picture to write.
        count: how many samples, spread evenly over the split.
        size: side of each in pixels.
    """

    name: tyro.conf.Positional[Name]
    root: Path = Path("data")
    split: str = "train"
    out: Path = Path("contact_sheet.png")
    count: int = 24
    size: int = 224


Options = (
    Annotated[Download, tyro.conf.subcommand("download")]
    | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Show, tyro.conf.subcommand("show")]
)


def data(options: Options) -> int:
    """Run one of the four."""
    return RUN[type(options)](options)


def run_download(options: Download) -> int:
    """Fetch, check, unpack."""
    for archive in download.MANIFESTS[options.name]:
        if archive.provides and (options.root / archive.provides).exists():
            print(f"{archive.name}: {options.root / archive.provides} is there already")
            continue
        path = download.fetch(archive, options.root)
        print(f"{path}: {archive.size:,} bytes, {archive.digest.split(':')[0]} as in the manifest")
        if options.unpack and archive.provides:
            extract(path, options.root)
            print(f"{options.root / archive.provides}: unpacked")
    return 0


def run_prepare(options: Prepare) -> int:
    """Write the layout."""
    if options.name == "ilsvrc2012":
        prepare.unpack_ilsvrc(options.root, options.root / "ILSVRC")
        print(f"{options.root / 'ILSVRC'}: ready")
        return 0
    count = prepare.trainaug(options.root, options.root)
    print(f"trainaug: {count:,} pictures")
    if count != voc.COUNTS["trainaug"]:
        raise ValueError(f"trainaug has {count:,} pictures, the official one {voc.COUNTS['trainaug']:,}")
    return 0


def run_verify(options: Verify) -> int:
    """Look at every file."""
    samples, counts = open_split(options.name, options.root, options.split)
    findings = verify(samples, None if options.subset else counts.get(options.split), options.processes)
    for problem in findings.problems:
        print(problem)
    print(
        f"{findings.checked:,} pictures, {findings.boxes:,} boxes, {findings.masks:,} masks, "
        f"{len(findings.problems)} problems"
    )
    return 1 if findings.problems else 0


def run_show(options: Show) -> int:
    """Draw the sheet."""
    from wsolbook.show.contact_sheet import contact_sheet

    samples, _ = open_split(options.name, options.root, options.split, size=options.size)
    if options.count < 1:
        raise ValueError(f"count must be at least 1, got {options.count}")
    spread = torch.linspace(0, len(samples) - 1, min(options.count, len(samples))).round().long().tolist()
    with atomic(options.out) as temporary:
        contact_sheet(samples, spread).save(temporary)
    print(f"{options.out}: {len(spread)} of {len(samples):,} pictures")
    return 0


def open_split(name: str, root: Path, split: str, **options: Any) -> tuple[Pictures, dict[str, int]]:
    """Return a data set and its official counts.

    Raises:
        OSError, ValueError: as the data set does.
    """
    build, counts = SETS[name]
    return build(root, split, **options), counts


RUN: dict[type, Callable[[Any], int]] = {
    Download: run_download,
    Prepare: run_prepare,
    Verify: run_verify,
    Show: run_show,
}
