"""Helpers that write miniature data sets."""

import os
from pathlib import Path

from PIL import Image


def picture(path: Path, width: int, height: int, color=(200, 30, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def real_root(name: str) -> Path:
    """Return the folder `data/NAME` of real pictures."""
    return Path(os.environ["WSOLBOOK_REAL"]) / "data" / name


def xml(size, things) -> str:
    """Things are (name, box, extra xml)."""
    objects = "".join(
        f"<object><name>{name}</name>{extra}<bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin>"
        f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
        for name, b, extra in things
    )
    width, height = size
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"


CORNERS = "<xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
PART = f"<part><name>head</name><bndbox>{CORNERS}</bndbox></part>"
