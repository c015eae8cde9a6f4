"""Numbers that took too long to compute live: written by `wsolbook reproduce`, read by the chapters.

With them stands where they come from: versions, device and commit, without names of machines or folders.
"""

from __future__ import annotations

import functools
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from wsolbook.files import read_json

# The 0.975 quantile of Student's distribution for the mean over 2, 3, ... seeds.
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
PACKAGES = ("wsolbook", "torch", "torchvision", "numpy", "accelerate")


def folder() -> Path:
    """Return where the results lie: inside an installed package, or at the root of a checkout."""
    package = Path(__file__).parent
    installed = package / "results"
    return installed if installed.is_dir() else package.parent / "results"


def load(name: str) -> dict[str, Any]:
    """Return the results and the provenance of `results/NAME.json`.

    Raises:
        ValueError: when there are no such results, naming those that exist.
    """
    path = folder() / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder().glob("*.json"))) or "none"
        raise ValueError(f"no results {name!r}; there are: {known}")
    return read_json(path, "write it again by the command it names")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a text table: the first column flush left, the others flush right."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return mean ± sample standard deviation of the values over seeds."""
    center = f"{mean(values):.{digits}f}"
    return center if len(values) == 1 else f"{center} ± {stdev(values):.{digits}f}"


def lead(ours: Sequence[float], others: Sequence[float]) -> str:
    """Return how far ours lie above others of the same 2 to 10 seeds, and the 95 % interval of the mean."""
    apart = [a - b for a, b in zip(ours, others, strict=True)]
    center, half = mean(apart), STUDENT[len(apart)] * stdev(apart) / len(apart) ** 0.5
    return f"{center:+.1f} [{center - half:+.1f}, {center + half:+.1f}]"


def compare(record: dict[str, Any]) -> str:
    """Return our numbers, mean and spread over seeds, beside the target's and those of the center."""
    rows = [
        (
            metric,
            spread(ours, digits=2 if metric == "background score" else 1),
            *(f"{record[of][metric]:.1f}" if metric in record[of] else "" for of in ("target", "center")),
        )
        for metric, ours in record["metrics"].items()
    ]
    seeds = len(record["provenance"]["seeds"])
    return (
        f"{table((record['name'], 'ours', 'target', 'center'), rows)}\n\n"
        f"over {seeds} seed{'s' * (seeds > 1)}; target: {record['target_source']}"
    )


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
    """Return the commit of the checkout this package runs from, with `-dirty` when code was changed."""
    root = Path(__file__).parents[1]
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "wsolbook", "benchmarks")
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
