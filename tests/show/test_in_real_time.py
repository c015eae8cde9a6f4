"""What virtual time cannot show: a network that is loaded, and fingers on a phone."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from browser_check import find_chromium, launch

from wsolbook.data import critters
from wsolbook.show.laboratory import laboratory, script

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
ROOT = 'document.querySelector(".wsol-explorer").lastElementChild.shadowRoot'
STATE = """
  const root = ROOT;
  const stage = root.querySelector(".stage"), { left, top, width } = stage.getBoundingClientRect();
  const pixels = (canvas) => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.width).data];
  const [scene, , gray] = stage.querySelectorAll("canvas");
  ({
    left, top, width, scrolled: scrollY, beyond: document.documentElement.scrollWidth - innerWidth,
    scene: pixels(scene).reduce((sum, v, k) => (31 * sum + v) % 1e9, 0),
    gray: pixels(gray).filter((v, k) => k % 4 === 3 && v).length,
  })"""
BRUSH = "[...ROOT.querySelectorAll('[name=tool]')].find((one) => one.value === 'gray brush').click()"


@asynccontextmanager
async def opened(html, tmp_path, **screen):
    """Open a page and yield the browser and a function that evaluates expressions of its figure, `ROOT`."""
    page = tmp_path / "page.html"
    page.write_text(
        f'<!doctype html><meta charset=utf-8><meta name="viewport" content="width=device-width">{html}'
    )
    async with launch(find_chromium()) as browser:

        async def ask(expression):
            code = "{" + expression.replace("ROOT", ROOT) + "}"
            answer = await browser.call("Runtime.evaluate", expression=code, returnByValue=True)
            return answer["result"].get("value")

        size = {"width": 1000, "height": 844, "deviceScaleFactor": 1, "mobile": False} | screen
        await browser.call("Emulation.setDeviceMetricsOverride", **size)
        await browser.call("Emulation.setTouchEmulationEnabled", enabled=size["mobile"])
        await browser.call("Page.navigate", url=page.as_uri())
        await browser.wait_for("Page.loadEventFired")
        yield browser, ask


async def settled(ask, state):
    """Return what no longer changes."""
    last = None
    while (now := await ask(state)) != last:
        last = now
        await asyncio.sleep(0.7)
    return now


def test_a_network_is_loaded_from_a_folder_when_it_is_asked(tmp_path):
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "gain.js").write_text(script("gain"))
    networks = {"CAM": "cam", "GAIN": "gain", "lost": "biased", "idle": "biased"}
    html = laboratory(networks=networks, shared="networks").html()
    assert len(html) < 600_000  # has one network
    said = "[...ROOT.querySelectorAll('figcaption span')].map((one) => one.textContent)"

    async def drive():
        async with opened(html, tmp_path) as (_, ask):
            await ask("ROOT.querySelectorAll('[name=network]')[2].click()")
            while "is on its way" in (found := await ask(said)) or "" in found[:3]:
                await asyncio.sleep(0.2)
            return found

    cam, gain, *others = asyncio.run(asyncio.wait_for(drive(), 60))
    assert cam.startswith("says fox")
    assert gain.startswith("says fox")
    assert others == ["could not be loaded", ""]


def test_dragging_and_the_brush_do_not_scroll_the_page(tmp_path):
    html = laboratory(critters.scenes(1, seed=3)[0]).html() + "<p style='height: 2000px'>"

    async def drive():
        async with opened(html, tmp_path, width=390, mobile=True) as (browser, ask):

            async def swipe(x, y, dx, dy):
                for kind, share in [("touchStart", 0), *(("touchMove", k / 8) for k in range(1, 9))]:
                    finger = {"x": x + share * dx, "y": y + share * dy}
                    await browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=[finger])
                await browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
                return await settled(ask, STATE)

            before = await settled(ask, STATE)
            x, y = (before[side] + before["width"] / 2 for side in ("left", "top"))
            dragged = await swipe(x, y, 20, -80)
            await ask(BRUSH)
            return before, dragged, await swipe(x, y, 20, -80), await swipe(x, 800, 0, -300)

    before, dragged, painted, beside = asyncio.run(drive())
    assert before["beyond"] <= 0
    assert dragged["scene"] != before["scene"]
    assert dragged["gray"] == 0
    assert painted["scene"] == dragged["scene"]
    assert painted["gray"] > 64  # a stroke, of width 8 of 64 pixels
    assert painted["scrolled"] == before["scrolled"] == 0
    assert beside["scrolled"] > 100
