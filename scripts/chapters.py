"""The chapters as files: where they lie, how both halves of a pair are read, what makes them equal."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# Chapters have no magics, and what jupytext takes for one is the `#!` of a shell script shown to the reader.
PERCENT = {"extension": ".py", "format_name": "percent", "comment_magics": False}
KEPT = ("mystnb", "tags")  # captions and alt texts live in `mystnb`; all other metadata is noise


@cache
def book_pages() -> dict[str, str]:
    """Return the part of the book of each page, in reading order: `{"notebooks/02_cam": "Foundations"}`.

    The first page is of no part.
    """
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    parts = {entry["file"]: part["caption"] for part in toc["parts"] for entry in part["chapters"]}
    return {toc["root"]: ""} | parts


def twin_of(notebook: Path) -> Path:
    """Return the percent script `text/NN_name.py` of `NN_name.ipynb`."""
    return notebook.parent / "text" / f"{notebook.stem}.py"


def notebook_of(twin: Path) -> Path:
    """Return the notebook `NN_name.ipynb` of the percent script `text/NN_name.py`."""
    return twin.parent.parent / f"{twin.stem}.ipynb"


def find_notebooks(folder: Path = CHAPTERS) -> list[Path]:
    """Return the notebooks in reading order."""
    return sorted(folder.glob("*.ipynb"))


def find_twins(folder: Path = CHAPTERS) -> list[Path]:
    """Return the percent scripts in reading order."""
    return sorted((folder / "text").glob("*.py"))


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook as version 4.

    Raises:
        ValueError: naming the file, when it is not a notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise ValueError(f"{path.name} is not a notebook: {error}") from error


def read_twin(path: Path) -> NotebookNode:
    """Read a percent script as a notebook without outputs, in the one form that is stored."""
    return tidy(jupytext.read(path, fmt=PERCENT))


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in the one form that is stored."""
    path.write_text(nbformat.writes(tidy(notebook)).rstrip("\n") + "\n", encoding="utf-8")


def write_twin(notebook: NotebookNode, path: Path) -> None:
    """Write the percent script of a notebook: its cells, and no header that would only record versions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bare = tidy(notebook)
    bare.metadata = nbformat.from_dict({"jupytext": {"notebook_metadata_filter": "-all"}})
    path.write_text(jupytext.writes(bare, fmt=PERCENT), encoding="utf-8")


def contents(notebook: NotebookNode) -> list[tuple[str, str, dict]]:
    """Return what the halves of a pair share: kind, source and kept metadata of each cell."""
    return [
        (cell.cell_type, cell.source.strip("\n"), {k: cell.metadata[k] for k in KEPT if cell.metadata.get(k)})
        for cell in notebook.cells
    ]


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook in its stored form: fixed kernel, kept metadata only, cell ids from content.

    An id that follows from the source does not change when a chapter is executed again or a cell is
    inserted above, so that differences between two versions show what was edited and nothing else.
    """
    out = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    seen: dict[str, int] = {}
    for cell, (kind, source, metadata) in zip(notebook.cells, contents(notebook), strict=True):
        digest = hashlib.sha256(f"{kind}\n{source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        fresh = {
            "cell_type": kind,
            "id": digest if seen[digest] == 1 else f"{digest}-{seen[digest]}",
            "metadata": metadata,
            "source": source,
        }
        if kind == "code":
            fresh["execution_count"] = cell.get("execution_count")
            fresh["outputs"] = cell.get("outputs", [])
        out.cells.append(nbformat.from_dict(fresh))
    return out
