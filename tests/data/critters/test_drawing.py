"""Distances against closed forms, and painting that leaves alone what it does not cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from wsolbook.data.counters import keys, scramble, uniform
from wsolbook.data.critters import landscape
from wsolbook.data.critters.animals import ATLAS, BODY, HEAD, build_atlas
from wsolbook.data.critters.drawing import LAYER, PIECE, distance, figure, prepare, wave
from wsolbook.data.critters.landscape import grow, noise, ramp
from wsolbook.data.critters.scenery import rgb


def distances(shapes, points, smooth=0.0, stride=0.0):
    """Return the distance of each point to the union of capsules."""
    padded = np.array([[*shape, *[0.0] * (9 - len(shape))] for shape in shapes], float)
    ready = np.zeros((len(shapes), 9))
    prepare(padded, 0, len(shapes), stride, ready)
    return np.array([distance(float(x), float(y), ready, len(shapes), smooth) for x, y in points])


def grid(count: int = 17, span: float = 2.0):
    line = np.linspace(-span, span, count)
    return [(x, y) for y in line for x in line]


def paint(layers, size=64, unit=1.0, x=0.5, y=0.5, light=None, shares=None, **piece):
    """Paint one figure of given layers over a picture; return light and shares of parts."""
    atlas = build_atlas([layers])
    light = np.full((3, size, size), 0.25, np.float32) if light is None else light
    shares = np.zeros((3, size, size)) if shares is None else shares
    record = np.zeros(1, PIECE)
    for name, value in {"x": x, "y": y, "unit": unit, "facing": 1, "shade": 1, **piece}.items():
        record[name] = value
    work = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size), np.zeros((32, 9))
    figure(atlas, record[0], np.zeros((size, size)), light, shares, work)
    return light, shares


def test_a_dot_is_a_circle():
    points = grid()
    found = distances([(0.3, -0.2, 0.3, -0.2, 0.7, 0.7)], points)
    assert_allclose(found, [math.hypot(x - 0.3, y + 0.2) - 0.7 for x, y in points], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    ends=st.tuples(*[st.floats(-1, 1, width=32)] * 4).filter(lambda e: math.dist(e[:2], e[2:]) > 0.05),
    radius=st.floats(0.0625, 1, width=32),
)
def test_a_straight_capsule_is_the_distance_to_a_segment(ends, radius):
    points = grid(7)
    start, step = np.array(ends[:2]), np.array(ends[2:]) - np.array(ends[:2])
    for point, found in zip(points, distances([(*ends, radius, radius)], points), strict=True):
        share = np.clip((point - start) @ step / (step @ step), 0, 1)
        assert found == pytest.approx(np.hypot(*(point - start - share * step)) - radius, abs=1e-9)


def test_taper_bend_union_and_stride():
    points = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]
    cone = (0.0, 0.0, 2.0, 0.0, 0.6, 0.2)
    assert_allclose(distances([cone], points), [-0.6, -0.4, -0.2])
    bent = (0.0, 0.0, 2.0, 0.0, 0.5, 0.5, 0.3)
    assert_allclose(distances([bent], points), [-0.5, -0.2, -0.5])
    assert_allclose(distances([cone, bent], points), [-0.6, -0.4, -0.5])
    swinging = (0.0, 0.0, 0.0, 2.0, 0.5, 0.5, 0.0, 0.0, 1.0)
    assert_allclose(distances([swinging], [(0.4, 2.0), (0.0, 0.0)], stride=0.4), [-0.5, -0.5])


def test_a_smooth_joint_is_deepest_where_both_shapes_are_equally_near():
    two = [(-1.0, 0.0, -1.0, 0.0, 0.5, 0.5), (1.0, 0.0, 1.0, 0.0, 0.5, 0.5)]
    hard, soft = distances(two, [(0, 0), (-1, 0)]), distances(two, [(0, 0), (-1, 0)], smooth=0.4)
    assert_allclose(hard, [0.5, -0.5])
    assert_allclose(soft, [0.5 - 0.4 / 4, -0.5])  # a quarter of the radius, and nothing far from the joint


@pytest.mark.parametrize("size", [32, 64, 100])
def test_the_covered_area_of_a_circle_is_pi_r_squared(size):
    circle = [((0, 0, 0, 0, 0.31, 0.31),), "#ffffff", {"part": BODY}]
    _, shares = paint([tuple(circle)], size)
    assert shares[BODY].mean() == pytest.approx(math.pi * 0.31**2, rel=2e-3)
    assert shares[[HEAD, 2]].max() == 0


def test_coverage_is_the_share_of_the_pixel_that_a_straight_edge_leaves():
    for offset in (0.0, 0.25, 0.5):
        # The right edge of a wide bar lies `offset` of a pixel beyond the left border of column 8.
        bar = ((-9, 0, -1 + (8 + offset) / 16, 0, 0.5, 0.5),)
        _, shares = paint([(bar, "#ffffff", {"part": BODY})], 16)
        assert_allclose(shares[BODY, 7, 6:10], [1, 1, offset, 0], atol=0.02)


def test_painting_moves_shares_between_parts_and_keeps_the_rest():
    light, shares = np.full((3, 16, 16), 0.25, np.float32), np.zeros((3, 16, 16))
    shares[BODY] = 1.0
    dot = ((0, 0, 0, 0, 0.2, 0.2),)
    paint([(dot, "#ff8000", {"part": HEAD, "opacity": 0.75})], 16, light=light, shares=shares)
    assert_allclose(light[:, 8, 8], [0.25 + 0.75 * 0.75, 0.25 + 0.75 * (128 / 255 - 0.25), 0.0625], atol=1e-6)
    assert_allclose(shares[:, 8, 8], [0.75, 0.25, 0.0])
    assert_array_equal(light[:, 0, 0], np.float32([0.25] * 3))
    assert_array_equal(shares[:, 0, 0], [0, 1, 0])


def test_a_clipped_layer_stays_inside_the_last_one_and_gains_no_part():
    base = (((0, 0, 0, 0, 0.2, 0.2),), "#ffffff", {"part": BODY})
    over = (((0, 0, 0.4, 0, 0.15, 0.15),), "#000000", {"part": HEAD, "clip": 1})
    plain, shares = paint([base])
    light, clipped = paint([base, over])
    assert_array_equal(shares, clipped)
    assert (light != plain).any()
    assert not (light != plain)[:, shares.sum(0) == 0].any()


def test_a_mirrored_figure_is_the_mirror_image_and_a_turned_one_is_turned():
    shape = [(((0, 0, 0.3, -0.1, 0.1, 0.02),), "#ffffff", {"part": BODY})]
    right, _ = paint(shape)
    left, _ = paint(shape, facing=-1)
    assert_allclose(left, right[:, :, ::-1], atol=1e-6)
    quarter, _ = paint(shape, angle=math.pi / 2)
    assert_allclose(quarter, np.rot90(right, -1, (1, 2)), atol=1e-6)


def test_a_head_is_symmetric_until_it_looks_aside():
    eye = [(((0.2, -0.1, 0.2, -0.1, 0.06, 0.06),), "#ffffff", {"part": HEAD, "depth": 1.0})]
    ahead, _ = paint(eye, is_head=1)
    assert_allclose(ahead, ahead[:, :, ::-1], atol=1e-6)
    _, aside = paint(eye, is_head=1, look=0.15)
    columns = np.arange(64)[None] / 64
    near, far = aside[HEAD][:, :40], aside[HEAD][:, 40:]
    assert far.sum() < near.sum()  # foreshortened
    assert (aside[HEAD] * columns).sum() / aside[HEAD].sum() > 0.55


def test_missing_parts_are_not_painted():
    layers = [(((0, 0, 0, 0, 0.2, 0.2),), "#ffffff", {"part": part}) for part in range(3)]
    for part, name in enumerate(("no_head", "no_body", "no_limbs")):
        light, shares = paint(layers[part : part + 1], **{name: 1})
        assert (light == 0.25).all()
        assert not shares.any()


def test_noise_is_that_of_the_counters():
    planes = np.zeros((4, 64, 64))
    key = int(keys(3, torch.tensor([7]))[0])
    noise(key, planes)
    cells = uniform(torch.tensor([key]), 16 + 64 + 256 + 1024 + 4096 + 7 * 44 + 32 * 5)[0].double()
    g32, g64 = cells[336:1360].view(32, 32), cells[1360:5456].view(64, 64)
    grown = torch.nn.functional.interpolate(g32[None, None], (64, 64), mode="bilinear")[0, 0]
    assert_allclose(planes[1], (grown + 0.7 * g64) / 1.7 - 0.5, atol=1e-12)


@pytest.mark.parametrize("size", [(5, 40), (3, 9), (8, 8), (20, 6)])
def test_grow_is_bilinear_interpolation(size):
    coarse = torch.rand(1, 1, size[0], 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    fine = np.ones((size[1], 31))
    grow(coarse[0, 0].numpy(), fine, 0.5)
    there = torch.nn.functional.interpolate(coarse, (size[1], 31), mode="bilinear")[0, 0]
    assert_allclose(fine, there + 0.5, atol=1e-12)


def test_ramp_and_wave():
    assert [ramp(x, 1.0, 3.0) for x in (0.0, 1.0, 2.0, 3.0, 9.0)] == [0, 0, 0.5, 1, 1]
    assert [wave(t) for t in (0.0, 0.25, 0.5, 0.75, 1.0, -0.25)] == [0, -1, 0, 1, 0, 1]
    turns = np.linspace(0, 3, 200)
    assert max(abs(wave(t) + math.sin(2 * math.pi * t)) for t in turns) < 0.057  # parabolas near a sine


def test_the_atlas_numbers_its_layers_without_gaps():
    layers = ATLAS.layers
    assert layers.dtype == LAYER
    assert layers["first"][0] == 0
    assert_array_equal(layers["first"][1:], layers["last"][:-1])
    assert layers["last"][-1] == len(ATLAS.capsules)
    assert_array_equal(ATLAS.figures[1:, 0], ATLAS.figures[:-1, 1])
    assert ATLAS.figures[-1, 1] == len(layers)
    assert int((layers["last"] - layers["first"]).max()) <= 32  # what the scratch space holds


def test_rgb():
    assert rgb("#ff8000") == pytest.approx((1.0, 128 / 255, 0.0))


def test_scrambling_in_compiled_code_gives_the_same_bits():
    values = torch.tensor([0, 1, 77, 0xFFFFFFFF, 0x80000000, 123456789])
    assert [landscape.scramble(int(v)) for v in values] == scramble(values).tolist()


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
