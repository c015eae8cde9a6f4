"""Intervals of differences of two runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsolbook.evaluation import PerImage, paired_bootstrap, paired_bootstraps
from wsolbook.metrics import ConfusionMatrix


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


def test_several_numbers_share_the_draws_of_one():
    a, b = run([True, False, True, True, False]), run([False, True, True, False, False])
    found = paired_bootstraps(a, b, lambda m: {"hits": hits(m), "misses": 100 - hits(m)}, 200, seed=1)
    alone = paired_bootstrap(a, b, hits, 200, seed=1)
    assert found["hits"] == alone
    assert found["misses"].difference == pytest.approx(-alone.difference)
    assert (found["misses"].low, found["misses"].high) == pytest.approx((-alone.high, -alone.low))


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
