"""The walk against powers of the matrix of all pairs of cells, and what such powers keep."""

from __future__ import annotations

import pytest
import torch

from wsolbook.refine.affinity import affinities, offsets
from wsolbook.refine.random_walk import random_walk, transition


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def grid(n=1, height=6, width=7, seed=0):
    """Affinities of random features: some pairs nearly alike, others not at all."""
    return affinities(3 * random(n, 4, height, width, seed=seed))


def symmetric(found, radius=5):
    """W of one picture as the matrix of all pairs of cells, written as loops."""
    _, height, width = found.shape
    matrix = torch.eye(height * width, dtype=found.dtype)
    for o, (dy, dx) in enumerate(offsets(radius)):
        for y in range(height - dy):
            for x in range(max(0, -dx), width - max(0, dx)):
                here, there = y * width + x, (y + dy) * width + x + dx
                matrix[here, there] = matrix[there, here] = found[o, y, x]
    return matrix


def dense(maps, found, beta=8, steps=256, radius=5):
    """T^steps applied to the maps of one picture."""
    power = symmetric(found, radius) ** beta
    moved = torch.linalg.matrix_power(power / power.sum(1, keepdim=True), steps)
    return (moved @ maps.flatten(1).T).T.view_as(maps)


def test_affinity_is_symmetric_with_a_unit_diagonal():
    matrix = symmetric(grid()[0])
    assert torch.equal(matrix, matrix.T)
    assert (matrix.diagonal() == 1).all()
    assert matrix.min() >= 0
    assert matrix.max() <= 1


def test_transition_rows_are_those_of_the_dense_matrix():
    found = grid()
    neighbors, probabilities = transition(found)
    rows = torch.zeros(42, 42, dtype=torch.float64).scatter_add_(1, neighbors.long(), probabilities)
    power = symmetric(found[0]) ** 8
    torch.testing.assert_close(rows, power / power.sum(1, keepdim=True))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(42, dtype=torch.float64))
    assert probabilities.min() >= 0


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 8, 255, 256])
def test_equals_powers_of_the_dense_matrix(steps):
    maps, found = random(1, 3, 6, 7, seed=1), grid()
    walked = random_walk(maps, found, steps=steps)
    torch.testing.assert_close(walked[0], dense(maps[0], found[0], steps=steps), atol=1e-6, rtol=0)


@pytest.mark.parametrize("unlike", [0.3, 3.0, 9.0])
def test_single_precision_is_near_enough(unlike):
    """Also where cells hardly move, and the rounding of probabilities near 1 would add up."""
    maps, found = random(1, 3, 12, 16, seed=1), affinities(unlike * random(1, 4, 12, 16))
    walked = random_walk(maps.float(), found.float())
    torch.testing.assert_close(walked[0].double(), dense(maps[0], found[0]), atol=1e-5, rtol=0)


def test_256_steps_are_eight_squarings_and_not_eight_steps():
    maps, found = random(1, 1, 6, 7, seed=1), grid()
    power = symmetric(found[0]) ** 8
    matrix = power / power.sum(1, keepdim=True)
    for _ in range(8):
        matrix = matrix @ matrix
    squared = (matrix @ maps.flatten()).view(6, 7)
    torch.testing.assert_close(random_walk(maps, found)[0, 0], squared, atol=1e-6, rtol=0)
    assert (random_walk(maps, found, steps=8)[0, 0] - squared).abs().max() > 0.1


def test_keeps_constants_and_the_sum_weighted_by_degree():
    maps, found = random(1, 1, 6, 7, seed=1), grid()
    walked = random_walk(maps, found)
    degree = (symmetric(found[0]) ** 8).sum(1)
    torch.testing.assert_close(degree @ walked.flatten(), degree @ maps.flatten())
    assert abs(walked.sum() - maps.sum()) > 0.01
    torch.testing.assert_close(random_walk(torch.ones_like(maps), found), torch.ones_like(maps))


