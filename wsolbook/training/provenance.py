"""Where a number comes from: versions, device, commit and command, without names of machines or folders."""

from __future__ import annotations

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("wsolbook", "torch", "torchvision", "numpy", "accelerate")


def provenance(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return versions, device, instruction set, threads and commit, under the names of results/README.md."""
    device = torch.device(device)
    return {
        "versions": {"python": platform.python_version()} | {p: metadata.version(p) for p in PACKAGES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "commit": commit(),
    }


@functools.cache
def commit() -> str | None:
    """Return the commit of the checkout this package runs from, with `-dirty` when its code was changed."""
    root = Path(__file__).parents[2]
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "wsolbook")
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("-dirty" if changed else "")


def processor() -> str:
    """Return the name of the processor, or at least its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
