"""Finish the built pages, for screen readers, search engines and lost readers.

What a screen reader stumbles over is mended, and figures and icons become smaller files. Pages get a
description, if they bring none, and their card; the site gets a map and a page for wrong addresses.
"""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from accessible import mend
from bs4 import BeautifulSoup
from lint_pages import PAGES, find_pages, written
from PIL import Image
from publish import read_project, repository

QUALITY = 90  # of figures, in percent
GOALS = "Afterwards you will be able to"
LENGTH = 160  # characters of a description that search engines show
# As the script of the theme has it: name:[width,height,[aliases],"code","path"],
ICON = re.compile(
    r'"?(?P<name>[a-z0-9-]+)"?:\[\d+,\d+,(?P<aliases>\[[^\]]*\]),"[0-9a-f]+",(?:"[^"]*"|\["[^"]*","[^"]*"\])\],?'
)
MISSING = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>No such page · wsolbook</title><meta name="robots" content="noindex"><link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark }}
body {{ background: Canvas; color: CanvasText;
  font: 1.1rem/1.6 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1.5rem }}
</style></head>
<body><main><h1>Where is it?</h1>
<p>Not here: this address has no page. A box drawn around the right one begins at
<a href="{address}">the first page of the book</a>; its <a href="{address}search.html">search</a>
finds words.</p>
</main></body></html>
"""


def address() -> str:
    """Return where the book is published: the pages that GitHub serves for the repository."""
    owner, name = urlsplit(repository(read_project())).path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}/"


def description(soup: BeautifulSoup) -> str:
    """Return what a chapter says that its reader will be able to do, or the first paragraph of prose, cut."""
    article = soup.select_one("article") or soup
    for paragraph in article.select("section > p"):
        if paragraph.get_text().startswith(GOALS) and (goals := paragraph.find_next_sibling("ul")):
            text = goals.get_text().strip()
            return cut(text[0].upper() + text[1:])
    for within in ("section section p", "p"):
        for paragraph in article.select(within):
            text = paragraph.get_text().strip()
            prose = len(text) >= LENGTH / 2 and not text.endswith(":")
            if prose and not paragraph.select(".math") and not paragraph.find_parent("dd"):
                return cut(text)
    return ""


def cut(text: str) -> str:
    """Return the beginning of a text, whole words on one line."""
    line = " ".join(text.split())
    return line if len(line) <= LENGTH else line[:LENGTH].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def describe(page: Path, folder: Path) -> bool:
    """Write into the head of a page what it is about and which card it has; say whether it has words."""
    text = page.read_text(encoding="utf-8")
    soup = BeautifulSoup(text, "html.parser")
    told = soup.find("meta", attrs={"name": "description"})
    words = str(told["content"]) if told else description(soup)
    if soup.find("meta", property="og:title"):
        return bool(words)
    card = f"cards/{page.stem}.jpg"
    tags = {
        "og:type": "article",
        "og:site_name": "wsolbook",
        "og:title": soup.title.get_text().split(" \N{EM DASH} ")[0] if soup.title else "",
        "og:description": words,
        "og:url": address() + page.relative_to(folder).as_posix(),
        "og:image": address() + card if (folder / card).exists() else "",
        "twitter:card": "summary_large_image",
    }
    lines = [f'<meta property="{k}" content="{html.escape(v)}">' for k, v in tags.items() if v]
    if words and not told:
        lines.insert(0, f'<meta name="description" content="{html.escape(words)}">')
    page.write_text(text.replace("<title>", "\n    ".join([*lines, "<title>"]), 1), encoding="utf-8")
    return bool(words)


def slim(folder: Path) -> None:
    """Make the figures of all pages WebP files, a sixth as large and by eye the same."""
    names = []
    for png in (folder / "_images").glob("*.png"):
        Image.open(png).save(png.with_suffix(".webp"), quality=QUALITY)
        png.unlink()
        names.append(png.name)
    for page in find_pages(folder) if names else []:
        text = page.read_text(encoding="utf-8")
        found = re.sub(r'(?<="\.\./_images/)([^"]+)\.png"', r'\1.webp"', text)
        page.write_text(found, encoding="utf-8")


def fewer_icons(folder: Path) -> None:
    """Leave in the theme's script of icons those that pages and other scripts name, of two thousand."""
    script = folder / "_static" / "scripts" / "fontawesome.js"
    if not script.exists():
        return
    others = [p for p in (folder / "_static").rglob("*.js") if p != script]
    texts = [p.read_text(encoding="utf-8") for p in (*find_pages(folder), *others)]
    named = {name for text in texts for name in re.findall(r"\bfa-([a-z0-9-]+)", text)}

    def kept(icon: re.Match[str]) -> str:
        aliases = re.findall(r'"([^"]+)"', icon["aliases"])
        return icon.group() if named & {icon["name"], *aliases} else ""

    script.write_text(ICON.sub(kept, script.read_text(encoding="utf-8")), encoding="utf-8")


def site_map(names: list[str], base: str) -> str:
    """Return the list of pages that search engines read."""
    rows = "\n".join(f"  <url><loc>{base}{html.escape(name)}</loc></url>" for name in names)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{rows}\n</urlset>\n'
    )


def main(folder: Path = PAGES) -> int:
    """Write all of it into the built book, and name the pages without a description."""
    base = address()
    (folder / "404.html").unlink(missing_ok=True)
    slim(folder)
    fewer_icons(folder)
    for page in find_pages(folder):
        page.write_text(mend(page.read_text(encoding="utf-8")), encoding="utf-8")
    pages = written(folder)
    silent = [p.relative_to(folder).as_posix() for p in pages if not describe(p, folder)]
    names = [p.relative_to(folder).as_posix() for p in pages]
    (folder / "sitemap.xml").write_text(site_map(names, base), encoding="utf-8")
    (folder / "404.html").write_text(MISSING.format(address=base), encoding="utf-8")
    for name in silent:
        print(f"{name} has no paragraph to describe it: give it a description in its front matter")
    return bool(silent)


if __name__ == "__main__":
    sys.exit(main())
