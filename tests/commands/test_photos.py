"""Photographs in, maps back onto them: exact places, awkward files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from explaining import picture, run
from PIL import Image

from wsolbook import maps
from wsolbook.data.photos import box_on_photo, read_photo
from wsolbook.data.transforms import to_network
from wsolbook.show.photographs import draw_map, place


def test_view_is_torchvisions_preprocessing(tmp_path):
    from torchvision.transforms import v2

    for size in ((300, 200), (201, 333), (256, 256)):
        path = tmp_path / "p.png"
        picture(*size).save(path)
        reference = v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.PILToTensor()])
        expected = to_network(reference(picture(*size))[None].float() / 255)
        torch.testing.assert_close(read_photo(path).view, expected)


def test_map_returns_to_where_it_was_seen(tmp_path):
    path = tmp_path / "p.png"
    picture(512, 256).save(path)
    photo = read_photo(path, shown=512)
    assert photo.region == (144.0, 16.0, 368.0, 240.0)
    heat = torch.rand(7, 7, generator=torch.Generator().manual_seed(0))
    values, inside = place(photo, heat)
    torch.testing.assert_close(values[16:240, 144:368], maps.resize(heat, 224), rtol=1e-5, atol=1e-5)
    assert inside[16:240, 144:368].all()
    assert int(inside.sum()) == 224 * 224
    assert values[~inside].eq(0).all()
    assert box_on_photo(photo, torch.tensor([0, 0, 223, 223]), 224) == (144, 16, 367, 239)
    assert box_on_photo(photo, torch.tensor([10, 20, 10, 29]), 224) == (154, 36, 154, 45)


def test_box_on_a_large_photo(tmp_path):
    path = tmp_path / "p.png"
    picture(1024, 2048).save(path)
    photo = read_photo(path)  # four pixels of the file for one of the view
    assert photo.size == (1024, 2048)
    assert photo.picture.shape == (3, 1600, 800)
    assert photo.region == (64.0, 576.0, 960.0, 1472.0)
    assert box_on_photo(photo, torch.tensor([1, 2, 3, 4]), 224) == (68, 584, 79, 595)


def test_drawing_shows_the_spot(tmp_path):
    path = tmp_path / "p.png"
    Image.new("RGB", (256, 256), (128, 128, 128)).save(path)
    photo = read_photo(path, shown=256)
    heat = torch.zeros(7, 7)
    heat[1, 5] = 1.0
    drawn = np.asarray(draw_map(photo, heat, None)).astype(int)
    brightest = np.unravel_index(drawn[16:240, 16:240].sum(-1).argmax(), (224, 224))
    assert brightest == pytest.approx((1.5 * 32, 5.5 * 32), abs=1)
    boxed = np.asarray(draw_map(photo, heat, (30, 40, 90, 99))).astype(int)
    rows, columns = np.nonzero((boxed != drawn).any(-1))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (30, 40, 90, 99)


def view_of(path) -> torch.Tensor:
    return read_photo(path, 64).view


def test_awkward_photographs_are_seen_right(tmp_path, weights):
    plain = tmp_path / "plain.png"
    picture().save(plain)
    expected = view_of(plain)

    rotated = tmp_path / "rotated.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().transpose(Image.Transpose.ROTATE_90).save(rotated, exif=exif)
    torch.testing.assert_close(view_of(rotated), expected)

    alpha = tmp_path / "alpha.png"
    opaque = picture()
    opaque.putalpha(255)
    opaque.save(alpha)
    torch.testing.assert_close(view_of(alpha), expected)

    gray = picture().convert("L")
    gray.save(tmp_path / "gray.png")
    deep = tmp_path / "deep.png"
    Image.fromarray(np.asarray(gray).astype(np.uint16) * 257).save(deep)
    torch.testing.assert_close(view_of(deep), view_of(tmp_path / "gray.png"))

    cmyk = tmp_path / "cmyk.jpg"
    picture().convert("CMYK").save(cmyk, quality=100, subsampling=0)
    assert (view_of(cmyk) - expected).abs().max() < 0.15  # JPEG is lossy

    for path in (rotated, alpha, deep, cmyk):
        out = tmp_path / "maps" / f"{path.stem}.png"
        assert run(path, "-o", out, weights=weights) == 0
        assert json.loads(out.with_suffix(".json").read_text())["photo_size"] == [96, 64]


def test_twelve_thousand_pixels(tmp_path, weights):
    path = tmp_path / "large.png"
    Image.new("RGB", (12_000, 400), (90, 120, 40)).save(path)
    assert run(path, "-o", tmp_path / "out.png", weights=weights) == 0
    with Image.open(tmp_path / "out.png") as drawn:
        assert max(drawn.size) == 1600
