"""Boxes of maps against hand-computed values, brute force, and OpenCV run threshold by threshold."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wsolbook import compiled
from wsolbook.evaluation import frame_boxes, frame_maps, frame_masks
from wsolbook.metrics import box_above, box_iou, boxes_from_map, contours
from wsolbook.metrics.boxes import require_contours

STEPS = torch.tensor(
    [[0, 0, 0, 0, 0], [0, 0.4, 0.4, 0.4, 0.6], [0, 0.4, 1, 0.8, 0.6], [0, 0.4, 0.4, 0.4, 0.6]],
    dtype=torch.float64,
)


def corners(limit=12):
    side = st.integers(0, limit)
    return st.tuples(side, side, side, side).map(
        lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    )


def official(gray: np.ndarray, level: int) -> list:
    """Contours of one threshold, as the protocol's code asks OpenCV for them."""
    _, binary = cv2.threshold(gray, level, 255, cv2.THRESH_BINARY)
    return cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]


def official_boxes(score: np.ndarray, threshold: float, which: str) -> list[tuple[int, ...]]:
    gray = (score * 255).astype(np.uint8)
    found = official(gray, int(threshold * gray.max()))
    if not found:
        return [(0, 0, 0, 0)]
    if which == "largest":
        found = [max(found, key=cv2.contourArea)]
    height, width = gray.shape
    boxes = [cv2.boundingRect(c) for c in found]
    return sorted((x, y, min(x + w, width - 1), min(y + h, height - 1)) for x, y, w, h in boxes)


def rows(boxes: np.ndarray) -> list[tuple[int, ...]]:
    return sorted(map(tuple, boxes.tolist()))


# ---------------------------------------------------------------------------------------------- overlap


def test_iou_of_the_specification():
    assert box_iou(torch.tensor([[1, 2, 5, 6]]), torch.tensor([[3, 1, 4, 5]])).item() == 8 / 27


def test_a_box_of_one_pixel_has_area_one():
    zero = torch.zeros(1, 4)
    assert box_iou(zero, zero).item() == 1
    assert box_iou(zero, torch.tensor([[0.0, 0, 1, 0]])).item() == 0.5


@given(corners(), corners())
def test_iou_is_that_of_sets_of_pixels(a, b):
    masks = np.zeros((2, 13, 13), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, (a, b), strict=True):
        mask[y0 : y1 + 1, x0 : x1 + 1] = True
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    one, other = torch.tensor([a]), torch.tensor([b])
    assert box_iou(one, other).item() == expected == box_iou(other, one).item()


@pytest.mark.parametrize("box", [(3, 0, 2, 5), (0, 3, 5, 2), (-1, 0, 2, 2), (0, 0, float("nan"), 1)])
def test_what_is_no_box_is_refused(box):
    with pytest.raises(ValueError, match="is not \\(x0, y0, x1, y1\\)"):
        box_iou(torch.tensor([box]), torch.zeros(1, 4))


# -------------------------------------------------------------------------------------- boxes from maps


@pytest.mark.parametrize("which", ["all", "largest"])
def test_table_of_the_specification(which):
    expected = [(1, 1, 4, 3), (1, 1, 4, 3), (2, 1, 4, 3), (2, 2, 4, 3), (2, 2, 3, 3)]
    found = boxes_from_map(STEPS, (0.0, 0.2, 0.4, 0.6, 0.8), "largest")
    assert [rows(boxes) for boxes in found] == [[box] for box in expected]
    zeros = boxes_from_map(torch.zeros(4, 5), (0.0, 0.2, 0.4, 0.6, 0.8), which)
    assert [rows(boxes) for boxes in zeros] == [[(0, 0, 0, 0)]] * 5


def test_a_ring_has_an_outer_and_an_inner_box():
    ring = torch.zeros(9, 10)
    ring[1:7, 1:7] = 1
    ring[3:5, 3:5] = 0
    (both,) = boxes_from_map(ring, [0.5])
    assert rows(both) == [(1, 1, 7, 7), (2, 2, 6, 6)]  # the inner one runs through the ring's own pixels
    (one,) = boxes_from_map(ring, [0.5], "largest")
    assert rows(one) == [(1, 1, 7, 7)]


def test_the_exclusive_edge_is_cut_at_the_border():
    full = torch.ones(6, 8)
    assert rows(boxes_from_map(full, [0.0])[0]) == [(0, 0, 7, 5)]


