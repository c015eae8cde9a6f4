"""How long an update of the laboratory takes in Chromium: `python benchmarks/laboratory.py [NETWORK ...]`.

The page draws a scene, runs a network on it and shows what it says, again and again, while an animal moves as
if it were dragged. Counted is the time that the page's thread computes, as in the other benchmarks, and the
fastest of several rounds, so that a busy machine does not count.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from wsolbook.data import critters
from wsolbook.show.laboratory import MODULE, laboratory
from wsolbook.show.portable import SHIPPED

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))
from browser_check import Browser, find_chromium, launch

ROUNDS, UPDATES = 20, 5
SETUP = """
const state = JSON.parse(document.querySelector("#state").textContent);
const heard = {};
const model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; heard[`change:${name}`]?.(); },
  on: (event, f) => { heard[event] = f; },
  save_changes: () => {},
};
let update;
window.requestAnimationFrame = (f) => { update = f; return 1; };
const el = document.body.appendChild(document.createElement("div"));
render({ model, el });
const network = open(bytes(state.content.networks[0].file));
const { light } = draw(state.content.world, state.scene, SEEN);
window.work = {
  update: (k) => {
    const one = state.scene.critters[0];
    const x = one.x + (k % 2 ? 0.01 : -0.01);
    model.set("scene", { ...state.scene, critters: [movedTo(one, x, one.y)] });
    update();
    el.getBoundingClientRect(); // layout counts
  },
  network: () => { const found = run(network, light); found.map(0); },
};
"""


async def milliseconds(browser: Browser, name: str) -> float:
    """Return the time of one piece of work in the fastest round, after a warm-up."""

    async def clock() -> float:
        metrics = await browser.call("Performance.getMetrics")
        return next(m["value"] for m in metrics["metrics"] if m["name"] == "TaskDuration")

    async def round_of() -> float:
        start = await clock()
        for k in range(UPDATES):
            await browser.call("Runtime.evaluate", expression=f"void work.{name}({k})")
        return 1000 * (await clock() - start) / UPDATES

    return min([await round_of() for _ in range(ROUNDS)][1:])


async def measure(program: str, page: Path) -> dict[str, float]:
    """Open the page and time it."""
    async with launch(program) as browser:
        await browser.call("Performance.enable", timeDomain="threadTicks")
        await browser.call("Page.navigate", url=page.as_uri())
        await browser.wait_for("Page.loadEventFired")
        return {name: await milliseconds(browser, name) for name in ("update", "network")}


def main() -> None:
    """Print the times."""
    program = find_chromium()
    if program is None:
        raise SystemExit("this benchmark needs Chromium")
    print("            one update   network alone")
    for name in sys.argv[1:] or sorted(path.stem for path in SHIPPED.glob("*.safetensors")):
        figure = laboratory(critters.scenes(1, seed=3)[0], [name])
        state = {key: getattr(figure, key) for key in ("content", "scene", "gray", "label", "answers")}
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder, "page.html")
            page.write_text(
                "<!doctype html><meta charset=utf-8><title>-</title>"
                f'<script id=state type="application/json">{json.dumps(state)}</script>'
                f'<script type="module">{MODULE}{SETUP}</script>'
            )
            times = asyncio.run(measure(program, page))
        print(f"{name:9s}{times['update']:10.1f} ms{times['network']:13.1f} ms")


if __name__ == "__main__":
    main()
