import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from wsolbook.data.images import LARGE, full_size, read_gray, read_image, read_mask


def pixels(image):
    return np.asarray(image)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "LA", "RGBA", "I;16"])
def test_every_mode_becomes_8_bit_rgb(tmp_path, mode):
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (6, 4)).save(path)
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", (6, 4))


def test_cmyk_keeps_its_color(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    assert read_image(tmp_path / "red.jpg").getpixel((8, 8)) == (255, 0, 0)


def test_16_bit_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16).repeat(3, 0)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert pixels(read_image(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0, (255, 255, 255)), (255, (200, 0, 0)), (51, (244, 204, 204))]
)
def test_transparency_shows_white(tmp_path, alpha, expected):
    Image.new("RGBA", (4, 4), (200, 0, 0, alpha)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").getpixel((1, 1)) == expected


def test_transparent_palette_entry_shows_white(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([9, 9, 9, 0, 128, 0])
    image.putpixel((0, 0), 1)
    image.save(tmp_path / "p.png", transparency=0)
    read = read_image(tmp_path / "p.png")
    assert (read.getpixel((0, 0)), read.getpixel((1, 0))) == ((0, 128, 0), (255, 255, 255))


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_as_pillow_turns_it(tmp_path, orientation, suffix):
    noise = np.random.default_rng(orientation).integers(0, 255, (5, 8, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    exif = image.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    image.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as stored:
        expected = ImageOps.exif_transpose(stored)
    read = read_image(path)
    assert (pixels(read) == pixels(expected)).all()
    assert full_size(read) == expected.size


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 6.5, -6.0])
def test_an_orientation_that_is_no_whole_number_turns_nothing(tmp_path, value):
    tag = struct.pack("<HHIf", 0x0112, 11, 1, value)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + bytes(4)
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").size == (8, 4)


def test_broken_exif_is_not_an_error(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "e.jpg", exif=b"Exif\x00\x00broken")
    assert read_image(tmp_path / "e.jpg").size == (8, 8)


def test_a_png_named_jpeg_is_read(tmp_path):
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "a.JPEG", format="PNG")
    assert read_image(tmp_path / "a.JPEG").getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tif"])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.9])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, suffix, keep):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"whole.{suffix}"
    Image.fromarray(noise).save(path)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(OSError, match=f"cut.{suffix}"):
        read_image(cut)


@pytest.mark.parametrize("read", [read_image, read_mask, read_gray])
def test_every_flipped_bit_of_a_png_is_refused(tmp_path, read):
    noise = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    start = whole.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", whole[start - 8 : start - 4])
    for bit in np.random.default_rng(1).choice(length * 8, 200, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[start + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(OSError, match=r"a\.png: damaged"):
            read(path)


def test_zeros_in_place_of_the_tail_of_a_jpeg_are_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    thumbnail = b"Exif\0\0" + b"\xff\xd8 a small one inside \xff\xd9"
    for progressive in (False, True):
        Image.fromarray(noise).save(path, progressive=progressive, exif=thumbnail)
        whole = path.read_bytes()
        for kept in range(whole.rindex(b"\xff\xda") + 20, len(whole), 97):
            path.write_bytes(whole[:kept] + bytes(len(whole) - kept))
            with pytest.raises(OSError, match=r"a\.jpg: damaged"):
                read_image(path)


def test_what_follows_the_end_of_a_jpeg_is_no_damage(tmp_path):
    """A film behind the picture, as some telephones write it, may hold any marker."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    for progressive in (False, True):
        Image.fromarray(noise).save(path, progressive=progressive)
        expected = pixels(read_image(path))
        path.write_bytes(path.read_bytes() + b"film \xff\xda\xff\xd8 film \0")
        assert (pixels(read_image(path)) == expected).all()


def test_a_format_that_needs_another_program_is_not_opened(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    with pytest.raises(OSError, match=r"a\.jpg: not an image"):
        read_image(tmp_path / "a.jpg")


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.jpg"):
        read_image(tmp_path / "nothing.jpg")
    with pytest.raises(OSError, match=rf"{tmp_path.name} is a folder"):
        read_image(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    for read in (read_image, read_mask, read_gray):
        with pytest.raises(OSError, match=r"a\.jpg is neither a file nor a folder"):
            read(tmp_path / "a.jpg")


def test_text_is_not_an_image(tmp_path):
    (tmp_path / "a.jpg").write_text("<html>404</html>")
    with pytest.raises(OSError, match=r"a\.jpg: not an image"):
        read_image(tmp_path / "a.jpg")


def test_one_pixel_is_read_unless_the_caller_needs_more(tmp_path):
    Image.new("RGB", (1, 30)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").size == (1, 30)
    with pytest.raises(ValueError, match=r"a\.png: 1x30 pixels; each side needs at least 2"):
        read_image(tmp_path / "a.png", min_side=2)


def test_too_many_pixels_is_one_sentence(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 14000, 14000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT")
    with pytest.raises(ValueError, match=r"huge\.png: more than 178,956,970 pixels"):
        read_image(tmp_path / "huge.png")


def test_a_large_jpeg_is_decoded_smaller_only_on_request(tmp_path):
    side = 6400
    assert side * side > LARGE
    Image.new("L", (side, side), 77).save(tmp_path / "large.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = read_image(tmp_path / "large.jpg", needed=448)
    assert (image.size, full_size(image)) == ((800, 800), (side, side))
    assert image.getpixel((400, 400)) == (77, 77, 77)


def test_an_ordinary_jpeg_is_never_decoded_smaller(tmp_path):
    Image.new("RGB", (900, 900)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg", needed=10).size == (900, 900)


def test_float_pixels_have_no_8_bit_meaning(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ValueError, match=r"f\.tif: floating-point"):
        read_image(tmp_path / "f.tif")


def test_mask_keeps_class_numbers(tmp_path):
    mask = np.array([[0, 1, 20], [255, 15, 0]], np.uint8)
    image = Image.fromarray(mask)
    image.putpalette([*range(256)] * 3)
    image.save(tmp_path / "m.png")
    assert torch.equal(read_mask(tmp_path / "m.png"), torch.from_numpy(mask))


def test_a_mask_saved_in_color_is_refused(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"m\.png: a mask must be"):
        read_mask(tmp_path / "m.png")


def test_a_truncated_mask_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 20, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "m.png")
    whole = (tmp_path / "m.png").read_bytes()
    (tmp_path / "m.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match=r"m\.png"):
        read_mask(tmp_path / "m.png")