def test_thresholds_are_strict_and_on_eight_bits():
    score = torch.tensor([[0.0, 0.5, 1.0]])  # 0.5 * 255 truncates to 127, 0.5 * 255 as a threshold as well
    assert rows(boxes_from_map(score, [0.5])[0]) == [(2, 0, 2, 0)]
    assert rows(boxes_from_map(score, [0.49])[0]) == [(1, 0, 2, 0)]


def test_the_largest_contour_is_so_by_polygon_area():
    score = torch.zeros(12, 12)
    score[1, 1:11] = 1  # ten pixels in a line: area 0
    score[5:8, 5:8] = 1  # nine in a block: area 4
    assert rows(boxes_from_map(score, [0.0], "largest")[0]) == [(5, 5, 8, 8)]
    assert box_above(score).tolist() == [1, 1, 10, 1]  # by number of pixels, as the CAM paper says


@pytest.mark.parametrize("count", [100, 1000])
def test_grid(count):
    assert len(boxes_from_map(STEPS, count)) == count


def binary_or_gray():
    shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
    return shapes.flatmap(
        lambda shape: st.sampled_from([1, 2, 4]).flatmap(
            lambda top: hnp.arrays(np.uint8, shape, elements=st.integers(0, top))
        )
    )


@settings(max_examples=150, deadline=None)
@given(binary_or_gray())
def test_small_maps_agree_with_opencv(gray):
    score = gray / 4.0
    for which in ("all", "largest"):
        ours = boxes_from_map(torch.from_numpy(score), (0.0, 0.3, 0.6, 0.9), which)
        for boxes, threshold in zip(ours, (0.0, 0.3, 0.6, 0.9), strict=True):
            assert rows(boxes) == official_boxes(score, threshold, which)


def brute_force(on: np.ndarray) -> list[tuple[int, ...]]:
    """Tight boxes of the 8-connected foreground and of the rings around 4-connected holes, by flooding."""
    height, width = on.shape
    found = []
    for value, steps in ((True, 8), (False, 4)):
        moves = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)][:steps]
        seen = np.zeros_like(on)
        for start in zip(*np.nonzero(on == value), strict=True):
            if seen[start]:
                continue
            part, queue = [], [start]
            seen[start] = True
            while queue:
                y, x = queue.pop()
                part.append((y, x))
                for dy, dx in moves:
                    v, u = y + dy, x + dx
                    if 0 <= v < height and 0 <= u < width and on[v, u] == value and not seen[v, u]:
                        seen[v, u] = True
                        queue.append((v, u))
            ys, xs = zip(*part, strict=True)
            box = (min(xs), min(ys), max(xs), max(ys))
            if value:
                found.append(box)
            elif box[0] > 0 and box[1] > 0 and box[2] < width - 1 and box[3] < height - 1:
                found.append((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1))
    return sorted(found)


@settings(max_examples=150, deadline=None)
@given(binary_or_gray())
def test_small_maps_agree_with_flooding(gray):
    lives = np.concatenate([contours.outer(gray), contours.holes(gray)])
    for level in range(int(gray.max())):
        alive = lives[(lives[:, contours.START] <= level) & (level < lives[:, contours.STOP])]
        assert rows(alive[:, contours.X0 : contours.Y1 + 1]) == brute_force(gray > level)


def blurred(size: int, sigma: float, seed: int) -> np.ndarray:
    field = cv2.GaussianBlur(np.random.default_rng(seed).random((size, size)), (0, 0), sigma)
    return (field - field.min()) / (field.max() - field.min())


@pytest.mark.parametrize("sigma", [0.5, 2.0, 6.0])
@pytest.mark.parametrize("which", ["all", "largest"])
def test_textures_agree_with_opencv_at_every_level(sigma, which):
    score = blurred(56, sigma, seed=int(10 * sigma))
    thresholds = np.arange(1000) / 1000
    for boxes, threshold in list(
        zip(boxes_from_map(torch.from_numpy(score), 1000, which), thresholds, strict=True)
    )[::4]:
        assert rows(boxes) == official_boxes(score, threshold, which)


@pytest.mark.parametrize("seed", range(3))
def test_polygon_area_is_that_of_opencv(seed):
    gray = (blurred(40, 1.0, seed) * 255).astype(np.uint8)
    for life in contours.largest(gray):
        found = official(gray, int(life[contours.START]))
        assert life[contours.SIZE] == 2 * max(map(cv2.contourArea, found))


def nested_rings() -> np.ndarray:
    gray = np.zeros((31, 33), np.uint8)
    for k, level in enumerate((3, 1, 3, 0, 2, 1, 3)):
        gray[2 * k + 1 : 30 - 2 * k, 2 * k + 1 : 32 - 2 * k] = level
    return gray


