"""Pseudo labels: the truth table of two backgrounds, and what odd pictures become."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch
from PIL import Image

from wsolbook.data.images import read_mask
from wsolbook.maps import normalize, resize
from wsolbook.refine.affinity import offsets
from wsolbook.refine.crf import PRESETS, dense_crf
from wsolbook.refine.pseudo_labels import (
    Cues,
    Labeling,
    combine,
    named,
    to_grid,
    with_background,
    write_labels,
)
from wsolbook.refine.random_walk import random_walk


def picture(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def maps(k: int = 2, height: int = 6, width: int = 5) -> torch.Tensor:
    return torch.rand(k, height, width, generator=torch.Generator().manual_seed(1))


def test_background_is_what_the_classes_leave():
    scores = with_background(torch.tensor([[[1.0, 0.5, 0.0]], [[0.2, 0.3, 0.0]]]), 4.0)
    assert scores[0].tolist() == [[0, 0.0625, 1]]
    assert torch.equal(scores[1:], torch.tensor([[[1.0, 0.5, 0.0]], [[0.2, 0.3, 0.0]]]))
    weaker = with_background(torch.tensor([[[0.5]]]), 32.0)
    assert weaker[0].item() == 0.5**32


@pytest.mark.parametrize(
    ("low", "high", "sure"),
    [(3, 3, 3), (3, 5, 3), (0, 3, 255), (0, 0, 0), (3, 0, 0), (255, 255, 255)],
)
def test_the_truth_table_of_two_backgrounds(low, high, sure):
    pair = [torch.tensor([[value]], dtype=torch.uint8) for value in (low, high)]
    assert combine(*pair).item() == sure


def test_labels_are_the_classes_plus_one_and_the_first_of_equals():
    scores = torch.tensor([[[0.5, 0.1, 0.2]], [[0.5, 0.3, 0.1]], [[0.1, 0.3, 0.4]]])
    assert named(scores, torch.tensor([4, 7])).tolist() == [[0, 5, 8]]


def test_one_alpha_is_an_argmax_and_two_leave_the_undecided_out():
    seen, colors, classes = maps(), picture(12, 10), torch.tensor([2, 4])
    full = normalize(resize(seen, (12, 10)), "max")
    single = {a: named(with_background(full, a), classes) for a in (1.0, 4.0)}
    assert torch.equal(Labeling((4.0,))(seen, classes, colors), single[4.0])
    both = Labeling((1.0, 4.0))(seen, classes, colors)
    assert torch.equal(both, combine(single[1.0], single[4.0]))
    assert set(both.unique().tolist()) == {0, 3, 5, 255}


def test_the_crf_comes_last_and_the_walk_before_it():
    seen, colors, classes = maps(), picture(12, 10), torch.tensor([2, 4])
    found = 0.9 * torch.rand(1, len(offsets()), 3, 3, generator=torch.Generator().manual_seed(2))
    scores = with_background(normalize(resize(seen, (12, 10)), "max"), 16.0)
    constants = PRESETS["irn"].scaled(0.1)
    alone = Labeling(crf=constants)(seen, classes, colors)
    assert torch.equal(alone, named(dense_crf(scores[None], colors[None], constants)[0], classes))
    cells = scores.unflatten(1, (3, 4)).unfold(3, 4, 3).mean((2, 4))  # windows of 4 columns, 3 apart
    walked = resize(random_walk(cells[None], found, 2.0, 9)[0], (12, 10))
    labeling = Labeling(beta=2.0, steps=9)
    assert torch.equal(labeling(seen, classes, colors, found[0]), named(walked, classes))
    both = Labeling(beta=2.0, steps=9, crf=constants)(seen, classes, colors, found[0])
    expected = dense_crf(walked.clamp(0, 1)[None], colors[None], constants)[0]
    assert torch.equal(both, named(expected, classes))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (13, 7), (8, 8)])
def test_odd_and_one_pixel_pictures(size):
    labeling = Labeling((4.0, 32.0), PRESETS["psa"].scaled(0.1))
    grid = -(-size[0] // 8), -(-size[1] // 8)
    found = torch.full((len(offsets()), *grid), 0.5)
    labels = labeling(maps(), torch.tensor([0, 1]), picture(*size), found)
    assert labels.shape == size
    assert set(labels.unique().tolist()) <= {0, 1, 2, 255}


def test_a_picture_without_class_is_background_and_a_map_without_evidence_loses():
    labeling = Labeling((4.0, 32.0), PRESETS["psa"])
    nothing = labeling(torch.zeros(0, 3, 3), torch.zeros(0, dtype=torch.long), picture(5, 5))
    assert nothing.tolist() == [[0] * 5] * 5
    assert Labeling()(-maps(1), torch.tensor([3]), picture(5, 5)).tolist() == [[0] * 5] * 5


def test_a_map_that_is_not_finite_and_alphas_that_cannot_be():
    with pytest.raises(ValueError, match="holds nan"):
        Labeling()(torch.full((1, 2, 2), float("nan")), torch.tensor([0]), picture(4, 4))
    for alphas in ((), (4.0, 4.0), (32.0, 4.0), (1.0, 2.0, 3.0)):
        with pytest.raises(ValueError, match="alphas must be one, or a smaller and a larger one"):
            Labeling(alphas)
    with pytest.raises(ValueError, match="alphas and power must be positive"):
        Labeling((0.0,))


def test_cues_where_a_map_is_high_and_the_smaller_class_wins():
    seen, classes, none = torch.tensor([[[10.0, 8, 1, 0, -5]], [[0.0, 6, 4, 0.1, 0]]]), [2, 4], torch.zeros(0)
    # Class 4 is above 0.5 of its maximum in as many cells as class 2, above 0.7 in one cell less.
    assert Cues(0.5, 0.05)(seen, torch.tensor(classes), picture(1, 5)).tolist() == [[3, 5, 5, 0, 0]]
    assert Cues(0.7, 0.05)(seen, torch.tensor(classes), picture(1, 5)).tolist() == [[3, 5, 255, 0, 0]]
    assert Cues()(seen[:0], none.long(), picture(1, 5)).tolist() == [[0] * 5]
    with pytest.raises(ValueError, match="need 0 <= background <= foreground < 1"):
        Cues(0.1, 0.2)


def test_a_cell_takes_its_most_frequent_label():
    labels = torch.tensor(
        [[0, 0, 255, 255], [3, 0, 255, 4], [2, 2, 255, 5], [3, 3, 255, 5]], dtype=torch.uint8
    )
    assert to_grid(labels[None], (2, 2))[0].tolist() == [[0, 255], [2, 5]]  # of equals, the smallest
    assert torch.equal(to_grid(labels[None], (2, 2), (0, 2, 3, 4, 5, 255)), to_grid(labels[None], (2, 2)))
    assert to_grid(labels[None, :3, :3], (2, 2)).shape == (1, 2, 2)


def test_a_png_keeps_the_numbers_and_has_the_colors_of_voc(tmp_path):
    labels = torch.arange(256, dtype=torch.uint8).view(8, 32)
    write_labels(tmp_path / "a.png", labels)
    assert torch.equal(read_mask(tmp_path / "a.png"), labels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        colors = np.array(image.convert("RGB"))
    assert colors[0, 1].tolist() == [128, 0, 0]  # aeroplane
    assert colors[0, 15].tolist() == [192, 128, 128]  # person
    assert colors[7, 31].tolist() == [224, 224, 192]  # unknown


def test_a_full_disk_leaves_what_was_written(tmp_path, monkeypatch):
    write_labels(tmp_path / "a.png", torch.ones(2, 2, dtype=torch.uint8))

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for name in ("a", "b"):
        with pytest.raises(OSError, match=f"No space left on device.*{name}.png"):
            write_labels(tmp_path / f"{name}.png", torch.zeros(2, 2, dtype=torch.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert read_mask(tmp_path / "a.png").tolist() == [[1, 1], [1, 1]]
