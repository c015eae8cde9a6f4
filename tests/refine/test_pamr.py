"""PAMR against loops over pixels, and what it keeps."""

from __future__ import annotations

import pytest
import torch

from wsolbook.refine.pamr import pamr


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(maps, image, dilations):
    """One iteration on one picture."""
    channels, height, width = image.shape
    refined = torch.zeros_like(maps)
    for y in range(height):
        for x in range(width):
            around = [
                (min(max(y + d * i, 0), height - 1), min(max(x + d * j, 0), width - 1))
                for d in dilations
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            ]
            near = [a for n, a in enumerate(around) if n % 9 != 4]
            score = torch.zeros(len(near), dtype=torch.float64)
            for c in range(channels):
                spread = torch.stack([image[c, *a] for a in around]).std()
                for n, a in enumerate(near):
                    score[n] -= (image[c, y, x] - image[c, *a]).abs() / (1e-8 + 0.1 * spread) / channels
            for weight, a in zip(score.softmax(0), near, strict=True):
                refined[:, y, x] += weight * maps[:, *a]
    return refined


def test_equals_loops():
    maps, image = random(1, 2, 4, 5, seed=1), random(1, 3, 4, 5)
    once = by_loops(maps[0], image[0], (1, 3))
    torch.testing.assert_close(pamr(maps, image, (1, 3), 1)[0], once)
    torch.testing.assert_close(pamr(maps, image, (1, 3), 2)[0], by_loops(once, image[0], (1, 3)))


def test_probabilities_still_sum_to_one():
    maps = random(2, 4, 9, 8).softmax(1)
    found = pamr(maps, random(2, 3, 9, 8, seed=1))
    torch.testing.assert_close(found.sum(1), maps.sum(1))


def test_the_scale_of_colors_changes_nothing():
    maps, image = random(1, 2, 8, 8), random(1, 3, 8, 8, seed=1)
    torch.testing.assert_close(pamr(maps, 255 * image), pamr(maps, image), atol=1e-6, rtol=0)


def test_stays_on_its_side_of_an_edge():
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1
    maps = image[:, :1].double()
    assert (pamr(maps, image, (1,), 10) - maps).abs().max() < 1e-6


def test_one_pixel_and_the_batch():
    maps, images = random(3, 2, 6, 5), random(3, 3, 6, 5, seed=1)
    singles = [pamr(m[None], i[None]) for m, i in zip(maps, images, strict=True)]
    torch.testing.assert_close(pamr(maps, images), torch.cat(singles))
    torch.testing.assert_close(pamr(maps[:, :, :1, :1], images[:, :, :1, :1]), maps[:, :, :1, :1])


def test_gradients():
    image = random(1, 1, 3, 3, seed=1)
    maps = random(1, 2, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: pamr(m, image, (1, 2), 2), (maps,))


def test_refuses_bad_input():
    with pytest.raises(ValueError, match=r"maps are \(1, 2, 6, 5\) but pictures \(1, 3, 5, 6\)"):
        pamr(random(1, 2, 6, 5), random(1, 3, 5, 6))
    with pytest.raises(ValueError, match=r"dilations must be at least 1, got \(1, 0\)"):
        pamr(random(1, 2, 6, 5), random(1, 3, 6, 5), (1, 0))
    with pytest.raises(ValueError, match="holds nan"):
        pamr(random(1, 2, 6, 5) * torch.nan, random(1, 3, 6, 5))
