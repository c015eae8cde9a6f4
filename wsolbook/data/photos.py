"""A photograph as a classifier sees it, and the way back from the map to the photograph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

from wsolbook.data.images import SUFFIXES, full_size, read_image
from wsolbook.data.transforms import to_network

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
        pil_to_tensor(image.resize(drawn, Image.Resampling.LANCZOS)).float() / 255,
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


def find_photos(places: tuple[Path, ...]) -> list[Path]:
    """Return the files named, and those in the folders named, subfolders included, sorted.

    Raises:
        FileNotFoundError: on a path that does not exist.
        ValueError: on a folder without pictures; both name it.
    """
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise FileNotFoundError(f"{place} does not exist")
        inside = [place] if not place.is_dir() else []
        if place.is_dir():
            inside = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not inside:
                raise ValueError(f"folder {place} holds no pictures ({', '.join(SUFFIXES)})")
        found += inside
    return found
