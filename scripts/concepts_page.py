"""The page book/concepts: each term of the glossary, and the chapters whose text leads to it."""

from __future__ import annotations

import re
from itertools import groupby

from chapters import ROOT, find_notebooks, read_notebook

GLOSSARY = ROOT / "book" / "glossary.md"
TERM = re.compile(r"\{term\}`([^`<]+?)(?:\s*<([^>`]+)>)?`")


def terms() -> list[str]:
    """Return the terms of the glossary."""
    blocks = re.findall(
        r"^```\{glossary\}\n(.*?)^```", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [line for block in blocks for line in block.splitlines() if re.match(r"\S", line)]


def used() -> dict[str, list[str]]:
    """Return for each term, in small letters, the chapters that lead to it, in reading order."""
    found: dict[str, list[str]] = {}
    for path in find_notebooks():
        text = "\n".join(c.source for c in read_notebook(path).cells if c.cell_type == "markdown")
        for word in {" ".join((target or words).lower().split()) for words, target in TERM.findall(text)}:
            found.setdefault(word, []).append(path.stem)
    return found


def markdown() -> str:
    """Return the index, letter by letter."""
    places = used()
    parts = []
    for letter, group in groupby(sorted(terms(), key=str.lower), key=lambda term: term[0].upper()):
        lines = []
        for term in group:
            links = [f"{{doc}}`{int(n[:2])} <../notebooks/{n}>`" for n in places.get(term.lower(), [])]
            lines.append(f"- {{term}}`{term}`{' · ' if links else ''}{', '.join(links)}")
        parts.append(f"**{letter}**\n\n" + "\n".join(lines))
    return ":::{div} wb-index\n" + "\n\n".join(parts) + "\n:::\n"
