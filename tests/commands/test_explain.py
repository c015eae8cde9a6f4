"""What `wsolbook explain` writes and prints."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from explaining import NAMES, refused, run
from PIL import Image
from torchvision import models

from wsolbook.backbones.pretrained import Pretrained, imagenet_names, load_pretrained
from wsolbook.cam import cam
from wsolbook.cam.classes import find_class
from wsolbook.cam.photograph import EXPLAINERS
from wsolbook.data.photos import read_photo


def raw(folder) -> np.ndarray:
    """Return the map beside `out.png`."""
    with np.load(folder / "out.npz") as content:
        return content["maps"][0]


def test_one_photo_one_map(photo, weights, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert run(photo, "-o", out, weights=weights) == 0
    printed = capsys.readouterr().out
    facts = json.loads((tmp_path / "out.json").read_text())
    seen = read_photo(photo, 64)
    trained = load_pretrained(None, weights)
    expected = cam(trained.network, seen.view)
    np.testing.assert_allclose(raw(tmp_path), expected.values[0, 0], rtol=1e-5, atol=1e-5)
    assert facts["class"] == int(expected.classes)
    assert facts["class_name"] == NAMES[facts["class"]]
    assert facts["score"] == pytest.approx(float(expected.logits.softmax(1).max()), rel=1e-5)
    assert facts["photo_size"] == [96, 64]
    assert facts["crop"] == pytest.approx([96 / 2 - 64 / 73 * 32, 32 - 64 / 73 * 32, 76.05, 60.05], abs=0.6)
    assert facts["layer"] == "features"
    assert facts["grid"] == {"step": [8.0, 8.0], "start": [3.5, 3.5]}
    with Image.open(out) as drawn:
        assert drawn.size == (400, 267)  # small photographs are shown enlarged
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "out.npz", "out.png", "photo.png"]
    lines = printed.strip().splitlines()
    assert lines[0].endswith("photo.png  96x64")
    assert len(lines) == 6
    shares = [float(re.match(r"\s+([\d.]+)%", line)[1]) for line in lines[1:]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.3)


@pytest.mark.parametrize("method", EXPLAINERS)
def test_every_method(method, photo, weights, tmp_path):
    out = tmp_path / "out.png"
    assert run(photo, "--method", method, "--classes", "1", "-o", out, weights=weights) == 0
    values = raw(tmp_path)
    assert np.isfinite(values).all()
    assert values.std() > 0
    assert values.shape[-1] in (8, 64)


def test_torchvisions_networks(photo, squeezenet, tmp_path):
    """SqueezeNet has 1,000 classes, so they carry ImageNet's names; its own map is 13x13."""
    out = tmp_path / "out.png"
    assert run(photo, "--model", "squeezenet1_1", "--classes", "tabby", "-o", out, weights=squeezenet) == 0
    facts = json.loads((tmp_path / "out.json").read_text())
    assert (facts["class"], facts["class_name"]) == (281, "tabby")
    theirs = models.squeezenet1_1().eval()
    theirs.load_state_dict(torch.load(squeezenet, weights_only=True))
    with torch.no_grad():
        view = read_photo(photo).view
        expected = theirs.classifier[2](theirs.classifier[1](theirs.features(view)))[0, 281]
        score = theirs(view).softmax(1)[0, 281]
    np.testing.assert_allclose(raw(tmp_path), expected, rtol=1e-4, atol=1e-5)
    assert facts["score"] == pytest.approx(float(score), rel=1e-4)


def test_a_network_of_another_method_shows_its_own_maps(photo, tmp_path, monkeypatch):
    class Left(torch.nn.Module):
        """Its maps mark the left column, whatever it sees."""

        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 5)

        def forward(self, images):
            return self.linear(images.mean((2, 3)))

        def maps(self, images, classes):
            values = torch.zeros(*classes.shape, 8, 8)
            values[..., 0] = 1
            return values

    trained = Pretrained("left", Left(), NAMES, crop=64)
    monkeypatch.setattr("wsolbook.commands.explain.load_pretrained", lambda *_, **__: trained)
    assert run(photo, "--classes", "bee", "-o", tmp_path / "out.png") == 0
    assert raw(tmp_path).tolist() == [[1, 0, 0, 0, 0, 0, 0, 0]] * 8
    facts = json.loads((tmp_path / "out.json").read_text())
    assert (facts["method"], facts["layer"]) == ("maps", "")
    assert facts["grid"] == {"step": [8.0, 8.0], "start": [3.5, 3.5]}


def test_maps_of_a_network_that_has_none(photo, tmp_path, capsys):
    arguments = ["--model", "squeezenet1_0", "--method", "maps"]
    state = {k: torch.zeros_like(v) for k, v in models.squeezenet1_0().state_dict().items()}
    torch.save(state, tmp_path / "old.pth")
    message = refused(capsys, photo, *arguments, weights=tmp_path / "old.pth")
    assert "SqueezeNet has no maps of its own; choose another method" in message


@pytest.mark.slow
def test_a_vision_transformer(photo, tmp_path):
    torch.manual_seed(0)
    model = models.swin_t(num_classes=3)
    torch.save(model.state_dict(), tmp_path / "swin.pth")
    arguments = ["--model", "swin_t", "--method", "grad-cam", "-o", tmp_path / "out.png"]
    assert run(photo, *arguments, weights=tmp_path / "swin.pth") == 0
    assert raw(tmp_path).shape == (7, 7)


def test_names_of_classes():
    names = imagenet_names()
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby", "toilet tissue")
    assert find_class("Tiger Cat", names) == 282
    assert find_class("282", names) == 282
    with pytest.raises(ValueError, match=r"no class is called 'zzz'$"):
        find_class("zzz", names)
    with pytest.raises(ValueError, match=r"did you mean .*tiger shark"):
        find_class("tigershark", names)


def labeled_hits(name: str, file: str, padding: str) -> tuple[int, int, int]:
    """Return how many labeled photographs are right at once, and within five guesses, of how many."""
    real = Path(os.environ["WSOLBOOK_REAL"])
    trained = load_pretrained(name, real / "weights" / f"{file}.safetensors", padding=padding)
    rows = list(csv.DictReader((real / "data/photos/labels.csv").read_text().splitlines()))
    views = torch.cat([read_photo(real / "data/photos" / row["file"]).view for row in rows])
    truth = torch.tensor([int(row["imagenet_index_0based"]) for row in rows])
    with torch.no_grad():
        hits = trained.network(views).topk(5).indices == truth[:, None]
    return int(hits[:, 0].sum()), int(hits.any(1).sum()), len(rows)


@pytest.mark.real
@pytest.mark.slow
def test_labeled_photographs():
    """Far above chance, 1 in 1,000; and weights trained with TensorFlow's padding need that padding."""
    for name, file, padding in [
        ("mobilenet_v2", "mobilenet_v2_symmetric", "symmetric"),
        ("mobilenet_v2", "mobilenet_v2", "tf-same"),
        ("squeezenet1_1", "squeezenet1_1", "symmetric"),
    ]:
        first, five, n = labeled_hits(name, file, padding)
        assert first > n / 2
        assert five >= first
    as_trained = labeled_hits("mobilenet_v2", "mobilenet_v2", "tf-same")
    otherwise = labeled_hits("mobilenet_v2", "mobilenet_v2", "symmetric")
    assert as_trained[0] > otherwise[0]
