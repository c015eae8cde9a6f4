"""Offsets, affinities and pairs against loops and against the counts of the official code."""

from __future__ import annotations

import pytest
import torch

from wsolbook.refine.affinity import affinities, offsets, pairs, partners


def features(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_34_offsets():
    rows = {0: range(1, 5), 1: range(-4, 5), 2: range(-4, 5), 3: range(-3, 4), 4: range(-2, 3)}
    assert offsets(5) == [(dy, dx) for dy, columns in rows.items() for dx in columns]
    assert len(offsets(5)) == 34
    assert len(set(offsets(10))) == 152


@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_affinities_equal_loops(reduce):
    given = features(2, 70, 4, 6)  # more channels than are taken at a time
    expected = torch.zeros(2, len(offsets(3)), 4, 6, dtype=torch.float64)
    for o, (dy, dx) in enumerate(offsets(3)):
        for y in range(4 - dy):
            for x in range(max(0, -dx), 6 - max(0, dx)):
                distance = getattr((given[:, :, y, x] - given[:, :, y + dy, x + dx]).abs(), reduce)(1)
                expected[:, o, y, x] = torch.exp(-distance)
    torch.testing.assert_close(affinities(given, 3, reduce), expected)


def test_equal_features_have_affinity_one_inside_the_grid():
    found = affinities(torch.full((1, 3, 7, 6), 0.4))
    assert torch.equal(found[0], pairs(7, 6).float())


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3), (3, 2), (2, 9)])
def test_grids_narrower_than_the_radius(height, width):
    found = affinities(torch.zeros(1, 1, height, width))
    together = sum(max(0, height - dy) * max(0, width - abs(dx)) for dy, dx in offsets())
    assert found.shape == (1, 34, height, width)
    assert found.sum() == together


def test_the_batch_equals_the_single_pictures():
    given = features(3, 40, 5, 6)
    torch.testing.assert_close(affinities(given), torch.cat([affinities(g[None]) for g in given]))


def test_gradients():
    assert torch.autograd.gradcheck(lambda x: affinities(x, 2), (features(1, 3, 3, 3).requires_grad_(),))


def test_partners_name_the_label_at_the_other_end():
    labels = torch.tensor([[[0, 1, 2], [3, 4, 255]]], dtype=torch.uint8)
    found = partners(labels, 2, 255)[0].tolist()
    assert offsets(2) == [(0, 1), (1, -1), (1, 0), (1, 1)]
    none = [255, 255, 255]
    assert found == [
        [[1, 2, 255], [4, 255, 255]],
        [[255, 3, 4], none],
        [[3, 4, 255], none],
        [[4, 255, 255], none],
    ]


def test_the_official_border_rule_counts_as_in_the_official_code():
    assert pairs(56, 56, border="official").sum() == 84_864
    assert pairs(56, 56).sum() == 99_128
    rows, columns = pairs(56, 56, border="official")[0].nonzero().T
    assert (rows.max(), columns.min(), columns.max()) == (51, 4, 51)


@pytest.mark.parametrize(("side", "border"), [(8, "official"), (1, "complete")])
def test_refuses_a_grid_without_pairs(side, border):
    with pytest.raises(ValueError, match=f"grid of {side} x {side} holds no pair within radius 5"):
        pairs(side, side, border=border)


def test_refuses_bad_input():
    with pytest.raises(ValueError, match="radius must be at least 2, got 1"):
        offsets(1)
    with pytest.raises(ValueError, match="have no channel"):
        affinities(torch.zeros(1, 0, 4, 4))
