"""What the first page shows, from the table of contents: chapters with pictures, paths, how far the book is.

A chapter's picture is the first figure that it draws, made small.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

import yaml
from chapters import CHAPTERS, ROOT, book_pages, find_notebooks, read_notebook
from PIL import Image
from publish import title_of
from results_page import Record, is_recipe

from wsolbook.recipes import RECIPES

WIDTH = 560  # pixels of a chapter's picture
PLAN = {
    "00": "Where is it?",
    "01": "Measuring a map",
    "02": "CAM",
    "03": "Grad-CAM",
    "04": "GAIN",
    "05": "Erasing",
    "06": "SPG",
    "07": "SeeNet",
    "08": "AffinityNet",
    "09": "From label maps to segmentation",
    "10": "The arena",
    "11": "Your own model, your own pictures",
    "12": "To the paper's scale",
}
PATHS = {
    "You have a model and want to see where it looks": ("00", "02", "03", "11"),
    "You have labels and want boxes or masks": ("00", "01", "02", "06", "07", "08", "09"),
    "You write a paper": ("01", "04", "05", "06", "10", "12"),
}


@cache
def contents() -> dict[str, list[str]]:
    """Return the parts of `_toc.yml` that hold chapters, each with their names: `02_cam`."""
    found: dict[str, list[str]] = {}
    for page, part in book_pages().items():
        if page.startswith("notebooks/"):
            found.setdefault(part, []).append(Path(page).name)
    return found


def written() -> dict[str, str]:
    """Return the name of each chapter by its number."""
    return {name[:2]: name for names in contents().values() for name in names}


def link(number: str) -> str:
    """Return a chapter in prose: a link to what is written, a word about what is not."""
    name = written().get(number)
    return f"{{doc}}`../notebooks/{name}`" if name else f"{PLAN[number]} (planned)"


def paths() -> str:
    """Return the ways through the book."""
    return "\n".join(
        f"- **{reader}:** {' → '.join(link(number) for number in numbers)}."
        for reader, numbers in PATHS.items()
    )


def state(records: Mapping[str, Record]) -> str:
    """Return what is written, what is planned, and what the results hold."""
    planned = [f"{int(number)}, {title}" for number, title in PLAN.items() if number not in written()]
    done = [name for name, record in records.items() if is_recipe(record)]
    seeds = sum(len(records[name]["provenance"]["seeds"]) for name in done)
    newest = max(record["provenance"]["date"] for record in records.values())
    wait = len(RECIPES) - len(set(done) & set(RECIPES))
    lines = [
        f"{len(written())} of {len(PLAN)} chapters are written."
        + (f" Planned are chapters {'; '.join(planned)}." if planned else ""),
        f"{{doc}}`results` shows {len(records)} files, the newest of {newest}; {len(done)} of them are of "
        f"recipes, with {seeds} seeds in all.",
        f"{wait} of {len(RECIPES)} recipes have no result here yet, most because they need data or a GPU: "
        "{doc}`reproduce` says which.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def citation() -> str:
    """Return `CITATION.cff` as BibTeX."""
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    fields = {
        "title": f"{{{about['title']}}}",
        "author": " and ".join(f"{{{author['name']}}}" for author in about["authors"]),
        "version": about["version"],
        "url": about["repository-code"],
    }
    width = max(map(len, fields))
    return "\n".join(
        ["@software{wsolbook,", *(f"  {k:<{width}} = {{{v}}}," for k, v in fields.items()), "}\n"]
    )


def cards() -> str:
    """Return the chapters, part by part, each as a card with its picture."""
    notebooks = {path.stem: read_notebook(path) for path in find_notebooks(CHAPTERS)}
    parts = []
    for caption, names in contents().items():
        inside = "\n".join(card(name, title_of(notebooks[name]), figure(name)[1]) for name in names)
        parts.append(
            f'<section aria-label="{escape(caption)}"><p class="wb-part">{escape(caption)}</p>\n'
            f'<ul class="wb-cards">\n{inside}\n</ul></section>'
        )
    return "\n".join(parts) + "\n"


def card(name: str, title: str, alt: str) -> str:
    """Return one chapter's card."""
    return (
        f'<li><a href="../notebooks/{name}.html"><img src="../chapters/{name}.webp" alt="{escape(alt)}" '
        f'width="{WIDTH}" height="{WIDTH * 9 // 16}">'
        f"<span><b>{int(name[:2])}</b> {escape(title)}</span></a></li>"
    )


@cache
def figure(name: str) -> tuple[bytes, str]:
    """Return the first figure of a chapter as PNG, and in one sentence what it shows.

    Raises:
        ValueError: when the chapter draws none; naming it.
    """
    for cell in read_notebook(CHAPTERS / f"{name}.ipynb").cells:
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                alt = cell.metadata["mystnb"]["image"]["alt"]
                return base64.b64decode(png), re.split(r"(?<=\.)\s", alt)[0]
    raise ValueError(f"chapter {name} draws no figure for the first page")


def pictures() -> dict[str, bytes]:
    """Return the small picture of each chapter, cut to 16:9 from the upper left corner."""
    small = {}
    for name in written().values():
        image = Image.open(io.BytesIO(figure(name)[0])).convert("RGB")
        width = min(image.width, image.height * 16 // 9)
        image = image.crop((0, 0, width, min(image.height, width * 9 // 16)))
        image.thumbnail((WIDTH, WIDTH))
        image.save(into := io.BytesIO(), "webp", quality=75)
        small[f"{name}.webp"] = into.getvalue()
    return small
