"""What the page book/results shows, from the files in `results/`: one table for each set of test pictures.

A row is a recipe or one of its columns; below them stand the blind center and the numbers that they are held
against. Files that are no recipes come in a table of their own, with what each measured number is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path, PurePosixPath
from statistics import mean
from typing import Any

from chapters import ROOT

from wsolbook.files import read_json
from wsolbook.recipes import RECIPES
from wsolbook.results import spread

LABELS = {
    "cam": "CAM", "gain": "GAIN", "acol": "ACoL", "spg": "SPG", "erasing": "erasing", "seenet": "SeeNet",
    "affinity": "AffinityNet", "deeplab": "DeepLab", "sec": "SEC",
}  # fmt: skip
WORLDS = {
    "single": "Critters, one a picture",
    "multi": "Critters, one to four a picture",
    "biased": "Critters, ducks on water",
}
SETS = {"CUB_200_2011": "CUB-200-2011", "VOC2012": "VOC 2012", "ILSVRC": "ILSVRC 2012"}  # by folder
OTHERS = "Speed, tools, and the world itself"
SHOWN = 40  # numbers of a file that is no recipe
SCRIPT = (Path(__file__).parent / "results_page.mjs").read_text(encoding="utf-8")
Record = dict[str, Any]


def read(folder: Path = ROOT / "results") -> dict[str, Record]:
    """Return all stored results by name, recipes in the order of the book."""
    order = {name: place for place, name in enumerate(RECIPES)}
    files = sorted(folder.glob("*.json"), key=lambda p: (order.get(p.stem, len(order)), p.stem))
    return {p.stem: read_json(p, "write it again") for p in files}


def is_recipe(record: Record) -> bool:
    """Say whether a file was written by `wsolbook reproduce`."""
    return "config" in record and "metrics" in record


def markdown(records: Mapping[str, Record]) -> str:
    """Return the sections of the page: a table for each set of test pictures, then one of all other files."""
    tables = {title: table(title, group) for title, group in grouped(records)}
    others = {name: record for name, record in records.items() if not is_recipe(record)}
    tables[OTHERS] = other_table(others)
    sections = [f"## {title}\n\n{raw(html)}" for title, html in tables.items()]
    return "\n".join([*sections, raw(f'<script type="module">\n{SCRIPT}</script>')])


def raw(html: str) -> str:
    """Return HTML as a page takes it."""
    return f"```{{raw}} html\n{html}\n```\n"


def grouped(records: Mapping[str, Record]) -> list[tuple[str, list[Record]]]:
    """Return the recipes' results by test pictures; label maps and segmentation stand apart."""
    groups: dict[str, list[Record]] = {}
    for record in filter(is_recipe, records.values()):
        groups.setdefault(pictures(record), []).append(record)
    order = [*WORLDS.values(), *SETS.values()]
    return sorted(
        groups.items(), key=lambda g: next((i for i, t in enumerate(order) if g[0].startswith(t)), 99)
    )


def pictures(record: Record) -> str:
    """Return the test pictures of a result in words, and what was measured of them if not maps.

    Label maps may know the labels of the pictures; a segmentation does not.
    """
    data = record["config"].get("data", {})
    if "preset" in data:
        words = WORLDS.get(data["preset"], data["preset"])
        words += f" in {data['context_bias']:.0%}" if data.get("context_bias", 1) < 1 else ""
    else:
        words = data_set(data.get("root", "other pictures"))
    count = record.get("pictures", {}).get("evaluated")
    measured = ""
    if any(metric.endswith(" mFP") for metric in record["metrics"]):
        measured = ", label maps"
    elif "mFP" in record["metrics"]:
        measured = ", segmentation"
    return (f"{words}: {count:,} test pictures" if count else words) + measured


def data_set(root: str) -> str:
    """Return the name of the data set in a folder."""
    folder = PurePosixPath(root).name
    return SETS.get(folder, folder)


