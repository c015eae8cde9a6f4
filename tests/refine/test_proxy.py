"""Proxy ground truth on values that follow from algorithm 1."""

from __future__ import annotations

import math

import pytest
import torch

from wsolbook.refine.proxy import harmonic, proxy


def grid(*values: float) -> torch.Tensor:
    return torch.tensor([values])


def test_the_harmonic_mean():
    found = harmonic(grid(0.8, 0.2, 1, 0, 0, 0.5), grid(0.4, 0.9, 1, 0, 1, 0.5))
    torch.testing.assert_close(found, grid(0.64 / 1.2, 0.36 / 1.1, 1, 0, 0, 0.5))
    assert found[0, 0].item() == pytest.approx(0.5333, abs=1e-4)
    assert found[0, 1].item() == pytest.approx(0.3273, abs=1e-4)
    weighted = harmonic(grid(0.8), grid(0.4), weight=3.0)
    torch.testing.assert_close(weighted, grid(4 / (3 / 0.8 + 1 / 0.4)))
    heavy = harmonic(grid(0.8, 0.3), grid(0.4, 0.9), weight=1e6)
    torch.testing.assert_close(heavy, grid(0.8, 0.3), atol=1e-4, rtol=0)


def test_the_highest_of_background_and_classes():
    saliency = grid(0.4, 0.9, 0.0, 1.0, 1.0)
    one = proxy(grid(0.8, 0.2, 1.0, 0.001, 0.0)[None], torch.tensor([3]), saliency)
    # harm(0.8, 0.4) < 1 - 0.4; harm(0.2, 0.9) > 0.1; no saliency never; full saliency always, but of nothing.
    assert one.tolist() == [[0, 3, 0, 3, 0]]
    by_value = grid(0.8, 0.2)  # 0.5333 and 0.3273 against a background of 0.2 and 0.8
    assert (harmonic(by_value, grid(0.4, 0.9)) > grid(0.2, 0.8)).tolist() == [[True, False]]


def test_where_figure_begins():
    edge = math.sqrt(2) - 1
    assert proxy(torch.ones(1, 1, 2), torch.tensor([1]), grid(edge - 1e-4, edge + 1e-4)).tolist() == [[0, 1]]
    same = grid(0.5 - 1e-4, 0.5, 0.5 + 1e-4)  # at 0.5 both are 0.5, and background wins
    assert proxy(same[None], torch.tensor([1]), same).tolist() == [[0, 0, 1]]


def test_a_binary_saliency_decides_alone():
    saliency = (torch.rand(6, 6, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    for seed in (1, 2):
        maps = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(seed)).clamp(min=0.01)
        found = proxy(maps, torch.tensor([4, 2]), saliency)
        assert torch.equal(found > 0, saliency > 0)
        assert torch.equal(found == 4, (saliency > 0) & (maps[0] > maps[1]))


def test_of_equal_maps_the_lower_class_wins():
    maps = torch.full((2, 1, 1), 0.7)
    assert proxy(maps, torch.tensor([5, 2]), grid(0.9)).tolist() == [[2]]
    assert proxy(maps, torch.tensor([2, 5]), grid(0.9)).tolist() == [[2]]
    assert proxy(torch.zeros(0, 1, 1), torch.zeros(0, dtype=torch.long), grid(0.9)).tolist() == [[0]]


def test_what_is_left_open():
    maps = torch.tensor([[[0.7, 0.9, 0.7, 0.1]], [[0.8, 0.2, 0.6999, 0.1]]])
    classes, saliency = torch.tensor([1, 2]), grid(0.9, 0.9, 0.9, 0.1)
    assert proxy(maps, classes, saliency).tolist() == [[2, 1, 1, 0]]
    assert proxy(maps, classes, saliency, conflict=0.7).tolist() == [[255, 1, 1, 0]]
    assert proxy(maps[:1], classes[:1], saliency, conflict=0.1).tolist() == [[1, 1, 1, 0]]  # one class alone
    low = 32 / 255
    assert proxy(maps, classes, saliency, low_saliency=low).tolist() == [[2, 1, 1, 255]]
    assert proxy(maps, classes, saliency, low_saliency=low, attended=0.5).tolist() == [[2, 1, 1, 0]]
    assert proxy(maps, classes, grid(0.9, 0.1, 0.9, 0.1), low_saliency=low, attended=0.5).tolist() == [
        [2, 255, 1, 0]
    ]
    assert proxy(maps, classes, grid(low, low, low, low), low_saliency=low).ne(255).all()


@pytest.mark.parametrize(
    ("saliency", "arguments", "message"),
    [
        (torch.ones(2, 3), {}, r"maps are \(1, 1, 2\) for 1 classes, the saliency is \(2, 3\)"),
        (grid(0.5, 1.5), {}, r"saliency must lie in \[0, 1\], got values from 0.5 to 1.5"),
        (grid(-0.1, 0.5), {}, "got values from -0.1 to 0.5"),
        (grid(math.nan, 0.5), {}, "saliency must lie in"),
        (grid(0.5, 0.5), {"weight": 0.0}, "weight must be above 0, got 0.0"),
    ],
)
def test_what_cannot_be(saliency, arguments, message):
    maps, classes = torch.ones(1, 1, 2), torch.tensor([1])
    with pytest.raises(ValueError, match=message):
        proxy(maps, classes, saliency, **arguments)
    with pytest.raises(ValueError, match=r"localization maps must lie in \[0, 1\]"):
        proxy(2 * maps, classes, grid(0.5, 0.5))
