"""Top-1, top-5 and average precision against scikit-learn and by hand."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score

from wsolbook.metrics import AveragePrecision, TopAccuracy


def test_average_precision_is_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(40, 5, generator=generator) < 0.3).float()
    scores = (torch.randn(40, 5, generator=generator) + labels).round(decimals=1)  # with ties
    expected = 100 * average_precision_score(labels.numpy(), scores.numpy(), average="macro")
    metric = AveragePrecision(5)
    metric.update(scores, labels)
    assert metric.compute() == pytest.approx(expected)

    shuffled, parts = torch.randperm(40, generator=generator), [AveragePrecision(5) for _ in range(3)]
    for part, rows in zip(parts, shuffled.split(15), strict=True):
        part.update(scores[rows], labels[rows])
    joined = AveragePrecision(5).merge(*parts)
    assert joined.images == 40
    assert joined.compute() == metric.compute()


def test_classes_without_a_positive_are_left_out():
    metric = AveragePrecision(2)
    metric.update(torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    assert metric.compute() == 50  # the positive comes second
    assert metric.per_class().isnan().tolist() == [False, True]
    none = AveragePrecision(2)
    none.update(torch.zeros(3, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="at least one positive"):
        none.compute()
    with pytest.raises(ValueError, match="AveragePrecision has counted no image"):
        AveragePrecision(2).compute()


def test_top_1_and_top_5():
    logits = torch.arange(7.0).expand(3, -1)  # best guess 6, then 5, 4, 3, 2
    metric = TopAccuracy()
    metric.update(logits, torch.eye(7)[[6, 2, 1]])
    assert metric.compute() == {"top-1": pytest.approx(100 / 3), "top-5": pytest.approx(200 / 3)}
    few = TopAccuracy()
    few.update(torch.zeros(1, 2), torch.eye(2)[[0]])  # of equals the first counts, as with argmax
    assert few.compute() == {"top-1": 100, "top-5": 100}
