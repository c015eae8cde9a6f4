"""Unpacking archives from elsewhere: nothing lands outside the target folder, and nothing half-done stays."""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

Report = Callable[[str], None]


def extract(archive: str | Path, target: str | Path, report: Report | None = None) -> None:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive below `target`.

    Every member is checked before it is written: absolute names, `..`, links and devices are refused.
    Members go to a folder of their own first and move to their places when all are there, so that an
    interrupted or refused archive leaves the target as it was. Files that exist already are replaced.

    Args:
        archive: the file.
        target: folder to unpack below; created when absent.
        report: called with the name of each member.

    Raises:
        ValueError: when the file is no archive, or a member is refused; naming archive and member.
        OSError: when the archive is damaged, or the disk is full or read-only.
    """
    archive, target = Path(archive), Path(target)
    target.mkdir(parents=True, exist_ok=True)
    staging = target / f".unpacking-{secrets.token_hex(4)}"
    staging.mkdir()
    try:
        if tarfile.is_tarfile(archive):
            _untar(archive, staging, report)
        elif zipfile.is_zipfile(archive):
            _unzip(archive, staging, report)
        else:
            raise ValueError(f"{archive}: neither a tar nor a zip archive")
        _move(staging, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise OSError(f"{archive}: damaged archive ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_safe(archive: Path, name: str) -> None:
    """Raise a ValueError when a member's name leads out of the folder that it is unpacked in."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith("/") or PureWindowsPath(name).drive or PureWindowsPath(name).root:
        raise ValueError(f"{archive}: refused, member {name!r} has an absolute name")
    if ".." in parts:
        raise ValueError(f"{archive}: refused, member {name!r} leads out of the folder")


def _untar(archive: Path, folder: Path, report: Report | None) -> None:
    with tarfile.open(archive) as tar:
        # Python before 3.11.4 has no filter; names and kinds are checked here in any case.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        for member in tar:
            require_safe(archive, member.name)
            if not (member.isfile() or member.isdir()):
                raise ValueError(f"{archive}: refused, member {member.name!r} is a link or a device")
            tar.extract(member, folder)
            if report:
                report(member.name)


def _unzip(archive: Path, folder: Path, report: Report | None) -> None:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            require_safe(archive, member.filename)
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                raise ValueError(f"{archive}: refused, member {member.filename!r} is a link")
            if member.is_dir():
                (folder / member.filename).mkdir(parents=True, exist_ok=True)
                continue
            place = folder / member.filename
            place.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(member) as source, place.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            if report:
                report(member.filename)


def _move(staging: Path, target: Path) -> None:
    """Move a tree onto another; whole folders where the target has none of that name."""
    for entry in sorted(staging.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move(entry, place)
        else:
            os.replace(entry, place)
