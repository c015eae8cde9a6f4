"""Numbers that took too long to compute live: written by `wsolbook reproduce`, read by the chapters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
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
    center = f"{mean(values):.{digits}f}"
    return center if len(values) == 1 else f"{center} ± {stdev(values):.{digits}f}"


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
