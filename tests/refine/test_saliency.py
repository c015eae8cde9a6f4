"""Minimum barriers against all paths, and colors against another library."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
import torch

from wsolbook.data import critters
from wsolbook.refine.saliency import _barriers, lab, minimum_barrier


def exact(values: np.ndarray) -> np.ndarray:
    """Return the lowest barrier of all paths to the edge: for each floor, the lowest ceiling."""
    height, width = values.shape
    best = np.full(values.shape, np.inf)
    for floor in np.unique(values):
        ceiling = np.full(values.shape, np.inf)
        queue = []
        for y, x in np.ndindex(values.shape):
            if (y in (0, height - 1) or x in (0, width - 1)) and values[y, x] >= floor:
                ceiling[y, x] = values[y, x]
                queue.append((values[y, x], y, x))
        heapq.heapify(queue)
        while queue:
            top, y, x = heapq.heappop(queue)
            if top > ceiling[y, x]:
                continue
            for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= ny < height and 0 <= nx < width and values[ny, nx] >= floor:
                    higher = max(top, values[ny, nx])
                    if higher < ceiling[ny, nx]:
                        ceiling[ny, nx] = higher
                        heapq.heappush(queue, (higher, ny, nx))
        best = np.minimum(best, ceiling - floor)
    return best


def test_barriers_by_hand():
    ring = np.zeros((5, 5), np.float32)
    ring[1:4, 1:4] = 3
    ring[2, 2] = 1
    found = _barriers(ring, 3)
    assert found[2, 2] == found[1, 1] == 3  # the way out of the middle leads over the ring
    assert found[0].tolist() == [0] * 5
    ramp = np.arange(25, dtype=np.float32).reshape(5, 5)
    assert _barriers(ramp, 3)[2, 2] == 2  # along the row


def test_raster_scans_come_near_the_barriers_of_all_paths():
    """They only find paths, so never less than the lowest; noise without any regions is the hardest."""
    random = np.random.default_rng(0)
    for _ in range(5):
        values = random.random((9, 11)).astype(np.float32)
        found, lowest = _barriers(values, 8), exact(values)
        assert (found >= lowest - 1e-6).all()
        assert found.sum() < 1.2 * lowest.sum()
        assert (_barriers(values, 3) >= found - 1e-6).all()


def test_a_disc_stands_out_and_what_touches_the_edge_does_not():
    y, x = torch.meshgrid(torch.arange(40), torch.arange(50), indexing="ij")
    disc = (y - 20) ** 2 + (x - 25) ** 2 < 100
    image = torch.where(disc, 0.9, 0.2).expand(3, -1, -1) * torch.tensor([1.0, 0.8, 0.3])[:, None, None]
    found = minimum_barrier(image)
    torch.testing.assert_close(found, disc.float())
    touching = image.roll(-20, -1)
    assert minimum_barrier(touching).eq(0).all()
    assert minimum_barrier(torch.full((3, 8, 8), 0.3)).eq(0).all()


def test_colors_are_those_of_opencv():
    cv2 = pytest.importorskip("cv2")
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = cv2.cvtColor(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), cv2.COLOR_RGB2LAB)
    torch.testing.assert_close(lab(image), torch.from_numpy(expected).permute(2, 0, 1), atol=0.5, rtol=0)


def test_animals_stand_out_of_their_landscapes():
    drawn = critters.sample(40, "multi", 64, seed=5)
    figure = drawn.masks > 0
    found = torch.stack([minimum_barrier(image) for image in drawn.images])
    assert found[figure].mean() > 5 * found[~figure].mean()


@pytest.mark.parametrize(
    ("image", "passes", "message"),
    [
        (torch.full((3, 4, 4), 200.0), 3, "colors must be in 0 to 1, got 200 to 200"),
        (torch.full((3, 4, 4), torch.nan), 3, "holds nan"),
        (torch.zeros(3, 4, 4), 0, "passes must be at least 1, got 0"),
    ],
)
def test_what_cannot_be(image, passes, message):
    with pytest.raises(ValueError, match=message):
        minimum_barrier(image, passes)
