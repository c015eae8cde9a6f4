"""`wsolbook explain` on a folder: what it writes, how it goes on, and that nothing piles up."""

from __future__ import annotations

import json
import os
import re
import weakref
from pathlib import Path
from urllib.parse import unquote

import filelock
import numpy as np
import pytest
import torch
from explaining import NAMES, picture, refused, run
from PIL import Image

from wsolbook.backbones.classifier import Classifier
from wsolbook.backbones.pretrained import load_pretrained
from wsolbook.cam import cam
from wsolbook.data import photos
from wsolbook.data.photos import read_photo
from wsolbook.evaluation.saved import read_maps

METHODS = ["cam", "layer-cam", "guided-backprop"]


@pytest.fixture
def folder(tmp_path):
    """Return a folder of four photographs, two of one name, one with a name that pages must quote."""
    inside = tmp_path / "in"
    (inside / "more").mkdir(parents=True)
    picture(90, 80).save(inside / "more" / "one.jpg")
    picture().save(inside / "One.png")
    picture(64, 96).save(inside / "<b> 50% #1 & é.png")
    picture(80, 100).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(inside / "two.png")
    (inside / "notes.txt").write_text("not a picture, and nobody said it was")
    return inside


def journal(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "explained.jsonl").read_text().splitlines()[1:]]


