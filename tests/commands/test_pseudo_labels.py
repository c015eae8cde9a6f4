"""`wsolbook pseudo-labels` over miniature sets: resumed, shared, refused, and read by `wsolbook evaluate`."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trees
from nets import lively
from torch import nn

from wsolbook import cli, methods
from wsolbook.commands.pseudo_labels import WriteLabels, source
from wsolbook.data.critters import Critters
from wsolbook.data.images import read_mask
from wsolbook.data.sets import open_split
from wsolbook.evaluation import labels as writing
from wsolbook.evaluation.labels import SMALLEST, PseudoLabels, write_label_maps
from wsolbook.refine.pseudo_labels import Cues, Labeling
from wsolbook.types import Batch


def kept(method: str, folder: Path, classes: int = 8, **settings) -> Path:
    """Write a tiny network with some opinion to a file."""
    torch.manual_seed(0)
    net = lively(methods.METHODS[method](backbone="tiny", classes=classes, **settings))
    for name, layer in net.named_modules():
        if name.endswith("linear"):
            nn.init.normal_(layer.weight)
    methods.save(net, folder / f"{method}.safetensors")
    return folder / f"{method}.safetensors"


def run(folder: Path, weights: Path, *more: str) -> int:
    arguments = ["--weights", str(weights), "--out", str(folder), "--number", "4", "--preset", "multi"]
    return cli.main(["pseudo-labels", *arguments, *more])


@pytest.fixture
def cam(tmp_path):
    return kept("cam", tmp_path)


def test_the_command_writes_goes_on_and_its_labels_are_evaluated(cam, tmp_path, capsys):
    assert run(tmp_path / "out", cam, "--shard", "1/2") == 0
    assert "2 of 4 pictures written" in capsys.readouterr().out
    first = sorted((tmp_path / "out").glob("*.png"))
    assert [path.stem for path in first] == ["000000", "000002"]
    before = [path.stat().st_mtime_ns for path in first]
    assert run(tmp_path / "out", cam) == 0
    assert "2 of 4 pictures written" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in first] == before
    data = Critters(4, "multi", split="val")
    expected = PseudoLabels(Labeling(), methods.load(cam).eval())(data.batch([1]))[0].values[0]
    assert torch.equal(read_mask(tmp_path / "out" / "000001.png").float(), expected)
    names = {int(c) + 1 for c in data.labels[1].nonzero()}
    assert set(expected.unique().tolist()) <= {0, *names}
    assert run(tmp_path / "out", cam, "--alphas", "4", "32") == 1
    assert "holds labels of other options (alphas)" in capsys.readouterr().err
    folder = ["--maps", str(tmp_path / "out"), "--metric", "miou", "--number", "4", "--preset", "multi"]
    assert cli.main(["evaluate", *folder]) == 0
    assert "mIoU" in capsys.readouterr().out


def test_saved_maps_give_the_labels_of_the_network_that_wrote_them(cam, tmp_path):
    critters = ["--number", "4", "--preset", "multi"]
    assert cli.main(["maps", "--weights", str(cam), "--out", str(tmp_path / "maps"), *critters]) == 0
    saved = ["--maps", str(tmp_path / "maps"), "--out", str(tmp_path / "saved"), *critters]
    assert cli.main(["pseudo-labels", *saved]) == 0
    assert run(tmp_path / "own", cam) == 0
    same = [
        (read_mask(path) == read_mask(tmp_path / "own" / path.name)).float().mean()
        for path in sorted((tmp_path / "saved").glob("*.png"))
    ]
    assert len(same) == 4
    assert min(same) > 0.99  # maps are kept in 16 bits


def test_an_affinity_net_walks_and_a_segmenter_labels_by_itself(tmp_path):
    net = kept("affinity", tmp_path, output_stride=4, widths=(8, 16, 32), beta=1.0, steps=8)
    data = Critters(4, "multi", split="val")
    options = WriteLabels(weights=net, out=tmp_path, number=4, preset="multi")
    walked = source(options, data)(data.batch([0]))[0].values[0]
    model = methods.load(net).eval()
    own = PseudoLabels(Labeling(beta=1.0, steps=8), model)(data.batch([0]))[0].values[0]
    stood = PseudoLabels(Labeling(), model.teacher)(data.batch([0]))[0].values[0]
    assert torch.equal(walked, own)
    assert not torch.equal(walked, stood)
    still = source(replace(options, walk=False), data)(data.batch([0]))[0].values[0]
    assert torch.equal(still, stood)
    assert source(options, data).label == Labeling(beta=1.0, steps=8)
    assert source(replace(options, steps=64), data).label == Labeling(beta=1.0, steps=64)
    deeplab = kept("deeplab", tmp_path, rates=(1,))
    assert run(tmp_path / "out", deeplab) == 0
    found = read_mask(tmp_path / "out" / "000000.png")
    assert torch.equal(found, methods.load(deeplab).eval().segment(data.batch([0]).images)[0])


def test_two_alphas_and_cues_leave_pixels_unknown(cam, tmp_path):
    data = Critters(4, "multi", split="val")
    options = WriteLabels(weights=cam, out=tmp_path, number=4, preset="multi")
    batch = data.batch(range(4))
    for changed, label in (
        (replace(options, alphas=(1.0, 32.0)), Labeling((1.0, 32.0))),
        (replace(options, cues=(0.5, 0.1)), Cues(0.5, 0.1)),
    ):
        found = torch.cat([said.values for said in source(changed, data)(batch)])
        expected = [said.values for said in PseudoLabels(label, methods.load(cam).eval())(batch)]
        assert torch.equal(found, torch.cat(expected))
        assert (found == 255).any()


def test_photographs_keep_their_size_odd_or_small(tmp_path):
    root = trees.voc(tmp_path / "voc")
    trees.picture(root / "JPEGImages" / "2007_000001.jpg", 37, 3)
    net = kept("cam", tmp_path, classes=20)
    arguments = ["--data", "voc2012", "--root", str(root), "--split", "trainaug", "--weights", str(net)]
    command = ["pseudo-labels", *arguments, "--out", str(tmp_path / "out"), "--crf", "psa", "--flip"]
    assert cli.main([*command, "--scales", "1", "0.5", "--crf-scale", "0.1"]) == 0
    for path in sorted((tmp_path / "out").glob("*.png")):
        size = (3, 37) if path.stem.endswith("1") else (48, 64)
        assert read_mask(path).shape == size
        assert set(read_mask(path).unique().tolist()) <= {0, 8, 12}
    assert len(open_split("voc2012", root, "trainaug")) == 2
    assert SMALLEST == 32


def test_a_picture_without_labels_is_background(cam):
    image = torch.zeros(1, 3, 40, 33)
    batch = Batch(image, torch.zeros(1, 8), torch.tensor([0]))
    (said,) = PseudoLabels(Labeling(), methods.load(cam).eval())(batch)
    assert said.values.shape == (1, 40, 33)
    assert not said.values.any()


def test_a_full_disk_loses_nothing_that_was_written(cam, tmp_path, monkeypatch, capsys):
    true_write, written = writing.write_labels, []

    def full(path, labels):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        true_write(path, labels)

    monkeypatch.setattr(writing, "write_labels", full)
    assert run(tmp_path / "out", cam) == 1
    assert "No space left on device" in (said := capsys.readouterr().err)
    assert "make room, and run the same command again" in said
    assert sorted((tmp_path / "out").glob("*.png")) == written
    monkeypatch.undo()
    assert run(tmp_path / "out", cam) == 0
    assert "2 of 4 pictures written" in capsys.readouterr().out


def test_parts_join_to_the_whole(cam, tmp_path):
    data = Critters(5, "multi", split="val")
    label = PseudoLabels(Labeling(), methods.load(cam).eval())
    files = [tmp_path / f"{i}.png" for i in range(5)]
    assert [write_label_maps(label, data, files, (part, 3), batch_size=2) for part in range(3)] == [2, 2, 1]
    assert write_label_maps(label, data, files) == 0


def test_all_faults_at_once_and_nothing_created(tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "out"), "--alphas", "3", "2", "--shard", "9/2", "--batch-size", "0"]
    assert cli.main(["pseudo-labels", *arguments, "--crf", "psa", "--crf-scale", "0", "--cues", "0.1"]) == 1
    said = capsys.readouterr().err
    for part in ("6 problems", "batch_size must", "give --weights FILE", "cues must be two", "shard must",
                 "widths must be positive", "alphas must be one"):  # fmt: skip
        assert part in said
    assert not (tmp_path / "out").exists()
    deeplab = kept("deeplab", tmp_path, classes=3)
    assert run(tmp_path / "out", deeplab) == 1
    assert not (tmp_path / "out").exists()
