"""Open every built page in headless Chromium: light on a desktop, dark on a phone, and on paper.

A page passes when its console stays without errors, it asks for nothing outside the build folder,
its formulas and pictures come out, it is no wider than the screen, and axe finds nothing that keeps readers
with a keyboard or a screen reader out. On a phone a long formula scrolls and shows that it does; on paper all
is black on white, from the dark theme too, and nothing is cut. Pages are opened as files, the way a reader
opens them after `make book`. The browser is driven through its DevTools protocol.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import axe
from lint_pages import PAGES, SOURCE, find_pages
from tornado.websocket import WebSocketClientConnection, websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0",
)  # fmt: skip
# What a reader meets: a desktop in light, a phone in dark, a sheet of paper. Width, height, theme, medium.
VIEWS = {
    "desktop-light": (1280, 900, "light", "screen"),
    "phone-dark": (390, 844, "dark", "screen"),
    "paper-dark": (680, 960, "dark", "print"),
}
REPORT = """
(async () => {
  if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
  await document.fonts.ready;
  await new Promise((done) => setTimeout(done, 150));
  const images = [...document.images];
  const all = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.checkVisibility());
  const print = matchMedia("print").matches;
  const name = (e) => `${e.localName} ${e.textContent.trim().slice(0, 40)}`;
  const style = (e) => getComputedStyle(e);
  const shaded = (e) => style(e).backgroundImage.includes("gradient");
  const formula = "mjx-container[display=true]";
  const words = ".bd-article :is(p, li, td, th, h1, h2, h3, pre, pre span)";
  const wide = (e) => e.scrollWidth > e.clientWidth + 1;
  const scrolled = all(`.bd-article :is(pre, table, .wb-wide, ${formula})`).filter(wide);
  return {
    theme: document.documentElement.dataset.theme ?? null,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    broken: images.filter((i) => i.complete && !i.naturalWidth).map((i) => i.src.slice(0, 80)),
    filtered: images.filter((i) => i.closest(".cell_output") && getComputedStyle(i).filter !== "none").length,
    formulas: document.querySelectorAll("span.math, div.math").length,
    set: document.querySelectorAll("mjx-container").length,
    cut: scrolled.filter((e) => print || style(e).overflowX === "visible").map(name),
    silent: scrolled.filter((e) => !print && e.matches(formula) && !shaded(e)).map(name),
    pale: print ? all(words).filter((e) => style(e).color !== "rgb(0, 0, 0)").map(name).slice(0, 5) : [],
    wrong: [...document.querySelectorAll("[data-mjx-error]")].map((e) => e.dataset.mjxError.slice(0, 80)),
  };
})()"""


@dataclass
class Browser:
    """A connection to a running Chromium."""

    socket: WebSocketClientConnection
    session: str = ""
    patience: float = (
        300  # seconds for an answer: axe reads every element of a page, on machines that may be busy
    )
    events: list[dict] = field(default_factory=list)
    numbers: itertools.count = field(default_factory=itertools.count)

    async def call(self, method: str, **params: object) -> dict:
        """Send a command, keep the events that arrive meanwhile, return the answer."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        await self.socket.write_message(
            json.dumps(message | ({"sessionId": self.session} if self.session else {}))
        )
        while (answer := await self.receive()).get("id") != number:
            pass
        if "error" in answer:
            raise OSError(f"Chromium refused {method}: {answer['error']['message']}")
        return answer["result"]

    async def receive(self) -> dict:
        """Return the next message; events are kept as well."""
        text = await asyncio.wait_for(self.socket.read_message(), self.patience)
        if text is None:
            raise OSError("Chromium closed the connection")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    async def wait_for(self, method: str) -> None:
        """Wait until an event of this name has arrived."""
        while not any(e["method"] == method for e in self.events):
            await self.receive()