def table(title: str, group: Sequence[Record]) -> str:
    """Return one sortable table: recipes, their columns, the center, and what they are held against."""
    metrics = list(dict.fromkeys(metric for record in group for metric in record["metrics"]))
    rows = [row for record in group for row in recipe_rows(record, metrics)]
    rows.append(center_row(group, metrics))
    goals = {(r["target_source"], *sorted(r.get("target", {}).items())): r for r in group}
    rows += [goal_row(record, metrics) for record in goals.values() if set(record["target"]) & set(metrics)]
    heads = "".join(head(name, "" if name == "method" else "number") for name in ("method", *metrics))
    return sortable(title, heads, rows)


def sortable(title: str, heads: str, rows: Sequence[str]) -> str:
    """Return a table that scrolls by itself, with the title as its name."""
    return (
        f'<div class="wb-wide" role="region" tabindex="0" aria-label="{escape(title)}">\n'
        f'<table class="wb-sortable">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{"".join(rows)}</tbody>\n'
        "</table></div>"
    )


def head(name: str, kind: str) -> str:
    """Return the head of a column, a button that sorts by it."""
    words = escape(name).replace("MaxBox", "MaxBox<wbr>")
    return f'<th scope="col" class="{kind}"><button type="button">{words}</button></th>'


def label(name: str) -> str:
    """Return the name of a recipe's method as the book writes it."""
    return LABELS.get(RECIPES[name].method if name in RECIPES else name.split("-")[0], name)


def recipe_rows(record: Record, metrics: Sequence[str]) -> Iterator[str]:
    """Yield the row of a recipe, with leads over the center, and of its columns, with leads over it."""
    name = record["name"]
    method = label(name)
    seeds = len(record["provenance"]["seeds"])
    count = f"{seeds} seed{'s' * (seeds > 1)}"
    own = origin(record["provenance"], f"results/{name}.json", f"{count}, where from")
    yield row(method, name, own, record["metrics"], record.get("over_center", {}), "center", metrics)
    for column, found in record.get("columns", {}).items():
        words = column if "method" in found["changed"] else f"{method}: {column}"
        changed = ", ".join(f"{key} = {value}" for key, value in found["changed"].items())
        note = details(
            f"{count}, what differs", f"<p>From <code>{escape(name)}</code>: {escape(changed)}.</p>"
        )
        yield row(words, name, note, found["metrics"], found.get("lead", {}), method, metrics)


def row(
    words: str, recipe: str, note: str, values: Record, leads: Record, over: str, metrics: Sequence[str]
) -> str:
    """Return a row: mean and spread over seeds, and below them the intervals of the lead."""
    name = f"<b>{escape(words)}</b><br><code>{escape(recipe)}</code>{note}"
    below = {metric: f"<br>{interval(ends, over)}" for metric, ends in leads.items()}
    return f'<tr><th scope="row">{name}</th>{cells(values, metrics, below)}</tr>\n'


def cells(values: Record, metrics: Sequence[str], below: Mapping[str, str] | None = None) -> str:
    """Return the cells of a row; one stays empty where a metric was not measured."""
    return "".join(
        cell(values[m], (below or {}).get(m, ""), m) if m in values else "<td></td>" for m in metrics
    )


def cell(values: Sequence[float], below: str, metric: str) -> str:
    """Return the cell of a number, with its mean to sort by."""
    shown = spread(values, digits=2 if metric == "background score" else 1)
    return f'<td data-value="{mean(values):.6g}"><span>{shown}</span>{below}</td>'


def interval(ends: Sequence[Sequence[float]], over: str) -> str:
    """Return the range of the 95 % intervals of all seeds, and whether all lie on one side of zero."""
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    sign, words = "○", f"undecided against {over}"
    if min(low for low, _ in ends) > 0:
        sign, words = "▲", f"above {over} in every seed"
    elif max(high for _, high in ends) < 0:
        sign, words = "▼", f"below {over} in every seed"
    mark = f'<span role="img" aria-label="{escape(words)}" title="{escape(words)}">{sign}</span>'
    return f'<span class="wb-lead"><span>{mark} {low:+.1f}</span> <span>to {high:+.1f}</span></span>'


