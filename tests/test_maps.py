"""Maps are scaled and resampled exactly as their names say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsolbook import maps


def test_min_max_reaches_zero_and_one_for_each_map_on_its_own():
    raw = torch.tensor([[[1.0, 3.0], [2.0, 5.0]], [[-4.0, 0.0], [-2.0, -4.0]]])
    expected = torch.tensor([[[0.0, 0.5], [0.25, 1.0]], [[0.0, 1.0], [0.5, 0.0]]])
    assert torch.equal(maps.normalize(raw), expected)


def test_max_clips_negative_evidence_and_keeps_the_zero():
    raw = torch.tensor([[[-2.0, 1.0], [4.0, 0.0]]])
    assert torch.equal(maps.normalize(raw, "max"), torch.tensor([[[0.0, 0.25], [1.0, 0.0]]]))


@pytest.mark.parametrize(("how", "value"), [("min-max", 3.0), ("min-max", 0.0), ("max", 0.0), ("max", -1.0)])
def test_a_map_without_contrast_becomes_zeros(how, value):
    assert torch.equal(maps.normalize(torch.full((1, 4, 4), value), how), torch.zeros(1, 4, 4))


@settings(deadline=None)
@given(st.floats(0.01, 100), st.floats(-100, 100))
def test_min_max_ignores_positive_affine_changes(scale, shift):
    raw = torch.randn(1, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(maps.normalize(scale * raw + shift), maps.normalize(raw))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_named_with_its_place(bad):
    raw = torch.zeros(2, 3, 3)
    raw[1, 0, 2] = bad
    with pytest.raises(ValueError, match=r"holds (nan|inf) at \(1, 0, 2\)"):
        maps.normalize(raw)


def test_bilinear_resize_uses_half_pixel_centers():
    row = torch.tensor([[[0.0, 1.0]]])
    assert torch.equal(maps.resize(row, (1, 4)), torch.tensor([[[0.0, 0.25, 0.75, 1.0]]]))


def test_resize_keeps_leading_dimensions_and_constants():
    out = maps.resize(torch.full((2, 3, 4, 5), 2.5), 8)
    assert out.shape == (2, 3, 8, 8)
    torch.testing.assert_close(out, torch.full_like(out, 2.5))


def test_resize_to_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1 pixel"):
        maps.resize(torch.zeros(1, 2, 2), (0, 3))


def test_multi_scale_of_a_map_that_follows_its_image_is_that_map():
    """A compute that returns the image's mean over channels commutes with mirroring, so every view agrees."""
    image = torch.full((1, 3, 8, 8), 2.0)
    out = maps.multi_scale(lambda x: x.mean(1, keepdim=True), image, scales=(0.5, 1.0, 2.0))
    torch.testing.assert_close(out, torch.full((1, 1, 8, 8), 2.0))


def test_multi_scale_mirrors_the_map_of_the_mirrored_image_back():
    """A compute that marks the left column whatever it sees gives half weight to each side."""

    def left(x):
        out = torch.zeros(len(x), 1, *x.shape[-2:])
        out[..., 0] = 1
        return out

    out = maps.multi_scale(left, torch.zeros(1, 3, 4, 4), scales=(1.0,))
    assert torch.equal(out[0, 0, 0], torch.tensor([0.5, 0.0, 0.0, 0.5]))
