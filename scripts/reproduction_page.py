"""The last table of the page book/reproduce: each number of a paper that a recipe aims at, and its state."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from results_page import Record, cell, data_set, head, is_ours, label, raw, sortable

from wsolbook.recipes import RECIPES, Recipe


def markdown(records: Mapping[str, Record]) -> str:
    """Return the table as a page takes it."""
    rows = [
        row(name, recipe, metric, records)
        for name, recipe in RECIPES.items()
        if not is_ours(recipe.source)
        for metric in recipe.target
    ]
    heads = [head(words, "") for words in ("recipe", "number")]
    heads += [head("the paper's", "number"), head("ours", "number"), head("source", "")]
    return raw(sortable("Numbers of papers, and ours", "".join(heads), rows))


def row(name: str, recipe: Recipe, metric: str, records: Mapping[str, Record]) -> str:
    """Return the row of one number."""
    about = f"{pictures(recipe)}, {recipe.backbone}"
    return (
        f'<tr><th scope="row"><b>{escape(label(name))}</b><br><code>{escape(name)}</code></th>'
        f"<td>{escape(metric)}<br>{escape(about)}</td>{cell([float(recipe.target[metric])], '', metric)}"
        f"{ours(name, recipe, metric, records)}<td>{escape(recipe.source)}</td></tr>\n"
    )


def ours(name: str, recipe: Recipe, metric: str, records: Mapping[str, Record]) -> str:
    """Return our number, or in words why there is none."""
    values = records.get(name, {}).get("metrics", {}).get(metric)
    if values:
        seeds = len(values)
        return cell(values, f"<br>{seeds} seed{'s' * (seeds > 1)}", metric)
    data = pictures(recipe)
    waits = "not run yet" if data == "critters" else f"not run here: needs {data}"
    return f"<td>{'measured otherwise' if name in records else escape(waits)}</td>"


def pictures(recipe: Recipe) -> str:
    """Return the name of a recipe's data set."""
    return data_set(getattr(recipe.data, "root", "critters"))