def test_ends_at_the_mean_weighted_by_degree():
    maps, found = random(1, 1, 4, 4, seed=1), affinities(0.1 * random(1, 4, 4, 4))
    degree = (symmetric(found[0]) ** 8).sum(1)
    mean = degree @ maps.flatten() / degree.sum()
    assert torch.allclose(random_walk(maps, found, steps=2000), mean)


def test_cells_that_are_all_alike_share_in_one_step():
    maps = random(1, 2, 3, 3, seed=1)
    walked = random_walk(maps, affinities(torch.zeros(1, 1, 3, 3)).double(), steps=1)
    torch.testing.assert_close(walked, maps.mean((2, 3), keepdim=True).expand_as(maps))


def test_stays_inside_a_segment():
    segments = torch.zeros(1, 1, 8, 8)
    segments[..., 4:] = 200  # exp(-200) is 0 to 8 digits and more
    maps = (segments > 0).float()
    torch.testing.assert_close(random_walk(maps, affinities(segments)), maps)


def test_without_affinities_nothing_moves():
    maps = random(2, 3, 5, 6)
    assert torch.equal(random_walk(maps, torch.zeros(2, 34, 5, 6, dtype=torch.float64), steps=1), maps)


def test_a_large_beta_stops_the_walk():
    maps = random(1, 1, 6, 7, seed=1)
    torch.testing.assert_close(random_walk(maps, grid(), beta=1000.0, steps=8), maps, atol=1e-3, rtol=0)


def test_another_radius():
    maps, found = random(1, 2, 6, 7, seed=1), affinities(3 * random(1, 4, 6, 7), 3)
    walked = random_walk(maps, found, radius=3, steps=16)
    torch.testing.assert_close(walked[0], dense(maps[0], found[0], steps=16, radius=3), atol=1e-6, rtol=0)


def test_the_batch_equals_the_single_pictures():
    maps, found = random(3, 2, 6, 7, seed=1), grid(3)
    singles = [random_walk(m[None], f[None]) for m, f in zip(maps, found, strict=True)]
    torch.testing.assert_close(random_walk(maps, found), torch.cat(singles))


def test_walks_present_maps_only():
    maps, found = random(2, 4, 6, 7, seed=1), grid(2)
    present = torch.tensor([[True, False, True, False], [False, False, False, True]])
    walked = random_walk(maps, found, present=present)
    torch.testing.assert_close(walked[present], random_walk(maps, found)[present])
    assert (walked[~present] == 0).all()
    assert (random_walk(maps, found, present=torch.zeros_like(present)) == 0).all()
    assert random_walk(maps[:, :0], found).shape == (2, 0, 6, 7)


def test_one_cell_keeps_its_score():
    assert random_walk(torch.full((1, 1, 1, 1), 0.3), torch.zeros(1, 34, 1, 1)).item() == pytest.approx(0.3)


def test_gradients_reach_maps_and_affinities():
    maps = random(1, 2, 2, 3, seed=1).requires_grad_()
    features = random(1, 2, 2, 3).requires_grad_()

    def walk(maps, features):
        return random_walk(maps, affinities(features, 2), 2.0, 5, 2)

    assert torch.autograd.gradcheck(walk, (maps, features))


def test_refuses_bad_input():
    maps, found = random(1, 2, 6, 7), grid()
    with pytest.raises(ValueError, match=r"need affinities \(1, 34, 6, 7\), got \(1, 34, 5, 7\)"):
        random_walk(maps, found[:, :, :5])
    with pytest.raises(ValueError, match=r"radius 4 need affinities \(1, 22, 6, 7\)"):
        random_walk(maps, found, radius=4)
    with pytest.raises(ValueError, match="affinities must be in 0 to 1"):
        random_walk(maps, 2 * found)
    with pytest.raises(ValueError, match="holds nan"):
        random_walk(maps * torch.nan, found)
    with pytest.raises(ValueError, match=r"beta must be positive and steps not negative, got 8.0 and -1"):
        random_walk(maps, found, steps=-1)
    with pytest.raises(ValueError, match=r"present must be \(1, 2\)"):
        random_walk(maps, found, present=torch.ones(1, 3, dtype=torch.bool))
