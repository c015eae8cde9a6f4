"""File formats that data sets come in: plain lists, the XML of PASCAL VOC, COCO's JSON, MATLAB files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor

Region = list[list[int | float]] | dict[str, Any]  # polygons, or run lengths


class Annotated(NamedTuple):
    """One annotated object.

    Attributes:
        name: class name or WordNet id, as written.
        box: inclusive corners, counted as the file counts.
        uncounted: marked as not to be counted: `difficult` in VOC, a crowd in COCO.
        region: where it is, polygons or run lengths (COCO).
    """

    name: str
    box: tuple[int, int, int, int]
    uncounted: bool
    region: Region | None = None


class Annotation(NamedTuple):
    """One picture: width and height as written (0 where absent), its objects, its file name (COCO)."""

    size: tuple[int, int]
    objects: list[Annotated]
    file: str = ""


def read_lines(path: Path) -> list[str]:
    """Return the non-empty lines of a list, without blanks around them; the last may lack its newline."""
    return [line for line in map(str.strip, path.read_text(encoding="utf-8").splitlines()) if line]


def read_table(path: Path, *widths: int, separator: str | None = None) -> list[list[str]]:
    """Return the fields of each line; between blanks, the last field may hold blanks itself.

    Raises:
        OSError: when the file is missing.
        ValueError: naming file and line, when a line has none of the `widths`.
    """
    most = max(widths) - 1 if separator is None else -1
    rows = [line.split(separator, most) for line in read_lines(path)]
    for number, row in enumerate(rows, 1):
        if len(row) not in widths:
            expected = " or ".join(map(str, sorted(widths)))
            raise ValueError(f"{path}, line {number}: {len(row)} fields, expected {expected}")
    return rows


def read_voc(path: Path) -> Annotation:
    """Read the annotation file of VOC or ILSVRC; nested `part` elements are not objects.

    Raises:
        OSError: when the file is missing or is not XML of this kind; naming it.
    """
    try:
        tree = ElementTree.parse(path).getroot()
        width, height = (int(tree.findtext(f"size/{side}", "0")) for side in ("width", "height"))
        return Annotation((width, height), [_voc_object(entry) for entry in tree.findall("object")])
    except (ElementTree.ParseError, ValueError) as error:
        raise OSError(f"{path}: damaged annotation ({error})") from error


def _voc_object(entry: ElementTree.Element) -> Annotated:
    name, box = entry.findtext("name"), entry.find("bndbox")
    if name is None or box is None:
        raise ValueError("an object lacks name or bndbox")
    # A few files carry fractions.
    x0, y0, x1, y1 = (round(float(box.findtext(side, "nan"))) for side in ("xmin", "ymin", "xmax", "ymax"))
    return Annotated(name.strip(), (x0, y0, x1, y1), entry.findtext("difficult", "0").strip() == "1")


def read_coco(path: Path) -> tuple[tuple[str, ...], list[Annotation]]:
    """Return class names in the order of their ids (the ids have gaps, columns have none), and the pictures.

    Raises:
        OSError: when the file is missing.
        ValueError: naming the file, when it is not of the format or gives two classes the same name.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {entry["id"]: entry["name"] for entry in sorted(content["categories"], key=lambda c: c["id"])}
        pictures = {
            entry["id"]: Annotation((entry["width"], entry["height"]), [], entry["file_name"])
            for entry in content["images"]
        }
        for entry in content["annotations"]:
            pictures[entry["image_id"]].objects.append(
                Annotated(
                    names[entry["category_id"]],
                    _corners(entry["bbox"]),
                    bool(entry.get("iscrowd", 0)),
                    entry.get("segmentation") or None,
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a COCO annotation file ({type(error).__name__}: {error})") from error
    if len(set(names.values())) < len(names):
        raise ValueError(f"{path}: two classes have the same name")
    return tuple(names.values()), list(pictures.values())


def _corners(box: list[int | float]) -> tuple[int, int, int, int]:
    """Turn x, y, width, height into the pixels that the box touches."""
    x, y, width, height = box
    if width < 0 or height < 0:
        raise ValueError(f"impossible box {box}")
    x0, y0 = math.floor(x), math.floor(y)
    return x0, y0, max(x0, math.ceil(x + width) - 1), max(y0, math.ceil(y + height) - 1)


def paint(picture: Annotation, classes: Sequence[str]) -> UInt8[Tensor, "h w"]:
    """Draw the objects of a picture as a mask: 0, class + 1, 255 on crowds; large objects first."""
    width, height = picture.size
    mask = torch.zeros(height, width, dtype=torch.uint8)
    drawn = [(region_mask(each.region, picture.size), each) for each in picture.objects if each.region]
    for covered, each in sorted(drawn, key=lambda pair: (not pair[1].uncounted, -int(pair[0].sum()))):
        mask[covered.bool()] = 255 if each.uncounted else classes.index(each.name) + 1
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


def read_mat(path: Path) -> dict[str, Any]:
    """Read the variables of a MATLAB file, with single-element arrays unwrapped.

    Raises:
        OSError: when the file is missing or damaged, naming it; or when scipy, which reads the format, is not
            installed.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise OSError(f"{path}: reading .mat files needs scipy: pip install 'wsolbook[data]'") from error
    try:
        return loadmat(str(path), squeeze_me=True)
    except FileNotFoundError:
        raise
    except (MatReadError, ValueError, TypeError, OSError, KeyError, IndexError, EOFError) as error:
        raise OSError(f"{path}: damaged MATLAB file ({error})") from error
