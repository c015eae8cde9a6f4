from __future__ import annotations

import math

import pytest

from wsolbook.training import Schedule
from wsolbook.training.schedule import factor


def test_poly_is_one_minus_t_to_the_power():
    poly = Schedule("poly", power=0.9)
    assert factor(poly, 0, 100, 10) == 1
    assert factor(poly, 75, 100, 10) == pytest.approx(0.25**0.9)


def test_cosine_is_half_a_period():
    cosine = Schedule("cosine")
    assert [factor(cosine, s, 100, 10) for s in (0, 50, 25)] == pytest.approx(
        [1, 0.5, 0.5 + 0.5 * math.sqrt(0.5)]
    )


def test_step_drops_at_each_milestone_in_steps_or_epochs():
    caffe = Schedule("step", milestones=(40_000, 80_000, 120_000), unit="steps")
    found = [factor(caffe, s, 160_000, 1) for s in (0, 39_999, 40_000, 80_000, 159_999)]
    assert found == pytest.approx([1, 1, 0.1, 0.01, 0.001])
    epochs = Schedule("step", milestones=(15, 30), gamma=0.5)
    assert [factor(epochs, s, 500, 10) for s in (149, 150, 299, 300)] == [1, 0.5, 0.5, 0.25]


def test_warmup_rises_linearly_and_the_rest_starts_after_it():
    warm = Schedule("poly", power=1.0, warmup=4.0, unit="steps")
    assert [factor(warm, s, 8, 1) for s in range(8)] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 1, 0.75, 0.5, 0.25]
    )


def test_constant_stays():
    assert {factor(Schedule(), s, 10, 5) for s in range(10)} == {1.0}
