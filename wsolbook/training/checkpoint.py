"""Checkpoints: one file of tensors and plain values, whole or absent, that loading cannot run code from."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from wsolbook.files import atomic, decoding, require_undamaged

FORMAT = 1
KINDS = {
    "format": int, "versions": dict, "config": dict, "digest": str, "step": int, "evaluations": list,
    "model": dict, "optimizer": dict, "average": list, "scaler": dict, "micro_batch": int,
}  # fmt: skip
REMEDY = "--resume auto takes the newest whole one"


class CheckpointError(ValueError):
    """A file that is not a whole and safe checkpoint of this package; the message names it."""


def save_checkpoint(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write a training state atomically.

    Args:
        path: the file; the old one stays until the new one is safely on the disk.
        state: tensors, numbers, strings, lists and dicts. `format` and `versions` are added.

    Raises:
        OSError: when the disk is full or the folder cannot be written; `path` is then as it was.
    """
    state = {"format": FORMAT, "versions": {"torch": str(torch.__version__)}} | state
    with atomic(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # of torch's zip writer, which does not tell what the disk said
            raise OSError(errno.ENOSPC, "No space left on device, or it cannot be written") from error


def load_checkpoint(path: str | os.PathLike[str], map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a training state, with checksums compared and no code run.

    Raises:
        CheckpointError: naming the file, when it is truncated, altered, of another format, or asks for code.
        OSError: when it cannot be read.
    """
    path = Path(path)
    try:
        with decoding(path, "checkpoint", REMEDY):
            require_undamaged(path)
            state = torch.load(path, map_location=map_location, weights_only=True)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(state, dict) or not state.keys() >= KINDS.keys():
        raise CheckpointError(f"{path} is not a checkpoint of a training run; {REMEDY}")
    if state["format"] != FORMAT:
        raise CheckpointError(f"checkpoint {path} has format {state['format']}, this version reads {FORMAT}")
    if wrong := [key for key, kind in KINDS.items() if type(state[key]) is not kind]:
        raise CheckpointError(f"{path} holds no valid {' and '.join(wrong)}; {REMEDY}")
    return state


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the file of a step; the zeros make the order of names the order of steps."""
    return folder / f"step-{step:08d}.pt"


def newest_first(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield step and file of the checkpoints of a folder, the latest first; other files are left alone."""
    files = {path: re.fullmatch(r"step-(\d{8,})\.pt", path.name) for path in folder.glob("step-*.pt")}
    found = [(int(name[1]), path) for path, name in files.items() if name and path.is_file()]
    yield from sorted(found, reverse=True)


def load_newest(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the newest valid checkpoint of a folder, or None, and why newer ones were skipped."""
    skipped: list[str] = []
    for _, path in newest_first(folder):
        try:
            return load_checkpoint(path), skipped
        except (CheckpointError, OSError) as error:
            skipped.append(str(error))
    return None, skipped


def prune(folder: Path, step: int, keep: int, best: int | None = None) -> None:
    """Delete all but the `keep` newest checkpoints up to `step` and the one of step `best`.

    Later ones were passed over as damaged: they neither count nor go before they are written again. What a
    killed process left half-written goes too; only the process that holds the run may call this.
    """
    done = [(each, path) for each, path in newest_first(folder) if each <= step]
    for each, path in done[keep:]:
        if each != best:
            path.unlink()
    for torn in folder.glob(".step-*.pt"):
        torn.unlink()
