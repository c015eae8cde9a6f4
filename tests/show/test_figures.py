"""Pictures for the reader: in range, the right way up, boxes where they belong."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch

from wsolbook.show.figures import draw_box, etching, overlay, show_images


def test_overlay_keeps_size_and_range_and_is_brightest_where_the_map_is_high():
    heat = torch.zeros(4, 4)
    heat[0, 3] = 1.0
    drawn = overlay(torch.full((3, 16, 16), 0.2), heat)
    assert drawn.shape == (16, 16, 3)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    brightness = drawn.sum(2)
    assert np.unravel_index(brightness.argmax(), brightness.shape) in [
        (y, x) for y in (0, 1) for x in (14, 15)
    ]


def test_overlay_of_a_map_without_contrast_is_the_same_everywhere():
    drawn = overlay(torch.full((3, 8, 8), 0.5), torch.full((2, 2), 7.0))
    assert np.ptp(drawn.reshape(-1, 3), axis=0).max() < 1e-6


def test_etching_is_gray_without_contrast_and_keeps_the_sign():
    assert np.allclose(etching(torch.zeros(3, 4, 4)), 0.5)
    one = torch.zeros(3, 4, 4)
    one[0, 1, 2], one[1, 3, 0] = 1.0, -1.0
    drawn = etching(one)
    assert drawn[1, 2, 0] == 1.0
    assert drawn[3, 0, 1] == 0.0


def test_an_inclusive_box_is_drawn_around_its_pixels():
    _, axes = plt.subplots()
    draw_box(axes, torch.tensor([2, 3, 5, 4]), "red")
    for patch in axes.patches:
        assert (*patch.get_xy(), patch.get_width(), patch.get_height()) == (1.5, 2.5, 4, 2)


def test_show_images_lays_out_rows_with_titles():
    figure = show_images(
        [torch.zeros(3, 4, 4), np.ones((4, 4, 3)), torch.ones(3, 4, 4)], ["a", "b", "c"], columns=2
    )
    assert [a.get_title() for a in figure.axes] == ["a", "b", "c", ""]
    assert len(figure.axes[0].images) == 1
    assert not figure.axes[3].images
