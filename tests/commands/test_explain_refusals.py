"""Every wrong input gets one sentence, a failure code, and leaves nothing half written."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from explaining import picture, refused, run
from PIL import Image
from torchvision import models


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
    assert "explained 1 photographs, 0 were done" in printed.out
    assert os.listdir(tmp_path / "out" / "cam" / "maps") == ["good.npz"]
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
        (["--batch-size", "0"], "batch-size must be at least 1, got 0"),
        (["--workers", "0"], "workers must be at least 1, got 0"),
        (["-o", "photo.png"], "photo.png is the photograph itself"),
        (["-o", "out.gif"], "out.gif must be a folder, or end in .png"),
        (["--classes", "top2", "-o", "out.png"], "out.png is one picture, but several maps are asked for"),
        (["--method", "cam", "grad-cam", "-o", "out.png"], "out.png is one picture"),
        (["--names", "none.txt"], "none.txt"),
        (["--names", "photo.png"], "photo.png is not a whole text file; save it as UTF-8"),
        (["--classes", "top0"], "no class is called 'top0'"),
        (["--classes", "²"], "no class is called '²'"),
        (["--output-stride", "0"], "says output stride and padding itself; leave them out"),
        (["--device", "banana"], "there is no device 'banana' on this machine; choose auto"),
        (["--device", "cpu:1"], "there is no device 'cpu:1' on this machine"),
        (["--device", "meta"], "there is no device 'meta' on this machine"),
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
    (tmp_path / "list.txt").write_text("\n")
    assert "list.txt names no pictures" in refused(capsys, tmp_path / "list.txt", weights=weights)
    os.mkfifo(tmp_path / "pipe.png")
    message = refused(capsys, tmp_path / "pipe.png", weights=weights)
    assert "pipe.png is neither a file nor a folder" in message


def test_names_that_lead_nowhere_end_nothing(tmp_path, weights, capsys):
    good = [tmp_path / "a.png", tmp_path / "b.png"]
    for each in good:
        picture().save(each)
    os.mkfifo(tmp_path / "pipe.png")
    bad = ["", tmp_path / ("x" * 300 + ".png"), tmp_path / "pipe.png", tmp_path / "none.png"]
    for _ in range(2):  # the second time into a folder that exists
        assert run(good[0], *bad, good[1], "-o", tmp_path / "out", weights=weights) == 1
        *lines, last = [
            line for line in capsys.readouterr().err.splitlines() if line.startswith("wsolbook: ")
        ]
        assert last == "wsolbook: 4 of 6 photos could not be read"
        for line, said in zip(
            lines,
            ["(empty path) does", "File name too long", "neither a file nor", "none.png does"],
            strict=True,
        ):
            assert said in line
    assert sorted(p.stem for p in (tmp_path / "out" / "photos").iterdir()) == ["a", "b"]
    message = refused(capsys, "", tmp_path / "none.png", weights=weights)
    assert message == "wsolbook: (empty path) does not exist, nor does any of 1 others"


def test_places_that_cannot_be_written(photo, weights, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("a file where a folder should be")
    message = refused(capsys, photo, "-o", tmp_path / "file" / "out.png", weights=weights)
    assert "file is a file, not a folder" in message
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    message = refused(capsys, photo, "-o", tmp_path / "out.png", weights=weights)
    assert f"cannot write {tmp_path / 'out.png'}: no permission to write into {tmp_path}" in message
    assert sorted(os.listdir(tmp_path)) == ["file", "photo.png"]


def test_full_disk_leaves_no_half_file(photo, weights, tmp_path, capsys, monkeypatch):
    def full(file, **values):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(np, "savez", full)
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


def test_a_device_that_is_not_there_is_refused(photo, weights, capsys, monkeypatch):
    monkeypatch.setattr("wsolbook.profiles.best_device", lambda: torch.device("cpu"))
    said = refused(capsys, photo, "--device", "cuda", weights=weights)
    assert said == "wsolbook: there is no device 'cuda' on this machine; choose auto or cpu"


def test_a_folder_may_have_a_dot_and_a_picture_capitals(photo, weights, tmp_path):
    assert run(photo, "-o", tmp_path / "run1.5", weights=weights) == 0
    assert (tmp_path / "run1.5" / "index.html").is_file()
    assert run(photo, "-o", tmp_path / "map.PNG", weights=weights) == 0
    with Image.open(tmp_path / "map.PNG") as drawn:
        assert drawn.format == "PNG"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_names_are_read_as_editors_save_them(photo, weights, tmp_path, encoding):
    (tmp_path / "names.txt").write_bytes("蛙\nb\nc\nd\ne\n\n".encode(encoding))
    arguments = ["--names", tmp_path / "names.txt", "--classes", "蛙", "-o", tmp_path / "map.png"]
    assert run(photo, *arguments, weights=weights) == 0
    assert json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))["class_name"] == "蛙"


def test_a_list_of_photographs_may_begin_with_a_mark(photo, weights, tmp_path):
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "list.txt").write_bytes(f"{photo}\n".encode(encoding))
        assert run(tmp_path / "list.txt", "-o", tmp_path / encoding, weights=weights) == 0
