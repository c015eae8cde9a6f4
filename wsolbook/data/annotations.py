"""The XML of PASCAL VOC, which ILSVRC uses too."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree


class Thing(NamedTuple):
    """One annotated object.

    Attributes:
        name: class name or WordNet id, as written.
        box: corners as written in the file.
        difficult: marked as not to be counted.
    """

    name: str
    box: tuple[int, int, int, int]
    difficult: bool


class Annotation(NamedTuple):
    """One annotation file: picture size (width, height) as written, 0 where absent, and its objects."""

    size: tuple[int, int]
    things: list[Thing]


def read_annotation(path: Path) -> Annotation:
    """Read the objects of an annotation file; nested `part` elements are not objects.

    Raises:
        OSError: when the file is missing or is not XML of this kind; naming it.
    """
    try:
        tree = ElementTree.parse(path).getroot()
        size = tree.find("size")
        width, height = (
            int(size.findtext(side, "0")) if size is not None else 0 for side in ("width", "height")
        )
        return Annotation((width, height), [_thing(entry) for entry in tree.findall("object")])
    except (ElementTree.ParseError, _Incomplete, ValueError) as error:
        raise OSError(f"{path}: damaged annotation ({error})") from error


class _Incomplete(Exception):
    """An object without name or box."""


def _thing(entry: ElementTree.Element) -> Thing:
    name, box = entry.findtext("name"), entry.find("bndbox")
    if name is None or box is None:
        raise _Incomplete("an object lacks name or bndbox")
    # A few files carry fractions.
    x0, y0, x1, y1 = (round(float(box.findtext(side, "nan"))) for side in ("xmin", "ymin", "xmax", "ymax"))
    return Thing(name.strip(), (x0, y0, x1, y1), entry.findtext("difficult", "0").strip() == "1")
