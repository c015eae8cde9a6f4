"""File formats that data sets come in: plain lists, the XML of PASCAL VOC, MATLAB files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from xml.etree import ElementTree

from wsolbook.files import read_text

T = TypeVar("T")


class Annotated(NamedTuple):
    """One annotated object.

    Attributes:
        name: class name or WordNet id, as written.
        box: inclusive corners, counted as the file counts.
        difficult: marked as not to be counted by the detection challenge of VOC.
    """

    name: str
    box: tuple[int, int, int, int]
    difficult: bool


class Annotation(NamedTuple):
    """One picture: width and height as written (0 where absent), and its objects."""

    size: tuple[int, int]
    objects: list[Annotated]


def read_lines(path: Path) -> list[str]:
    """Return the non-empty lines of a list, without blanks around them; the last may lack its newline.

    Raises:
        OSError: when the file is missing.
        ValueError: when it is not text; naming it.
    """
    if "\0" in (text := read_text(path)):
        raise ValueError(f"{path}: not text, or damaged: it holds zeros")
    return [line for line in map(str.strip, text.splitlines()) if line]


def require_distinct(ids: Sequence[str], path: Path) -> None:
    """Raise a ValueError that names the list when it is empty or names a picture twice."""
    if not ids:
        raise ValueError(f"{path}: the list is empty")
    if len(set(ids)) < len(ids):
        raise ValueError(f"{path}: names {len(ids) - len(set(ids))} pictures twice")


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


def read_keyed(
    path: Path, fields: int, kind: Callable[[str], T], separator: str | None = None
) -> dict[str, list[T]]:
    """Return the other `fields` of each line by its first one, each turned into `kind`.

    Raises:
        OSError: when the file is missing.
        ValueError: naming file and line, when a line has another number of fields, repeats a first one, or
            holds what `kind` refuses.
    """
    found: dict[str, list[T]] = {}
    for number, (key, *rest) in enumerate(read_table(path, fields + 1, separator=separator), 1):
        if key in found:
            raise ValueError(f"{path}, line {number}: {key} comes twice")
        try:
            found[key] = [kind(field) for field in rest]
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return found


def pixels(text: str) -> float:
    """Return a number that can be a place in a picture; raise a ValueError when it is NaN or beyond 1e9."""
    if not abs(value := float(text)) <= 1e9:
        raise ValueError(f"{text} is no place in a picture")
    return value


def read_voc(path: Path) -> Annotation:
    """Read the annotation file of VOC or ILSVRC; nested `part` elements are not objects.

    Raises:
        OSError: when the file is missing or is not XML of this kind; naming it.
    """
    try:
        tree = ElementTree.parse(path).getroot()
        if tree.tag != "annotation":
            raise ValueError(f"it is <{tree.tag}>, not <annotation>")
        width, height = (int(pixels(tree.findtext(f"size/{side}", "0"))) for side in ("width", "height"))
        return Annotation((width, height), [_voc_object(entry) for entry in tree.findall("object")])
    except (ElementTree.ParseError, ValueError) as error:
        raise OSError(f"{path}: damaged annotation ({error})") from error


def _voc_object(entry: ElementTree.Element) -> Annotated:
    name, box = entry.findtext("name"), entry.find("bndbox")
    if name is None or box is None:
        raise ValueError("an object lacks name or bndbox")
    # A few files carry fractions.
    x0, y0, x1, y1 = (round(pixels(box.findtext(side, "nan"))) for side in ("xmin", "ymin", "xmax", "ymax"))
    return Annotated(name.strip(), (x0, y0, x1, y1), entry.findtext("difficult", "0").strip() == "1")


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
