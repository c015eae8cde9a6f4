"""Results as JSON for programs, Markdown for people, and a picture of what the threshold does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from wsolbook.evaluation.bootstrap import Interval
from wsolbook.evaluation.tasks import Curve
from wsolbook.files import atomic, write_json, write_text
from wsolbook.show.figures import INK


@dataclass(frozen=True)
class Result:
    """One row of a report.

    Attributes:
        name: the run, or the baseline.
        values: numbers in percent (thresholds as they are), the headline first.
        per_class: headline number of each class.
        against: how much the first run of the report scores above this one.
    """

    name: str
    values: dict[str, float]
    per_class: dict[str, float] = field(default_factory=dict)
    against: Interval | None = None


@dataclass(frozen=True)
class Report:
    """What one evaluation found.

    Attributes:
        title: data set, split and metric.
        images: how many were counted.
        results: the rows.
        settings: what they depend on.
    """

    title: str
    images: int
    results: list[Result]
    settings: dict[str, Any]


def markdown(report: Report) -> str:
    """Return the report as Markdown: a table of rows, and one of classes if there are several."""
    columns = list(dict.fromkeys(name for result in report.results for name in result.values))
    head = ["", *columns]
    body = [
        [r.name, *(_number(r.values.get(c), 3 if "threshold" in c else 2) for c in columns)]
        for r in report.results
    ]
    intervals = [r for r in report.results if r.against is not None]
    if intervals:
        first = report.results[0].name
        head.append(f"{first} above it by")
        for row, result in zip(body, report.results, strict=True):
            row.append(_interval(result.against))
    parts = [f"# {report.title}", f"{report.images:,} images.", _table(head, body)]
    classes = list(dict.fromkeys(c for r in report.results for c in r.per_class))
    if len(classes) > 1:
        named = [r for r in report.results if r.per_class]
        rows = [[c, *(_number(r.per_class.get(c)) for r in named)] for c in classes]
        parts += ["## By class", _table(["", *(r.name for r in named)], rows)]
    return "\n\n".join(parts) + "\n"


def write(folder: Path, report: Report, curves: Mapping[str, Curve]) -> list[Path]:
    """Write report.json, report.md and, where there is a threshold, curve.png; return what was written.

    Raises:
        OSError: when the folder cannot be written.
    """
    files = [folder / "report.json", folder / "report.md"]
    write_json(files[0], asdict(report))
    write_text(files[1], markdown(report))
    if curves:
        files.append(folder / "curve.png")
        with atomic(files[2]) as temporary:
            curve_figure(curves).savefig(temporary, dpi=130)
    return files


def curve_figure(curves: Mapping[str, Curve]) -> Figure:
    """Draw what each run is at every threshold, with a dot at the best one; one line a run."""
    across, down, _, _ = next(iter(curves.values()))
    figure = Figure(figsize=(5, 3.2), layout="constrained", facecolor="white")
    axis = figure.subplots()
    axis.set_prop_cycle(color=[INK[name] for name in ("body", "head", "truth", "limbs", "background")])
    for name, (_, _, x, y) in curves.items():
        (line,) = axis.plot(x, y, label=name)
        if across != "recall":
            best = int(np.nanargmax(y))
            axis.plot(x[best], y[best], "o", color=line.get_color())
    axis.set(xlabel=across, ylabel=down, xlim=(0, None), ylim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{interval.difference:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, [":--", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