def test_files(folder, weights, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(folder, "--method", *METHODS, "--classes", "bee eater", "0", "-o", out, weights=weights) == 0
    assert "explained 4 photographs, 0 were done: open" in capsys.readouterr().out
    records = journal(out)
    assert [r["name"] for r in records] == ["<b> 50% #1 & é", "One", "one-2", "two"]
    trained = load_pretrained(None, weights)
    for record in records:
        photo = read_photo(record["photo"], 64, 360)
        expected = cam(trained.network, photo.view, torch.tensor([[3, 0]]))
        saved = read_maps(out / "cam" / "maps" / f"{record['name']}.npz")
        assert saved.classes.tolist() == [3, 0]
        torch.testing.assert_close(saved.values, expected.values[0], rtol=1e-5, atol=1e-5)
        assert [(m["method"], m["class_name"]) for m in record["maps"]] == [
            (method, name) for method in METHODS for name in ("bee eater", "Ant")
        ]
        for each in record["maps"]:
            with Image.open(out / each["drawn"]) as drawn:
                assert (
                    list(drawn.size)
                    == record["shown_size"]
                    == [photo.picture.shape[2], photo.picture.shape[1]]
                )
            assert (each["box"] is None) == (each["method"] == "guided-backprop")
    with np.load(out / "guided-backprop" / "maps" / "two.npz") as content:
        assert content["maps"].shape == (2, 3, 64, 64)


def test_masks_and_boxes_lie_on_the_photograph(folder, weights, tmp_path):
    out = tmp_path / "out"
    assert run(folder, "--method", "cam", "backprop", "--classes", "top2", "-o", out, weights=weights) == 0
    coco = json.loads((out / "cam" / "boxes.json").read_text())
    assert [(c["id"], c["name"]) for c in coco["categories"]] == list(enumerate(NAMES))
    assert [i["id"] for i in coco["images"]] == [1, 2, 3, 4]
    assert [(i["width"], i["height"]) for i in coco["images"]] == [(64, 96), (96, 64), (90, 80), (80, 100)]
    assert [a["id"] for a in coco["annotations"]] == list(range(1, 9))
    for place, record in enumerate(journal(out)):
        assert coco["images"][place]["file_name"] == record["photo"]
        for each, written in zip(record["maps"][:2], coco["annotations"][2 * place :], strict=False):
            x, y, width, height = written["bbox"]
            assert [x, y, x + width - 1, y + height - 1] == each["box"]
            assert written["area"] == width * height
            assert (written["image_id"], written["category_id"]) == (place + 1, each["class"])
            with Image.open(out / "cam" / "masks" / f"{record['name']}-{each['class']}.png") as file:
                assert list(file.size) == record["size"]
                mask = np.asarray(file)
            assert set(np.unique(mask)) <= {0, 255}
            rows, columns = np.nonzero(mask)  # all regions, the box that of the largest
            assert columns.min() <= x + 1
            assert columns.max() >= x + width - 2
            assert rows.min() <= y + 1
            assert rows.max() >= y + height - 2


def test_contact_sheet(folder, weights, tmp_path):
    out = tmp_path / "out"
    assert run(folder, "--method", *METHODS, "--classes", "top2", "-o", out, weights=weights) == 0
    page = (out / "index.html").read_text()
    pictures = re.findall(r'<img src="([^"]*)" alt="([^"]*)" width="(\d+)" height="(\d+)"([^>]*)>', page)
    assert len(pictures) == 4 * (1 + 3 * 2)
    for source, alt, width, height, rest in pictures:
        with Image.open(out / unquote(source)) as file:
            assert file.size == (int(width), int(height))
        assert 'loading="lazy"' in rest
        assert alt
    assert "<b>" not in page
    assert page.count("<section>") == page.count("</section>") == 4
    assert not re.search(r'(src|href)="(https?:|//|/)', page)  # nothing from outside


def test_goes_on_where_it_was_stopped(folder, weights, tmp_path, capsys, monkeypatch):
    out, seen = tmp_path / "out", []

    def spied(path, **options):
        seen.append(Path(path).name)
        if stop in seen:
            raise KeyboardInterrupt
        return read_photo(path, **options)

    monkeypatch.setattr("wsolbook.commands.explain.read_photo", spied)
    again = [folder, "-o", out, "--batch-size", 1, "--workers", 1]
    stop = "two.png"
    assert run(*again, weights=weights) == 130
    done = [Path(r["photo"]).name for r in journal(out)]
    assert 0 < len(done) < 4
    with (out / "explained.jsonl").open("a") as file:
        file.write('{"photo": "torn')  # killed in the middle of a line
    stop = ""
    seen.clear()
    assert run(*again, weights=weights) == 0
    assert sorted(seen + done) == sorted(p.name for p in folder.rglob("*.*g"))
    assert len(journal(out)) == 4
    assert f"explained {4 - len(done)} photographs, {len(done)} were done" in capsys.readouterr().out

    seen.clear()
    assert run(*again, weights=weights) == 0
    assert seen == []

    picture(70, 70).save(folder / "two.png")  # another photograph under its name
    picture(70, 70).save(folder / "ONE.png")
    assert run(*again, weights=weights) == 0
    assert seen == ["ONE.png", "two.png"]
    records = {Path(r["photo"]).name: r for r in journal(out)}
    assert len(journal(out)) == len(records) == 5
    assert records["two.png"]["size"] == [70, 70]
    assert records["ONE.png"]["name"] == "ONE-3"  # the names of what was there stay
    assert records["one.jpg"]["name"] == "one-2"
    assert (out / "index.html").read_text().count("<section>") == 5


def test_a_changed_setting_is_noticed(folder, weights, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(folder, "-o", out, weights=weights) == 0
    before = (out / "explained.jsonl").read_bytes()
    message = refused(capsys, folder, "-o", out, "--method", "grad-cam", "--classes", "1", weights=weights)
    assert "out holds maps by other settings (method was ['cam'], is ['grad-cam']; classes was" in message
    moved = tmp_path / "tiny.safetensors"
    moved.write_bytes(Path(weights).read_bytes())
    assert "weights was" in refused(capsys, folder, "-o", out, weights=moved)
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    assert "names was" in refused(
        capsys, folder, "-o", out, "--names", tmp_path / "names.txt", weights=weights
    )
    assert (out / "explained.jsonl").read_bytes() == before


def test_a_damaged_journal(folder, weights, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(folder, "-o", out, weights=weights) == 0
    lines = (out / "explained.jsonl").read_text().splitlines(keepends=True)
    (out / "explained.jsonl").write_text("".join([*lines[:2], lines[2][:40] + "\n", *lines[3:]]))
    message = refused(capsys, folder, "-o", out, weights=weights)
    assert "explained.jsonl: line 3 is damaged; delete it" in message
    (out / "explained.jsonl").write_text("".join([*lines[:2], *lines[3:]]))
    assert run(folder, "-o", out, weights=weights) == 0
    assert "explained 1 photographs, 3 were done" in capsys.readouterr().out


def test_a_folder_that_another_process_writes(folder, weights, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    with filelock.FileLock(tmp_path / "out" / "lock"):
        message = refused(capsys, folder, "-o", tmp_path / "out", weights=weights)
    assert "out is in use by another process" in message


def test_its_own_files_are_no_photographs(folder, weights, monkeypatch):
    monkeypatch.chdir(folder)
    assert run(".", weights=weights) == 0
    assert run(".", weights=weights) == 0
    assert len(journal(folder / "explained")) == 4


def test_a_list(folder, weights, tmp_path, capsys):
    """Of missing pictures in a list each is reported, and the others are explained."""
    paths = [folder / "two.png", folder / "none.png", folder / "One.png", folder / "two.png"]
    (tmp_path / "list.txt").write_text("\n".join(map(str, paths)) + "\n\n")
    assert run(tmp_path / "list.txt", "-o", tmp_path / "out", weights=weights) == 1
    assert [r["name"] for r in journal(tmp_path / "out")] == ["two", "One"]
    printed = capsys.readouterr().err
    assert "none.png" in printed
    assert printed.endswith("wsolbook: 1 of 3 photos could not be read\n")


def test_long_names(weights, tmp_path):
    (tmp_path / "in").mkdir()
    for end in "ab":
        picture().save(tmp_path / "in" / f"{'é' * 124}{end}.png")
    assert run(tmp_path / "in", "-o", tmp_path / "out", weights=weights) == 0
    assert sorted(len(os.fsencode(n)) for n in os.listdir(tmp_path / "out" / "photos")) == [164, 166]


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["auto"], [4]), (["top2"], [4, 2]), (["bee", "top2", "4", "Bee"], [1, 4, 2]), (["bee", "0"], [1, 0])],
)
def test_classes(words, expected, photo, weights, tmp_path, monkeypatch):
    """Each class once, and one pass of the network unless best ones and others mix."""
    passes = []
    whole = Classifier.forward

    def forward(self, images):
        passes.append(len(images))
        logits = whole(self, images)
        return logits + torch.tensor([0.0, 0, 1000, 0, 2000])

    monkeypatch.setattr(Classifier, "forward", forward)
    arguments = ["--method", "grad-cam", "--layer", "features", "--classes", *words]
    assert run(photo, *arguments, "-o", tmp_path / "out", weights=weights) == 0
    assert [m["class"] for m in journal(tmp_path / "out")[0]["maps"]] == expected
    grid = 1  # once a run
    assert len(passes) == 1 + grid + (len(words) == 4)


def test_nothing_piles_up(weights, tmp_path, monkeypatch):
    """Of 48 photographs never more than those read ahead, seen, and written are in memory."""
    (tmp_path / "in").mkdir()
    for i in range(48):
        picture(32 + i, 40).save(tmp_path / "in" / f"{i:02}.png")
    alive, most = weakref.WeakSet(), []
    make = photos.Photo.__init__

    def counted(self, *arguments):
        make(self, *arguments)
        alive.add(self)
        most.append(len(alive))

    monkeypatch.setattr(photos.Photo, "__init__", counted)
    monkeypatch.setattr(photos.Photo, "__hash__", object.__hash__)
    arguments = ["-o", tmp_path / "out", "--batch-size", 4, "--workers", 2]
    assert run(tmp_path / "in", *arguments, weights=weights) == 0
    assert len(most) == 48
    assert max(most) <= 4 * 4
    assert len(journal(tmp_path / "out")) == 48


def test_no_two_photographs_or_classes_share_a_file(weights, tmp_path):
    """Names that meet when they are numbered, and a second class of one photograph."""
    photos = [tmp_path / "in" / name for name in ("a.png", "x/a.png", "a-2.png", "y/A.png")]
    for photo in photos:
        photo.parent.mkdir(parents=True, exist_ok=True)
        picture().save(photo)
    assert run(*photos, "-o", tmp_path / "out", "--classes", "2", "4", weights=weights) == 0  # both "cat"
    assert len(os.listdir(tmp_path / "out" / "cam" / "maps")) == 4
    assert len(os.listdir(tmp_path / "out" / "cam" / "drawn")) == 8
    assert len(os.listdir(tmp_path / "out" / "photos")) == 4
