"""What `wsolbook explain` writes and prints."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from explaining import NAMES, picture, refused, run
from PIL import Image
from torchvision import models

from wsolbook.backbones.pretrained import Pretrained, find_class, imagenet_names, load_pretrained
from wsolbook.cam import cam
from wsolbook.cam.photograph import EXPLAINERS
from wsolbook.data.photos import read_photo
from wsolbook.show.comparison import Panel, Section, write_comparison


def test_one_photo_one_map(photo, weights, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert run(photo, "-o", out, weights=weights) == 0
    printed = capsys.readouterr().out
    facts = json.loads((tmp_path / "out.json").read_text())
    seen = read_photo(photo, 64)
    trained = load_pretrained(None, weights)
    expected = cam(trained.network, seen.view)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected.values[0, 0], rtol=1e-5, atol=1e-5)
    assert facts["class"] == int(expected.classes)
    assert facts["class_name"] == NAMES[facts["class"]]
    assert facts["score"] == pytest.approx(float(expected.logits.softmax(1).max()), rel=1e-5)
    assert facts["photo_size"] == [96, 64]
    assert facts["crop"] == pytest.approx([96 / 2 - 64 / 73 * 32, 32 - 64 / 73 * 32, 76.05, 60.05], abs=0.6)
    assert facts["layer"] == "features"
    assert facts["grid"] == {"step": [8.0, 8.0], "start": [3.5, 3.5]}
    with Image.open(out) as drawn:
        assert drawn.size == (400, 267)  # small photographs are shown enlarged
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.json", "out.npy", "out.png", "photo.png"]
    lines = printed.strip().splitlines()
    assert lines[0].endswith("photo.png  96x64")
    assert len(lines) == 6
    shares = [float(re.match(r"\s+([\d.]+)%", line)[1]) for line in lines[1:]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.3)


def test_folder_methods_classes_and_report(photo, weights, tmp_path, capsys):
    (tmp_path / "more").mkdir()
    picture(80, 80).save(tmp_path / "more" / "photo.jpg")
    (tmp_path / "notes.txt").write_text("not a picture, and nobody said it was")
    out, report = tmp_path / "maps", tmp_path / "report.html"
    methods = ["cam", "layer-cam", "guided-backprop"]
    code = run(
        tmp_path, "--method", *methods, "--classes", "bee eater", "0", "-o", out, "--report", report,
        weights=weights,
    )  # fmt: skip
    assert code == 0
    names = {p.name for p in out.iterdir()}
    assert names == {
        f"photo-{i}-{c}-{m}.{e}"
        for i in (1, 2) for c in ("bee_eater", "Ant") for m in methods for e in ("png", "npy", "json")
    }  # fmt: skip
    assert np.load(out / "photo-1-Ant-guided-backprop.npy").shape == (3, 64, 64)
    assert json.loads((out / "photo-1-Ant-guided-backprop.json").read_text())["box"] is None
    page = report.read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)  # nothing from outside
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == 2 * (1 + 2 * 3)
    for data in pictures:
        Image.open(io.BytesIO(base64.b64decode(data))).load()
    assert page.count("<section>") == 2
    assert "grad-cam" not in page


@pytest.mark.parametrize("method", EXPLAINERS)
def test_every_method(method, photo, weights, tmp_path):
    out = tmp_path / "out.png"
    assert run(photo, "--method", method, "--classes", "1", "-o", out, weights=weights) == 0
    values = np.load(tmp_path / "out.npy")
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
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-4, atol=1e-5)
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
    assert np.load(tmp_path / "out.npy").tolist() == [[1, 0, 0, 0, 0, 0, 0, 0]] * 8
    facts = json.loads((tmp_path / "out.json").read_text())
    assert (facts["method"], facts["layer"]) == ("maps", "")
    assert facts["grid"] == {"step": [8.0, 8.0], "start": [3.5, 3.5]}


def test_maps_of_a_network_that_has_none(photo, squeezenet, tmp_path, capsys):
    arguments = ["--model", "squeezenet1_0", "--method", "maps"]
    state = {k: torch.zeros_like(v) for k, v in models.squeezenet1_0().state_dict().items()}
    torch.save(state, tmp_path / "old.pth")
    message = refused(capsys, photo, *arguments, weights=tmp_path / "old.pth")
    assert "SqueezeNet has no maps of its own; choose another method" in message


def test_names_from_outside_are_text_on_the_page(tmp_path):
    black = Image.new("RGB", (8, 8))
    panel = Panel("cam", '<b>"bee"</b>, 50.0%', black)
    section = Section("<script>alert(1)</script>.png", black, [("<i>bee</i>", 0.5)], [panel])
    write_comparison(tmp_path / "page.html", "a < b", "c & d", [section])
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;.png") == 3  # the heading and both pictures
    assert page.count("&lt;b&gt;&#34;bee&#34;&lt;/b&gt;, 50.0%") == 2  # the row and its picture
    assert '<span>&lt;i&gt;bee&lt;/i&gt;</span><span>50.0%</span><i style="width:50.0%">' in page
    assert "a &lt; b" in page
    assert "c &amp; d" in page


@pytest.mark.slow
def test_a_vision_transformer(photo, tmp_path):
    torch.manual_seed(0)
    model = models.swin_t(num_classes=3)
    torch.save(model.state_dict(), tmp_path / "swin.pth")
    arguments = ["--model", "swin_t", "--method", "grad-cam", "-o", tmp_path / "out.png"]
    assert run(photo, *arguments, weights=tmp_path / "swin.pth") == 0
    assert np.load(tmp_path / "out.npy").shape == (7, 7)


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
