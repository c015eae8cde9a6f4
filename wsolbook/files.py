"""Files that are either whole or absent: write beside the target, make it durable, rename."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import pickle
import secrets
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; on success it replaces `path` in one step.

    A reader sees the old file or the new one, never a part of one, also when the process is killed or the
    disk fills up. The temporary name keeps the suffix, because many writers choose the format by it.

    Args:
        path: the file to write; its folder is created when absent.

    Raises:
        OSError: naming `path`, when it cannot be written or the disk is full; it is then as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # what could not be created cannot be removed
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def decoding(path: str | os.PathLike[str], kind: str, remedy: str) -> Iterator[None]:
    """Turn whatever a decoder says of a damaged file into one sentence that names file and remedy.

    Decoders raise anything at all: errors of zip, tokens, indices, memory. Their advice is not passed on;
    that of pickle is to switch its safety off.

    Args:
        path: the file that is read in the block.
        kind: what it should be, such as "checkpoint".
        remedy: what to do about it.

    Raises:
        ValueError: when the block fails, unless the file could not even be opened (OSError).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders also wonder aloud about what they then refuse
            yield
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:
        pickled = isinstance(error, pickle.UnpicklingError) or "pickle" in str(error)
        code = ", or holds Python objects, which may run code and are never loaded" * pickled
        raise ValueError(f"{path} is not a whole {kind}{code}; {remedy}") from error


def read_text(path: str | os.PathLike[str], errors: str = "strict") -> str:
    """Read text in UTF-8, or in UTF-16 where the mark of its byte order says so; the mark is left out.

    Args:
        path: the file.
        errors: what to do about bytes that are no UTF-8, as in `bytes.decode`.

    Raises:
        ValueError: when it is neither; naming file and remedy.
        OSError: when it cannot be read.
    """
    with decoding(path, "text file", "save it as UTF-8"):
        content = Path(path).read_bytes()
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if wide else "utf-8-sig", errors)


def require_undamaged(path: str | os.PathLike[str]) -> None:
    """Compare the checksums of a zip archive, which torch leaves alone.

    Raises:
        Exception: of any kind, when one differs or the file is no such archive; see `decoding`.
    """
    with zipfile.ZipFile(path) as archive:
        if member := archive.testzip():
            raise zipfile.BadZipFile(member)


def read_json(path: str | os.PathLike[str], remedy: str) -> dict[str, Any]:
    """Read an object from JSON.

    Raises:
        ValueError: naming file and remedy, when it holds anything else.
        OSError: when it cannot be read.
    """
    with decoding(path, "JSON object", remedy):
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text in UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write plain values as indented JSON, atomically and with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _flush(path: Path) -> None:
    """Force a file, or the entries of a folder, onto the disk."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
