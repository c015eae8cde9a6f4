"""Numbers that took too long to compute live: written by `wsolbook reproduce`, read by the chapters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


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
    return json.loads(path.read_text(encoding="utf-8"))


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
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    deviation = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"
