"""The check of built pages finds each kind of fault, and nothing in a page without."""

import pytest
from lint_pages import find_pages, lint, written

GOOD = """<html><head><link rel="stylesheet" href="_static/a.css"><link rel="canonical" href="https://x.y/a.html">
<script src="_static/a.js"></script></head><body id="top"><img src="data:image/png;base64,AA" alt="A fox">
<a href="https://elsewhere.org/">out</a><a href="#top">up</a><a href="b.html#there">b</a></body></html>"""


@pytest.fixture
def book(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "bundle.html").write_text("<img src='x.png'>")
    (tmp_path / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=a.html">')
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<p id="there">here</p>')
    return tmp_path


def test_a_book_in_order_passes(book):
    assert [p.name for p in find_pages(book)] == ["a.html", "b.html"]
    assert lint(book) == []


def test_files_of_the_package_are_checked_but_nobody_wrote_them_for_the_book(book):
    (book / "_modules" / "wsolbook").mkdir(parents=True)
    (book / "_modules" / "wsolbook" / "maps.html").write_text('<a href="gone.html">[docs]</a>')
    (book / "genindex.html").write_text("<p>an index</p>")
    assert [p.name for p in written(book)] == ["a.html", "b.html"]
    (problem,) = lint(book)
    assert problem.startswith("_modules/wsolbook/maps.html: link to gone.html")


@pytest.mark.parametrize(
    ("html", "sentence"),
    [
        ('<img src="fox.png">', "no alt text"),
        ('<img src="fox.png" alt=" ">', "no alt text"),
        ('<img src="_images/fox.png" alt="_images/fox.png">', "file name for an alt text"),
        ('<img src="_images/3f2a.png" alt="../_images/other.png">', "file name for an alt text"),
        ('<script src="https://cdn.org/x.js"></script>', "loads https://cdn.org/x.js"),
        ('<script src="//cdn.org/x.js"></script>', "loads //cdn.org/x.js"),
        ('<img src="https://shields.io/x" alt="A badge">', "loads https://shields.io/x"),
        ('<link rel="stylesheet" href="https://fonts.org/x.css">', "loads https://fonts.org/x.css"),
        ('<iframe src="http://video.org"></iframe>', "loads http://video.org"),
        ('<a href="gone.html">x</a>', "gone.html, which is not there"),
        ('<a href="a.html#nowhere">x</a>', "where nothing has that name"),
        ('<a href="#nowhere">x</a>', "where nothing has that name"),
    ],
)
def test_a_fault_is_named(book, html, sentence):
    (book / "b.html").write_text(f'<p id="there">{html}</p>')
    (problem,) = lint(book)
    assert problem.startswith("b.html: ")
    assert sentence in problem
