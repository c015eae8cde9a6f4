"""The first page follows the table of contents: chapters, ways through them, the map of papers, the state."""

import io
import re
from xml.etree import ElementTree

import contents_page
import papers_map
import pytest
from bs4 import BeautifulSoup
from chapters import ROOT, find_notebooks
from PIL import Image
from results_page import read


def test_every_chapter_has_a_card_with_a_small_picture_that_says_what_it_shows():
    names = [path.stem for path in find_notebooks()]
    cards = BeautifulSoup(contents_page.cards(), "html.parser").find_all("li")
    assert [card.a["href"] for card in cards] == [f"../notebooks/{name}.html" for name in names]
    assert all(len(card.img["alt"]) > 20 for card in cards)
    pictures = contents_page.pictures()
    assert list(pictures) == [f"{name}.webp" for name in names]
    for picture in pictures.values():
        width, height = Image.open(io.BytesIO(picture)).size
        assert width <= contents_page.WIDTH
        assert width / height >= 16 / 9 - 0.01
    assert sum(map(len, pictures.values())) < 400_000


def test_a_chapter_without_a_figure_is_named(tmp_path, monkeypatch):
    (tmp_path / "99_bare.ipynb").write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    monkeypatch.setattr(contents_page, "CHAPTERS", tmp_path)
    with pytest.raises(ValueError, match="99_bare draws no figure"):
        contents_page.figure("99_bare")


def test_what_is_planned_is_no_link_and_what_is_written_is(monkeypatch):
    monkeypatch.setattr(contents_page, "written", lambda: {"02": "02_cam"})
    assert contents_page.link("02") == "{doc}`../notebooks/02_cam`"
    assert contents_page.link("10") == "The arena (planned)"
    lines = contents_page.state({"a": {"provenance": {"date": "2026-01-02"}}}).splitlines()
    assert lines[0].startswith(
        "- 1 of 13 chapters are written. Planned are chapters 0, Where is it?; 1, Measuring"
    )
    assert "shows 1 files, the newest of 2026-01-02; 0 of them" in lines[1]


def test_the_plan_knows_every_chapter_and_the_state_every_result():
    assert {path.stem[:2] for path in find_notebooks()} <= set(contents_page.PLAN)
    assert {number for path in contents_page.PATHS.values() for number in path} <= set(contents_page.PLAN)
    assert f"shows {len(list((ROOT / 'results').glob('*.json')))} files" in contents_page.state(read())


def test_citation_is_that_of_the_citation_file():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    bib = contents_page.citation()
    for key in ("version", "repository-code"):
        assert re.search(rf"^{key}: (\S+)$", text, re.MULTILINE)[1] in bib
    assert bib.count("{") == bib.count("}")


def test_the_map_goes_down_the_years_and_says_the_same_in_words(monkeypatch):
    monkeypatch.setattr(papers_map, "written", lambda: {"02": "02_cam"})
    rows, years = papers_map.rows(), {key: papers_map.year(key) for key in papers_map.PAPERS}
    assert years["zhou2016cam"] == 2016
    places = {(papers_map.PAPERS[key].lane, row) for key, row in rows.items()}
    assert len(places) == len(rows), "two papers share a place"
    for key, paper in papers_map.PAPERS.items():
        for old in paper.answers:
            assert years[old] <= years[key]
            assert rows[old] < rows[key]
            assert paper.lane - papers_map.PAPERS[old].lane in (0, 1)
    drawing = ElementTree.fromstring(papers_map.svg())
    kinds = [r.get("class") for r in drawing.iter() if r.tag == "rect"]
    assert kinds.count("written") == 1
    assert kinds.count("planned") == len(kinds) - 1
    (link,) = drawing.findall("a")
    assert link.get("href") == "../notebooks/02_cam.html"
    words = papers_map.words()
    edges = sum(len(paper.answers) for paper in papers_map.PAPERS.values())
    assert words.count(" Answers ") == edges == len(drawing.findall("path"))
    assert words.index("**CAM**") < words.index("**Grad-CAM**") < words.index("**GAIN**")
    assert words.count(", planned:") == len(kinds) - 1


def test_lines_stay_inside_their_boxes():
    drawing = ElementTree.fromstring(papers_map.svg())
    longest = max(len(text.text) for text in drawing.iter("text") if text.get("class") is None)
    assert longest * 7.1 <= papers_map.WIDE - 24, "at 14 px a letter takes about 7"
