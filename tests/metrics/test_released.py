"""The released box generator: its distance transform against OpenCV's, and its rules one by one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wsolbook.metrics import released_boxes
from wsolbook.metrics.released import distance_transform


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_distances_are_euclidean(on):
    if not on.all():
        ys, xs = np.nonzero(~on)
        grid_y, grid_x = np.mgrid[: on.shape[0], : on.shape[1]]
        every = np.hypot(grid_y[..., None] - ys, grid_x[..., None] - xs)
        np.testing.assert_allclose(distance_transform(on), every.min(-1))
    else:
        assert not distance_transform(on).any()


def test_distances_of_a_large_shape_agree_with_opencv():
    on = np.zeros((90, 110), np.uint8)
    cv2.ellipse(on, (50, 45), (40, 25), 30, 0, 360, 1, -1)
    exact = cv2.distanceTransform(on, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    np.testing.assert_allclose(distance_transform(on.astype(bool)), exact, atol=1e-4)


def rectangle(size=100):
    score = torch.zeros(size, size)
    score[20:60, 30:70] = 1.0
    return score


def test_the_core_of_a_rectangle():
    # distances reach 20 in the middle; 10 of 255 of that is 0.78, so every pixel of the rectangle stays
    assert released_boxes(rectangle()).tolist() == [[30, 20, 69, 59]]


def test_levels_give_loose_and_tight_boxes():
    score = 0.1 * rectangle()  # 25 of 255: only the lowest level sees it
    score[35:45, 40:55] = 1.0
    assert released_boxes(score).tolist() == [[30, 20, 69, 59], [40, 35, 54, 44]]
    assert released_boxes(score, (30, 90, 150)).tolist() == [[40, 35, 54, 44]]


def test_a_box_that_covers_over_half_of_a_larger_one_is_dropped():
    score = 0.1 * rectangle()
    score[20:60, 30:51] = 1.0  # 21 of 40 columns
    assert released_boxes(score).tolist() == [[30, 20, 69, 59]]
    score[20:60, 50] = 0.1  # exactly half stays
    assert released_boxes(score).tolist() == [[30, 20, 69, 59], [30, 20, 49, 59]]


def test_boxes_keep_away_from_the_right_and_bottom_border():
    score = torch.zeros(50, 60)
    score[10:50, 20:60] = 1
    # beyond the border there is no background: distances reach 40, a pixel at 1 is below 10 / 255 of that
    assert released_boxes(score).tolist() == [[21, 11, 54, 44]]


def test_a_map_without_evidence_is_the_whole_picture():
    assert released_boxes(torch.zeros(50, 60)).tolist() == [[0, 0, 54, 44]]


@pytest.mark.parametrize("bad", [-0.1, torch.nan])
def test_bad_maps_and_levels(bad):
    score = rectangle()
    score[0, 0] = bad
    with pytest.raises(ValueError, match="without NaN and negative values"):
        released_boxes(score)
    with pytest.raises(ValueError, match="levels must lie in \\[0, 255\\), got \\(255,\\)"):
        released_boxes(rectangle(), (255,))
