"""Unpacking archives from elsewhere: nothing lands outside the target folder, and nothing half-done stays."""

from __future__ import annotations

import errno
import lzma
import os
import secrets
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

DEEPEST = 100  # folders in the name of a member
# Where no limit is given, an archive may unpack to so many times its own size, or to so many bytes if more.
RATIO, LEAST = 100, 1 << 30
LONGEST = 1 << 20  # bytes of a header's text, which is held in memory
TEXTS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
DAMAGED = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)


def extract(archive: str | Path, target: str | Path, limit: int | None = None) -> None:
    """Unpack a tar archive (plain, gz, bz2, xz) below `target`.

    Every member is checked before it is written: absolute names, `..`, links and devices are refused.
    Members go to a folder of their own first and move to their places when all are there, so that an
    interrupted or refused archive leaves the target as it was. Files that exist already are replaced.
    Uncompressed archives have checksums of their headers only; `fetch` compares that of the file.

    Args:
        archive: the file.
        target: folder to unpack below; created when absent.
        limit: bytes that it may unpack to; by default `RATIO` times its own size, at least `LEAST`.

    Raises:
        ValueError: when the file is no archive, a member is refused, or it unpacks to more than `limit` or
            the free space of the disk; naming archive and member.
        OSError: when the archive is damaged, or the disk is full or read-only.
    """
    archive, target = Path(archive), Path(target)
    target.mkdir(parents=True, exist_ok=True)
    staging = target / f".unpacking-{secrets.token_hex(4)}"
    staging.mkdir()
    try:
        default = max(RATIO * archive.stat().st_size, LEAST)
        _untar(archive, staging, default if limit is None else limit)
        _move(staging, target)
    except Refused as error:
        raise ValueError(f"{archive}: {error}") from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        raise OSError(f"{archive}: damaged archive ({' '.join(str(error).split())})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


class Refused(Exception):
    """A sound archive that must not be unpacked."""


class _Header(tarfile.TarInfo):
    """The header of a member; tarfile itself takes a damaged one for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if header.type in TEXTS and header.size > LONGEST:
            raise Refused(f"refused, a header holds {header.size:,} bytes")
        return header


def _require_safe(name: str) -> None:
    """Refuse a member whose name leads out of the folder it is unpacked in, or too deep."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith("/") or PureWindowsPath(name).drive or PureWindowsPath(name).root:
        raise Refused(f"refused, member {name!r} has an absolute name")
    if ".." in parts:
        raise Refused(f"refused, member {name!r} leads out of the folder")
    if len(parts) > DEEPEST:
        raise Refused(f"refused, a member lies {len(parts)} folders deep")


def _opened(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive, tarinfo=_Header)
    except tarfile.ReadError as error:
        raise Refused("not a tar archive, or its beginning is damaged") from error


def _untar(archive: Path, folder: Path, limit: int) -> None:
    room, size = min(limit, shutil.disk_usage(folder).free), 0

    def count(more: int) -> None:
        nonlocal size
        size += more
        if size > room:
            why = "are free" if room < limit else "it may unpack to; set a limit"
            raise Refused(f"refused, it holds more than the {room:,} bytes that {why}")

    with _opened(archive) as tar:
        # Python before 3.11.4 has no filter; names and kinds are checked here in any case.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        for member in tar:
            _require_safe(member.name)
            if not (member.isfile() or member.isdir()):
                raise Refused(f"refused, member {member.name!r} is a link or a device")
            count(max(member.size, tarfile.BLOCKSIZE))  # a million empty files fill a disk too
            tar.extract(member, folder)
        # The checksum of a compressed archive lies behind its end; nothing else may.
        while tar.fileobj and (rest := tar.fileobj.read(1 << 20)):
            count(len(rest))
            if rest.count(0) < len(rest):
                raise tarfile.ReadError("there is more behind its end")


def _move(staging: Path, target: Path) -> None:
    """Move a tree onto another; whole folders where the target has none of that name."""
    for entry in sorted(staging.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move(entry, place)
        else:
            os.replace(entry, place)
