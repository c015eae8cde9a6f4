"""Pages are held against the rules of axe; what the theme and Sphinx write is mended until it passes."""

import asyncio

import axe
import pytest
from accessible import mend
from browser_check import check, find_chromium

HEAD = (
    "<!DOCTYPE html><html lang=en><head><title>t</title><meta name=viewport content='width=device-width'>"
    "</head><body>"
)
GOOD = f"{HEAD}<main><h1>A page</h1><p>Words.</p><button>Press</button></main></body></html>"
BAD = GOOD.replace(">Press<", "><").replace("<p>", "<p style='color: #ccc; background: #fff'>")


def test_without_npm_there_is_no_axe_and_the_check_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(axe.shutil, "which", lambda name: None)
    assert axe.source(tmp_path) == ""


def test_without_a_network_there_is_none_either(tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(axe.shutil, "which", lambda name: str(npm))
    assert axe.source(tmp_path) == ""


def test_another_file_is_not_taken_for_axe(tmp_path):
    (tmp_path / f"axe-{axe.VERSION}.min.js").write_text("axe = {}")
    with pytest.raises(ValueError, match=r"axe-.*min\.js is not axe-core"):
        axe.source(tmp_path)


def test_what_the_theme_writes_gets_names_and_landmarks():
    rest = "<dd><dl><dt>a</dt></dl></dd>"
    page = (
        '<div id="pst-primary-sidebar" class="bd-sidebar"><button class="btn search-button-field" '
        'title="Search" aria-label="Search" data-x="y">Search Ctrl+K</button><button aria-label="Color mode">'
        '<i class="theme-switch sun" data-mode="light" title="Light"></i></button></div>'
        f'<dt class="sig py" id="f">f(<dl>\n<dd><em>x</em>,</dd>\n</dl>\n)</dt>{rest}'
        '<div class="citation" role="doc-biblioentry">'
    )
    assert mend(page) == (
        '<div id="pst-primary-sidebar" role="navigation" aria-label="Book" class="bd-sidebar">'
        '<button class="btn search-button-field" title="Search" data-x="y">Search Ctrl+K</button>'
        '<button aria-label="Color mode"><i class="theme-switch sun" data-mode="light"></i></button></div>'
        '<dt class="sig py" id="f">f(<span class="sig-lines">\n<span><em>x</em>,</span>\n</span>\n)</dt>'
        f'{rest}<div class="citation" role="listitem">'
    )
    assert mend(mend(page)) == mend(page)


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_axe_finds_what_keeps_readers_out(tmp_path):
    rules = axe.source()
    if not rules:
        pytest.skip("npm cannot fetch axe-core here")
    (tmp_path / "good.html").write_text(GOOD)
    (tmp_path / "bad.html").write_text(BAD)
    problems = asyncio.run(check(find_chromium(), tmp_path, rules=rules))
    found = [problem.split(": ")[:2] for problem in problems]
    assert found == [
        [f"bad.html ({view})", rule]
        for view in ("desktop-light", "phone-dark")
        for rule in ("button-name", "color-contrast")
    ]
    assert asyncio.run(check(find_chromium(), tmp_path)) == []
