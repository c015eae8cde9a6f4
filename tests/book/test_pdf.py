"""The whole book on paper: all pages in order, contents, links that lead inside, every column."""

import asyncio
import io

import pypdf
import pytest
from browser_check import find_chromium
from chapters import ROOT
from pdf import OFFER, PLACE, article, offer, order, print_page, whole

needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
STYLE = f"<style>{(ROOT / 'book' / '_static' / 'custom.css').read_text(encoding='utf-8')}</style>"
COLUMNS = [f"column{i}" for i in range(12)]
TABLE = "".join(f"<th>{name}</th>" for name in COLUMNS)
PAGE = (
    "<!doctype html><html data-theme=dark><head><meta charset=utf-8><title>t</title>{style}</head><body>"
    '<p>a menu</p><article class="bd-article"><section id="s"><h1>{title}</h1>{body}</section></article>'
    "</body></html>"
)


def book(folder):
    """Write two pages that link to each other, the second with a wide table and a hint that is closed."""
    bodies = {
        "book/first.html": "<p>See <a href='../notebooks/second.html#there'>there</a>.</p>",
        "notebooks/second.html": f"<h2 id=there>Below</h2><table><tr>{TABLE}</tr></table>"
        f"<pre>{'x' * 86} end</pre><details><summary>Hint</summary><p>the hint</p></details>"
        "<a href='../book/first.html'>back</a> <a href='../_modules/x.html'>code</a>",
    }
    for name, body in bodies.items():
        path = folder / name
        path.parent.mkdir()
        title = path.stem.capitalize() + 10 * " and so on"
        path.write_text(PAGE.format(style=STYLE, title=title, body=body), encoding="utf-8")
    return list(bodies)


def test_pages_are_read_in_the_order_of_the_contents():
    names = order()
    assert names[:2] == ["book/preface.html", "book/how_to_run.html"]
    assert names[-1] == "book/api.html"
    assert "notebooks/02_cam.html" in names
    assert len(set(names)) == len(names)


def test_a_page_gives_what_it_says_and_nothing_around_it(tmp_path):
    names = book(tmp_path)
    text = whole(tmp_path, names)
    assert text.count('<article class="bd-article" data-page=') == 2
    assert "a menu" not in text
    assert text.count("<title>wsolbook</title>") == 1
    (tmp_path / "bare.html").write_text("<p>nothing</p>")
    with pytest.raises(ValueError, match=r"bare\.html has no article"):
        article(tmp_path / "bare.html")


def test_the_first_page_offers_it_once_and_says_how_large_it_is(tmp_path):
    page = tmp_path / "preface.html"
    page.write_text(f"<p>x</p>{PLACE}<h2>Which way</h2></section>")
    for size in (2_000_000, 43_800_000):
        offer(page, size)
    line = OFFER.format(name="wsolbook.pdf", size=44)
    assert page.read_text() == f"<p>x</p>{line}\n{PLACE}<h2>Which way</h2></section>"


@needs_chromium
def test_everything_is_on_paper(tmp_path):
    joined = tmp_path / "book" / "whole.html"
    joined.write_text(whole(tmp_path, book(tmp_path)), encoding="utf-8")
    reader = pypdf.PdfReader(io.BytesIO(asyncio.run(print_page(find_chromium(), joined))))
    pages = [" ".join(page.extract_text().split()) for page in reader.pages]
    assert len(pages) == 3
    assert "Contents First and so on" in pages[1]
    assert "Below" in pages[1]
    assert pages[1].endswith("1 3 3"), "the pages of both titles and of the section"
    assert [name for name in COLUMNS if name not in pages[2].replace(" ", "")] == []
    assert "x" * 86 in pages[2].replace(" ", "")
    assert "the hint" in pages[2]
    titles = [mark.title for mark in reader.outline if not isinstance(mark, list)]
    assert titles == [name + 10 * " and so on" for name in ("First", "Second")]
    goals = [{note.get_object()["/Dest"] for note in page["/Annots"]} for page in reader.pages]
    assert [len(inside) for inside in goals] == [1, 3, 1], "links lead inside; what is not on paper is none"
