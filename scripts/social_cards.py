"""Draw for each page the card that other sites show beside a link to it: title, part of the book, picture."""

from __future__ import annotations

import io
import re
import textwrap
from pathlib import Path

import numpy as np
from chapters import ROOT, book_pages, read_notebook
from contents_page import figure
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from publish import title_of

SIZE = (1200, 630)  # pixels that networks ask for
INK, SOFT = "#5b2590", "#f6f3fa"  # of the book's style sheet
PICTURE = (600, 338)  # pixels of the picture, 16:9
COVER = ROOT / "book" / "_static" / "hero.png"


def cards() -> dict[str, bytes]:
    """Return the card of each page in the table of contents, a JPEG by the name of its page: `02_cam`."""
    return {
        Path(page).name: card(title(page), part or "a book that runs", picture(page))
        for page, part in book_pages().items()
    }


def title(page: str) -> str:
    """Return the heading of a page."""
    if page.startswith("notebooks"):
        return title_of(read_notebook(ROOT / f"{page}.ipynb"))
    return re.search(r"^# (.+)$", (ROOT / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE)[1]


def picture(page: str) -> Image.Image:
    """Return the first figure of a chapter, and the book's cover for other pages; cut to 16:9."""
    name = Path(page).name
    image = Image.open(io.BytesIO(figure(name)[0]) if page.startswith("notebooks") else COVER).convert("RGB")
    width = min(image.width, image.height * 16 // 9)
    return image.crop((0, 0, width, width * 9 // 16)).resize(PICTURE)


def card(heading: str, part: str, image: Image.Image) -> bytes:
    """Return one card as JPEG."""
    wide, high = SIZE
    with style.context(["default", {"text.parse_math": False}]):  # whatever a caller has set
        sheet = Figure((wide / 100, high / 100), dpi=100, facecolor=SOFT)
        sheet.add_artist(Rectangle((0, 0), 0.012, 1, color=INK))
        left = {"x": 0.045, "ha": "left"}
        sheet.text(**left, y=0.89, s="wsolbook", va="top", size=26, color=INK, weight="bold", family="serif")
        lines = textwrap.wrap(heading, 16)
        look = {"color": "#1c1523", "weight": "bold", "family": "serif", "size": 32 if len(lines) < 5 else 26}
        sheet.text(**left, y=0.5, s="\n".join(lines), va="center", linespacing=1.25, **look)
        sheet.text(**left, y=0.09, s=part, va="bottom", size=20, color="#4b4058")
        rim = (wide - PICTURE[0] - 40) / wide, (high - PICTURE[1]) / 2 / high
        axis = sheet.add_axes((*rim, PICTURE[0] / wide, PICTURE[1] / high))
        axis.imshow(np.asarray(image), aspect="auto")
        axis.set(xticks=[], yticks=[])
        for spine in axis.spines.values():
            spine.set(color="#ddd3ea", linewidth=2)
        sheet.savefig(raw := io.BytesIO(), format="png", facecolor=SOFT)
    Image.open(raw).convert("RGB").save(into := io.BytesIO(), "jpeg", quality=85)
    return into.getvalue()
