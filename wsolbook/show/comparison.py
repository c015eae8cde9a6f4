"""One page that compares methods side by side: HTML with everything inside, or PNG."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from wsolbook.files import atomic

SIDE = 480
MOST_ROWS = 60

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --soft: #666; --page: #fff; --line: #ddd; --bar: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --soft: #a0a0a0; --page: #16181c; --line: #33363c; --bar: #56b4e9; }
}
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 100rem; background: var(--page);
       color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
p, td, th { color: var(--soft); }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.25rem; display: grid;
          grid-template-columns: minmax(0, 17rem) minmax(0, 1fr); gap: 0 2rem; }
section h2 { grid-column: 1 / -1; }
figure { margin: 0; }
img { max-width: 100%; height: auto; border-radius: 4px; display: block; }
.top { list-style: none; margin: .75rem 0 0; padding: 0; font-size: .85rem; }
.top li { margin-bottom: .35rem; display: grid; grid-template-columns: 1fr auto; }
.top i { grid-column: 1 / -1; height: 4px; border-radius: 2px; background: var(--bar); }
.maps { overflow-x: auto; }
table { border-collapse: separate; border-spacing: .75rem .35rem; margin: -.35rem 0; }
th { font-weight: 600; font-size: .9rem; color: var(--ink); text-align: left; }
tbody th { padding-top: .5rem; }
td { vertical-align: top; }
td img { width: 15rem; max-width: none; }
@media (max-width: 45rem) { section { grid-template-columns: 1fr; } .maps { margin-top: 1rem; } }
"""


@dataclass(frozen=True)
class Finding:
    """One map in the report.

    Attributes:
        method: what computed it.
        wanted: the class it explains, with its score.
        picture: the map over the photo.
    """

    method: str
    wanted: str
    picture: Image.Image


@dataclass(frozen=True)
class Section:
    """One photo in the report.

    Attributes:
        title: name of the file.
        picture: the photo itself.
        top: the best classes with their scores in [0, 1].
        findings: all maps of the photo.
    """

    title: str
    picture: Image.Image
    top: Sequence[tuple[str, float]]
    findings: Sequence[Finding]


def thumbnail(picture: Image.Image) -> Image.Image:
    """Return a copy small enough for a report."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small


def write_report(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> None:
    """Write the page.

    Args:
        path: ends in .html or .png.
        title: headline.
        subtitle: settings, in one line.
        sections: one for each photo.

    Raises:
        ValueError: when a PNG would have too many rows to be looked at.
        OSError: when the file cannot be written.
    """
    if path.suffix == ".png":
        page = _sheet(title, subtitle, sections)
        with atomic(path) as temporary:
            page.save(temporary)
        return
    body = "\n".join(map(_section, sections))
    with atomic(path) as temporary:
        temporary.write_text(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body>"
            f"<h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p>\n{body}\n</body></html>\n",
            encoding="utf-8",
        )


def _grid(section: Section) -> tuple[list[str], list[str], dict[tuple[str, str], Finding]]:
    """Return the classes, the methods and what is in each cell, in the order they came."""
    cells = {(finding.wanted, finding.method): finding for finding in section.findings}
    return list(dict.fromkeys(c for c, _ in cells)), list(dict.fromkeys(m for _, m in cells)), cells


def _section(section: Section) -> str:
    wanted, methods, cells = _grid(section)
    bars = "".join(
        f"<li><span>{html.escape(name)}</span><span>{score:.1%}</span><i style='width:{score:.1%}'></i></li>"
        for name, score in section.top
    )
    rows = "".join(
        f'<tr><th colspan="{len(methods)}">{html.escape(name)}</th></tr><tr>'
        + "".join(
            f"<td>{_img(cells[name, m].picture, f'{m} map of {name} over {section.title}')}</td>"
            for m in methods
        )
        + "</tr>"
        for name in wanted
    )
    head = "".join(f"<th>{html.escape(method)}</th>" for method in methods)
    return (
        f"<section><h2>{html.escape(section.title)}</h2>"
        f'<figure>{_img(section.picture, section.title)}<ol class="top">{bars}</ol></figure>'
        f'<div class="maps"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _img(picture: Image.Image, alt: str) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    data = base64.b64encode(file.getvalue()).decode()
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(alt)}" {size}>'


def _sheet(title: str, subtitle: str, sections: Sequence[Section]) -> Image.Image:
    """Draw the same comparison as one picture: a row for each photo and class, a column for each method."""
    import matplotlib.pyplot as plt

    rows = [(s, name) for s in sections for name in _grid(s)[0]]
    methods = list(dict.fromkeys(m for s in sections for m in _grid(s)[1]))
    if len(rows) > MOST_ROWS:
        raise ValueError(
            f"{len(rows)} rows do not fit into a PNG report of {MOST_ROWS}; write an .html report"
        )
    columns = 1 + len(methods)
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(2.6 * columns, 2.6 * len(rows) + 0.9),
        squeeze=False,
        layout="constrained",
    )
    figure.suptitle(title + "\n" + subtitle, fontsize=10)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (section, name) in zip(axes, rows, strict=True):
        cells = _grid(section)[2]
        line[0].imshow(section.picture)
        line[0].set_title(f"{section.title}\n{name}", fontsize=8)
        for axis, method in zip(line[1:], methods, strict=True):
            axis.set_title(method, fontsize=8)
            axis.imshow(cells[name, method].picture)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    plt.close(figure)
    return Image.open(file)
