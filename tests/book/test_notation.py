"""The page of notation and the chapters know the same symbols, and its code names are names of code."""

import re
from pathlib import Path

import pytest
from chapters import ROOT, find_notebooks, read_notebook

PAGE = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
CHAPTERS = {path.stem: read_notebook(path) for path in find_notebooks()}
# The chapter of a paper; symbols of others may be in any.
OF = {"CAM": "02", "Grad-CAM": "03", "GAIN": "04", "AE-PSL": "05", "ACoL": "05", "SPG": "06", "SeeNet": "07",
      "AffinityNet": "08", "DeepLab": "09", "SEC": "09", "Choe et al.": "01"}  # fmt: skip
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in Path(ROOT / "wsolbook").rglob("*.py"))


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def bare(formula):
    """Return a formula without what does not change its meaning: spaces, braces, sizes."""
    return re.sub(r"\\(?:[,;!]|[bB]igg?[lr]?)|[\s{}]", "", formula)


def symbols(text):
    """Return the formulas of a text, displayed or not."""
    return [
        bare(shown or inline) for shown, inline in re.findall(r"\$\$(.*?)\$\$|\$([^$]+)\$", text, re.DOTALL)
    ]


def tables(text, head):
    """Return the rows of the tables whose first cell is `head`."""
    found = re.findall(rf"^\| {head} \|.*\n\|[-| ]+\n((?:\|.*\n?)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for body in found for line in body.splitlines()]


ROWS = [row for row in tables(PAGE, "paper") if len(row) == 5]


def chapters_of(paper):
    return [text for name, text in CHAPTERS.items() if name[:2] == OF.get(paper, name[:2])]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_a_symbol_of_the_page_is_in_the_chapter_of_its_paper(row):
    paper, letters = row[0], symbols(row[1])
    if texts := [prose(notebook) for notebook in chapters_of(paper)]:
        formulas = [formula for text in texts for formula in symbols(text)]
        assert any(letter in formula for letter in letters for formula in formulas)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[2]}")
def test_a_code_name_of_the_page_is_in_that_chapter_or_in_the_package(row):
    code = "\n".join(cell.source for notebook in chapters_of(row[0]) for cell in notebook.cells) + SOURCE
    names = {word for name in re.findall(r"`([^`]+)`", row[2]) for word in re.findall(r"[a-z]\w+", name)}
    assert names
    assert {name for name in names if not re.search(rf"\b{name}\b", code)} == set()


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_symbols_that_a_chapter_introduces_are_on_the_page(name):
    rows = tables(prose(CHAPTERS[name]), "paper")
    known = symbols(PAGE)
    missing = {letter for row in rows for letter in symbols(row[0]) if not any(letter in k for k in known)}
    assert missing == set()


def test_formulas_are_compared_by_what_they_mean():
    assert symbols(r"a $\alpha_k^{c}$ and $$M_{c} = \big( x \big)$$") == [r"\alpha_k^c", "M_c=(x)"]
    assert tables("| paper | here |\n|---|---|\n| $a$ | `b` |\n\ntext", "paper") == [["$a$", "`b`"]]
    assert len(ROWS) > 25