def to_open(folder: Path) -> list[Path]:
    """Return the pages to look at: all but the package's files, which are alike; of these the longest."""
    pages, sources = [], []
    for page in find_pages(folder):
        (sources if SOURCE in page.relative_to(folder).parts else pages).append(page)
    return pages + sorted(sources, key=lambda page: page.stat().st_size)[-1:]


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome, if this machine has one; `CHROMIUM` overrides the search."""
    chosen = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return chosen or (MAC if Path(MAC).exists() else None)


@asynccontextmanager
async def launch(program: str) -> AsyncIterator[Browser]:
    """Start Chromium with a fresh profile, attach to an empty tab, and stop it at the end."""
    profile = tempfile.mkdtemp(prefix="browser-check-")
    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port_file = Path(profile, "DevToolsActivePort")
        for _ in range(300):
            if port_file.exists() and port_file.read_text().count("\n"):
                break
            if process.poll() is not None:
                raise OSError(f"{program} stopped at once with code {process.returncode}")
            await asyncio.sleep(0.1)
        port, path = port_file.read_text().split("\n")[:2]
        socket = await websocket_connect(f"ws://127.0.0.1:{port}{path}", max_message_size=2**28)
        browser = Browser(socket)
        target = await browser.call("Target.createTarget", url="about:blank")
        attached = await browser.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        browser.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await browser.call(f"{domain}.enable")
        yield browser
        socket.close()
        while await socket.read_message() is not None:  # until Chromium has closed it as well
            pass
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(profile, ignore_errors=True)


async def visit(browser: Browser, page: Path, folder: Path, view: str) -> list[str]:
    """Open one page in one view and return what is wrong with it."""
    browser.events.clear()
    await browser.call("Page.navigate", url=page.as_uri())
    await browser.wait_for("Page.loadEventFired")
    answer = await browser.call("Runtime.evaluate", expression=REPORT, awaitPromise=True, returnByValue=True)
    if "exceptionDetails" in answer:
        return [f"cannot be examined: {answer['exceptionDetails']['text']}"]
    report = answer["result"]["value"]
    return [*event_problems(browser.events, folder), *report_problems(report, VIEWS[view][2])]


async def barriers(browser: Browser, rules: str) -> list[str]:
    """Return what axe finds on the open page; `rules` is its script."""
    await browser.call("Runtime.evaluate", expression=rules)
    answer = await browser.call("Runtime.evaluate", expression=axe.RUN, awaitPromise=True, returnByValue=True)
    if "exceptionDetails" in answer:
        return [f"cannot be examined by axe: {answer['exceptionDetails']['text']}"]
    return answer["result"]["value"]


def event_problems(events: list[dict], folder: Path) -> list[str]:
    """Return console errors, uncaught exceptions, and requests that leave the build folder or fail."""
    problems, urls = [], {}
    for event in events:
        params = event["params"]
        match event["method"]:
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                problems.append(
                    f"exception: {details.get('exception', {}).get('description', details['text'])}"
                )
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                problems.append(f"console: {' '.join(str(a.get('value', '')) for a in params['args'])}")
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                problems.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                url = urls[params["requestId"]] = params["request"]["url"]
                if not url.startswith((folder.as_uri() + "/", "data:", "blob:")):
                    problems.append(f"asks for {url}")
            case "Network.loadingFailed" if not params.get("canceled"):
                problems.append(f"cannot load {urls.get(params['requestId'], '?')}: {params['errorText']}")
    return problems


def report_problems(report: dict, theme: str) -> list[str]:
    """Return what the page itself reports as wrong."""
    problems = [f"broken picture {source}" for source in report["broken"]]
    problems += [f"formula with an error: {text}" for text in report["wrong"]]
    if report["theme"] not in (theme, None):
        problems.append(f"shows theme {report['theme']}, expected {theme}")
    if report["overflow"] > 0:
        problems.append(f"is {report['overflow']} px wider than the screen")
    problems += [f"cuts {name}" for name in report["cut"]]
    problems += [f"does not show that {name} goes on" for name in report["silent"]]
    problems += [f"does not print in black {name}" for name in report["pale"]]
    if report["filtered"]:
        problems.append(f"filters the colors of {report['filtered']} figures")
    if report["formulas"] > report["set"]:
        problems.append(f"sets {report['set']} of {report['formulas']} formulas")
    return problems


async def take_shot(browser: Browser, target: Path) -> None:
    """Store the whole page as a picture."""
    size = (await browser.call("Page.getLayoutMetrics"))["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 9000), "scale": 1}
    shot = await browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(base64.b64decode(shot["data"]))


async def check(
    program: str, folder: Path, shots: Path | None = None, names: str = "", rules: str = ""
) -> list[str]:
    """Visit the pages of `folder` whose path holds `names`, and return one sentence for each problem.

    `rules` is the script of axe, which looks at what is on a screen; without it nobody does.
    """
    problems = []
    async with launch(program) as browser:
        for view, (width, height, theme, medium) in VIEWS.items():
            phone = width < 600
            await browser.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=phone,
            )
            media = [{"name": "prefers-color-scheme", "value": theme}]
            await browser.call("Emulation.setEmulatedMedia", media=medium, features=media)
            choose = f'localStorage.setItem("mode", "{theme}"); localStorage.setItem("theme", "{theme}")'
            script = await browser.call("Page.addScriptToEvaluateOnNewDocument", source=choose)
            for page in to_open(folder):
                name = page.relative_to(folder)
                if names not in str(name):
                    continue
                found = await visit(browser, page, folder, view)
                if rules and medium == "screen":
                    found += await barriers(browser, rules)
                problems += [f"{name} ({view}): {p}" for p in found]
                if shots:
                    await take_shot(browser, shots / f"{name.with_suffix('')}-{view}.png")
            await browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
    return problems


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=PAGES, help="the built book")
    parser.add_argument("--shots", type=Path, help="store pictures of the pages in this folder")
    parser.add_argument("--pages", default="", help="only pages whose path holds this")
    options = parser.parse_args()
    program = find_chromium()
    if program is None:
        print("SKIPPED: no Chromium on this machine, so no page was opened in a browser")
        return 0
    folder = options.folder.resolve()
    rules = axe.source()
    if not rules:
        print("SKIPPED: npm cannot fetch axe-core here, so no page was held against its rules")
    problems = asyncio.run(check(program, folder, options.shots, options.pages, rules))
    print(
        "\n".join(problems)
        or f"{len(to_open(folder))} pages in {len(VIEWS)} views: no error, no outside request"
    )
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
