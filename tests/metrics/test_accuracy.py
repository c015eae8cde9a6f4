"""MaxBoxAcc and MaxBoxAccV2 against the official algorithm written out with OpenCV, and their properties."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsolbook.metrics import BoxAccuracy


def textures(n: int, size: int = 40, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(rng.random((size, size)), (0, 0), 1 + 2 * rng.random()) for _ in range(n)]
    return torch.from_numpy(np.stack([(f - f.min()) / (f.max() - f.min()) for f in fields]))


def some_boxes(n: int, size: int = 40, seed: int = 1, most: int = 3) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(n):
        pairs = np.sort(rng.integers(0, size, (rng.integers(1, most + 1), 2, 2)), axis=1)
        boxes.append(torch.from_numpy(pairs.reshape(-1, 4)))
    return boxes


def official(maps, boxes, thresholds, which, overlaps=(0.3, 0.5, 0.7)):
    """One contour search a threshold, as published; returns the number of images, overlaps by thresholds."""
    correct = np.zeros((len(overlaps), len(thresholds)), int)
    for score, truth in zip(maps.numpy(), boxes, strict=True):
        gray = (score * 255).astype(np.uint8)
        height, width = gray.shape
        for t, threshold in enumerate(thresholds):
            _, binary = cv2.threshold(gray, int(threshold * gray.max()), 255, cv2.THRESH_BINARY)
            found = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
            if which == "largest" and found:
                found = [max(found, key=cv2.contourArea)]
            candidates = [(0, 0, 0, 0)] if not found else []
            for contour in found:
                x, y, w, h = cv2.boundingRect(contour)
                candidates.append((x, y, min(x + w, width - 1), min(y + h, height - 1)))
            a, b = np.array(candidates)[:, None], truth.numpy()[None]
            w = np.maximum(np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]) + 1, 0)
            h = np.maximum(np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]) + 1, 0)
            areas = [(c[..., 2] - c[..., 0] + 1) * (c[..., 3] - c[..., 1] + 1) for c in (a, b)]
            best = (w * h / (areas[0] + areas[1] - w * h)).max()
            correct[:, t] += best >= np.array(overlaps)
    return correct


@pytest.mark.parametrize("which", ["all", "largest"])
def test_equals_the_official_algorithm(which):
    maps, boxes = textures(12), some_boxes(12)
    maps[3] = 0
    metric = BoxAccuracy(100, which)
    metric.update(maps, boxes)
    expected = official(maps, boxes, np.arange(0, 1, 0.01), which)
    np.testing.assert_array_equal(metric.state["correct"], expected)
    found = metric.compute()
    assert list(found["acc"].values()) == [100 * k / 12 for k in expected.max(1)]
    assert found["v2"] == pytest.approx(100 * expected.max(1).mean() / 12, abs=1e-12)
    assert list(found["thresholds"].values()) == [np.arange(0, 1, 0.01)[k] for k in expected.argmax(1)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("noise", 20), ("texture", 1000)])
def test_equals_the_official_algorithm_at_full_size(kind, count):
    noise = torch.from_numpy(np.random.default_rng(0).random((1, 224, 224)))
    maps = textures(2, 224) if kind == "texture" else noise
    boxes = some_boxes(len(maps), 224)
    for which in ("all", "largest"):
        metric = BoxAccuracy(count, which)
        metric.update(maps, boxes)
        expected = official(maps, boxes, np.arange(0, 1, 1 / count), which)
        np.testing.assert_array_equal(metric.state["correct"], expected)


def test_a_perfect_rectangle_scores_100():
    score = torch.zeros(1, 50, 50)
    score[0, 10:40, 5:45] = 1
    metric = BoxAccuracy()
    metric.update(score, torch.tensor([[5, 10, 44, 39]]))
    assert metric.compute() == {
        "v2": 100.0,
        "acc": {0.3: 100.0, 0.5: 100.0, 0.7: 100.0},
        "thresholds": {0.3: 0.0, 0.5: 0.0, 0.7: 0.0},
    }


def test_one_threshold_serves_the_whole_set():
    # Each image is boxed well at a threshold of its own; the per-image maximum would be 100.
    maps = torch.zeros(2, 30, 30)
    maps[0, 5:25, 5:25], maps[0, 10:15, 10:15] = 0.5, 1.0
    maps[1, 2:28, 2:28], maps[1, 10:15, 10:15] = 0.5, 1.0
    boxes = [torch.tensor([[5, 5, 24, 24]]), torch.tensor([[10, 10, 14, 14]])]
    metric = BoxAccuracy(100, iou=(0.5,))
    metric.update(maps, boxes)
    assert metric.compute()["acc"] == {0.5: 50.0}
    assert metric.at({0.5: 0.0})["acc"] == {0.5: 50.0}


def test_all_ground_truth_boxes_count():
    maps = torch.zeros(1, 30, 30)
    maps[0, 5:15, 5:15] = 1
    missed, hit = torch.tensor([[20, 20, 29, 29]]), torch.tensor([[5, 5, 14, 14]])
    for boxes, expected in ((missed, 0.0), (torch.cat([missed, hit]), 100.0)):
        metric = BoxAccuracy(contours="largest", iou=(0.5,))
        metric.update(maps, [boxes])
        assert metric.compute()["v2"] == expected


def test_a_map_of_zeros_has_one_box_at_the_origin():
    metric = BoxAccuracy(10)
    metric.update(torch.zeros(2, 8, 8), torch.tensor([[0, 0, 0, 0], [0, 0, 1, 0]]))
    assert metric.compute()["acc"] == {0.3: 100.0, 0.5: 100.0, 0.7: 50.0}


def test_relations_between_overlaps_contours_and_thresholds():
    maps, boxes = textures(20, seed=5), some_boxes(20, seed=6)
    every, largest = BoxAccuracy(100), BoxAccuracy(100, "largest")
    for metric in (every, largest):
        metric.update(maps, boxes)
        assert (np.diff(metric.curve(), axis=0) <= 0).all()
    assert (every.curve() >= largest.curve()).all()
    assert (largest.curve() <= every.curve()).all()
    oracle = np.zeros(3)
    for i in range(20):
        one = BoxAccuracy(100)
        one.update(maps[i : i + 1], boxes[i : i + 1])
        oracle += list(one.compute()["acc"].values())
    assert (np.array(list(every.compute()["acc"].values())) <= oracle / 20).all()


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(9)), st.integers(1, 8))
def test_order_and_batches_do_not_matter(order, cut):
    maps, boxes = textures(9, 24), some_boxes(9, 24)
    whole, first, second = BoxAccuracy(50), BoxAccuracy(50), BoxAccuracy(50)
    whole.update(maps, boxes)
    first.update(maps[order[:cut]], [boxes[i] for i in order[:cut]])
    second.update(maps[order[cut:]], [boxes[i] for i in order[cut:]])
    merged = second.merge(first)
    assert merged.images == 9
    assert (merged.state["correct"] == whole.state["correct"]).all()


@pytest.mark.parametrize("thresholds", [100, 1000, 49])
def test_grid(thresholds):
    grid = BoxAccuracy(thresholds).thresholds
    assert len(grid) == thresholds
    assert grid[0] == 0
    assert grid[-1] < 1
    if thresholds != 49:
        assert (grid == np.arange(0, 1, 1 / thresholds)).all()


@pytest.mark.parametrize(
    ("maps", "boxes", "message"),
    [
        (torch.full((1, 4, 4), torch.nan), torch.zeros(1, 4), "holds nan"),
        (torch.full((1, 4, 4), 1.01), torch.zeros(1, 4), "must lie in \\[0, 1\\]"),
        (torch.zeros(2, 4, 4), torch.zeros(1, 4), "2 maps but boxes of 1 images"),
        (torch.zeros(1, 4, 4), [torch.zeros(0, 4)], "image 0 of the batch has no ground-truth box"),
        (torch.zeros(1, 4, 4), torch.tensor([[2, 0, 1, 1]]), "is not \\(x0, y0, x1, y1\\)"),
        (torch.zeros(1, 4, 6), torch.tensor([[0, 0, 7, 2]]), "reaches \\(7, 2\\), outside its map of 4x6"),
    ],
)
def test_bad_batches(maps, boxes, message):
    metric = BoxAccuracy(10)
    with pytest.raises(ValueError, match=message):
        metric.update(maps, boxes)
    assert metric.images == 0
    assert not metric.state["correct"].any()


def test_bad_settings():
    with pytest.raises(ValueError, match="thresholds must be at least 1, got 0"):
        BoxAccuracy(0)
    with pytest.raises(ValueError, match="overlaps in \\(0, 1\\]"):
        BoxAccuracy(iou=(0.0,))
    with pytest.raises(ValueError, match="BoxAccuracy has counted no image: the data set is empty"):
        BoxAccuracy().compute()
    with pytest.raises(ValueError, match="cannot merge"):
        BoxAccuracy(10).merge(BoxAccuracy(20))
    metric = BoxAccuracy(10)
    metric.update(torch.zeros(1, 4, 4), torch.zeros(1, 4))
    with pytest.raises(ValueError, match=r"no threshold of the grid is given for overlap 0\.5"):
        metric.at({0.3: 0.1, 0.5: 0.123, 0.7: 0.1})
