"""The browser check finds what only a browser sees."""

import asyncio
from pathlib import Path

import pytest
from browser_check import VIEWS, check, event_problems, find_chromium, report_problems, to_open

needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
FINE = {"theme": "dark", "overflow": 0, "broken": [], "filtered": 0, "formulas": 2, "set": 2, "wrong": []}
FINE |= {"cut": [], "silent": [], "pale": []}


def request(url):
    params = {"requestId": "1", "request": {"url": url}}
    return {"method": "Network.requestWillBeSent", "params": params}


def test_requests_inside_the_book_are_fine_and_others_are_not():
    folder = Path("/book")
    inside = [request("file:///book/a.html"), request("data:text/plain,x"), request("blob:null/1")]
    assert event_problems(inside, folder) == []
    outside = ["https://cdn.org/x.js", "file:///books/a.html", "file:///etc/passwd"]
    assert event_problems([request(u) for u in outside], folder) == [f"asks for {u}" for u in outside]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"theme": "light"}, "shows theme light, expected dark"),
        ({"overflow": 12}, "is 12 px wider than the screen"),
        ({"broken": ["x.png"]}, "broken picture x.png"),
        ({"filtered": 1}, "filters the colors of 1 figures"),
        ({"cut": ["pre x = 1"]}, "cuts pre x = 1"),
        ({"silent": ["mjx-container"]}, "does not show that mjx-container goes on"),
        ({"pale": ["p gray"]}, "does not print in black p gray"),
        ({"set": 1}, "sets 1 of 2 formulas"),
        ({"wrong": ["Undefined control sequence"]}, "formula with an error: Undefined control sequence"),
    ],
)
def test_what_a_page_reports(change, sentence):
    assert report_problems(FINE, "dark") == []
    assert report_problems(FINE | change, "dark") == [sentence]


def test_of_the_files_of_the_package_the_longest_is_opened(tmp_path):
    (tmp_path / "_modules").mkdir()
    assert to_open(tmp_path) == []
    for name, length in (("a.html", 1), ("_modules/b.html", 3), ("_modules/c.html", 2)):
        (tmp_path / name).write_text("x" * length)
    assert [p.name for p in to_open(tmp_path)] == ["a.html", "b.html"]


@needs_chromium
def test_real_pages(tmp_path):
    head = "<!DOCTYPE html><meta name=viewport content='width=device-width'>"
    (tmp_path / "good.html").write_text(head + "<p>fine</p><script>console.warn('only a warning')</script>")
    (tmp_path / "bad.html").write_text(
        head
        + "<div style='width:600px'>wide</div><article class=bd-article style='overflow: hidden'><pre>"
        + 99 * "long "
        + "</pre></article><img src='gone.png' alt='x'>"
        + "<script>console.error('so', 'wrong')</script><script>undefinedName()</script>"
        + "<script src='https://cdn.example/x.js'></script>"
    )
    problems = asyncio.run(check(find_chromium(), tmp_path))
    assert problems
    assert all(p.startswith("bad.html") for p in problems)
    for view in VIEWS:
        seen = "\n".join(p for p in problems if view in p)
        for sentence in (
            "console: so wrong",
            "exception: ReferenceError",
            "asks for https://cdn",
            "broken picture",
            "cuts pre long long",
        ):
            assert sentence in seen
    (wide,) = (p for p in problems if "wider than the screen" in p)
    assert "phone" in wide
