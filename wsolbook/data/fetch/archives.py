"""Unpacking archives from elsewhere: nothing lands outside the target folder, and nothing half-done stays."""

from __future__ import annotations

import gzip
import lzma
import os
import secrets
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

DEEPEST = 100  # folders in the name of a member
DAMAGED = (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)


def extract(archive: str | Path, target: str | Path) -> None:
    """Unpack a tar archive (plain, gz, bz2, xz) below `target`.

    Every member is checked before it is written: absolute names, `..`, links and devices are refused.
    Members go to a folder of their own first and move to their places when all are there, so that an
    interrupted or refused archive leaves the target as it was. Files that exist already are replaced.

    Args:
        archive: the file.
        target: folder to unpack below; created when absent.

    Raises:
        ValueError: when the file is no archive, a member is refused, or the members are larger than the free
            space of the disk; naming archive and member.
        OSError: when the archive is damaged, or the disk is full or read-only.
    """
    archive, target = Path(archive), Path(target)
    target.mkdir(parents=True, exist_ok=True)
    staging = target / f".unpacking-{secrets.token_hex(4)}"
    staging.mkdir()
    try:
        if not tarfile.is_tarfile(archive):
            raise ValueError(f"{archive}: not a tar archive")
        _untar(archive, staging)
        _move(staging, target)
    except DAMAGED as error:
        raise OSError(f"{archive}: damaged archive ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_safe(archive: Path, name: str) -> None:
    """Raise a ValueError when a member's name leads out of the folder it is unpacked in, or too deep."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith("/") or PureWindowsPath(name).drive or PureWindowsPath(name).root:
        raise ValueError(f"{archive}: refused, member {name!r} has an absolute name")
    if ".." in parts:
        raise ValueError(f"{archive}: refused, member {name!r} leads out of the folder")
    if len(parts) > DEEPEST:
        raise ValueError(f"{archive}: refused, a member lies {len(parts)} folders deep")


def _untar(archive: Path, folder: Path) -> None:
    size, room = 0, shutil.disk_usage(folder).free
    with tarfile.open(archive) as tar:
        # Python before 3.11.4 has no filter; names and kinds are checked here in any case.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        for member in tar:
            require_safe(archive, member.name)
            if not (member.isfile() or member.isdir()):
                raise ValueError(f"{archive}: refused, member {member.name!r} is a link or a device")
            size += member.size
            if size > room:
                raise ValueError(f"{archive}: refused, it holds more than the {room:,} bytes that are free")
            tar.extract(member, folder)
        while tar.fileobj and tar.fileobj.read(
            1 << 20
        ):  # the checksum of a compressed tar lies behind its end
            pass


def _move(staging: Path, target: Path) -> None:
    """Move a tree onto another; whole folders where the target has none of that name."""
    for entry in sorted(staging.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move(entry, place)
        else:
            os.replace(entry, place)
