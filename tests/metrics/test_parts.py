"""Coverage and importance of parts, on worlds small enough to count by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from wsolbook.metrics import (
    AREAS,
    Coverage,
    EvidenceShare,
    MeanShare,
    attention,
    best_threshold,
    part_coverage,
    part_evidence,
    part_importance,
    rank_agreement,
)


@pytest.fixture
def animal():
    """A row of ten pixels: two head, three body, one limb, four background; evidence falls from the head."""
    parts = torch.zeros(1, 3, 1, 10, dtype=torch.bool)
    parts[0, 0, 0, :2] = parts[0, 1, 0, 2:5] = parts[0, 2, 0, 5] = True
    scores = torch.tensor([[[1.0, 0.9, 0.8, 0.5, 0.3, 0.5, 0.4, 0.1, 0.0, 0.0]]])
    return scores, parts


def test_coverage_is_the_recall_of_each_part(animal):
    assert part_coverage(*animal, 0.5) == {
        "head": 1.0,
        "body": pytest.approx(2 / 3),
        "limbs": 1.0,
        "background": 0.0,
    }
    assert part_coverage(*animal, 0.0) == {"head": 1.0, "body": 1.0, "limbs": 1.0, "background": 1.0}


def test_pixels_are_pooled_over_the_set(animal):
    scores, parts = animal
    nothing = torch.zeros_like(scores)
    headless = parts.clone()
    headless[:, 0] = False
    both = part_coverage(torch.cat([scores, nothing]), torch.cat([parts, headless]), 0.5)
    assert both["head"] == 1.0  # the picture without a head has no pixel to miss
    assert both["body"] == pytest.approx(2 / 6)
    assert math.isnan(part_coverage(nothing, headless, 0.5)["head"])


def test_coverage_falls_with_the_threshold(animal):
    scores, parts = animal
    rows = [part_coverage(scores, parts, t / 10) for t in range(11)]
    for name in rows[0]:
        values = [row[name] for row in rows]
        assert values == sorted(values, reverse=True)


def test_the_best_threshold_is_that_of_the_pooled_iou(animal):
    scores, parts = animal
    masks = parts.any(1).to(torch.uint8)
    # at 0.2 and 0.3: six hits and one false alarm, 6/7; at 0.1: two, 6/8; at 0.5: five hits of six, 5/6
    assert best_threshold(scores, masks, 10) == pytest.approx(0.2)


def test_coverage_refuses_what_does_not_fit(animal):
    scores, parts = animal
    with pytest.raises(ValueError, match="maps are \\(1, 1, 9\\) but parts \\(1, 3, 1, 10\\)"):
        part_coverage(scores[..., :9], parts, 0.5)
    with pytest.raises(ValueError, match="with 2 names of parts"):
        part_coverage(scores, parts, 0.5, ("head", "body"))
    with pytest.raises(ValueError, match="threshold must lie in"):
        part_coverage(scores, parts, 1.5)


def test_importance_is_the_fall_of_the_logit():
    def model(images):  # class c adds up color c: a linear network, so each part counts for its own pixels
        return images.sum((2, 3))

    whole = torch.rand(4, 3, 6, 6)
    classes = torch.tensor([0, 2, 1, 1])
    without = {}
    for name, rows in (("head", slice(0, 2)), ("body", slice(2, 5))):
        without[name] = whole.clone()
        without[name][:, :, rows] = 0
    found = part_importance(model, whole, without, classes)
    own = whole[torch.arange(4), classes]
    torch.testing.assert_close(found["head"], own[:, 0:2].sum((1, 2)))
    torch.testing.assert_close(found["body"], own[:, 2:5].sum((1, 2)))
    with pytest.raises(ValueError, match="images without head are \\(4, 3, 6, 5\\)"):
        part_importance(model, whole, {"head": whole[..., :5]}, classes)


def test_evidence_is_the_mean_over_the_part(animal):
    scores, parts = animal
    torch.testing.assert_close(part_evidence(scores, parts), torch.tensor([[0.95, 1.6 / 3, 0.5]]))


def test_attention_is_the_share_of_the_positive_evidence(animal):
    scores, parts = animal
    expected = torch.tensor([[1.9, 1.6, 0.5, 0.5]], dtype=torch.float64) / 4.5
    torch.testing.assert_close(attention(scores, parts), expected, atol=1e-7, rtol=0)
    below = torch.where(scores > 0.45, scores, -1.0)  # what speaks against the class is no attention
    expected = torch.tensor([[1.9, 1.3, 0.5, 0.0]], dtype=torch.float64) / 3.7
    torch.testing.assert_close(attention(below, parts), expected, atol=1e-7, rtol=0)
    assert attention(-scores, parts).isnan().all()


def test_streaming_attention_is_the_mean_and_a_map_without_evidence_counts_zero(animal):
    scores, parts = animal
    metric, rest = EvidenceShare(), EvidenceShare()
    assert all(map(math.isnan, metric.compute().values()))
    metric.update(scores, parts)
    rest.update(-scores, parts)
    expected = [50 * share / 4.5 for share in (1.9, 1.6, 0.5, 0.5)]
    assert metric.merge(rest).compute() == pytest.approx(dict(zip(AREAS, expected, strict=True)), abs=1e-4)


def test_streaming_coverage_is_that_of_all_maps_at_once(animal):
    scores, parts = animal
    nothing = torch.zeros_like(scores)
    one, other = Coverage(10), Coverage(10)
    one.update(scores, parts)
    assert one.compute() == {
        "best IoU": pytest.approx(600 / 7), "threshold": pytest.approx(0.2),
        "head": 100.0, "body": 100.0, "limbs": 100.0, "background": 25.0,
    }  # fmt: skip
    other.update(nothing, parts)
    both = one.merge(other).compute()
    everything = torch.cat([scores, nothing]), torch.cat([parts, parts])
    shares = part_coverage(*everything, both["threshold"])
    assert {name: both[name] / 100 for name in AREAS} == pytest.approx(shares)


def test_mean_shares_are_counted_in_millionths():
    metric, rest = MeanShare(), MeanShare()
    assert math.isnan(metric.compute())
    metric.update(torch.tensor([0.25, 1.0]))
    rest.update(torch.tensor([1 / 3]))
    assert metric.compute() == 62.5
    assert metric.merge(rest).compute() == pytest.approx(100 * (1.25 + 1 / 3) / 3, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=6))
def test_agreement_is_spearman_with_ties(pairs):
    a, b = (torch.tensor([column], dtype=torch.float64) for column in zip(*pairs, strict=True))
    found = float(rank_agreement(a, b))
    if len(set(a[0].tolist())) == 1 or len(set(b[0].tolist())) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(a[0], b[0]).statistic)


def test_parts_that_an_image_does_not_show_are_left_out():
    nan = torch.nan
    evidence = torch.tensor([[3.0, 2.0, 1.0], [3.0, nan, 1.0], [nan, nan, 1.0]])
    importance = torch.tensor([[30.0, 20.0, 10.0], [1.0, 9.0, 3.0], [1.0, 2.0, 3.0]])
    found = rank_agreement(evidence, importance)
    assert found[:2].tolist() == [1.0, -1.0]
    assert found[2].isnan()
