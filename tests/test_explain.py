"""`wsolbook explain` through its command line: good photographs, awkward ones, and every wrong input."""

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
from PIL import Image
from torch import nn
from torchvision import models

from wsolbook import maps
from wsolbook.backbones import build, save
from wsolbook.cam import cam
from wsolbook.cli import main
from wsolbook.data.transforms import normalize
from wsolbook.explain import METHODS
from wsolbook.photos import box_on_photo, draw_map, place, read_photo
from wsolbook.pretrained import find_class, imagenet_names, load_pretrained

NAMES = ("Ant", "bee", "cat", "bee eater", "cat")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a tiny network of five classes in a file of our own."""
    torch.manual_seed(0)
    model = build("tiny", classes=5)
    nn.init.normal_(model.linear.weight)
    model.names = NAMES
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save(model, path)
    return path


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    """Return a SqueezeNet with torchvision's names and random parameters."""
    torch.manual_seed(0)
    model = models.squeezenet1_1()
    nn.init.normal_(model.classifier[1].weight, 0, 0.1)
    path = tmp_path_factory.mktemp("weights") / "squeezenet.pth"
    torch.save(model.state_dict(), path)
    return path


def picture(width=96, height=64) -> Image.Image:
    """A smooth picture in which every place has its own color."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x / width, y / height, (x + y) / (width + height)], -1)
    return Image.fromarray((rgb * 255).astype(np.uint8))


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    picture().save(path)
    return path


def run(*arguments, weights=None) -> int:
    extra = ["--weights", str(weights)] if weights else []
    return main(["explain", *map(str, arguments), *extra])


def refused(capsys, *arguments, weights=None, code=1) -> str:
    """Run, expect a refusal, and return its one sentence."""
    assert run(*arguments, weights=weights) == code
    message = capsys.readouterr().err.strip()
    assert message.startswith("wsolbook: ")
    assert "\n" not in message
    assert "Traceback" not in message
    return message


# --- what it writes -----------------------------------------------------------------------------------------


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


def test_png_report(photo, weights, tmp_path):
    report = tmp_path / "report.png"
    assert run(photo, "--classes", "top2", "--report", report, "-o", tmp_path / "m", weights=weights) == 0
    with Image.open(report) as page:
        assert page.width > 500
        assert page.height > page.width  # two rows of a photo and a map


@pytest.mark.parametrize("method", METHODS)
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


@pytest.mark.slow
def test_a_vision_transformer(photo, tmp_path):
    torch.manual_seed(0)
    model = models.swin_t(num_classes=3)
    torch.save(model.state_dict(), tmp_path / "swin.pth")
    arguments = ["--model", "swin_t", "--method", "grad-cam", "-o", tmp_path / "out.png"]
    assert run(photo, *arguments, weights=tmp_path / "swin.pth") == 0
    assert np.load(tmp_path / "out.npy").shape == (7, 7)


# --- geometry -----------------------------------------------------------------------------------------------


def test_view_is_torchvisions_preprocessing(tmp_path):
    from torchvision.transforms import v2

    for size in ((300, 200), (201, 333), (256, 256)):
        path = tmp_path / "p.png"
        picture(*size).save(path)
        reference = v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.PILToTensor()])
        expected = normalize(reference(picture(*size))[None].float() / 255)
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


# --- awkward photographs that must work ---------------------------------------------------------------------


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

    grey = picture().convert("L")
    grey.save(tmp_path / "grey.png")
    deep = tmp_path / "deep.png"
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save(deep)
    torch.testing.assert_close(view_of(deep), view_of(tmp_path / "grey.png"))

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


# --- wrong inputs -------------------------------------------------------------------------------------------


def broken_photos(folder: Path) -> dict[str, str]:
    """Write photographs that cannot be used; return what the message must say of each."""
    (folder / "text.jpg").write_text("this is not a picture")
    whole = io.BytesIO()
    picture(300, 300).save(whole, "JPEG")
    (folder / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "empty.png").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (4000, 10)).save(folder / "narrow.png")
    return {
        "text.jpg": "not an image",
        "cut.jpg": "truncated",
        "empty.png": "not an image",
        "dot.png": "1x1 pixels",
        "narrow.png": "4000x10 pixels is narrower than 1:40",
    }


def test_photographs_that_cannot_be_used(tmp_path, weights, capsys):
    for name, reason in broken_photos(tmp_path).items():
        message = refused(capsys, tmp_path / name, "-o", tmp_path / "out" / "x.png", weights=weights)
        assert name in message
        assert reason in message
        assert not (tmp_path / "out").exists()


def test_some_photographs_of_many_cannot_be_used(tmp_path, weights, capsys):
    expected = broken_photos(tmp_path)
    picture().save(tmp_path / "good.png")
    assert run(tmp_path, "-o", tmp_path / "out", "--classes", "bee", weights=weights) == 1
    printed = capsys.readouterr()
    assert "good.png" in printed.out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "good-bee-cam.json",
        "good-bee-cam.npy",
        "good-bee-cam.png",
    ]
    lines = [line for line in printed.err.splitlines() if line.startswith("wsolbook: ")]
    assert lines[-1] == "wsolbook: 5 of 6 photos could not be read"
    for name in expected:
        assert sum(name in line for line in lines) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "5"], "class 5 does not exist: the network has classes 0 to 4"),
        (["--classes", "-1"], "class -1 does not exist"),
        (["--classes", "beee"], "no class is called 'beee'; did you mean bee"),
        (["--classes", "cat"], "several classes are called 'cat'; pass a number: 2 or 4"),
        (["--method", "cam-cam"], "unknown method 'cam-cam'; choose from cam, grad-cam"),
        (["--method", "grad-cam", "--layer", "stage9"], "no layer 'stage9'"),
        (["--layer", "features"], "cam does not let one choose a layer"),
        (["--model", "vgg16"], "holds tiny, not vgg16"),
        (["--report", "page.pdf"], "page.pdf must end in .html or .png"),
        (["-o", "out.gif"], "out.gif must be a folder, or end in .png"),
        (["--classes", "top2", "-o", "out.png"], "out.png is one picture, but several maps are asked for"),
        (["--method", "cam", "grad-cam", "-o", "out.png"], "out.png is one picture"),
        (["--names", "none.txt"], "none.txt"),
    ],
)
def test_wrong_options(arguments, message, photo, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, photo, *arguments, weights=weights)
    assert os.listdir(tmp_path) == ["photo.png"]


def test_wrong_models(photo, tmp_path, capsys, squeezenet, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "say which network it is" in refused(capsys, photo)
    assert "unknown model 'resnet5'; pass resnet50 or " in refused(capsys, photo, "--model", "resnet5")
    assert "unknown model 'tiny'; pass its own file" in refused(capsys, photo, "--model", "tiny")
    message = refused(capsys, photo, "--model", "mobilenet_v2", weights=squeezenet)
    assert "squeezenet.pth does not fit mobilenet_v2: it lacks parameter" in message
    message = refused(capsys, photo, "--model", "densenet121", weights=squeezenet)
    assert "squeezenet.pth does not fit densenet121" in message
    message = refused(capsys, photo, "--model", "squeezenet1_1", "--output-stride", 4, weights=squeezenet)
    assert "squeezenet1_1 has output stride 16 or 8, not 4" in message
    message = refused(capsys, photo, "--model", "alexnet", "--output-stride", 8, weights=squeezenet)
    assert "output stride and padding can be chosen for" in message
    (tmp_path / "two.txt").write_text("one\ntwo\n")
    message = refused(capsys, photo, "--model", "squeezenet1_1", "--names", "two.txt", weights=squeezenet)
    assert "2 names were given for 1000 classes" in message
    assert sorted(os.listdir(tmp_path)) == ["photo.png", "two.txt"]


def test_model_that_cannot_do_cam(photo, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = models.mobilenet_v3_small(num_classes=3)
    torch.save(model.state_dict(), "v3.pth")
    message = refused(capsys, photo, "--model", "mobilenet_v3_small", weights="v3.pth")
    assert "cam needs global pooling followed by one linear layer" in message
    assert "MobileNetV3 ends in 2 linear layers" in message
    assert sorted(os.listdir(tmp_path)) == ["photo.png", "v3.pth"]
    assert run(photo, "--model", "mobilenet_v3_small", "--method", "grad-cam", weights="v3.pth") == 0


def test_no_photographs(tmp_path, weights, capsys):
    (tmp_path / "empty").mkdir()
    assert "empty holds no pictures" in refused(capsys, tmp_path / "empty", weights=weights)
    assert "none.jpg does not exist" in refused(capsys, tmp_path / "none.jpg", weights=weights)


def test_places_that_cannot_be_written(photo, weights, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("a file where a folder should be")
    message = refused(capsys, photo, "-o", tmp_path / "file" / "out.png", weights=weights)
    assert "file is a file, not a folder" in message
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    message = refused(capsys, photo, "-o", tmp_path / "out.png", weights=weights)
    assert f"cannot write {tmp_path / 'out.png'}: no permission to write into {tmp_path}" in message
    assert sorted(os.listdir(tmp_path)) == ["file", "photo.png"]


def test_full_disk_leaves_no_half_file(photo, weights, tmp_path, capsys, monkeypatch):
    def full(file, values):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(np, "save", full)
    assert "No space left on device" in refused(
        capsys, photo, "-o", tmp_path / "o" / "x.png", weights=weights
    )
    assert sorted(os.listdir(tmp_path / "o")) == ["x.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(photo, weights, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    assert "no permission" in refused(capsys, photo, "-o", locked / "x.png", weights=weights)
    assert list(locked.iterdir()) == []


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


def labelled_hits(name: str, file: str, padding: str) -> tuple[int, int, int]:
    """Return how many labelled photographs are right at once, and within five guesses, of how many."""
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
def test_labelled_photographs():
    """Far above chance, 1 in 1,000; and weights trained with TensorFlow's padding need that padding."""
    for name, file, padding in [
        ("mobilenet_v2", "mobilenet_v2_symmetric", "symmetric"),
        ("mobilenet_v2", "mobilenet_v2", "tf-same"),
        ("squeezenet1_1", "squeezenet1_1", "symmetric"),
    ]:
        first, five, n = labelled_hits(name, file, padding)
        assert first > n / 2
        assert five >= first
    as_trained = labelled_hits("mobilenet_v2", "mobilenet_v2", "tf-same")
    otherwise = labelled_hits("mobilenet_v2", "mobilenet_v2", "symmetric")
    assert as_trained[0] > otherwise[0]
