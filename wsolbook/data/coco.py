"""COCO annotation files: boxes, polygons and run lengths."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor

Region = list[list[int | float]] | dict[str, Any]


@dataclass(frozen=True)
class Thing:
    """One object: class column, inclusive corners, region (polygons or run lengths), crowd or not."""

    label: int
    box: tuple[int, int, int, int]
    region: Region | None
    crowd: bool


@dataclass(frozen=True)
class Row:
    """One picture: file name, width and height, objects."""

    file: str
    size: tuple[int, int]
    things: list[Thing]


def read(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """Return class names in the order of their ids (the ids have gaps, columns have none), and the pictures.

    Raises:
        OSError: when the file is missing.
        ValueError: naming the file, when it is not of the format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        categories = sorted(content["categories"], key=lambda category: category["id"])
        columns = {category["id"]: column for column, category in enumerate(categories)}
        rows = {
            image["id"]: Row(image["file_name"], (image["width"], image["height"]), [])
            for image in content["images"]
        }
        for entry in content["annotations"]:
            rows[entry["image_id"]].things.append(
                Thing(
                    columns[entry["category_id"]],
                    _corners(entry["bbox"]),
                    entry.get("segmentation") or None,
                    bool(entry.get("iscrowd", 0)),
                )
            )
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a COCO annotation file ({type(error).__name__}: {error})") from error
    return tuple(category["name"] for category in categories), list(rows.values())


def paint(row: Row) -> UInt8[Tensor, "h w"]:
    """Draw the objects of a picture as a mask: 0, class + 1, 255 on crowds; large objects first."""
    width, height = row.size
    mask = torch.zeros(height, width, dtype=torch.uint8)
    drawn = [(region_mask(thing.region, row.size), thing) for thing in row.things if thing.region]
    for covered, thing in sorted(drawn, key=lambda pair: (not pair[1].crowd, -int(pair[0].sum()))):
        mask[covered.bool()] = 255 if thing.crowd else thing.label + 1
    return mask


def region_mask(region: Region, size: tuple[int, int]) -> UInt8[Tensor, "h w"]:
    """Return 1 inside a region of a picture of `size` (width, height).

    Raises:
        ValueError: when run lengths do not fill the picture.
    """
    if isinstance(region, dict):
        return _run_lengths(region)
    canvas = Image.new("1", size)
    for polygon in region:
        ImageDraw.Draw(canvas).polygon(polygon, fill=1)
    return torch.from_numpy(np.array(canvas, dtype=np.uint8))


def _run_lengths(region: dict[str, Any]) -> UInt8[Tensor, "h w"]:
    """Expand alternating counts of 0 and 1, column by column."""
    height, width = region["size"]
    counts = region["counts"]
    runs = counts if isinstance(counts, list) else _uncompress(counts)
    if sum(runs) != height * width:
        raise ValueError(f"run lengths add up to {sum(runs)}, not {height} x {width}")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return torch.from_numpy(np.repeat(values, runs).reshape(width, height).T.copy())


def _uncompress(text: str) -> list[int]:
    """Decode the text form: 5 bits a character, low first; from the fourth run on, changes since two ago."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    return runs


def _corners(box: list[int | float]) -> tuple[int, int, int, int]:
    """Turn x, y, width, height into the pixels that the box touches."""
    x, y, width, height = box
    if width < 0 or height < 0:
        raise ValueError(f"impossible box {box}")
    x0, y0 = math.floor(x), math.floor(y)
    return x0, y0, max(x0, math.ceil(x + width) - 1), max(y0, math.ceil(y + height) - 1)
