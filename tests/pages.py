"""Figures that answer the reader, run as readers do: arithmetic in Node, the whole in Chromium."""

import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def in_node(names, module, expression, given, tmp_path):
    """Evaluate an expression of `given` in Node with what a module exports in scope."""
    script = tmp_path / "script.mjs"
    script.write_text(
        f"""import {{ {names} }} from {json.dumps(module.as_uri())};
        import fs from "node:fs";
        const given = JSON.parse(fs.readFileSync(0));
        console.log(JSON.stringify({expression}));"""
    )
    done = subprocess.run(
        ["node", str(script)], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_a_browser(html, steps, tmp_path):
    """Run `steps` on the first explorer of a page, with its shadow as `root`, and return what they return."""
    drive = f"""<script type="module">
      addEventListener("error", (e) => {{ document.title = "error " + e.message; }});
      setTimeout(() => {{
        const root = document.querySelector(".wsol-explorer").lastElementChild.shadowRoot;
        const $ = (selector) => root.querySelector(selector);
        const point = (kind, at, x, y) => {{
          const frame = at.getBoundingClientRect();
          const place = {{ clientX: frame.left + x * frame.width, clientY: frame.top + y * frame.height }};
          at.dispatchEvent(new PointerEvent(kind, {{ pointerId: 1, bubbles: true, buttons: 1, ...place }}));
        }};
        document.title = JSON.stringify((() => {{ {steps} }})());
      }}, 300);</script>"""
    page = tmp_path / "page.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title>-</title><link rel=icon href=data:,>{html}{drive}"
    )
    return told_by(page, tmp_path, milliseconds=2000)


def told_by(page, tmp_path, milliseconds, seconds=120):
    """Return what a page writes as JSON into its title, after some time of its own; it may log nothing."""
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr", f"--virtual-time-budget={milliseconds}", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=seconds, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr, done.stderr
    return json.loads(re.search(r"<title>(.*?)</title>", done.stdout)[1].replace("&amp;", "&"))
