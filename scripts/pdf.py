"""Print the built book as one PDF with contents, by headless Chromium, and offer it on the first page.

All pages go into one, in the order of the table of contents; links from page to page then lead inside it.
"""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from pathlib import Path

from browser_check import Browser, find_chromium, launch
from chapters import book_pages
from lint_pages import PAGES
from page_numbers import numbered

NAME = "wsolbook.pdf"
ENTRY = "entry/"  # how places begin that the contents lead to
OFFER = '<p class="wb-offer">The whole book on paper: <a href="../{name}">one PDF</a>, {size} MB.</p>'
PLACE = '<section id="which-way-to-go">'  # on the first page; the offer stands before it
SHEET = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True, "printBackground": True}
STYLE = """
@page { size: A4; margin: 18mm 16mm 20mm; @bottom-center { content: counter(page); font: 9pt sans-serif; } }
@page :first { @bottom-center { content: none; } }
body > article, body > nav { break-before: page; max-width: none; padding: 0; }
body > article:first-of-type { break-before: auto; }
nav ul { list-style: none; padding-left: 0; } nav ul ul { padding-left: 1.5em; font-size: .92em; }
nav li > a { display: block; padding-right: 3em; border-bottom: 1px dotted #999; }
nav li > a { color: #000; text-decoration: none; }
nav > ul > li { margin-top: .5em; font-weight: 600; } nav > ul > li > ul { font-weight: 400; }
nav .title { font: 600 22pt var(--pst-font-family-heading); }
a.headerlink { display: none; }
:is(h1, h2) { white-space: pre-wrap; } /* or bookmarks lose the spaces where lines break */
"""
# Links lead to page and place inside; the contents stands after the first page and lists pages and sections.
BIND = """
(async () => {
  const articles = [...document.querySelectorAll("article[data-page]")];
  const place = (url) => decodeURIComponent(new URL(url, "file:///").pathname.slice(1));
  const name = (page, fragment) => `${page}/${fragment}`;
  for (const article of articles) {
    const page = article.dataset.page;
    for (const link of article.querySelectorAll("a[href]")) {
      const url = new URL(link.getAttribute("href"), `file:///${page}`);
      const goal = url.protocol === "file:" && articles.find((a) => a.dataset.page === place(url));
      if (!goal) {
        if (url.protocol === "file:") link.removeAttribute("href"); // what is not on paper
        continue;
      }
      const fragment = decodeURIComponent(url.hash.slice(1));
      const target = (fragment && goal.querySelector(`[id="${CSS.escape(fragment)}"]`)) || goal;
      const id = name(goal.dataset.page, target === goal ? "" : fragment);
      if (!document.getElementById(id)) target.prepend(Object.assign(document.createElement("a"), {id}));
      link.setAttribute("href", `#${id}`);
    }
  }
  const words = (heading) => {
    const copy = heading.cloneNode(true);
    copy.querySelectorAll(".headerlink").forEach((link) => link.remove());
    return copy.textContent.trim();
  };
  const entry = (heading, id) => {
    const item = document.createElement("li"), link = document.createElement("a");
    heading.id = id;
    link.href = `#${id}`;
    link.append(Object.assign(document.createElement("span"), {textContent: words(heading)}));
    item.append(link);
    return item;
  };
  const list = document.createElement("ul");
  for (const article of articles) {
    const page = article.dataset.page, title = article.querySelector("h1");
    if (!title) continue;
    const item = entry(title, `entry/${page}`), inner = document.createElement("ul");
    for (const [i, section] of [...article.querySelectorAll("h2")].entries())
      inner.append(entry(section, `entry/${page}/${i}`));
    item.append(inner);
    list.append(item);
  }
  const contents = document.createElement("nav");
  contents.innerHTML = "<p class=title>Contents</p>";
  contents.append(list);
  articles[0].after(contents);
  if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
  await document.fonts.ready;
  return articles.length;
})()"""


def order() -> list[str]:
    """Return the names of the pages as they are read: `book/preface.html`, ..."""
    return [f"{page}.html" for page in book_pages()]


def whole(folder: Path, names: list[str]) -> str:
    """Return all pages as one, with the scripts and styles of the first; pages lie one folder deep."""
    first = (folder / names[0]).read_text(encoding="utf-8")
    head = re.sub(r"<title>.*?</title>", "<title>wsolbook</title>", first[: first.index("</head>")])
    articles = "\n".join(
        f'<article class="bd-article" data-page="{name}">{article(folder / name)}</article>' for name in names
    )
    return f'{head}<style>{STYLE}</style></head><body class="wb-whole">{articles}</body></html>'


def article(page: Path) -> str:
    """Return what a page says, without what stands around it."""
    found = re.search(
        r"<article class=\"bd-article\">(.*)</article>", page.read_text(encoding="utf-8"), re.DOTALL
    )
    if not found:
        raise ValueError(f"{page} has no article: is it a page of the book?")
    return found[1]


async def print_page(program: str, page: Path) -> bytes:
    """Return a page as PDF, light, with bookmarks, and with page numbers in its contents."""
    async with launch(program) as browser:
        browser.patience = 1200  # seconds; hundreds of pages at once
        await browser.call("Emulation.setEmulatedMedia", media="print", features=[])
        await browser.call("Page.navigate", url=page.as_uri())
        await browser.wait_for("Page.loadEventFired")
        bound = await browser.call("Runtime.evaluate", expression=BIND, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in bound:
            raise OSError(f"the pages could not be joined: {bound['exceptionDetails']}")
        return numbered(await paper(browser), ENTRY)


async def paper(browser: Browser) -> bytes:
    """Return what the browser shows as PDF."""
    printed = await browser.call(
        "Page.printToPDF", generateDocumentOutline=True, generateTaggedPDF=True, **SHEET
    )
    return base64.b64decode(printed["data"])


def offer(page: Path, size: int) -> None:
    """Write on the first page where the PDF is and how large."""
    text = re.sub(r'<p class="wb-offer">.*?</p>\n?', "", page.read_text(encoding="utf-8"))
    line = OFFER.format(name=NAME, size=max(1, round(size / 1e6)))
    page.write_text(text.replace(PLACE, f"{line}\n{PLACE}", 1), encoding="utf-8")


def main(folder: Path = PAGES) -> int:
    """Print the book, and say where it is."""
    program = find_chromium()
    if program is None:
        print("SKIPPED: no Chromium on this machine, so nothing was printed")
        return 0
    names = order()
    joined = folder / "book" / "whole.html"
    joined.write_text(whole(folder, names), encoding="utf-8")
    try:
        content = asyncio.run(print_page(program, joined))
    finally:
        joined.unlink()
    (folder / NAME).write_bytes(content)
    offer(folder / names[0], len(content))
    print(f"{len(names)} pages of the book in {folder / NAME}, {len(content) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
