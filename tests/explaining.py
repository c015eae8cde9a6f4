"""How the tests of `wsolbook explain` call it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from wsolbook.cli import main

NAMES = ("Ant", "bee", "cat", "bee eater", "cat")


def picture(width=96, height=64) -> Image.Image:
    """A smooth picture in which every place has its own color."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x / width, y / height, (x + y) / (width + height)], -1)
    return Image.fromarray((rgb * 255).astype(np.uint8))


def run(*arguments, weights=None) -> int:
    extra = ["--weights", str(weights)] if weights else []
    return main(["explain", *map(str, arguments), *extra])


def refused(capsys, *arguments, weights=None, code=1) -> str:
    """Run, expect a refusal, and return its one sentence."""
    assert run(*arguments, weights=weights) == code
    message = capsys.readouterr().err.strip()
    assert message.startswith("wsolbook: ")
    assert "\n" not in message
    assert "Traceback" not in message
    return message
