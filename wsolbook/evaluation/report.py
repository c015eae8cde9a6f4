"""Results as JSON for programs, Markdown for people, and a picture of what the threshold does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from wsolbook.evaluation.bootstrap import Interval
from wsolbook.files import atomic, write_json
from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.counts import Counts
from wsolbook.metrics.pixels import PixelAP
from wsolbook.metrics.segmentation import SeedIoU
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


def write(folder: Path, report: Report, metrics: dict[str, Counts]) -> list[Path]:
    """Write report.json, report.md and, for metrics with a threshold, curve.png; return what was written.

    Raises:
        OSError: when the folder cannot be written.
    """
    files = [folder / "report.json", folder / "report.md"]
    write_json(files[0], asdict(report))
    with atomic(files[1]) as temporary:
        temporary.write_text(markdown(report), encoding="utf-8")
    figure = curve_figure(metrics)
    if figure is not None:
        files.append(folder / "curve.png")
        with atomic(files[2]) as temporary:
            figure.savefig(temporary, dpi=130)
    return files


def curve_figure(metrics: dict[str, Counts]) -> Figure | None:
    """Draw what each metric is at every threshold, one line a run; None for a metric without threshold."""
    curves = {name: _curve(metric) for name, metric in metrics.items()}
    drawn = {name: curve for name, curve in curves.items() if curve is not None}
    if not drawn:
        return None
    across, down, _, _ = next(iter(drawn.values()))
    figure = Figure(figsize=(5, 3.2), layout="constrained", facecolor="white")
    axis = figure.subplots()
    axis.set_prop_cycle(color=[INK[name] for name in ("body", "head", "truth", "limbs", "background")])
    for name, (_, _, x, y) in drawn.items():
        best = int(np.nanargmax(y)) if across != "recall" else None
        (line,) = axis.plot(x, y, label=name)
        if best is not None:
            axis.plot(x[best], y[best], "o", color=line.get_color())
    axis.set(xlabel=across, ylabel=down, xlim=(0, None), ylim=(0, None))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure


def _curve(metric: Counts) -> tuple[str, str, Float[np.ndarray, " t"], Float[np.ndarray, " t"]] | None:
    """Return what runs across and what runs up, by name and as numbers."""
    if isinstance(metric, BoxAccuracy):
        return "threshold", "BoxAcc in percent, mean over IoU", metric.thresholds, metric.curve().mean(0)
    if isinstance(metric, PixelAP):
        curve = metric.curve()
        return "recall", "precision in percent", curve.recall, 100 * curve.precision
    if isinstance(metric, SeedIoU):
        return "background score", "mIoU in percent", metric.scores.astype(np.float64), metric.curve()
    return None


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{interval.difference:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, [":--", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
