"""The built book says what its pages are about, lists them, and helps who has a wrong address."""

from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from lint_pages import lint
from site_files import LENGTH, address, description, main

OPENING = "Somebody shows you a thousand photographs of birds, and under each stands one word, its name."


def page(body, head=""):
    return f"<html><head><title>t</title>{head}</head><body><article>{body}</article></body></html>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"<section><p>{'x ' * 60}</p><section><p>short</p><p>{OPENING}</p></section></section>", OPENING),
        (f"<p>{OPENING[:-1]}:</p>", ""),
        (f"<p>{OPENING}</p>", OPENING),
        (f"<p>{OPENING} <span class=math>x</span></p>", ""),
        (f"<dl><dd><p>{OPENING}</p></dd></dl>", ""),
        (f"<p>{'long, ' * 60}</p>", "long, " * 26 + "…"),
    ],
)  # fmt: skip
def test_description_is_the_first_paragraph_of_prose(body, words):
    found = description(BeautifulSoup(page(body), "html.parser"))
    assert found == words.replace("long, …", "long …")
    assert len(found) <= LENGTH + 2


def test_whole_folder(tmp_path, capsys):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.html").write_text(page(f"<p>{OPENING.replace('birds', '&quot;A&quot; & B')}</p>"))
    (tmp_path / "book" / "b.html").write_text(page("<p>x</p>", '<meta content="own" name="description" />'))
    (tmp_path / "search.html").write_text(page("<p>no words of ours</p>"))
    assert main(tmp_path) == 0
    once = (tmp_path / "book" / "a.html").read_text()
    assert main(tmp_path) == 0
    assert (tmp_path / "book" / "a.html").read_text() == once
    meta = BeautifulSoup(once, "html.parser").find("meta", attrs={"name": "description"})
    assert meta["content"].startswith('Somebody shows you a thousand photographs of "A" & B,')
    places = [e.text for e in ElementTree.parse(tmp_path / "sitemap.xml").iter() if e.tag.endswith("loc")]
    assert places == [f"{address()}book/a.html", f"{address()}book/b.html"]
    assert address() in (tmp_path / "404.html").read_text()
    assert lint(tmp_path) == []
    (tmp_path / "book" / "c.html").write_text(page("<p>x</p>"))
    assert main(tmp_path) == 1
    assert "book/c.html has no paragraph" in capsys.readouterr().out
