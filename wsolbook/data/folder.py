"""Your own pictures: a folder for each class, a table, or COCO annotations."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from wsolbook.data import formats
from wsolbook.data.pictures import Loading, Pictures, require_folder

Box = tuple[int, int, int, int]
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass
class Entry:
    """One picture: its path, its classes, and where known its boxes with their classes."""

    path: Path
    labels: set[int] = field(default_factory=set)
    boxes: list[Box] = field(default_factory=list)
    box_classes: list[int] = field(default_factory=list)


class Folder(Pictures):
    """Pictures of one's own.

    `Folder(root)` reads `root/CLASS/anything.jpg`, at any depth below the class. `from_csv` and `from_coco`
    read pictures with several classes and boxes; COCO annotations bring masks too.

    Args:
        root: holds one folder for each class.
        **options: see `wsolbook.data.pictures.Loading`.

    Raises:
        OSError: when `root` is missing, or holds no class folder with a picture.
    """

    def __init__(self, root: str | Path, **options: Unpack[Loading]) -> None:
        root = require_folder(Path(root), "picture folder")
        names = sorted(f.name for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
        entries = [
            Entry(path, {number})
            for number, name in enumerate(names)
            for path in sorted((root / name).rglob("*"))
            if path.suffix.lower() in SUFFIXES and path.is_file()
        ]
        if not entries:
            raise FileNotFoundError(f"{root}: no picture in a folder named after its class")
        self._hold(tuple(names), entries, **options)

    @classmethod
    def from_csv(
        cls, table: str | Path, images: str | Path | None = None, **options: Unpack[Loading]
    ) -> Folder:
        """Read a table with the columns `file` and `label`, and where known `x0,y0,x1,y1`.

        A picture with several classes or boxes has several lines. Boxes are inclusive pixel corners.

        Args:
            table: comma-separated, UTF-8, with a header.
            images: folder that `file` starts from; by default the table's own.
            **options: see `wsolbook.data.pictures.Loading`.

        Raises:
            OSError: when the table is missing.
            ValueError: when a column is missing or a box is not one, naming the line.
        """
        table = Path(table)
        folder = Path(images) if images is not None else table.parent
        with table.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if lacking := {"file", "label"} - set(reader.fieldnames or ()):
                raise ValueError(f"{table}: the header lacks {', '.join(sorted(lacking))}")
            rows = [(reader.line_num, row) for row in reader]
        if empty := [number for number, row in rows if not row["file"] or not row["label"]]:
            raise ValueError(f"{table}, line {empty[0]}: file or label is empty")
        classes = tuple(sorted({row["label"] for _, row in rows}))
        numbers = {name: number for number, name in enumerate(classes)}
        entries: dict[str, Entry] = {}
        for line, row in rows:
            entry = entries.setdefault(row["file"], Entry(folder / row["file"]))
            entry.labels.add(numbers[row["label"]])
            if row.get("x0"):
                entry.boxes.append(_corners(row, f"{table}, line {line}"))
                entry.box_classes.append(numbers[row["label"]])
        return cls.__new__(cls)._hold(classes, list(entries.values()), **options)

    @classmethod
    def from_coco(cls, annotations: str | Path, images: str | Path, **options: Unpack[Loading]) -> Folder:
        """Read COCO annotations: classes in the order of their ids, boxes, masks; crowds are ignored regions.

        Args:
            annotations: the JSON file.
            images: folder that the file names start from.
            **options: see `wsolbook.data.pictures.Loading`.

        Raises:
            OSError: when the file is missing.
            ValueError: naming the file, when it is not of the format, or has masks of more than 254 classes.
        """
        annotations = Path(annotations)
        classes, rows = formats.read_coco(annotations)
        numbers = {name: number for number, name in enumerate(classes)}
        entries = []
        for row in rows:
            counted = [each for each in row.objects if not each.uncounted]
            labels = [numbers[each.name] for each in counted]
            entries.append(
                Entry(Path(images) / row.file, set(labels), [each.box for each in counted], labels)
            )
        drawn = all(each.region is not None for row in rows for each in row.objects)
        if drawn and len(classes) > 254:
            raise ValueError(f"{annotations}: masks of 8 bits hold 254 classes, not {len(classes)}")
        return cls.__new__(cls)._hold(classes, entries, rows if drawn else (), **options)

    def _hold(
        self,
        classes: tuple[str, ...],
        entries: Sequence[Entry],
        drawings: Sequence[formats.Annotation] = (),
        **options: Unpack[Loading],
    ) -> Folder:
        self.classes, self.entries, self.drawings = classes, entries, drawings
        self.has_boxes = any(entry.boxes for entry in entries)
        self.has_masks = bool(drawings)
        super().__init__(**options)
        return self

    def __len__(self) -> int:
        return len(self.entries)

    def path(self, index: int) -> Path:
        """Return where picture `index` is."""
        return self.entries[index].path

    def labels(self, index: int) -> Int[Tensor, " k"]:
        """Return the classes present in picture `index`, ascending."""
        return torch.tensor(sorted(self.entries[index].labels), dtype=torch.long)

    def boxes(self, index: int) -> Int[Tensor, "k 4"]:
        """Return every box of picture `index`: inclusive corners in the file's own pixels."""
        return torch.tensor(self.entries[index].boxes, dtype=torch.long).reshape(-1, 4)

    def box_classes(self, index: int) -> Int[Tensor, " k"]:
        """Return the class of each box of picture `index`."""
        return torch.tensor(self.entries[index].box_classes, dtype=torch.long)

    def mask(self, index: int) -> UInt8[Tensor, "h w"]:
        """Return the mask of picture `index`: 0, class + 1, 255 on crowds; smaller objects lie on top."""
        return formats.paint(self.drawings[index], self.classes)


def _corners(row: dict[str, str], where: str) -> Box:
    try:
        x0, y0, x1, y1 = (int(row[side]) for side in ("x0", "y0", "x1", "y1"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: x0, y0, x1, y1 must be four whole numbers") from error
    if min(x0, y0) < 0 or x1 < x0 or y1 < y0:
        raise ValueError(f"{where}: impossible box {x0},{y0},{x1},{y1}")
    return x0, y0, x1, y1
