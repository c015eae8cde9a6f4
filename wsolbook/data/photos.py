"""A photograph as a classifier sees it, and the way back from the map to the photograph."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

from wsolbook.data.images import SUFFIXES, full_size, read_image
from wsolbook.data.transforms import to_network
from wsolbook.files import read_text

LEAST_SIDE = 8
LONGEST = 40  # times the short side; the resized photograph would not fit into memory for ever


@dataclass(frozen=True)
class Photo:
    """A photograph, its network input, and where on the photograph that was taken.

    Attributes:
        path: the file.
        size: width and height of the file in pixels, upright.
        picture: the photograph at a size to be looked at, in [0, 1].
        view: network input: short side resized, center crop, normalized.
        region: edges of the crop, `(x0, y0, x1, y1)` in pixels of the file; all of it is `(0, 0, *size)`.
    """

    path: Path
    size: tuple[int, int]
    picture: Float[Tensor, "3 h w"]
    view: Float[Tensor, "1 3 s s"]
    region: tuple[float, float, float, float]


def read_photo(path: str | Path, crop: int = 224, shown: int = 1600) -> Photo:
    """Read a photograph for a network that sees its center, `crop` pixels of a short side of 8/7 `crop`.

    Args:
        path: any format Pillow decodes; EXIF orientation, CMYK, 16 bits and transparency are honored.
        crop: side of the network input in pixels; 224 is cut from 256.
        shown: longest side in pixels of the picture to draw on; small photographs are enlarged to a quarter.

    Raises:
        OSError: when the file is missing, not an image, or truncated; naming it.
        ValueError: when it is too small, too large or too narrow; naming it.
    """
    image = read_image(path, min_side=LEAST_SIDE, needed=max(shown, crop * 8 // 7))
    width, height = full_size(image)
    if max(width, height) > LONGEST * min(width, height):
        raise ValueError(f"{path}: {width}x{height} pixels is narrower than 1:{LONGEST}; cut it first")
    resized = resize(image, [round(crop * 8 / 7)])
    left, top = (round((side - crop) / 2.0) for side in resized.size)
    across, down = width / resized.width, height / resized.height
    seen = pil_to_tensor(center_crop(resized, [crop, crop])).float() / 255
    factor = min(max(1.0, shown / 4 / max(image.size)), shown / max(image.size))
    drawn = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    return Photo(
        Path(path),
        (width, height),
        pil_to_tensor(image.resize(drawn, Image.Resampling.LANCZOS)).contiguous().float() / 255,
        to_network(seen[None]),
        (left * across, top * down, (left + crop) * across, (top + crop) * down),
    )


def box_on_photo(photo: Photo, box: Int[Tensor, "4"], side: int) -> tuple[int, int, int, int]:
    """Turn a box in pixels of the crop, `side` of them, into pixels of the file; inclusive corners both."""
    x0, y0, x1, y1 = photo.region
    across, down = (x1 - x0) / side, (y1 - y0) / side
    a, b, c, d = box.tolist()
    corners = (x0 + a * across, y0 + b * down, x0 + (c + 1) * across - 1, y0 + (d + 1) * down - 1)
    limits = (photo.size[0] - 1, photo.size[1] - 1) * 2
    left, top, right, bottom = (min(max(round(v), 0), end) for v, end in zip(corners, limits, strict=True))
    return left, top, max(left, right), max(top, bottom)


def mask_on_photo(photo: Photo, mask: Bool[Tensor, "s s"]) -> Image.Image:
    """Lay a mask of the crop onto the pixels of the file, by nearest neighbor: 255 on it, 0 elsewhere."""
    x0, y0, x1, y1 = photo.region
    across, down = mask.shape[1] / (x1 - x0), mask.shape[0] / (y1 - y0)
    small = Image.fromarray(mask.numpy().astype(np.uint8) * 255)
    places = (across, 0.0, -x0 * across, 0.0, down, -y0 * down)
    return small.transform(photo.size, Image.Transform.AFFINE, places, Image.Resampling.NEAREST)


def find_photos(places: Sequence[str | Path], skip: str = "") -> list[Path]:
    """Return the files named, those in the folders named, subfolders included, and those in lists, once each.

    A name that leads nowhere is kept: whoever reads it says what is wrong, and goes on with the others.

    Args:
        places: pictures; folders, whose pictures come sorted; and text files, .txt, with a path a line.
        skip: folders that hold a file of this name are left out.

    Raises:
        FileNotFoundError: when none of the files exists.
        ValueError: on a folder without pictures or an empty list; naming it.
    """
    found: list[Path] = []
    for place in places:
        path = Path(place or "(empty path)")  # as a path, nothing would be the current folder
        if os.path.isdir(path):
            inside = sorted(_inside(path, skip))
            if not inside:
                raise ValueError(f"folder {path} holds no pictures ({', '.join(SUFFIXES)})")
        elif path.suffix == ".txt" and os.path.isfile(path):
            inside = [Path(line) for line in read_text(path, "surrogateescape").splitlines() if line.strip()]
            if not inside:
                raise ValueError(f"list {path} names no pictures; it needs a path a line")
        else:
            inside = [path]
        found += inside
    if found and not any(map(os.path.exists, found)):
        others = f", nor does any of {len(found) - 1} others" if len(found) > 1 else ""
        raise FileNotFoundError(f"{found[0]} does not exist{others}")
    return list(dict.fromkeys(found))


def _inside(place: Path, skip: str) -> Iterator[Path]:
    for folder, below, files in os.walk(place):
        if skip in files:
            below.clear()
            continue
        paths = (Path(folder, name) for name in files)
        yield from (path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file())
