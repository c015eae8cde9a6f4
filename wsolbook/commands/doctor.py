"""`wsolbook doctor`: versions, devices, real data, and how to get what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch
from packaging.requirements import Requirement

from wsolbook import __version__
from wsolbook.precision import fastest
from wsolbook.profiles import best_device

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
REAL = {  # what a folder of real pictures and weights may hold: path, what it is for
    "weights": "ImageNet weights for `wsolbook explain` without a connection",
    "data/VOC2012": "Pascal VOC 2012",
    "data/CUB_200_2011": "Caltech-UCSD Birds",
    "data/photos": "labeled photographs",
}


@dataclass(frozen=True)
class Doctor:
    """Print what this installation has, what it lacks, and how to get that.

    Attributes:
        data: folder of real pictures and weights; by default what WSOLBOOK_REAL names.
    """

    data: Path | None = None


class Line(NamedTuple):
    """One line: whether it is there, what it is, and the remedy if not."""

    there: bool
    what: str
    detail: str
    remedy: str = ""
    needed: bool = False


def doctor(options: Doctor) -> int:
    """Print what is there; return 1 when something is missing that nothing works without."""
    folder = options.data or (Path(os.environ["WSOLBOOK_REAL"]) if os.environ.get("WSOLBOOK_REAL") else None)
    lacking = []
    for title, lines in {
        "machine": machine(),
        "packages": packages(),
        "tools": tools(),
        "real pictures and weights": real(folder),
    }.items():
        print(title)
        for line in lines:
            print(f"  {'✓' if line.there else '✗'} {line.what:<24} {line.detail}")
            if not line.there:
                print(f"    → {line.remedy}")
                lacking += [line.what] if line.needed else []
    print(f"cannot work without {', '.join(lacking)}" if lacking else "ready")
    return int(bool(lacking))


def machine() -> Iterator[Line]:
    """Describe interpreter, processor and accelerator."""
    yield Line(True, "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    threads = f"torch uses {torch.get_num_threads()} threads; {os.cpu_count()} processors"
    if "OMP_NUM_THREADS" in os.environ:
        threads += f"; OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}"
    yield Line(True, "threads", threads)
    device = best_device()
    if device.type == "cuda":
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            yield Line(True, f"cuda:{index}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB")
            best = fastest(torch.device("cuda", index))
            why = "has bf16" if best == "bf16" else "only emulates bf16, is fast in fp16"
            yield Line(True, "--precision auto", f"{best}: cuda:{index} {why}")
    elif device.type != "cpu":
        yield Line(True, "accelerator", device.type)
    else:
        remedy = "chapters need none; for the papers' scale use a GPU and a CUDA build of torch"
        yield Line(False, "accelerator", "none, networks run on the processor", remedy)


def packages() -> Iterator[Line]:
    """Compare the installed packages with what wsolbook asks for, extras last."""
    yield Line(True, "wsolbook", __version__)
    named = metadata.metadata("wsolbook").get_all("Provides-Extra", [])
    extras: dict[str, list[str]] = {name: [] for name in named}
    for wanted in map(Requirement, metadata.requires("wsolbook") or []):
        extra = next((e for e in extras if f'extra == "{e}"' in str(wanted.marker)), None)
        try:
            have = metadata.version(wanted.name)
            fits = wanted.specifier.contains(have, prereleases=True)
        except metadata.PackageNotFoundError:
            have, fits = "not installed", False
        asked = f"{wanted.name}{wanted.specifier}"
        if extra is None:
            detail = have if fits else f"{have}, needs {wanted.specifier}"
            yield Line(fits, wanted.name, detail, f'pip install "{asked}"', needed=True)
        elif not fits:
            extras[extra].append(asked)
    for extra, missing in extras.items():
        detail = f"lacks {', '.join(missing)}" if missing else "complete"
        yield Line(not missing, f"extra {extra}", detail, f'pip install "wsolbook[{extra}]"')


def tools() -> Iterator[Line]:
    """Look for programs that some commands call, and for downloaded ImageNet weights."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    remedy = "apt install chromium; it only checks the pages of the book"
    yield Line(browser is not None, "browser", browser or "none", remedy)
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    count = len(list(cache.glob("*.pth")))
    remedy = 'they are downloaded when weights="imagenet" is first used; offline, pass a file with --weights'
    yield Line(count > 0, "ImageNet weights", f"{f'{count} files' if count else 'none'} in {cache}", remedy)


def real(folder: Path | None) -> Iterator[Line]:
    """Look into the folder of real pictures and weights."""
    if folder is None:
        remedy = "set WSOLBOOK_REAL to a folder, or pass --data; `wsolbook data` downloads"
        yield Line(False, "folder", "not set", remedy)
    elif not folder.is_dir():
        remedy = "create it, or point WSOLBOOK_REAL elsewhere"
        yield Line(False, "folder", f"{folder} does not exist", remedy)
    else:
        yield Line(True, "folder", str(folder))
        for inside, what in REAL.items():
            count = sum(1 for path in (folder / inside).rglob("*") if path.is_file())
            detail = f"{what}: {count} files" if count else what
            remedy = f"put it into {folder / inside}; `wsolbook data --help` shows how"
            yield Line(count > 0, inside, detail, remedy)
