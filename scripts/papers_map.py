"""The map of the papers: which idea answers which, when, and which chapter takes it.

It is drawn as SVG in the colors of the page, and said again in words for those who cannot see it.
Years come from `book/references.bib`, links from the table of contents.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from html import escape

from chapters import ROOT
from contents_page import written

LANES = ("Where does it look?", "And the rest of it?", "Which pixels?")
WIDE, HIGH, GAP_X, GAP_Y, LEFT, TOP = 236, 84, 40, 46, 52, 34  # pixels


@dataclass(frozen=True)
class Paper:
    """A paper of the book.

    Attributes:
        name: as the book calls it.
        chapter: number of the chapter that takes it.
        lane: place in `LANES`.
        idea: in a few words.
        answers: keys of earlier papers, each with what this one has against it.
    """

    name: str
    chapter: str
    lane: int
    idea: str
    answers: dict[str, str] = field(default_factory=dict)


PAPERS = {
    "zhou2016cam": Paper("CAM", "02", 0, "the classifier already knows where"),
    "selvaraju2017gradcam": Paper(
        "Grad-CAM", "03", 0, "gradients as weights", {"zhou2016cam": "for any network, no special head"}
    ),
    "li2018gain": Paper(
        "GAIN", "04", 0, "the map itself is trained", {"selvaraju2017gradcam": "nobody had trained the map"}
    ),
    "choe2020evaluating": Paper(
        "Choe et al.", "01", 0, "evaluation done right", {"zhou2016cam": "measured well, CAM is hard to beat"}
    ),
    "wei2017ae": Paper(
        "AE-PSL", "05", 1, "erase, train again, look again", {"zhou2016cam": "the map holds one part only"}
    ),
    "zhang2018acol": Paper(
        "ACoL", "05", 1, "one classifier erases for a second", {"wei2017ae": "one training for all rounds"}
    ),
    "zhang2018spg": Paper(
        "SPG", "06", 1, "sure pixels teach unsure ones", {"zhang2018acol": "masks learned, nothing erased"}
    ),
    "hou2018seenet": Paper(
        "SeeNet", "07", 1, "erasing with a background", {"zhang2018acol": "erasing did not know a border"}
    ),
    "chen2015deeplab": Paper("DeepLab", "09", 2, "a class for each pixel, from masks"),
    "kolesnikov2016sec": Paper(
        "SEC", "09", 2, "seed, expand, constrain", {"chen2015deeplab": "a few sure pixels in place of masks"}
    ),
    "ahn2018affinitynet": Paper(
        "AffinityNet", "08", 2, "labels flow to pixels that belong together",
        {"kolesnikov2016sec": "the seeds grow before the training"},
    ),
}  # fmt: skip


def year(key: str) -> int:
    """Return the year of a paper in `book/references.bib`."""
    entries = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    return int(re.search(rf"@\w+\{{{key},.*?year\s*=\s*\{{(\d+)\}}", entries, re.DOTALL)[1])


def rows() -> dict[str, int]:
    """Return the row of each paper: years go down, papers of one lane and year stand below each other."""
    years = {key: year(key) for key in PAPERS}
    heights = {
        y: max(Counter(PAPERS[key].lane for key in PAPERS if years[key] == y).values())
        for y in sorted(set(years.values()))
    }
    places: dict[str, int] = {}
    for key, paper in PAPERS.items():
        above = sum(count for y, count in heights.items() if y < years[key])
        beside = sum(years[k] == years[key] and PAPERS[k].lane == paper.lane for k in places)
        places[key] = above + beside
    return places


def svg() -> str:
    """Return the map as SVG."""
    places = rows()
    corner = {
        key: (LEFT + paper.lane * (WIDE + GAP_X), TOP + places[key] * (HIGH + GAP_Y))
        for key, paper in PAPERS.items()
    }
    parts = [lane(number, title) for number, title in enumerate(LANES)]
    seen: set[int] = set()
    for key in sorted(PAPERS, key=places.__getitem__):
        if (when := year(key)) not in seen:
            parts.append(f'<text class="year" x="0" y="{corner[key][1] + HIGH / 2 + 5}">{when}</text>')
            seen.add(when)
    parts += [
        edge(corner[before], corner[key])
        for key, paper in PAPERS.items()
        for before in paper.answers
    ]  # fmt: skip
    parts += [box(paper, *corner[key]) for key, paper in PAPERS.items()]
    width = LEFT + len(LANES) * (WIDE + GAP_X) - GAP_X // 2
    height = TOP + (max(places.values()) + 1) * (HIGH + GAP_Y) - GAP_Y + 4
    return (
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">\n{ARROW}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


ARROW = (
    '<defs><marker id="wb-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
)


def lane(number: int, title: str) -> str:
    """Return the head of a lane."""
    return f'<text class="lane" x="{LEFT + number * (WIDE + GAP_X)}" y="16">{escape(title)}</text>'


def edge(before: tuple[int, int], after: tuple[int, int]) -> str:
    """Return the arrow from a paper to one that answers it: straight down, in the gutter, or across."""
    (x0, y0), (x1, y1) = before, after
    if x0 != x1:
        middle = x1 - GAP_X / 2
        path = f"M{x0 + WIDE} {y0 + HIGH / 2}H{middle}V{y1 + HIGH / 2}H{x1}"
    elif y1 - y0 <= HIGH + GAP_Y:
        path = f"M{x0 + WIDE / 2} {y0 + HIGH}V{y1}"
    else:
        gutter = x0 + WIDE + GAP_X / 3
        path = f"M{x0 + WIDE} {y0 + HIGH / 2 + 10}H{gutter}V{y1 + HIGH / 2}H{x0 + WIDE}"
    return f'<path class="edge" d="{path}" marker-end="url(#wb-arrow)"/>'


def box(paper: Paper, x: int, y: int) -> str:
    """Return a paper: its name, chapter and idea; dashed where the chapter is still planned."""
    name = written().get(paper.chapter)
    lines = textwrap.wrap(paper.idea, 29)
    words = "".join(
        f'<text x="{x + 12}" y="{y + 46 + 18 * i}">{escape(line)}</text>' for i, line in enumerate(lines)
    )
    kind = "written" if name else "planned"
    where = f"chapter {int(paper.chapter)}" if name else "planned"
    inside = (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="9"/>'
        f'<text class="name" x="{x + 12}" y="{y + 24}">{escape(paper.name)}</text>'
        f'<text class="where" x="{x + WIDE - 12}" y="{y + 24}">{where}</text>{words}'
    )
    return f'<a href="../notebooks/{name}.html" tabindex="-1">{inside}</a>' if name else inside


def words() -> str:
    """Return the map as a list in Markdown, oldest first."""
    lines = []
    for key, paper in sorted(PAPERS.items(), key=lambda item: year(item[0])):
        name = written().get(paper.chapter)
        where = f"{{doc}}`chapter {int(paper.chapter)} <../notebooks/{name}>`" if name else "planned"
        answers = "".join(f" Answers {PAPERS[old].name}: {why}." for old, why in paper.answers.items())
        lines.append(f"- {year(key)}, **{paper.name}** {{cite}}`{key}`, {where}: {paper.idea}.{answers}")
    return "\n".join(lines)


def markdown() -> str:
    """Return both."""
    return (
        f'```{{raw}} html\n<div class="wb-wide wb-papers" role="region" tabindex="0" '
        f'aria-label="Map of the papers; the list below says the same">\n{svg()}</div>\n```\n\n'
        f":::{{dropdown}} The same in words\n{words()}\n:::\n"
    )
