"""One page that compares methods side by side: HTML with everything inside, or PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment
from PIL import Image

from wsolbook.files import atomic

SIDE = 480
MOST_ROWS = 60
PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Panel:
    """One map on the page.

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
    """One photo on the page.

    Attributes:
        title: name of the file.
        picture: the photo itself.
        top: the best classes with their scores in [0, 1].
        panels: the same methods in the same order for each class.
    """

    title: str
    picture: Image.Image
    top: Sequence[tuple[str, float]]
    panels: Sequence[Panel]

    def rows(self) -> dict[str, list[Panel]]:
        """Return the panels of each class, in the order they came."""
        classes = dict.fromkeys(panel.wanted for panel in self.panels)
        return {name: [panel for panel in self.panels if panel.wanted == name] for name in classes}


def thumbnail(picture: Image.Image) -> Image.Image:
    """Return a copy small enough for the page."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small


def write_comparison(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> None:
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
        _write_sheet(path, f"{title}\n{subtitle}", sections)
        return
    pages = Environment(autoescape=True, trim_blocks=True)
    pages.filters |= {"data_url": _data_url, "percent": "{:.1%}".format}
    methods = list(dict.fromkeys(panel.method for section in sections for panel in section.panels))
    page = pages.from_string(PAGE)
    with atomic(path) as temporary:
        text = page.render(title=title, subtitle=subtitle, sections=sections, methods=methods)
        temporary.write_text(text, encoding="utf-8")


def _data_url(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _write_sheet(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Draw the same as one picture: a row for each photo and class, a column for each method."""
    import matplotlib.pyplot as plt

    from wsolbook.show.figures import show_images

    rows = [(section, name, panels) for section in sections for name, panels in section.rows().items()]
    if len(rows) > MOST_ROWS:
        raise ValueError(
            f"{len(rows)} rows do not fit into a PNG report of {MOST_ROWS}; write an .html report"
        )
    cells = []
    for section, name, panels in rows:
        cells.append((f"{section.title}\n{name}", section.picture))
        cells += [(panel.method, panel.picture) for panel in panels]
    pictures = [np.asarray(picture) / 255 for _, picture in cells]
    figure = show_images(pictures, [t for t, _ in cells], columns=len(cells) // max(len(rows), 1), width=2.6)
    figure.suptitle(title, fontsize=10)
    figure.set_figheight(2.6 * len(rows) + 0.9)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
