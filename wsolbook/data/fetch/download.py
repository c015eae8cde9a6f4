"""Fetching large files: resumed after any interruption, checked, and put in place in one step."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm.auto import tqdm

CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """One file of a manifest.

    Attributes:
        name: file name.
        size: bytes.
        digest: "md5:..." or "sha256:...".
        url: where it is; empty when a person has to log in for it.
        provides: a path below the target that exists once the archive is unpacked.
    """

    name: str
    size: int
    digest: str
    url: str = ""
    provides: str = ""


MANIFESTS: dict[str, tuple[Archive, ...]] = {
    "voc2012": (
        Archive(
            "VOCtrainval_11-May-2012.tar",
            1_999_639_040,
            "md5:6cd6e144f989b92b3379bac3b3de84fd",
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            "VOCdevkit/VOC2012/JPEGImages",
        ),
    ),
    "sbd": (
        Archive(
            "benchmark.tgz",
            1_419_539_633,
            "md5:82b4d87ceb2ed10f6038a1cba92111cb",
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            "benchmark_RELEASE/dataset/cls",
        ),
    ),
    "cub": (
        Archive(
            "CUB_200_2011.tgz",
            1_150_585_339,
            "md5:97eceeb196236b17998738112f37df78",
            "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",
            "CUB_200_2011/images",
        ),
        Archive(
            "segmentations.tgz",
            39_272_883,
            "md5:4d47ba1228eae64f2fa547c47bc65255",
            "https://data.caltech.edu/records/w9d68-gec53/files/segmentations.tgz?download=1",
            "segmentations",
        ),
    ),
    "ilsvrc2012": (
        Archive("ILSVRC2012_img_train.tar", 147_897_477_120, "md5:1d675b47d978889d74fa0da5fadfb00e"),
        Archive("ILSVRC2012_img_val.tar", 6_744_924_160, "md5:29b22e2961454d5413ddabcf34fc5622"),
        Archive("ILSVRC2012_devkit_t12.tar.gz", 2_568_145, "md5:fa75699e90414af021442c21a62c3abf"),
    ),
}


def fetch(archive: Archive, folder: str | Path, *, attempts: int = 5, wait: float = 2.0) -> Path:
    """Return the path of a complete, checked copy of `archive` in `folder`, downloading what is missing.

    Bytes go to NAME.partial. When the connection breaks, the process is stopped or the machine goes down, the
    next call asks the server for the rest only.

    Args:
        archive: what to fetch.
        folder: where to; created when absent.
        attempts: how often to connect before giving up.
        wait: seconds before the second attempt; doubled before each further one.

    Raises:
        OSError: when the connection fails for good, the disk is full or read-only, or the file is not the one
            of the manifest; naming it. Except in the last case the part that is there is kept.
        ValueError: when the archive has no address, or one that is not http or https.
    """
    folder = Path(folder)
    whole, partial = folder / archive.name, folder / f"{archive.name}.partial"
    if whole.exists():
        require_intact(whole, archive)
        return whole
    if not archive.url:
        raise ValueError(
            f"{archive.name} needs an account at image-net.org; put it into {folder}, then run prepare"
        )
    if urlsplit(archive.url).scheme not in ("http", "https"):
        raise ValueError(f"{archive.name}: {archive.url} is neither http nor https")
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(attempts):
        try:
            _append(archive, partial)
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500
            if refused or attempt == attempts - 1:
                have = partial.stat().st_size if partial.exists() else 0
                raise OSError(
                    f"{archive.name}: {error}; {have:,} of {archive.size:,} bytes are here, run again"
                ) from error
            time.sleep(wait * 2**attempt)
    try:
        require_intact(partial, archive)
    except OSError:
        partial.unlink()
        raise
    os.replace(partial, whole)
    return whole


def require_intact(path: Path, archive: Archive) -> None:
    """Raise an OSError that names the file when its size or digest is not the manifest's."""
    if (size := path.stat().st_size) != archive.size:
        raise OSError(f"{path}: {size:,} bytes, the manifest says {archive.size:,}; delete it and run again")
    kind, _, expected = archive.digest.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    if found != expected:
        raise OSError(f"{path}: {kind} is {found}, the manifest says {expected}; delete it and run again")


def _append(archive: Archive, partial: Path) -> None:
    """Bring `partial` to the full size, asking only for the bytes that it lacks."""
    have = partial.stat().st_size if partial.exists() else 0
    if have >= archive.size:
        return
    request = urllib.request.Request(archive.url, headers={"User-Agent": "wsolbook"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with _naming(partial), urllib.request.urlopen(request, timeout=60) as answer:
        have = _start(archive, answer, have)
        with (
            partial.open("r+b" if partial.exists() else "wb") as file,
            tqdm(
                total=archive.size, initial=have, unit="B", unit_scale=True, desc=archive.name, disable=None
            ) as bar,
        ):
            file.seek(have)  # what is sent again is written over itself, so that a second break loses nothing
            while have < archive.size and (chunk := answer.read(min(CHUNK, archive.size - have))):
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if have < archive.size:
        raise http.client.IncompleteRead(b"", archive.size - have)


def _start(archive: Archive, answer: http.client.HTTPResponse, have: int) -> int:
    """Return the byte of the file that an answer starts with: 0 where the server sends all of it again.

    Raises:
        OSError: when the answer is something else, such as the page of a network that wants a login.
    """
    kind, length = answer.headers.get_content_type(), answer.headers.get("Content-Length")
    parts = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", ""))
    start = have if answer.status == 206 else 0
    wrong = ""
    if "html" in kind:
        wrong = f"a page ({kind})"
    elif start and (not parts or int(parts[1]) != have or parts[3] not in ("*", str(archive.size))):
        wrong = f"other bytes than those from {have:,} on"
    elif length not in (None, str(archive.size - start)) or (have and not start and length is None):
        wrong = f"{length or 'an unknown number of'} bytes"
    if wrong:
        raise OSError(
            f"{archive.name}: {archive.url} answers with {wrong}; the {have:,} bytes that are here are kept: "
            f"log in where the network wants it, or delete {archive.name}.partial, and run again"
        )
    return start


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in errors of the disk, which do not say what was being written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
