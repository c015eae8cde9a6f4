"""A folder of explained photographs: the files of each, and a journal that tells what is done.

It holds `index.html`, the contact sheet; `explained.jsonl`, the journal: a line of settings, and one for each
photograph; `photos/NAME.jpg`, small; and of each method `METHOD/boxes.json` in COCO's format,
`METHOD/maps/NAME.npz` with raw `maps` (k, u, v) and their `classes` (k,), as `wsolbook evaluate` reads them,
`METHOD/masks/NAME-CLASS.png` and `METHOD/drawn/NAME-CLASS.jpg`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from PIL import Image

from wsolbook.cam.photograph import Explanation, Seen
from wsolbook.data.photos import Photo, mask_on_photo
from wsolbook.files import atomic
from wsolbook.show.photographs import draw, draw_photo
from wsolbook.show.web_sheet import write_sheet

JOURNAL = "explained.jsonl"
LONGEST_NAME = 160  # bytes of a photograph's name in names of files; most disks allow 255 in all

Record = dict[str, Any]


class Collection:
    """The folder. A photograph is done when its line is in the journal; its files are whole by then.

    From the first photographs added to the end of a `with` block no other process can add to it.

    Args:
        folder: made when the first photographs are added.
        settings: what maps depend on besides the photographs, in plain values; `method` lists the methods.

    Raises:
        ValueError: when the folder holds maps by other settings, naming them.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, json.loads(json.dumps(settings))
        self._lock = filelock.FileLock(folder / "lock", timeout=0)
        self._journal = folder / JOURNAL
        self._outdated: set[str] = set()
        before = next(self._lines(), self.settings)
        if changed := [k for k, value in self.settings.items() if before.get(k) != value]:
            told = "; ".join(f"{k} was {before.get(k)}, is {self.settings[k]}" for k in changed)
            raise ValueError(f"{folder} holds maps by other settings ({told}); choose another folder with -o")

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def todo(self, photos: Sequence[Path]) -> dict[Path, str]:
        """Return the photographs that are not done, or changed since, and what their files will be called.

        A name is that of the photograph, numbered where another photograph has it, capitals aside.
        """
        asked = {str(photo): photo for photo in photos}
        taken, numbers = set[str](), Counter[str]()
        for record in self.records():
            photo = asked.get(record["photo"])
            if photo is None or record["stamp"] == stamp(photo):
                asked.pop(record["photo"], None)
                taken.add(record["name"].casefold())
            else:
                self._outdated.add(record["photo"])
        names = {}
        for photo in asked.values():
            name = short = os.fsdecode(os.fsencode(photo.stem)[:LONGEST_NAME])
            while name.casefold() in taken:
                numbers[short.casefold()] += 1
                name = f"{short}-{numbers[short.casefold()] + 1}"
            taken.add(name.casefold())
            names[photo] = name
        return names

    def add(self, records: Iterable[Record]) -> None:
        """Note in the journal that photographs are done.

        Raises:
            BlockingIOError: when another process writes into the folder.
            OSError: when the folder cannot be written.
        """
        if not self._lock.is_locked:
            self._open()
        with self._journal.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
            file.flush()
            os.fsync(file.fileno())

    def records(self) -> Iterator[Record]:
        """Yield what is known of each photograph that is done, as it was added."""
        lines = self._lines()
        next(lines, None)
        yield from lines

    def finish(self, title: str, subtitle: str, names: Sequence[str]) -> None:
        """Write the contact sheet and the boxes, one photograph after the other.

        Args:
            title: of the contact sheet.
            subtitle: settings, in one line.
            names: what the classes are called.
        """
        methods = self.settings["method"]
        write_sheet(self.folder / "index.html", title, subtitle, methods, self.records())
        for method in methods:
            write_coco(self.folder / method / "boxes.json", self.records, method, names)

    def _open(self) -> None:
        """Take the folder for this process alone, and write the journal without what is outdated or torn."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise BlockingIOError(f"folder {self.folder} is in use by another process") from None
        kept = (record for record in self.records() if record["photo"] not in self._outdated)
        with atomic(self._journal) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in chain([self.settings], kept))

    def _lines(self) -> Iterator[Record]:
        if not self._journal.is_file():
            return
        with self._journal.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):  # torn, when the process was killed
                    return
                try:
                    found = json.loads(line)
                except ValueError:
                    raise ValueError(
                        f"{self._journal}: line {number} is damaged; delete it, to have its photograph again"
                    ) from None
                yield found


def stamp(photo: Path) -> list[int]:
    """Return size and time of change of a file, by which it is known again; nothing if it is gone."""
    try:
        about = photo.stat()
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns]


def write_photo(folder: Path, name: str, photo: Photo, seen: Seen, names: Sequence[str]) -> Record:
    """Write the files of one photograph and return its line for the journal.

    Args:
        folder: of the collection.
        name: of the photograph in names of files.
        photo: from `read_photo`; drawings have the size of its `picture`.
        seen: from `Explainer`.
        names: what the classes are called.

    Raises:
        OSError: when a file cannot be written.
    """
    shown, maps = draw_photo(photo), []
    _save(shown, folder / "photos" / f"{name}.jpg")
    for found in seen.explanations(photo):
        each = f"{name}-{found.wanted}"
        _save(draw(photo, found), folder / found.method / "drawn" / f"{each}.jpg")
        if found.box:
            _save(mask_on_photo(photo, found.mask()), folder / found.method / "masks" / f"{each}.png")
        maps.append({**facts(found, names), "drawn": f"{found.method}/drawn/{each}.jpg"})
    for method, (_, _, values) in seen.raw.items():
        target = folder / method / "maps" / f"{name}.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez(target, maps=values.numpy(), classes=np.array(seen.classes))
    return {
        "photo": str(photo.path),
        "stamp": stamp(photo.path),
        "name": name,
        "size": photo.size,
        "crop": photo.region,
        "top": seen.top(names),
        "shown": f"photos/{name}.jpg",
        "shown_size": shown.size,
        "maps": maps,
    }


def facts(found: Explanation, names: Sequence[str]) -> dict[str, Any]:
    """Return what there is to say of a map in plain values."""
    return {
        "method": found.method,
        "layer": found.layer,
        "class": found.wanted,
        "class_name": names[found.wanted],
        "score": found.score,
        "grid": asdict(found.grid),
        "box": found.box,
    }


def write_coco(
    path: Path, records: Callable[[], Iterator[Record]], method: str, names: Sequence[str]
) -> None:
    """Write the boxes of a method in COCO's format: `[x, y, width, height]` in pixels of the photographs.

    Args:
        path: of the file.
        records: yields the records from the first on, each time it is called.
        method: whose boxes.
        names: what the classes are called; their ids are the class numbers.
    """
    boxes = (
        (image, each)
        for image, record in enumerate(records(), 1)
        for each in record["maps"]
        if each["method"] == method and each["box"]
    )
    parts = {
        "categories": ({"id": i, "name": name} for i, name in enumerate(names)),
        "images": (
            {"id": i, "file_name": record["photo"], "width": record["size"][0], "height": record["size"][1]}
            for i, record in enumerate(records(), 1)
        ),
        "annotations": (
            {"id": i, "image_id": image, "category_id": each["class"], **_coco(each)}
            for i, (image, each) in enumerate(boxes, 1)
        ),
    }
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for start, (key, items) in zip("{,,", parts.items(), strict=True):
            file.write(f'{start}\n"{key}": [')
            file.writelines(f"{',' * (i > 0)}\n{json.dumps(item)}" for i, item in enumerate(items))
            file.write("]")
        file.write("}\n")


def _coco(found: Record) -> dict[str, Any]:
    x0, y0, x1, y1 = found["box"]
    box = [x0, y0, x1 - x0 + 1, y1 - y0 + 1]
    return {"bbox": box, "area": box[2] * box[3], "iscrowd": 0, "score": found["score"]}


def _save(picture: Image.Image, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target, quality=88)
