"""Maps on disk: what is written is read back, and what is not a map is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wsolbook.data.critters import Critters
from wsolbook.evaluation.picture import Prediction
from wsolbook.evaluation.saved import file_names, find_file, read_maps, write_maps


def test_round_trip(tmp_path):
    values = torch.randn(3, 5, 7)
    plain = read_maps(write_maps(tmp_path, "a", values))
    assert torch.equal(plain.values, values)
    assert plain.classes is None
    named = read_maps(write_maps(tmp_path, "b", values, torch.tensor([4, 0, 9])))
    assert torch.equal(named.values, values)
    assert torch.equal(named.of(torch.tensor([9, 4])), values[[2, 0]])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npy", "b.npz"]


def test_gray_pictures_and_single_maps(tmp_path):
    gray = np.arange(20, dtype=np.uint8).reshape(4, 5)
    Image.fromarray(gray).save(tmp_path / "eight.png")
    Image.fromarray(gray.astype(np.uint16) * 1000).save(tmp_path / "sixteen.png")
    np.save(tmp_path / "flat.npy", gray.astype(np.float64))
    assert (read_maps(tmp_path / "eight.png").values[0].numpy() == gray).all()
    assert (read_maps(tmp_path / "sixteen.png").values[0].numpy() == gray * 1000.0).all()
    assert read_maps(tmp_path / "flat.npy").values.shape == (1, 4, 5)


def test_the_maps_of_labels():
    maps = Prediction(torch.zeros(2, 3, 3))
    assert maps.of(torch.tensor([5, 7])).shape == (2, 3, 3)
    with pytest.raises(ValueError, match="holds 2 maps for 1 labels"):
        maps.of(torch.tensor([5]))
    with pytest.raises(ValueError, match="holds no map of class 7"):
        Prediction(torch.zeros(1, 3, 3), torch.tensor([5])).of(torch.tensor([5, 7]))


def test_files_are_named_after_pictures_or_numbered():
    class Pictures:
        classes = ("thing",)

        def batch(self, index, epoch=None):
            raise NotImplementedError

        def __init__(self, paths):
            self.paths = paths

        def __len__(self):
            return len(self.paths)

        def path(self, i):
            return Path(self.paths[i])

    assert file_names(Pictures(["x/2007_1.jpg", "x/2007_2.jpg"])) == ["2007_1", "2007_2"]
    assert file_names(Pictures(["cat/1.jpg", "dog/1.jpg"])) == ["000000", "000001"]
    assert file_names(Critters(2, size=16)) == ["000000", "000001"]


def test_what_is_no_map_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no map x.npz, .npy or .png in {tmp_path}"):
        find_file(tmp_path, "x")
    Image.new("RGB", (3, 3)).save(tmp_path / "color.png")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2, 2)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "nameless.npz", maps=np.zeros((1, 2, 2)))
    np.savez(tmp_path / "odd.npz", maps=np.zeros((2, 2, 2)), classes=np.array([1]))
    whole = write_maps(tmp_path, "whole", torch.zeros(1, 4, 4)).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-20])
    (tmp_path / "text.png").write_bytes(b"no picture")
    for name, message in {
        "color.png": "has mode RGB",
        "cube.npy": r"shape \(2, 2, 2, 2\)",
        "objects.npy": "is not a whole .npy file of maps, or holds Python objects, .* never loaded; write it",
        "nameless.npz": "classes",
        "odd.npz": r"names \(1,\) classes for 2 maps",
        "cut.npy": "is not a whole .npy file of maps; write it again",
        "text.png": "not an image",
    }.items():
        with pytest.raises((ValueError, OSError), match=f"{name}:? .*{message}"):
            read_maps(tmp_path / name)


def test_a_flipped_bit_in_a_picture_of_a_map_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    damaged = bytearray((tmp_path / "a.png").read_bytes())
    damaged[200] ^= 4
    (tmp_path / "a.png").write_bytes(damaged)
    with pytest.raises(OSError, match=r"a\.png: damaged"):
        read_maps(tmp_path / "a.png")


def test_a_picture_that_needs_another_program_is_not_opened(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(OSError, match=r"a\.png: not an image"):
        read_maps(tmp_path / "a.png")
