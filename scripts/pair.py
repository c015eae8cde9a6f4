"""Keep notebooks and their percent twins equal, by content and never by time stamp.

`pair.py` carries the twins' cells into the notebooks, where outputs of unchanged cells stay; interactive
figures there get the code that the package has now, for what they show is stored apart from it.
`pair.py --source notebooks` goes the other way, after an edit in Jupyter; `pair.py --check` only
compares, prints what differs and fails if something does.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from pathlib import Path
from typing import Literal

from chapters import (
    CHAPTERS,
    contents,
    find_notebooks,
    find_twins,
    notebook_of,
    read_notebook,
    read_twin,
    twin_of,
    write_notebook,
    write_twin,
)
from nbformat import NotebookNode

from wsolbook.show import affinities, explorer
from wsolbook.show.widget import twin as html_of

MODULES = {"explorer": explorer.MODULE, "affinities": affinities.MODULE}
FIGURE = re.compile(
    r'class="wsol-explorer" id="(?P<kind>[a-z]+)-.*?'
    r'<script type="application/json">(?P<state>.*?)</script>',
    re.DOTALL,
)


def check(folder: Path) -> list[str]:
    """Return one message for each pair that differs or lacks a half."""
    problems = [
        f"{n.name} has no twin text/{n.stem}.py" for n in find_notebooks(folder) if not twin_of(n).exists()
    ]
    for twin in find_twins(folder):
        notebook = notebook_of(twin)
        if not notebook.exists():
            problems.append(f"text/{twin.name} has no notebook {notebook.name}")
            continue
        stored = read_notebook(notebook)
        left, right = contents(read_twin(twin)), contents(stored)
        if stale := old_figures(stored):
            problems.append(f"{notebook.name} has {stale} interactive figures with old code")
        if left != right:
            changes = difflib.unified_diff(
                as_lines(left), as_lines(right), f"text/{twin.name}", notebook.name, n=1, lineterm=""
            )
            problems.append("\n".join(changes))
    return problems


def sync(folder: Path, source: Literal["text", "notebooks"]) -> list[Path]:
    """Make the halves of each pair equal to their `source` half, and return the files written.

    A chapter that has one half only gets the other, whatever the source.
    """
    written = []
    stems = {path.stem for path in (*find_twins(folder), *find_notebooks(folder))}
    for notebook in sorted(folder / f"{stem}.ipynb" for stem in stems):
        twin = twin_of(notebook)
        if not notebook.exists() or (source == "text" and twin.exists()):
            fresh = read_twin(twin)
            old = read_notebook(notebook) if notebook.exists() else None
            if old is None or contents(fresh) != contents(old) or old_figures(old):
                write_notebook(keep_outputs(fresh, old), notebook)
                written.append(notebook)
        elif not twin.exists() or contents(read_twin(twin)) != contents(read_notebook(notebook)):
            write_twin(read_notebook(notebook), twin)
            written.append(twin)
    return written


def keep_outputs(fresh: NotebookNode, old: NotebookNode | None) -> NotebookNode:
    """Give the cells of `fresh` the outputs of equal cells in `old`; edited cells stay without."""
    waiting: dict[str, list[NotebookNode]] = {}
    for cell in old.cells if old else []:
        if cell.cell_type == "code":
            waiting.setdefault(cell.source.strip("\n"), []).append(cell)
    for cell in fresh.cells:
        if cell.cell_type == "code" and waiting.get(cell.source):
            match = waiting[cell.source].pop(0)
            cell.outputs, cell.execution_count = match.outputs, match.execution_count
    for data in figures(fresh):
        data["text/html"] = redrawn(data["text/html"])
    return fresh


def figures(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the data of the outputs that are interactive figures."""
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    found = [out.data for out in outputs if "data" in out]
    return [data for data in found if FIGURE.search(data.get("text/html", ""))]


def redrawn(html: str) -> str:
    """Return an interactive figure with the state that it has and the code of the package."""
    found = FIGURE.search(html)
    assert found
    return html_of(found["kind"], json.loads(found["state"]), MODULES[found["kind"]])


def old_figures(notebook: NotebookNode) -> int:
    """Count the interactive figures whose code is not that of the package."""
    return sum(data["text/html"] != redrawn(data["text/html"]) for data in figures(notebook))


def as_lines(cells: list[tuple[str, str, dict]]) -> list[str]:
    """Write cells as lines that a person can read in a difference."""
    return [
        line for kind, text, metadata in cells for line in (f"[{kind}] {metadata or ''}", *text.split("\n"))
    ]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--source", choices=("text", "notebooks"), default="text", help="the half to believe")
    options = parser.parse_args()
    if options.check:
        problems = check(CHAPTERS)
        print("\n\n".join(problems) or f"{len(find_notebooks())} pairs are equal")
        return bool(problems)
    for path in sync(CHAPTERS, options.source):
        print(f"wrote {path.relative_to(CHAPTERS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