def center_row(group: Sequence[Record], metrics: Sequence[str]) -> str:
    """Return the row of a map that guesses the center of every picture."""
    known = {metric: value for record in group for metric, value in record.get("center", {}).items()}
    row = cells({metric: [float(value)] for metric, value in known.items()}, metrics)
    return f'<tr class="wb-center"><th scope="row"><b>center</b><br>no network</th>{row}</tr>\n'


def goal_row(record: Record, metrics: Sequence[str]) -> str:
    """Return the row of the numbers that a recipe is held against, marked as a paper's where they are."""
    source = record["target_source"]
    kind = "goal" if is_ours(source) else "a paper's number"
    row = cells({metric: [float(value)] for metric, value in record["target"].items()}, metrics)
    name = f"<b>{kind}</b><br><span>{escape(source)}</span>"
    return f'<tr class="wb-goal"><th scope="row">{name}</th>{row}</tr>\n'


def is_ours(source: str) -> bool:
    """Say whether a target was set by this book and is no paper's."""
    return source.startswith("ours")


def origin(about: Record, file: str, summary: str = "where from") -> str:
    """Return where the numbers of a file are from, to be opened."""
    seconds = about["seconds"] if isinstance(about["seconds"], list) else [about["seconds"]]
    lines = {
        "command": f"<code>{escape(about['command'])}</code>",
        "commit": f"<code>{escape(str(about['commit'])[:12])}</code>",
        "torch": escape(about["versions"]["torch"]),
        "on": f"{escape(about['device'])}, {about['threads']} thread{'s' * (about['threads'] > 1)}",
        "date": escape(about["date"]),
        "time": f"{sum(s or 0 for s in seconds) / 60:.0f} minutes",
        "file": f"<code>{escape(file)}</code>",
    }
    return details(summary, f"<dl>{''.join(f'<dt>{k}</dt><dd>{v}</dd>' for k, v in lines.items())}</dl>")


def details(summary: str, inside: str) -> str:
    """Return what opens on a click."""
    return f"<details><summary>{summary}</summary>{inside}</details>"


def other_table(others: Mapping[str, Record]) -> str:
    """Return the table of all files that are no recipes: what each measures, and its numbers to be opened."""
    rows = []
    for name, record in others.items():
        numbers = list(leaves(record))
        listed = "".join(f"<dt>{escape(k)}</dt><dd>{v}</dd>" for k, v in numbers[:SHOWN])
        more = f"<p>{len(numbers) - SHOWN:,} more are in the file.</p>" if len(numbers) > SHOWN else ""
        opened = details("numbers", f"<dl>{listed}</dl>{more}") if numbers else ""
        about, date = record["provenance"], escape(record["provenance"]["date"])
        rows.append(
            f'<tr><th scope="row"><code>{escape(name)}</code>{origin(about, f"results/{name}.json")}</th>'
            f"<td>{escape(purpose(about['command']))}{opened}</td>"
            f'<td data-value="{date.replace("-", "")}"><span>{date}</span></td></tr>\n'
        )
    heads = head("file", "") + head("what it measures", "") + head("date", "number")
    return sortable(OTHERS, heads, rows)


def leaves(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each number in an object by its path; numbers over seeds as mean and spread."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key not in ("name", "provenance", "config"):
                yield from leaves(value, f"{path}, {key}" if path else str(key))
    elif isinstance(node, bool) or not isinstance(node, int | float | list):
        return
    elif not isinstance(node, list):
        yield path, f"{node:,.4g}" if abs(node) < 1e4 else f"{node:,.0f}"
    elif 1 < len(node) <= 10 and all(isinstance(v, int | float) for v in node):
        yield path, spread([float(v) for v in node], digits=2)


def purpose(command: str) -> str:
    """Return the first sentence of the script that a command runs."""
    script = re.search(r"\S+\.py", command)
    if not script or not (ROOT / script[0]).is_file():
        return ""
    words = ast.get_docstring(ast.parse((ROOT / script[0]).read_text(encoding="utf-8"))) or ""
    return re.split(r"(?<=\.)\s", " ".join(words.split()))[0]
