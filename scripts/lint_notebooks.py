"""Hold the chapters to the house rules: what breaks a comparison, a page, or a reader's patience.

Outputs are compared as text by `pytest --nbval`, so whatever changes from run to run must not be stored.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from statistics import median

from chapters import find_notebooks, read_notebook, tags
from nbformat import NotebookNode

LONGEST_CELL, MEDIAN_CELL, LONGEST_LINE = 40, 8, 88
CODE_CELLS, WORDS = range(15, 26), range(2000, 3501)
# Hints and choices do not count, as solutions do not.
ASIDE = re.compile(r"^:::\{dropdown\}.*?^:::$|^- \[[ x]\] [^\n]*$", re.MULTILINE | re.DOTALL)
MACHINE_PATH = r"(?<![\w./])(/home/|/root/|/tmp/|/Users/|/content/|/work/|[A-Z]:\\)"

IN_CODE = {
    r";\s*\Z": "ends with a semicolon, which nbval does not honor: write `_ = ...`",
    r"\b(clear_output|update_display)\b": "updates its output in place, which stored outputs cannot show",
    r"#.*\bNBVAL_|#.*\bPYTEST_VALIDATE": "carries an nbval mark as a comment: use a tag",
    r"\b(tqdm|trange)\(": "shows a bare progress bar: use `wsolbook.profiles.progress`",
    r"\binteract(ive)?\(": "uses interact, which is frozen in the book: use the explorer",
    r"^\s*[%!]": "uses a magic or a shell line, which is not Python",
    MACHINE_PATH: "names a path of one machine",
}
IN_OUTPUT = {
    r"\b0x[0-9a-f]{6,}\b": "prints a memory address",
    MACHINE_PATH: "prints a path of one machine",
}


def lint(notebook: NotebookNode) -> list[str]:
    """Return one sentence for each broken rule."""
    return [
        *notebook_problems(notebook),
        *(p for place, c in enumerate(notebook.cells) for p in cell_problems(place, c)),
    ]


def notebook_problems(notebook: NotebookNode) -> Iterator[str]:
    """Check what concerns a chapter as a whole."""
    code = [c for c in notebook.cells if c.cell_type == "code" and not {"colab", "solution"} & set(tags(c))]
    prose = [c for c in notebook.cells if c.cell_type == "markdown"]
    text = "\n".join(c.source for c in prose)
    headings = re.findall(r"^# .+$", outside_fences(text), re.MULTILINE)
    if len(headings) != 1 or not prose[0].source.startswith("# "):
        yield f"needs one title, at the top; found {len(headings)}"
    if "widgets" in notebook.metadata:
        yield "stores widget state"
    if not any(re.search(r"\bsetup\(", c.source) for c in code):
        yield "never calls wsolbook.setup"
    if len(code) not in CODE_CELLS:
        yield f"has {len(code)} code cells, expected {CODE_CELLS[0]} to {CODE_CELLS[-1]}"
    if code and (middle := median(len(lines(c.source)) for c in code)) > MEDIAN_CELL:
        yield f"has code cells of {middle:g} lines in the median, at most {MEDIAN_CELL}"
    words = sum(count_words(ASIDE.sub("", c.source)) for c in prose if "solution" not in tags(c))
    if words not in WORDS:
        yield f"has {words} words, expected {WORDS[0]} to {WORDS[-1]}"
    for name in set(re.findall(r"\{exercise(?:-start)?\}[^\n]*\n:label: *(\S+)", text)):
        if not re.search(r"\{solution(?:-start)?\} *" + re.escape(name) + r"\s", text):
            yield f"exercise {name} has no solution"
    counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        yield "was not run once from top to bottom: `make notebooks`"


def cell_problems(place: int, cell: NotebookNode) -> Iterator[str]:
    """Check one cell; `place` counts from 0 as in nbval's reports."""
    if cell.cell_type != "code":
        return
    for pattern, sentence in IN_CODE.items():
        if re.search(pattern, cell.source, re.MULTILINE) and "colab" not in tags(cell):
            yield f"cell {place} {sentence}"
    if len(lines(cell.source)) > LONGEST_CELL:
        yield f"cell {place} has {len(lines(cell.source))} lines, at most {LONGEST_CELL}"
    if "colab" not in tags(cell) and (widest := max(map(len, cell.source.split("\n")))) > LONGEST_LINE:
        yield f"cell {place} has a line of {widest} characters, at most {LONGEST_LINE}"
    for output in cell.outputs:
        yield from (f"cell {place} {sentence}" for sentence in output_problems(cell, output))


def output_problems(cell: NotebookNode, output: NotebookNode) -> Iterator[str]:
    """Check one stored output."""
    if output.output_type == "error" and "raises-exception" not in tags(cell):
        yield f"stopped with {output.ename}"
    if output.get("name") == "stderr":
        yield f"writes to stderr: {output.text.strip()[:80]}"
    data = output.get("data", {})
    if "image/svg+xml" in data:
        yield "stores an SVG figure, whose text nbval compares: use PNG"
    if "image/png" in data and len(alt_text(cell)) < 15:
        yield "shows a figure without alt text: metadata `mystnb: {image: {alt: ...}}`"
    for text in (output.get("text", ""), data.get("text/plain", "")):
        yield from (sentence for pattern, sentence in IN_OUTPUT.items() if re.search(pattern, text))


def alt_text(cell: NotebookNode) -> str:
    """Return what a screen reader says for the figure of a cell."""
    return str(cell.metadata.get("mystnb", {}).get("image", {}).get("alt", ""))


def lines(source: str) -> list[str]:
    """Return the lines that are not blank."""
    return [line for line in source.split("\n") if line.strip()]


def outside_fences(text: str) -> str:
    """Return Markdown without its fenced blocks of code."""
    return re.sub(r"^(`{3,}|~{3,})(?!\{).*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)


def count_words(text: str) -> int:
    """Count words of prose: no code, no formulas, no addresses."""
    bare = re.sub(
        r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`|\]\([^)]*\)|<[^>]+>", " ", outside_fences(text), flags=re.DOTALL
    )
    return len(re.findall(r"[^\W\d_][\w'-]*", bare))


def main() -> int:
    """Lint every notebook and print what is broken."""
    found = {path.name: lint(read_notebook(path)) for path in find_notebooks()}
    for name, problems in found.items():
        for problem in problems:
            print(f"{name}: {problem}")
    print(f"{len(found)} chapters, {sum(map(len, found.values()))} problems")
    return any(found.values())


if __name__ == "__main__":
    sys.exit(main())
