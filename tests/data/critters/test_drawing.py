"""Distances against closed forms, and painting that leaves alone what it does not cover."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from wsolbook.data.counters import keys, scramble, uniform
from wsolbook.data.critters.drawing import Region, capsules, cover, paint, reach, rgb, table


def grid(size: int = 33, span: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    line = torch.linspace(-span, span, size)
    return line[None, None, :].expand(1, size, size), line[None, :, None].expand(1, size, size)


def test_a_dot_is_a_circle():
    x, y = grid()
    distance = capsules(x, y, table([[(0.3, -0.2, 0.3, -0.2, 0.7, 0.7)]]))
    assert_close(distance, torch.hypot(x - 0.3, y + 0.2) - 0.7, atol=1e-6, rtol=0)


@settings(max_examples=30, deadline=None)
@given(
    ends=st.tuples(*[st.floats(-1, 1, width=32)] * 4).filter(lambda e: math.dist(e[:2], e[2:]) > 0.05),
    radius=st.floats(0.0625, 1, width=32),
)
def test_a_straight_capsule_is_the_distance_to_a_segment(ends, radius):
    x, y = grid(17)
    distance = capsules(x, y, table([[(*ends, radius, radius)]]))
    steps = torch.linspace(0, 1, 4001).view(-1, 1, 1)
    nearest = torch.hypot(
        x - (ends[0] + steps * (ends[2] - ends[0])), y - (ends[1] + steps * (ends[3] - ends[1]))
    ).amin(0)
    assert_close(distance[0], nearest - radius, atol=1e-3, rtol=0)


def test_taper_bend_and_union():
    x, y = torch.tensor([[[0.0, 1.0, 2.0]]]), torch.zeros(1, 1, 3)
    cone = (0.0, 0.0, 2.0, 0.0, 0.6, 0.2)
    assert_close(capsules(x, y, table([[cone]])), torch.tensor([[[-0.6, -0.4, -0.2]]]))
    bent = (0.0, 0.0, 2.0, 0.0, 0.5, 0.5, 0.3)
    assert_close(capsules(x, y, table([[bent]])), torch.tensor([[[-0.5, -0.2, -0.5]]]))
    both = capsules(x, y, table([[cone, bent]]))
    assert_close(both, torch.tensor([[[-0.6, -0.4, -0.5]]]))


def test_nothing_is_everywhere_outside():
    x, y = grid(5)
    assert (capsules(x, y, table([[]])) > 50).all()


def test_rows_of_a_table_do_not_touch_each_other():
    x, y = grid(9)
    rows = [[(0, 0, 1, 0, 0.3, 0.1)], [], [(0.5, 0.5, 0.5, 0.5, 0.4, 0.4), (0, 0, 0, 1, 0.2, 0.2, 0.1)]]
    together = capsules(x.expand(3, -1, -1), y.expand(3, -1, -1), table(rows))
    for k, row in enumerate(rows):
        assert torch.equal(together[k : k + 1], capsules(x, y, table([row])))


def test_coverage_is_the_share_of_the_pixel_that_a_straight_edge_leaves():
    distance = torch.tensor([[[-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]]])
    assert_close(
        cover(distance, torch.tensor([1.0])), torch.tensor([[[1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]]])
    )
    assert_close(cover(distance, torch.tensor([2.0]))[0, 0, 0], torch.tensor(1.0))


def test_the_covered_area_of_a_circle_is_pi_r_squared():
    size, radius = 64, 0.31
    pixels = (torch.arange(size) + 0.5) / size - 0.5
    x, y = pixels[None, None, :].expand(1, size, size), pixels[None, :, None].expand(1, size, size)
    area = cover(capsules(x, y, table([[(0, 0, 0, 0, radius, radius)]])), torch.tensor([1 / size])).mean()
    assert float(area) == pytest.approx(math.pi * radius**2, rel=1e-3)


def test_reach_bounds_every_shape():
    shapes = table([[(0.2, -0.4, 0.9, 1.1, 0.3, 0.1, 0.2, 1.0)]])
    x, y = grid(201, 3.0)
    inside = capsules(x, y, shapes) < 0
    assert float(torch.hypot(x, y)[inside].max()) <= float(reach(shapes))


def test_a_region_goes_back_where_it_came_from():
    canvas = torch.rand(3, 7, 20, 20, generator=torch.Generator().manual_seed(0))
    before = canvas.clone()
    region = Region.around(canvas, torch.tensor([[0.1, 0.1], [0.5, 0.6], [0.95, 0.4]]), torch.full((3,), 0.2))
    assert region.pixels.shape[-1] < 20
    assert_close(region.x[1, 0] * 20 - 0.5, (region.x[1, 0] * 20 - 0.5).round())
    columns, rows = (region.x * 20 - 0.5).round().long(), (region.y * 20 - 0.5).round().long()
    for k in range(3):
        assert torch.equal(region.pixels[k], before[k][:, rows[k], columns[k]])
    region.pixels[:, 0] = 9
    region.paste()
    assert torch.equal(canvas[:, 1:], before[:, 1:])
    assert (canvas[:, 0] == 9).flatten(1).sum(1).tolist() == [region.pixels.shape[-1] ** 2] * 3


def test_painting_moves_shares_between_parts_and_keeps_the_rest():
    canvas = torch.zeros(1, 7, 4, 4)
    canvas[:, :3], canvas[:, 4] = 0.25, 1.0
    region = Region.around(canvas, torch.tensor([[0.5, 0.5]]), torch.ones(1))
    coverage = torch.zeros(1, 4, 4)
    coverage[0, 1, 1], coverage[0, 2, 2] = 1.0, 0.25
    paint(region, coverage, torch.tensor([[1.0, 0.5, 0.0]]), part=0)
    assert canvas[0, :, 1, 1].tolist() == [1.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert canvas[0, :, 2, 2].tolist() == [0.4375, 0.3125, 0.1875, 0.25, 0.75, 0.0, 0.0]
    assert canvas[0, :, 0, 0].tolist() == [0.25, 0.25, 0.25, 0.0, 1.0, 0.0, 0.0]


def test_rgb():
    assert rgb("#ff8000") == pytest.approx((1.0, 128 / 255, 0.0))


def test_counters_are_functions_of_their_arguments_alone():
    index = torch.arange(1000)
    whole = uniform(keys(3, index, 2), 5)
    assert torch.equal(whole[500:510], uniform(keys(3, index[500:510], 2), 5))
    assert torch.equal(whole[:, :3], uniform(keys(3, index, 2), 3))
    assert torch.equal(whole.flip(0), uniform(keys(3, index.flip(0), 2), 5))
    for other in (keys(4, index, 2), keys(3, index, 3), keys(3, index + (1 << 40), 2)):
        assert (uniform(other, 5) == whole).float().mean() < 0.01


def test_counters_are_uniform_and_independent():
    draws = uniform(keys(0, torch.arange(20000)), 4)
    assert float(draws.min()) >= 0
    assert float(draws.max()) < 1
    # Each decile holds a tenth: chi-squared with 9 degrees of freedom stays below its 1 - 1e-6 quantile.
    for column in draws.unbind(1):
        counts = torch.histc(column, 10, 0, 1)
        assert float(((counts - 2000) ** 2 / 2000).sum()) < 46.9
    # Five standard errors around zero for each pair of slots, and for neighbors in the counter.
    assert (torch.corrcoef(draws.T) - torch.eye(4)).abs().max() < 5 / math.sqrt(20000)
    assert torch.corrcoef(torch.stack([draws[1:, 0], draws[:-1, 0]]))[0, 1].abs() < 5 / math.sqrt(20000)


def test_scramble_permutes_32_bits():
    values = torch.arange(1 << 16)
    assert scramble(values).unique().numel() == 1 << 16
    assert scramble(values << 16).unique().numel() == 1 << 16
    flips = torch.stack([scramble(values) ^ scramble(values ^ (1 << bit)) for bit in range(0, 32, 5)])
    shares = torch.stack([((flips >> bit) & 1).float().mean() for bit in range(32)])
    assert shares.min() > 0.47
    assert shares.max() < 0.53
