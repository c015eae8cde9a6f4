"""One page that compares methods side by side: HTML with everything inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from PIL import Image

from wsolbook.files import atomic

SIDE = 480
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
        path: of the file.
        title: headline.
        subtitle: settings, in one line.
        sections: one for each photo.

    Raises:
        OSError: when the file cannot be written.
    """
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
