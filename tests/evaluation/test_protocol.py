"""Baselines, held-out thresholds, and intervals of differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsolbook.evaluation import PerImage, compare, held_out, paired_bootstrap
from wsolbook.metrics import BoxAccuracy, ConfusionMatrix, center_box, center_gaussian
from wsolbook.types import Batch


class Rectangles:
    """Pictures of 32x32 whose first channel is the perfect map of the box."""

    classes = ("thing",)

    def __init__(self, n, seed, boxes=True):
        rng = np.random.default_rng(seed)
        self.boxes = [torch.tensor([[x, y, x + 11, y + 9]]) for x, y in rng.integers(0, 20, (n, 2))]
        self.images = torch.zeros(n, 3, 32, 32)
        for image, (x0, y0, x1, y1) in zip(self.images, (b[0].tolist() for b in self.boxes), strict=True):
            image[0, y0 : y1 + 1, x0 : x1 + 1] = 1
        self.has_boxes = boxes

    def __len__(self):
        return len(self.images)

    def batch(self, index, epoch=None):
        places = torch.tensor(list(index))
        boxes = [self.boxes[i] for i in index] if self.has_boxes else None
        return Batch(self.images[places], torch.ones(len(places), 1), places, boxes)


def test_the_center_gaussian_is_symmetric_and_of_the_given_width():
    bell = center_gaussian((31, 51), 0.2)
    assert bell.max() == bell[15, 25] == 1
    torch.testing.assert_close(bell, bell.flip(0))
    torch.testing.assert_close(bell, bell.flip(1))
    assert bell[15, 25 + 10].item() == pytest.approx(np.exp(-0.5 * (10 / (0.2 * 51)) ** 2))
    with pytest.raises(ValueError, match="positive size and width"):
        center_gaussian(10, 0.0)


def test_the_center_box_has_its_share():
    assert center_box(100, 0.25).tolist() == [25, 25, 74, 74]
    assert center_box((50, 100), 1.0).tolist() == [0, 0, 99, 49]
    with pytest.raises(ValueError, match="share must lie in"):
        center_box(100, 0.0)


def test_thresholds_come_from_the_small_split():
    few, test = BoxAccuracy(10, iou=(0.5,)), BoxAccuracy(10, iou=(0.5,))
    maps = torch.zeros(2, 30, 30)
    maps[:, 5:25, 5:25] = 0.4
    maps[:, 10:15, 10:15] = 1.0
    few.update(maps, torch.tensor([[10, 10, 14, 14]] * 2))
    test.update(maps, torch.tensor([[10, 10, 14, 14], [5, 5, 24, 24]]))
    row = held_out("toy", few, test)
    assert row.thresholds == {0.5: 0.4}
    assert (row.held_out, row.oracle, row.acc) == (50.0, 50.0, {0.5: 50.0})
    test.update(maps, torch.tensor([[5, 5, 24, 24]] * 2))
    row = held_out("toy", few, test)
    assert (row.held_out, row.oracle) == (25.0, 75.0)
    with pytest.raises(ValueError, match="counted differently"):
        held_out("toy", BoxAccuracy(20), test)


def test_the_table_of_the_protocol():
    seen = []

    def few_shot(samples):
        seen.append(len(samples))
        return lambda batch: batch.images[:, 0]

    rows = compare(
        {"perfect": lambda batch: batch.images[:, 0], "blind": lambda batch: torch.zeros(len(batch), 8, 8)},
        Rectangles(6, 0),
        Rectangles(9, 1),
        few_shot,
        thresholds=50,
        batch_size=4,
    )
    table = {row.name: row for row in rows}
    assert list(table) == ["perfect", "blind", "few-shot", "center Gaussian"]
    assert seen == [6]
    assert table["perfect"].held_out == table["few-shot"].held_out == 100
    assert table["blind"].held_out == 0
    assert 0 < table["center Gaussian"].oracle < 100
    assert all(row.held_out <= row.oracle for row in rows)
    with pytest.raises(ValueError, match="Rectangles has no boxes"):
        compare({}, Rectangles(2, 0, boxes=False), Rectangles(2, 0))
    with pytest.raises(ValueError, match="the data set is empty"):
        compare({}, Rectangles(0, 0), Rectangles(2, 0))


def run(right: list[bool]) -> PerImage[ConfusionMatrix]:
    """One pixel a picture, foreground, found or not."""
    each = PerImage(lambda: ConfusionMatrix(2))
    for hit in right:
        one = ConfusionMatrix(2)
        one.update(torch.tensor([[int(hit)]]), torch.tensor([[1]]))
        each.add(one)
    return each


def hits(metric: ConfusionMatrix) -> float:
    return float(100 * metric.state["matrix"][1, 1] / metric.images)


def test_the_interval_is_that_of_a_bootstrap_of_the_differences():
    rng = np.random.default_rng(0)
    a, b = rng.random(60) < 0.8, rng.random(60) < 0.5
    found = paired_bootstrap(run(list(a)), run(list(b)), hits, resamples=400, seed=3)
    assert found.a == pytest.approx(100 * a.mean())
    assert found.difference == pytest.approx(100 * (a.mean() - b.mean()))
    difference = a.astype(float) - b
    draws = np.concatenate(
        [
            g.multinomial(60, np.full(60, 1 / 60), size=100)
            for g in [np.random.default_rng(3)]
            for _ in range(4)
        ]
    )
    low, high = np.quantile(draws @ difference / 60 * 100, [0.025, 0.975])
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_equal_runs_differ_by_nothing():
    same = [True, False, True, True]
    found = paired_bootstrap(run(same), run(same), hits, resamples=50)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_counts_of_images_add_up_to_the_total():
    each = run([True, True, False])
    metric = each.metric_of(each.rows().sum(0).astype(np.int64))
    assert (metric.state["matrix"] == each.total.state["matrix"]).all()
    assert metric.images == 3


def test_runs_that_cannot_be_paired():
    with pytest.raises(ValueError, match="over the same images"):
        paired_bootstrap(run([True]), run([True, False]), hits)
    with pytest.raises(ValueError, match="over the same images"):
        paired_bootstrap(run([]), run([]), hits)
    with pytest.raises(ValueError, match="level in \\(0, 1\\)"):
        paired_bootstrap(run([True]), run([True]), hits, level=1.0)
