"""`wsolbook doctor`: versions, devices, real data, and how to get what is missing."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch
from packaging.requirements import Requirement

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


@dataclass(frozen=True)
class Finding:
    """One line: whether it is there, what it is, and the remedy if not."""

    there: bool
    what: str
    detail: str
    remedy: str = ""
    needed: bool = False


def doctor(options: Doctor) -> int:
    """Print the findings; return 1 when something is missing that nothing works without."""
    groups = {
        "machine": machine(),
        "packages": packages(),
        "tools": tools(),
        "real pictures and weights": real(options.data or _path_of("WSOLBOOK_REAL")),
    }
    found = {title: list(findings) for title, findings in groups.items()}
    for title, findings in found.items():
        print(title)
        for each in findings:
            print(f"  {'✓' if each.there else '✗'} {each.what:<24} {each.detail}")
            if not each.there:
                print(f"    → {each.remedy}")
    lacking = [f.what for findings in found.values() for f in findings if f.needed and not f.there]
    print(f"cannot work without {', '.join(lacking)}" if lacking else "ready")
    return int(bool(lacking))


def machine() -> Iterator[Finding]:
    """Describe interpreter, processor and accelerator."""
    yield Finding(True, "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    threads = f"torch uses {torch.get_num_threads()} threads; {os.cpu_count()} processors"
    if "OMP_NUM_THREADS" in os.environ:
        threads += f"; OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}"
    yield Finding(True, "threads", threads)
    device = best_device()
    if device.type == "cuda":
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            yield Finding(True, f"cuda:{index}", f"{about.name}, {about.total_memory / 2**30:.0f} GiB")
    elif device.type != "cpu":
        yield Finding(True, "accelerator", device.type)
    else:
        remedy = (
            "chapters need none; for the papers' scale use a machine with a GPU and a CUDA build of torch"
        )
        yield Finding(False, "accelerator", "none, networks run on the processor", remedy)


def packages() -> Iterator[Finding]:
    """Compare the installed packages with what wsolbook asks for, extras last."""
    yield Finding(True, "wsolbook", metadata.version("wsolbook"))
    extras: dict[str, list[str]] = {}
    for line in metadata.requires("wsolbook") or []:
        wanted = Requirement(line)
        extra = next((e for e in _extras() if wanted.marker and _asks_for(wanted, e)), None)
        have = _version(wanted.name)
        fits = have is not None and wanted.specifier.contains(have, prereleases=True)
        if extra is None:
            detail = have or "not installed"
            remedy = f'pip install "{wanted.name}{wanted.specifier}"'
            yield Finding(
                fits, wanted.name, detail if fits else f"{detail}, needs {wanted.specifier}", remedy, True
            )
        else:
            extras.setdefault(extra, [])
            if not fits:
                extras[extra].append(f"{wanted.name}{wanted.specifier}")
    for extra, missing in extras.items():
        detail = f"lacks {', '.join(missing)}" if missing else "complete"
        yield Finding(not missing, f"extra {extra}", detail, f'pip install "wsolbook[{extra}]"')


def tools() -> Iterator[Finding]:
    """Look for programs that some commands call, and for downloaded ImageNet weights."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    remedy = "apt install chromium; it only checks the pages of the book"
    yield Finding(browser is not None, "browser", browser or "none", remedy)
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    files = sorted(p.name for p in cache.glob("*.pth")) if cache.is_dir() else []
    yield Finding(
        bool(files),
        "ImageNet weights",
        f"{len(files)} files in {cache}" if files else f"none in {cache}",
        'they are downloaded when weights="imagenet" is first used; offline, pass a file with --weights',
    )


def real(folder: Path | None) -> Iterator[Finding]:
    """Look into the folder of real pictures and weights."""
    if folder is None:
        yield Finding(
            False,
            "folder",
            "not set",
            "set WSOLBOOK_REAL to a folder, or pass --data; `wsolbook data` downloads",
        )
        return
    if not folder.is_dir():
        yield Finding(
            False, "folder", f"{folder} does not exist", "create it, or point WSOLBOOK_REAL elsewhere"
        )
        return
    yield Finding(True, "folder", str(folder))
    for inside, what in REAL.items():
        place = folder / inside
        count = sum(1 for p in place.rglob("*") if p.is_file()) if place.is_dir() else 0
        detail = f"{what}: {count} files" if count else what
        yield Finding(count > 0, inside, detail, f"put it into {place}; `wsolbook data --help` shows how")


def _extras() -> list[str]:
    return metadata.metadata("wsolbook").get_all("Provides-Extra") or []


def _asks_for(wanted: Requirement, extra: str) -> bool:
    assert wanted.marker is not None
    return wanted.marker.evaluate({"extra": extra}) and not wanted.marker.evaluate({"extra": ""})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _path_of(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
