"""Label maps in the place of masks move with the picture; nobody gets them who asked for the truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from spies import Painted, Spy

from wsolbook.data.critters import Critters
from wsolbook.data.made import taught_by
from wsolbook.refine.pseudo_labels import write_labels
from wsolbook.training import Optim, TrainConfig, train
from wsolbook.types import Supervision

SETTINGS = TrainConfig(epochs=1, batch_size=4, optim=Optim(lr=0.01), device="cpu", seed=5)


def written(folder, labels):
    """Write label maps and return their files."""
    files = [folder / f"{i}-labels.png" for i in range(len(labels))]
    for path, each in zip(files, labels, strict=True):
        write_labels(path, each)
    return files


def columns(n, height, width, classes):
    """Return label maps that have nothing to do with the truth: stripes, one unknown."""
    stripes = (torch.arange(width) * (classes + 1) // width).to(torch.uint8)
    stripes[0] = 255
    return [stripes.expand(height, width).roll(i, 1).contiguous() for i in range(n)]


def test_critters_show_the_label_maps_mirrored_with_the_picture(tmp_path):
    data = Critters(6, "multi", 32)
    made = columns(6, 32, 32, len(data.classes))
    shown = taught_by(data, written(tmp_path, made))
    plain, batch = data.batch(range(6), 3), shown.batch(range(6), 3, range(6))
    assert torch.equal(plain.images, batch.images)
    straight = Critters(6, "multi", 32, flip=False).batch(range(6), 3).images
    flipped = (straight != plain.images).flatten(1).any(1).tolist()
    assert set(flipped) == {True, False}
    for mask, label, mirror in zip(batch.masks, made, flipped, strict=True):
        assert torch.equal(mask, label.flip(-1) if mirror else label)
    assert (shown.batch([0, 1], 3, {1}).masks[0] == 255).all()
    assert torch.equal(shown.batch([2]).masks, data.masks[[2]])  # evaluation sees the truth
    assert shown.batch([0], 0).masks is None
    assert data.label_files == ()


@pytest.mark.parametrize("augment", ["deeplab", "affinity-net"])
def test_photographs_show_them_cropped_and_padded_with_the_picture(tmp_path, augment):
    data = Painted(tmp_path, size=36, augment=augment)
    # What is painted red is labeled 7 here, whatever the truth is called, and masks are hidden.
    made = [torch.from_numpy(7 * truth).to(torch.uint8) for truth in data.truth]
    data.classes, data.has_masks = ("a",) * 7, False
    data.mask = None
    batch = taught_by(data, written(tmp_path, made)).batch(range(10), 2, range(10))
    known = batch.masks != 255
    assert known.any((1, 2)).all()
    assert not known.all()  # 30 x 48 pixels in a crop of 36
    red = batch.images[:, 0] > batch.images[:, 1]
    assert torch.equal(red[known], (batch.masks == 7)[known])


def test_what_is_declared_must_be_there(tmp_path):
    data = Painted(tmp_path, size=32)
    taught = taught_by(data, written(tmp_path, columns(10, 30, 48, 2)))
    spy = Spy(None)
    with pytest.raises(
        ValueError, match="to learn from true masks; the data set holds label maps that a net"
    ):
        train(spy, taught, SETTINGS)
    spy.supervision = replace(spy.supervision, made=True)
    with pytest.raises(
        ValueError, match="from label maps that a network made; the data set holds true masks"
    ):
        train(spy, data, SETTINGS)
    assert spy.seen == []
    train(spy, taught, SETTINGS)
    assert all((batch.masks != 255).any() for batch in spy.seen)
    nothing = Spy(0)
    train(nothing, taught, SETTINGS)
    assert all(batch.masks is None for batch in nothing.seen)
    assert Supervision().made is False


def test_missing_and_misshapen_label_maps_are_refused(tmp_path):
    data = Critters(3, "multi", 32)
    files = written(tmp_path, columns(3, 32, 32, 8))
    with pytest.raises(ValueError, match="2 label maps for 3 pictures"):
        taught_by(data, files[:2])
    shown = taught_by(data, files)
    write_labels(files[1], torch.zeros(32, 31, dtype=torch.uint8))
    with pytest.raises(
        ValueError, match=r"1-labels\.png: its size is \(32, 31\), that of the picture \(32, 32\)"
    ):
        shown.batch([1], 0, range(3))
    write_labels(files[1], torch.full((32, 32), 9, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"1-labels\.png: holds values other than 0 to 8 and 255"):
        shown.batch([1], 0, range(3))
    files[2].unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 3 label maps are missing, first .*2-labels\.png"):
        taught_by(data, files)
