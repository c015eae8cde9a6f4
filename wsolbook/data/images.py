"""Reading picture files: always RGB, always whole, or an error that names the file."""

from __future__ import annotations

import os
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from wsolbook.data.transforms import IGNORE

# What is opened, whatever a file is called: nothing that needs another program to be read, as EPS does.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
Image.init()  # Pillow knows half of them only after this
# What counts as a picture in a folder.
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm")
# Twice Pillow's own warning level: beyond it a small file may claim gigabytes of memory.
MAX_PIXELS = 178_956_970
# JPEGs above this many pixels are decoded smaller where the caller allows it (see `needed`).
LARGE = 40_000_000

MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # of a JPEG, apart from those inside compressed data
END = b"\xd9"
ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path, *, min_side: int = 1, needed: int | None = None) -> Image.Image:
    """Read a picture as upright 8-bit RGB.

    The EXIF orientation is applied. CMYK, palette, gray and 1-bit pictures are converted; 16-bit gray is
    divided by 257 (Pillow's own conversion would clip it at 255). What is transparent shows white, the color
    of the page it was drawn for, instead of the arbitrary color stored under it.

    Args:
        path: a file in one of `FORMATS`; the name's ending does not matter.
        min_side: shortest side in pixels that the caller can use.
        needed: the caller is content with both sides at least this long. JPEGs above `LARGE` pixels are then
            decoded at 1/2, 1/4 or 1/8 of their size; `full_size` still tells the true one.

    Raises:
        OSError: when the file is missing, not an image, damaged or truncated; naming it.
        ValueError: when it is smaller than `min_side`, has more than `MAX_PIXELS` pixels, or holds pixels
            that have no 8-bit meaning (floating point, 32-bit above 65535); naming it.
    """
    with _opened(path) as image:
        size = image.size
        if min(size) < min_side:
            raise _Unusable(f"{size[0]}x{size[1]} pixels; each side needs at least {min_side}")
        if needed and image.width * image.height > LARGE:
            image.draft(None, (needed, needed))
        # Before EXIF is asked for: looking for it decodes a PNG and swallows the decoder's error.
        image.load()
        orientation = _orientation(image)
        rgb = _rgb(image)
    if orientation in UPRIGHT:
        rgb = rgb.transpose(UPRIGHT[orientation])
    rgb.info["full_size"] = size[::-1] if orientation >= 5 else size
    return rgb


def full_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of the file that `image` was read from, even when it was decoded smaller."""
    width, height = image.info.get("full_size", image.size)
    return width, height


def read_mask(path: str | Path, classes: int | None = None) -> UInt8[Tensor, "h w"]:
    """Read a mask as the numbers it stores, palette or gray, without turning them into colors.

    Args:
        path: the file.
        classes: where given, it may hold 0, background, to this number, and 255, ignore.

    Raises:
        OSError: when the file is missing, not an image, damaged or truncated; naming it.
        ValueError: when it is stored in color, so that its class numbers are lost, or holds other numbers.
    """
    with _opened(path) as image:
        if image.mode not in ("P", "L", "1"):
            raise _Unusable(f"a mask must be a palette or 8-bit gray image, not {image.mode}")
        mask = torch.from_numpy(np.array(image, dtype=np.uint8))
    if classes is not None and bool(((mask > classes) & (mask < IGNORE)).any()):
        raise ValueError(f"{path}: holds values other than 0 to {classes} and {IGNORE}")
    return mask


def read_levels(path: str | Path) -> Float[Tensor, "h w"]:
    """Read a picture of one channel as the numbers it stores, 8 or 16 bits.

    Raises:
        OSError: when the file is missing, not an image, damaged or truncated; naming it.
        ValueError: when it has more channels.
    """
    with _opened(path) as image:
        if image.mode not in ("L", "P", "I", "I;16"):
            raise _Unusable(f"has mode {image.mode}, a map has one channel")
        return torch.from_numpy(np.array(image).astype(np.float32))


def read_gray(path: str | Path) -> UInt8[Tensor, "h w"]:
    """Read any picture as gray, 0 black to 255 white, without regard to transparency.

    Raises:
        OSError: when the file is missing, not an image, damaged or truncated; naming it.
    """
    with _opened(path) as image:
        return torch.from_numpy(np.array(image.convert("L")))


class _Unusable(Exception):
    """A sound file that cannot serve."""


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open a picture; whatever a decoder raises becomes an OSError or a ValueError that names the file."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():  # a named pipe would never end
        raise OSError(f"{path} is {'a folder' if path.is_dir() else 'neither a file nor a folder'}")
    try:
        with warnings.catch_warnings():
            # Pillow warns at half of MAX_PIXELS, which is allowed, and about broken EXIF, which is harmless.
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                if image.format != "PNG":
                    if image.format in ("JPEG", "MPO") and not _ends(path):
                        raise SyntaxError("its end is missing")
                    yield image
                    return
                image.verify()  # the checksums: a decoder can miss a flipped bit, and this closes the file
            with Image.open(path, formats=FORMATS) as image:
                yield image
    except _Unusable as error:
        raise ValueError(f"{path}: {error}") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: more than {MAX_PIXELS:,} pixels; shrink it first") from error
    except Image.UnidentifiedImageError as error:
        raise OSError(f"{path}: not an image, or its beginning is damaged") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise OSError(f"{path}: damaged or truncated image ({error})") from error


def _ends(path: Path) -> bool:
    """Say whether a JPEG has its end mark: where zeros took the place of its tail, a decoder makes it up."""
    with path.open("rb") as file:
        file.seek(-2, os.SEEK_END)
        if file.read() == b"\xff" + END:
            return True
        file.seek(0)
        data = file.read()
    place = 2
    while found := MARKER.search(data, place):
        if found[1] == END:
            return True
        place = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return False


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation from 1 to 8; other values, and broken EXIF, say nothing about it."""
    try:
        value = image.getexif().get(ORIENTATION)
    except (SyntaxError, ValueError, TypeError, KeyError, EOFError, OSError, struct.error):
        return 1
    return int(value) if value in UPRIGHT else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        page = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(page, over).convert("RGB")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise _Unusable("32-bit pixels outside 0..65535; save it with 8 or 16 bits")
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise _Unusable("floating-point pixels; save it with 8 or 16 bits")
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise _Unusable(f"cannot turn {image.mode} pixels into RGB") from error
