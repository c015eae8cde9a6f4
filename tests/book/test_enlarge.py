"""On a phone a wide figure opens as large as it was drawn, by touch and by keyboard, and closes again."""

import asyncio
import base64
import io

import pytest
from browser_check import find_chromium, launch
from chapters import ROOT
from PIL import Image

PAGE = """<!doctype html><html data-theme=light><head><meta charset=utf-8>
<meta name=viewport content="width=device-width"><style>{style} img {{ max-width: 100% }}</style></head><body>
<article class="bd-article"><figure><img alt="Four panels." src="{wide}"><figcaption>
<span class="caption-number">Fig. 2 </span>Words.</figcaption></figure>
<figure><img alt="A fox." src="{small}"></figure><script>{script}</script></article></body></html>"""
STATE = """(() => {
  const dialog = document.querySelector("dialog"), large = dialog.querySelector("img");
  const shown = [...document.querySelectorAll(".wb-enlarge")].filter((button) => button.checkVisibility());
  return {
    offers: shown.map((button) => button.ariaLabel),
    open: dialog.open,
    named: dialog.ariaLabel,
    alt: dialog.open ? large.alt : null,
    width: dialog.open ? large.clientWidth : null,
    moved: dialog.querySelector("div").scrollLeft > 0,
    focus: document.activeElement.className,
  };
})()"""
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
TAP = "document.querySelector('figure img').click()"
CLOSED = {"offers": ["Enlarge Fig. 2"], "open": False, "alt": None, "width": None, "moved": False}
OPEN = CLOSED | {"open": True, "named": "Fig. 2", "alt": "Four panels.", "focus": "wb-room"}


def picture(width):
    """Return the address of a white picture."""
    data = io.BytesIO()
    Image.new("RGB", (width, 120), "white").save(data, "PNG")
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


async def press(browser, key, code):
    """Press a key and let it go."""
    text = {"text": "\r"} if key == "Enter" else {}
    for kind in ("keyDown", "keyUp"):
        await browser.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text
        )


async def look(browser, until="true"):
    """Return what is seen as soon as a condition holds, or after ten seconds."""
    tries = f"for (let i = 0; i < 100 && !({until}); i++) await new Promise((done) => setTimeout(done, 100))"
    answer = await browser.call(
        "Runtime.evaluate",
        expression=f"(async () => {{ {tries}; return {STATE}; }})()",
        awaitPromise=True,
        returnByValue=True,
    )
    assert "exceptionDetails" not in answer, answer
    return answer["result"]["value"]


async def play(page, width):
    """Return what is seen: at first, after Tab and Enter, the right arrow, Escape, a tap, and the button."""
    opened, closed = "document.querySelector('dialog').open", "document.activeElement.matches('.wb-enlarge')"
    async with launch(find_chromium()) as browser:
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        await browser.call("Emulation.setDeviceMetricsOverride", **size)
        await browser.call("Page.navigate", url=page.as_uri())
        await browser.wait_for("Page.loadEventFired")
        first = await look(browser, "document.querySelector('dialog')")
        if not first["offers"]:
            await browser.call("Runtime.evaluate", expression=TAP)
            return first, await look(browser)
        await press(browser, "Tab", 9)
        await press(browser, "Enter", 13)
        by_key = await look(browser, opened)
        # A key that comes before what opened is drawn moves nothing.
        await browser.call("Runtime.evaluate", expression=FRAMES, awaitPromise=True)
        await press(browser, "ArrowRight", 39)
        moved = await look(browser, "document.querySelector('dialog div').scrollLeft > 0")
        await press(browser, "Escape", 27)
        escaped = await look(browser, closed)
        await browser.call("Runtime.evaluate", expression=TAP)
        tapped = await look(browser, opened)
        await browser.call("Runtime.evaluate", expression="document.querySelector('dialog button').click()")
        return first, by_key, moved, escaped, tapped, await look(browser, closed)


@pytest.fixture
def page(tmp_path):
    static = ROOT / "book" / "_static"
    style, script = ((static / name).read_text(encoding="utf-8") for name in ("custom.css", "enlarge.js"))
    path = tmp_path / "page.html"
    path.write_text(PAGE.format(style=style, script=script, wide=picture(900), small=picture(256)), "utf-8")
    return path


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_a_wide_figure_opens_on_a_phone_and_gives_the_focus_back(page):
    first, by_key, moved, escaped, tapped, closed = asyncio.run(play(page, 390))
    back = CLOSED | {"named": "Fig. 2", "focus": "wb-button wb-enlarge"}
    assert first == CLOSED | {"named": None, "focus": ""}
    assert by_key == OPEN | {"width": by_key["width"]}
    assert by_key["width"] >= 900
    assert moved == by_key | {"moved": True}
    assert escaped == closed == back
    assert tapped == by_key


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_on_a_desktop_figures_are_large_enough(page):
    first, tapped = asyncio.run(play(page, 1280))
    assert first == tapped == CLOSED | {"offers": [], "named": None, "focus": ""}
