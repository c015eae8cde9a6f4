"""The lattice against one written as loops over a dictionary, against the Gaussian, and its gradient."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
import torch

from wsolbook.refine.lattice import lattice


def by_dictionary(features, values):
    """The filter, a point and a corner at a time; corners are tuples of d + 1 integers that sum to 0."""
    d = features.shape[1]
    factor = float(np.float32(math.sqrt(2 / 3) * (d + 1)))  # the reference keeps it in single precision
    corners = []
    for point in features.tolist():
        scaled = [f * factor / math.sqrt((i + 1) * (i + 2)) for i, f in enumerate(point)]
        place = [sum(scaled)] + [sum(scaled[j:]) - j * scaled[j - 1] for j in range(1, d + 1)]
        nearest = [math.ceil(p / (d + 1) - 0.5) * (d + 1) for p in place]
        order = sorted(range(d + 1), key=lambda i: (-(place[i] - nearest[i]), i))
        excess = int(sum(nearest)) // (d + 1)
        for i in order[:-excess] if excess < 0 else order[d + 1 - excess :]:
            nearest[i] -= math.copysign(d + 1, excess)
        rest = [p - n for p, n in zip(place, nearest, strict=True)]
        order = sorted(range(d + 1), key=lambda i: (-rest[i], i))
        found = {}
        for r in range(d + 1):  # the r smallest residuals step down by d + 1, and all step up by r
            down = set(order[d + 1 - r :])
            name = tuple(n + r - (d + 1) * (i in down) for i, n in enumerate(nearest))
            high = rest[order[d - r]] / (d + 1)
            low = rest[order[d + 1 - r]] / (d + 1) if r else rest[order[0]] / (d + 1) - 1
            found[name] = high - low
        corners.append(found)
    at = defaultdict(lambda: torch.zeros(values.shape[1], dtype=values.dtype))
    for found, value in zip(corners, values, strict=True):
        for name, weight in found.items():
            at[name] = at[name] + weight * value
    for axis in range(d + 1):
        ahead = [-1 + (d + 1) * (i == axis) for i in range(d + 1)]
        old = dict(at)
        for name in old:
            for sign in (1, -1):
                other = tuple(n + sign * a for n, a in zip(name, ahead, strict=True))
                if other in old:
                    at[name] = at[name] + old[other] / 2
    read = [sum(w * at[name] for name, w in found.items()) for found in corners]
    return torch.stack(read) / (1 + 2**-d)


def cloud(points, d, seed=0, spread=1.5):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(points, d, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_equals_loops_over_a_dictionary(d):
    features, values = cloud(40, d), cloud(40, 3, seed=1)
    torch.testing.assert_close(lattice(features).filter(values), by_dictionary(features, values))


@pytest.mark.parametrize("d", [2, 5])
def test_a_point_is_the_weighted_mean_of_its_corners(d):
    built = lattice(cloud(200, d))
    weight = built.weight * math.sqrt(1 + 2**-d)
    assert weight.min() >= 0
    torch.testing.assert_close(weight.sum(1), torch.ones(200, dtype=torch.float64))
    assert (built.corner.sort(1).values.diff(dim=1) > 0).all()  # d + 1 different ones


def test_approximates_the_gaussian():
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    features = torch.stack((x, y), -1).flatten(0, 1) / 3
    kernel = torch.exp(-(torch.cdist(features, features) ** 2) / 2)
    values = torch.rand(480, 2, generator=torch.Generator().manual_seed(0))
    exact = (kernel @ values) / kernel.sum(1, keepdim=True)
    ours = lattice(features).filter(torch.cat((values, torch.ones(480, 1)), 1))
    assert (ours[:, :2] / ours[:, 2:] - exact).abs().max() < 0.03  # of values in 0 to 1
    assert (ours[:, 2] / kernel.sum(1) - 1).abs().max() < 0.3  # K N^-1 is nearer than K


def test_groups_do_not_see_each_other():
    one, two = cloud(30, 3), cloud(50, 3, seed=1)
    values = cloud(80, 2, seed=2)
    group = torch.tensor([0] * 30 + [1] * 50)
    both = lattice(torch.cat((one, two)), group).filter(values)
    singles = lattice(one).filter(values[:30]), lattice(two).filter(values[30:])
    torch.testing.assert_close(both, torch.cat(singles))


def test_points_of_one_place_share_equally():
    values = torch.tensor([[1.0], [2.0], [6.0]])
    filtered = lattice(torch.full((3, 5), 0.7)).normalized().filter(values)
    torch.testing.assert_close(filtered, torch.full((3, 1), 3.0))


def test_one_point_keeps_its_value():
    value = torch.tensor([[0.25, 0.75]])
    torch.testing.assert_close(lattice(torch.zeros(1, 5)).normalized().filter(value), value)


def test_normalized_divides_by_the_roots_of_both_row_sums():
    features, values = cloud(25, 2), cloud(25, 3, seed=1)
    plain = lattice(features)
    scale = plain.filter(torch.ones(25, 1, dtype=torch.float64)).rsqrt()
    torch.testing.assert_close(plain.normalized().filter(values), scale * plain.filter(scale * values))


def test_gradients_of_first_and_second_order():
    built = lattice(cloud(8, 2)).normalized()
    values = cloud(8, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(built.filter, (values,))
    assert torch.autograd.gradgradcheck(built.filter, (values,))


def test_the_gradient_is_the_transpose():
    built = lattice(cloud(12, 3))
    eye = torch.eye(12, dtype=torch.float64, requires_grad=True)
    matrix = built.filter(eye)
    (transposed,) = torch.autograd.grad(matrix, eye, torch.eye(12, dtype=torch.float64))
    torch.testing.assert_close(transposed, matrix.detach().T)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(0, 2), "got 0 of 2 dimensions"),
        (torch.tensor([[0.0, math.nan]]), "finite features"),
        (torch.tensor([[0.0] * 5, [1e5] * 5]), "widths of the kernel are too small"),
    ],
)
def test_refuses_what_no_lattice_can_hold(features, message):
    with pytest.raises(ValueError, match=message):
        lattice(features)