def diagonals() -> np.ndarray:
    gray = np.eye(12, 14, dtype=np.uint8) * 2
    return np.maximum(gray, gray[:, ::-1])


@pytest.mark.parametrize(
    "gray",
    [nested_rings(), diagonals(), nested_rings()[:, 5:], np.tile([[0, 1], [1, 0]], (6, 7)).astype(np.uint8)],
)
def test_rings_in_rings_and_lines_agree_with_opencv(gray):
    score = gray / 4
    for which in ("all", "largest"):
        for boxes, threshold in zip(
            boxes_from_map(torch.from_numpy(score), 20, which), np.arange(20) / 20, strict=True
        ):
            assert rows(boxes) == official_boxes(score, threshold, which)


def test_where_nothing_can_be_written_to_code_is_compiled_without_a_cache(monkeypatch):
    calls = []

    def njit(**options):
        calls.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled, "njit", njit)
    assert compiled.compiled(len)([1, 2]) == 2
    assert [c.get("cache", False) for c in calls] == [True, False]


@pytest.mark.parametrize(
    ("score", "thresholds", "message"),
    [
        (torch.tensor([[0.0, float("nan")]]), 10, "holds nan at"),
        (torch.tensor([[0.0, 1.5]]), 10, "must lie in \\[0, 1\\]"),
        (torch.tensor([[-0.1, 0.5]]), 10, "must lie in \\[0, 1\\]"),
        (STEPS, [1.0], "thresholds must lie in \\[0, 1\\)"),
        (STEPS, 0, "at least 1"),
    ],
)
def test_bad_input(score, thresholds, message):
    with pytest.raises(ValueError, match=message):
        boxes_from_map(score, thresholds)


def test_an_unknown_rule_for_contours_is_refused():
    with pytest.raises(ValueError, match='contours must be "all" or "largest", got \'outer\''):
        require_contours("outer")


# ------------------------------------------------------------------------------------- the paper's rule


def test_twenty_percent_is_strict():
    score = torch.zeros(10, 10)
    score[2:6, 3:8] = 1
    score[8, 8] = 0.19
    assert box_above(score).tolist() == [3, 2, 7, 5]
    score[2:6, 8] = 0.2
    assert box_above(score).tolist() == [3, 2, 7, 5]
    score[2:6, 8] = 0.21
    assert box_above(score).tolist() == [3, 2, 8, 5]
    score[9, 0] = 0.9  # a smaller blob elsewhere changes nothing
    assert box_above(score).tolist() == [3, 2, 8, 5]


def test_the_rule_ignores_scale_and_joins_corners():
    score = torch.zeros(6, 6)
    score[0, 0] = score[1, 1] = score[2, 2] = 7.0
    score[5, 4] = score[5, 5] = 7.0
    assert box_above(score).tolist() == [0, 0, 2, 2]
    assert box_above(-score).tolist() == [0, 0, 5, 5]


# ------------------------------------------------------------------------------------------- the frame


def test_boxes_are_scaled_and_truncated():
    boxes = frame_boxes(torch.tensor([[10, 20, 333, 250]]), (375, 500))
    assert boxes.tolist() == [
        [int(10 * 224 / 500), int(20 * 224 / 375), int(333 * 224 / 500), int(250 * 224 / 375)]
    ]
    assert boxes.tolist() == [[4, 11, 149, 149]]


def test_maps_are_resized_as_by_opencv_then_scaled():
    raw = torch.randn(2, 14, 14)
    ours = frame_maps(raw)
    for mine, each in zip(ours, raw, strict=True):
        big = cv2.resize(each.numpy(), (224, 224), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(mine, (big - big.min()) / (big.max() - big.min()), atol=2e-6)
    assert frame_maps(torch.full((1, 5, 5), 3.0)).eq(0).all()


@pytest.mark.parametrize("size", [(375, 500), (1200, 1600), (288, 1632), (204, 72), (224, 224), (1, 3)])
def test_masks_are_resized_by_the_protocols_nearest_neighbor(size):
    """Torch differs in 7 of 224 columns of 1600, and in 31 of 1632."""
    mask = torch.randint(0, 256, (1, *size), dtype=torch.uint8)
    expected = cv2.resize(mask[0].numpy(), (224, 224), interpolation=cv2.INTER_NEAREST)
    assert (frame_masks(mask)[0].numpy() == expected).all()
    expected = cv2.resize(mask[0].numpy(), (60, 44), interpolation=cv2.INTER_NEAREST)
    assert (frame_masks(mask, (44, 60))[0].numpy() == expected).all()
