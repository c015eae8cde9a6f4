"""PxAP against its published definition, scikit-learn, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve

from wsolbook.metrics import PixelAP
from wsolbook.metrics.boxes import grid


def problem(n=4, size=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    masks = (torch.rand(n, size, size, generator=generator) < 0.3).to(torch.uint8)
    scores = (torch.rand(n, size, size, generator=generator, dtype=torch.float64) + masks * 0.4) / 1.4
    return scores, masks


def pxap(maps, masks, thresholds=1000):
    metric = PixelAP(thresholds)
    metric.update(maps, masks)
    return metric.compute()


def published(maps, masks, thresholds):
    """The definition of the protocol: histograms, cumulated from the top, right-hand rectangles."""
    edges = np.append(np.arange(0, 1, 1 / thresholds), [1.0, 2.0, 3.0])
    scores, labels = maps.double().numpy().ravel(), masks.numpy().ravel()
    hits = np.histogram(scores[(labels > 0) & (labels < 255)], edges)[0][::-1].cumsum()
    alarms = np.histogram(scores[labels == 0], edges)[0][::-1].cumsum()
    some = hits + alarms > 0
    precision = hits[some] / (hits + alarms)[some]
    recall = hits[some] / hits[-1]
    return 100 * (precision * np.diff(np.concatenate([[0], recall]))).sum()


@pytest.mark.parametrize("thresholds", [1, 7, 100, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_published_definition(thresholds, dtype):
    maps, masks = problem()
    masks[0, :3] = 255
    assert pxap(maps.to(dtype), masks, thresholds) == pytest.approx(
        published(maps.to(dtype), masks, thresholds), abs=1e-10
    )


def test_scores_on_the_edges_of_bins():
    thresholds = np.arange(0, 1, 0.001)
    scores = np.concatenate([thresholds, np.nextafter(thresholds[1:], 0), [1.0]])
    metric = PixelAP(1000)
    metric.update(torch.from_numpy(scores[None, None]), torch.ones(1, 1, len(scores), dtype=torch.uint8))
    expected = np.histogram(scores, np.append(thresholds, [1.0, 2.0]))[0]
    assert (metric.state["scores"][1].numpy() == expected).all()
    assert not metric.state["scores"][0].any()


def test_equals_scikit_learn_on_grid_scores():
    _, masks = problem(seed=3)
    generator = torch.Generator().manual_seed(4)
    places = torch.randint(0, 1001, masks.shape, generator=generator)
    maps = torch.from_numpy(np.append(grid(1000), 1.0))[places]
    expected = 100 * average_precision_score(masks.numpy().ravel(), maps.numpy().ravel())
    assert pxap(maps, masks) == pytest.approx(expected, abs=1e-10)
    metric = PixelAP(1000)
    metric.update(maps, masks)
    curve = metric.curve()
    precision, recall, thresholds = precision_recall_curve(masks.numpy().ravel(), maps.numpy().ravel())
    places = np.searchsorted(curve.thresholds, thresholds)
    np.testing.assert_allclose(curve.precision[places], precision[:-1], atol=1e-12)
    np.testing.assert_allclose(curve.recall[places], recall[:-1], atol=1e-12)


def test_constant_perfect_and_inverted_maps():
    masks = torch.zeros(1, 10, 10, dtype=torch.uint8)
    masks[0, :3] = 1  # 30 % foreground
    assert pxap(torch.full((1, 10, 10), 0.5), masks) == pytest.approx(30)
    assert pxap(masks.float(), masks) == 100
    assert pxap(1 - masks.float(), masks) == pytest.approx(30)


def test_ignored_pixels_change_nothing():
    maps, masks = problem()
    wide = torch.rand(4, 20, 5, dtype=torch.float64)
    padded = torch.cat([masks, torch.full((4, 20, 5), 255, dtype=torch.uint8)], 2)
    assert pxap(torch.cat([maps, wide], 2), padded) == pxap(maps, masks)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_pixels_may_be_permuted_together_and_images_come_in_any_order(random):
    maps, masks = problem(seed=2)
    order = list(range(400))
    random.shuffle(order)
    shuffled = pxap(maps.reshape(4, 1, 400)[..., order], masks.reshape(4, 1, 400)[..., order])
    assert shuffled == pxap(maps, masks) == pxap(maps.flip(0), masks.flip(0))


def test_only_the_order_of_bins_matters():
    _, masks = problem(seed=5)
    places = torch.randint(0, 500, masks.shape, generator=torch.Generator().manual_seed(6))
    edges = torch.from_numpy(grid(1000))
    assert pxap(edges[places], masks) == pxap(edges[2 * places], masks)


def test_merging_equals_one_shot():
    maps, masks = problem(7)
    one, other, whole = PixelAP(100), PixelAP(100), PixelAP(100)
    one.update(maps[:2], masks[:2])
    other.update(maps[2:], masks[2:])
    whole.update(maps, masks)
    merged = one.merge(other)
    assert merged.compute() == whole.compute()
    assert (merged.state["scores"] == whole.state["scores"]).all()


def test_the_best_threshold_has_the_best_pooled_iou():
    maps, masks = problem(seed=8)
    metric = PixelAP(50)
    metric.update(maps, masks)
    threshold, iou = metric.best_threshold()
    ious = [
        float(((maps >= t) & (masks > 0)).sum() / ((maps >= t) | (masks > 0)).sum()) for t in metric.edges
    ]
    assert iou == pytest.approx(100 * max(ious))
    assert threshold == metric.edges[int(np.argmax(ious))]


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (torch.full((1, 2, 2), torch.nan), torch.ones(1, 2, 2), "holds nan"),
        (torch.full((1, 2, 2), -0.5), torch.ones(1, 2, 2), "must lie in"),
        (torch.zeros(1, 2, 2), torch.ones(1, 2, 3), "maps are \\(1, 2, 2\\) but masks \\(1, 2, 3\\)"),
        (torch.zeros(2, 2, 2), torch.ones(1, 2, 2), "maps are \\(2, 2, 2\\) but masks \\(1, 2, 2\\)"),
    ],
)
def test_bad_batches(maps, masks, message):
    metric = PixelAP(10)
    with pytest.raises(ValueError, match=message):
        metric.update(maps, masks.to(torch.uint8))
    assert metric.images == 0


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(-1, torch.int64), (256, torch.int32), (0.5, torch.float32), (torch.nan, torch.float32)],
)
def test_masks_hold_whole_numbers_from_0_to_255(value, dtype):
    metric, mask = PixelAP(10), torch.tensor([[[0, 1], [255, value]]]).to(dtype)
    with pytest.raises(ValueError, match=f"masks must hold whole numbers from 0 to 255, got {value}"):
        metric.update(torch.rand(1, 2, 2), mask)
    assert metric.images == 0
    assert metric.state["scores"].sum() == 0


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_masks_of_other_types(dtype):
    maps, masks = problem(seed=9)
    masks[masks == 255] = 0
    ours, theirs = PixelAP(50), PixelAP(50)
    ours.update(maps, (masks > 0).to(dtype))
    theirs.update(maps, masks)
    assert (ours.state["scores"] == theirs.state["scores"]).all()


def test_nothing_to_measure():
    with pytest.raises(ValueError, match="PixelAP has counted no image"):
        PixelAP().compute()
    metric = PixelAP()
    metric.update(torch.rand(1, 3, 3), torch.zeros(1, 3, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="no foreground pixel in the masks of 1 images"):
        metric.compute()
    with pytest.raises(ValueError, match="at least 1, got -1"):
        PixelAP(-1)
