"""The folder of a run: config, log, checkpoints, and a lock so that two runs cannot share it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from wsolbook.files import write_json


class Run:
    """`runs/NAME/` with config.json, log.jsonl and checkpoints/, held by one process at a time.

    Args:
        folder: where the run lives; created by `open`.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self._lock: IO[str] | None = None
        self._log: IO[str] | None = None
        self._events: Any = None

    @contextmanager
    def open(self, about: dict[str, Any], tensorboard: bool = False) -> Iterator[Run]:
        """Hold the folder for the length of a block.

        Args:
            about: config, versions and environment, for config.json.
            tensorboard: also write TensorBoard events into the folder.

        Raises:
            OSError: when another process holds the folder, naming it, or the folder cannot be written.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.folder / "lock")
        try:
            write_json(self.folder / "config.json", about)
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as self._log:
                if tensorboard:
                    from torch.utils.tensorboard import SummaryWriter

                    self._events = SummaryWriter(self.folder)
                yield self
        finally:
            if self._events:
                self._events.close()
            self._lock.close()
            self._lock = self._log = self._events = None

    def log(self, event: str, **values: Any) -> None:
        """Append one record to log.jsonl, flushed so that it survives whatever comes next."""
        assert self._log is not None
        record = {"event": event, "time": round(time.time(), 3)} | values
        self._log.write(json.dumps(record, default=float) + "\n")
        self._log.flush()
        if self._events:
            for name, value in values.items():
                if name != "step" and isinstance(value, int | float):
                    self._events.add_scalar(f"{event}/{name}", value, values.get("step", 0))


def read_log(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the records of a run, leaving out a last line cut short by a crash."""
    records = []
    for line in (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def _lock(path: Path) -> IO[str]:
    """Lock a file until it is closed; the system lets go of it also when the process is killed."""
    handle = path.open("a+", encoding="utf-8")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        handle.close()
        raise BlockingIOError(f"run folder {path.parent} is in use by process {holder}") from None
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle
