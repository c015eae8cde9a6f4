"""Checkpoints: one file of tensors and plain values, whole or absent, that loading cannot run code from."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from wsolbook.files import atomic

FORMAT = 1
KEYS = {"format", "versions", "config", "digest", "step", "model", "optimizer"}


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
    try:
        with atomic(path) as temporary:
            torch.save(state, temporary)
    except RuntimeError as error:  # torch reports a write error of its zip writer as a RuntimeError
        raise OSError(f"cannot write checkpoint {path}: {error}") from error


def load_checkpoint(path: str | os.PathLike[str], map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a training state, with checksums compared and no code run.

    Raises:
        CheckpointError: naming the file, when it is truncated, altered, of another format, or asks for code.
        OSError: when it cannot be read.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise CheckpointError(f"checkpoint {path} is damaged at {damaged}")
        state = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"checkpoint {path} holds objects other than tensors and plain values"
        ) from error
    except (zipfile.BadZipFile, RuntimeError, EOFError, KeyError) as error:
        raise CheckpointError(f"checkpoint {path} is not a whole checkpoint file") from error
    if not isinstance(state, dict) or not state.keys() >= KEYS:
        raise CheckpointError(f"{path} is not a checkpoint of a training run")
    if state["format"] != FORMAT:
        raise CheckpointError(f"checkpoint {path} has format {state['format']}, this version reads {FORMAT}")
    return state


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the file of a step; the zeros make the order of names the order of steps."""
    return folder / f"step-{step:08d}.pt"


def newest_first(folder: Path) -> Iterator[Path]:
    """Yield the checkpoints of a folder, the latest step first."""
    yield from sorted(folder.glob("step-*.pt"), key=lambda p: int(p.stem.removeprefix("step-")), reverse=True)


def load_newest(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the newest valid checkpoint of a folder, or None, and why newer ones were skipped."""
    skipped: list[str] = []
    for path in newest_first(folder):
        try:
            return load_checkpoint(path), skipped
        except (CheckpointError, OSError) as error:
            skipped.append(str(error))
    return None, skipped


def prune(folder: Path, keep: int, best: int | None = None) -> None:
    """Delete all but the `keep` newest checkpoints and the one of step `best`.

    What a killed process left half-written goes too; only the process that holds the run may call this.
    """
    spare = checkpoint_path(folder, best) if best is not None else None
    for path in list(newest_first(folder))[keep:]:
        if path != spare:
            path.unlink()
    for torn in folder.glob(".step-*.pt"):
        torn.unlink()
