"""The built book says what its pages are about, lists them, and helps who has a wrong address."""

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from bs4 import BeautifulSoup
from lint_pages import lint
from PIL import Image
from site_files import LENGTH, address, description, fewer_icons, main, slim
from social_cards import card, picture, title

from wsolbook.show.figures import use_style

OPENING = "Somebody shows you a thousand photographs of birds, and under each stands one word, its name."
GOALS = "<p>Afterwards you will be able to</p><ul><li>say why;</li>\n<li>build SeeNet.</li></ul>"


def page(body, head=""):
    return f"<html><head><title>t</title>{head}</head><body><article>{body}</article></body></html>"


def cards(path):
    """Return what a page tells other sites."""
    soup = BeautifulSoup(path.read_text(), "html.parser")
    return {tag["property"]: tag["content"] for tag in soup.find_all("meta", property=True)}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"<section><p>{'x ' * 60}</p><section><p>short</p><p>{OPENING}</p></section></section>", OPENING),
        (f"<p>{OPENING[:-1]}:</p>", ""),
        (f"<section>{GOALS}<section><p>{OPENING}</p></section></section>", "Say why; build SeeNet."),
        (f"<p>{OPENING}</p>", OPENING),
        (f"<p>{OPENING} <span class=math>x</span></p>", ""),
        (f"<dl><dd><p>{OPENING}</p></dd></dl>", ""),
        (f"<p>{'long, ' * 60}</p>", "long, " * 26 + "…"),
    ],
)  # fmt: skip
def test_description_is_what_a_reader_will_be_able_to_do_or_the_first_paragraph_of_prose(body, words):
    found = description(BeautifulSoup(page(body), "html.parser"))
    assert found == words.replace("long, …", "long …")
    assert len(found) <= LENGTH + 2


def test_whole_folder(tmp_path, capsys):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.html").write_text(page(f"<p>{OPENING.replace('birds', '&quot;A&quot; & B')}</p>"))
    (tmp_path / "book" / "b.html").write_text(page("<p>x</p>", '<meta content="own" name="description" />'))
    (tmp_path / "search.html").write_text(page("<p>no words of ours</p>"))
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "b.jpg").write_bytes(b"a picture")
    assert main(tmp_path) == 0
    once = (tmp_path / "book" / "a.html").read_text()
    assert main(tmp_path) == 0
    assert (tmp_path / "book" / "a.html").read_text() == once
    meta = BeautifulSoup(once, "html.parser").find("meta", attrs={"name": "description"})
    assert meta["content"].startswith('Somebody shows you a thousand photographs of "A" & B,')
    told = [cards(tmp_path / "book" / f"{name}.html") for name in "ab"]
    assert told[0]["og:description"] == meta["content"]
    assert told[0]["og:title"] == "t"
    assert told[0]["og:url"] == f"{address()}book/a.html"
    assert "og:image" not in told[0]
    assert told[1]["og:description"] == "own"
    assert told[1]["og:image"] == f"{address()}cards/b.jpg"
    places = [e.text for e in ElementTree.parse(tmp_path / "sitemap.xml").iter() if e.tag.endswith("loc")]
    assert places == [f"{address()}book/a.html", f"{address()}book/b.html"]
    assert address() in (tmp_path / "404.html").read_text()
    assert lint(tmp_path) == []
    (tmp_path / "book" / "c.html").write_text(page("<p>x</p>"))
    assert main(tmp_path) == 1
    assert "book/c.html has no paragraph" in capsys.readouterr().out


def test_a_card_has_the_size_that_networks_ask_for_and_shows_its_picture():
    use_style()  # as in a process that has run a chapter
    drawn = Image.open(
        io.BytesIO(card("Erasing: look again at what is left", "Maps", Image.new("RGB", (60, 34), "red")))
    )
    assert drawn.size == (1200, 630)
    assert drawn.getpixel((900, 315)) == pytest.approx((254, 0, 0), abs=3)
    ink = np.asarray(drawn.convert("L"))[150:480] < 128
    assert ink[:, 50:540].any()
    assert not ink[:, 545:555].any(), "the title stays out of the picture"


def test_every_page_of_the_contents_has_a_title_and_a_picture():
    assert title("book/preface") == "Finding objects with image labels only"
    assert title("notebooks/02_cam").startswith("CAM: ")
    assert picture("notebooks/02_cam").size == picture("book/notation").size == (600, 338)


def test_figures_become_smaller_and_stay_what_they_are(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "_images").mkdir()
    noise = np.random.default_rng(0).normal(0, 6, (120, 160, 3)) + np.linspace(40, 200, 160)[None, :, None]
    drawn = noise.clip(0, 255).astype(np.uint8)
    Image.fromarray(drawn).save(tmp_path / "_images" / "a.png")
    before = (tmp_path / "_images" / "a.png").stat().st_size
    (tmp_path / "book" / "a.html").write_text(
        '<img alt="x" src="../_images/a.png"><img src="../_static/b.png">'
    )
    for _ in range(2):
        slim(tmp_path)
    (file,) = (tmp_path / "_images").iterdir()
    assert file.stat().st_size < before / 3
    assert np.abs(np.asarray(Image.open(file)).astype(int) - drawn).mean() < 6
    text = (tmp_path / "book" / "a.html").read_text()
    assert text == '<img alt="x" src="../_images/a.webp"><img src="../_static/b.png">'


def test_of_the_icons_those_stay_that_something_names(tmp_path):
    (tmp_path / "_static" / "scripts").mkdir(parents=True)
    script, theme = (tmp_path / "_static" / "scripts" / f"{name}.js" for name in ("fontawesome", "theme"))
    icons = (
        'sun:[512,512,[9728],"f185","M1 2"]',
        '"circle-half-stroke":[512,512,[9680,"adjust"],"f042",["M3","M4"]]',
        'star:[576,512,[],"f005","M5z"]',
        'house:[576,512,[127968,"home"],"f015","M6"]',
    )
    script.write_text(f"x={{{','.join(icons)}}};y={{{icons[2]}}}")
    theme.write_text('i.className="fa-solid fa-sun"')
    (tmp_path / "a.html").write_text('<i class="fa-solid fa-adjust"></i><i class="fas fa-home"></i>')
    for _ in range(2):
        fewer_icons(tmp_path)
        assert script.read_text() == f"x={{{icons[0]},{icons[1]},{icons[3]}}};y={{}}"
