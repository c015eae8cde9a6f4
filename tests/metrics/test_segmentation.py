"""Mean IoU against torchmetrics, scikit-learn, closed forms; seeds against an argmax a background score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

from wsolbook.metrics import ConfusionMatrix, SeedIoU


def labels(n=3, classes=21, seed=0, ignored=0.1):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, classes, (n, 18, 25), generator=generator, dtype=torch.uint8)
    predictions = torch.where(
        torch.rand(masks.shape, generator=generator) < 0.6,
        masks,
        torch.randint(0, classes, masks.shape, generator=generator, dtype=torch.uint8),
    )
    masks[torch.rand(masks.shape, generator=generator) < ignored] = 255
    return predictions, masks


def test_equals_the_references_to_the_last_integer():
    predictions, masks = labels()
    metric = ConfusionMatrix()
    metric.update(predictions, masks)
    reference = multiclass_confusion_matrix(predictions.long(), masks.long(), 21, ignore_index=255)
    assert (metric.state["matrix"] == reference).all()
    valid = masks != 255
    assert (
        metric.state["matrix"].numpy() == confusion_matrix(masks[valid], predictions[valid], labels=range(21))
    ).all()
    expected = multiclass_jaccard_index(predictions.long(), masks.long(), 21, ignore_index=255)
    assert metric.compute() == pytest.approx(100 * float(expected), abs=1e-4)


def test_perfect_and_all_background():
    masks = torch.zeros(1, 10, 10, dtype=torch.uint8)
    masks[0, :4], masks[0, 4:6] = 1, 2
    metric = ConfusionMatrix(3)
    metric.update(masks, masks)
    assert metric.compute() == 100
    metric = ConfusionMatrix(3)
    metric.update(torch.zeros_like(masks), masks)
    assert metric.compute() == pytest.approx(40 / 3)  # background's share over three classes


def test_absent_classes_are_left_out_and_ignored_pixels_are_free():
    masks = torch.tensor([[0, 0, 1, 255]], dtype=torch.uint8)
    for free in (0, 1, 7, 255):
        metric = ConfusionMatrix(21)
        metric.update(torch.tensor([[0, 1, 1, free]], dtype=torch.uint8), masks)
        assert metric.compute() == 50.0  # (1/2 + 1/2) / 2
        assert np.isnan(metric.per_class().iou[2:]).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2))
def test_accumulation_equals_concatenation_and_shares_add_up(seed, cut):
    predictions, masks = labels(3, 5, seed)
    whole, first, second = ConfusionMatrix(5), ConfusionMatrix(5), ConfusionMatrix(5)
    whole.update(predictions, masks)
    first.update(predictions[cut:], masks[cut:])
    for p, m in zip(predictions[:cut], masks[:cut], strict=True):
        second.update(p.long(), m)  # one label map at a time, of another integer type
    merged = first.merge(second)
    assert merged.images == whole.images == 3
    assert (merged.state["matrix"] == whole.state["matrix"]).all()
    shares = whole.per_class()
    np.testing.assert_allclose(shares.iou + shares.fp + shares.fn, 1)


def test_over_and_under_activation():
    masks = torch.tensor([[0] * 6 + [1] * 4], dtype=torch.uint8)
    metric = ConfusionMatrix(2)
    metric.update(torch.tensor([[0] * 4 + [1] * 6], dtype=torch.uint8), masks)
    shares = metric.per_class()
    assert shares.iou.tolist() == [4 / 6, 4 / 6]
    assert shares.fp.tolist() == [0, 2 / 6]
    assert shares.fn.tolist() == [2 / 6, 0]


@pytest.mark.parametrize(
    ("prediction", "mask", "message"),
    [
        ([[0, 255]], [[0, 1]], "predictions hold 255, which is none of the 3 classes"),
        ([[0, 3]], [[0, 1]], "predictions hold 3"),
        ([[0, 1]], [[0, 3]], "masks hold 3"),
        ([[0, -1]], [[0, 1]], "predictions must hold whole numbers from 0 to 255, got -1"),
        ([[0, 1]], [[0, 256]], "masks must hold whole numbers from 0 to 255, got 256"),
        ([[0, 1, 1]], [[0, 1]], "predictions are \\(1, 3\\) but masks \\(1, 2\\)"),
    ],
)
def test_values_that_are_no_class(prediction, mask, message):
    metric = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=message):
        metric.update(torch.tensor(prediction), torch.tensor(mask))
    assert not metric.state["matrix"].any()


def test_nothing_to_measure():
    with pytest.raises(ValueError, match="ConfusionMatrix has counted no image"):
        ConfusionMatrix().compute()
    metric = ConfusionMatrix()
    metric.update(torch.zeros(2, 2, dtype=torch.uint8), torch.full((2, 2), 255, dtype=torch.uint8))
    with pytest.raises(ValueError, match="no pixel has been counted"):
        metric.compute()
    with pytest.raises(ValueError, match="classes must be 1 to 255, got 0"):
        ConfusionMatrix(0)


# ------------------------------------------------------------------------------------------------ seeds


def seed_problem(seed=0, size=(15, 22), classes=5):
    generator = torch.Generator().manual_seed(seed)
    present = torch.randperm(classes - 1, generator=generator)[:2] + 1
    maps = torch.rand(2, *size, generator=generator)
    maps[torch.rand(maps.shape, generator=generator) < 0.2] = 0.2  # ties, with each other and with a score
    mask = torch.randint(0, classes, size, generator=generator, dtype=torch.uint8)
    mask[0, :5] = 255
    return maps, present, mask


def test_each_background_score_equals_one_argmax():
    scores = tuple(i / 100 for i in range(60))
    metric = SeedIoU(5)
    references = [ConfusionMatrix(5) for _ in scores]
    for seed in range(3):
        maps, present, mask = seed_problem(seed)
        metric.update(maps, present, mask)
        for score, reference in zip(scores, references, strict=True):
            stack = np.zeros((5, *mask.shape), np.float32)
            stack[present.numpy()] = maps.numpy()
            stack[0] = score
            reference.update(torch.from_numpy(stack.argmax(0)), mask)
    for matrix, reference in zip(metric.matrices(), references, strict=True):
        assert (matrix == reference.state["matrix"].numpy()).all()
    curve = [reference.compute() for reference in references]
    np.testing.assert_allclose(metric.curve(), curve)
    assert metric.compute() == {"miou": pytest.approx(max(curve)), "score": scores[int(np.argmax(curve))]}
    assert metric.at(0.2) == pytest.approx(curve[20])
    assert metric.at(0.15) == pytest.approx(curve[15])


def test_a_picture_without_labels_is_background():
    metric = SeedIoU(3, (0.1, 0.2))
    mask = torch.tensor([[0, 0, 1, 255]], dtype=torch.uint8)
    metric.update(torch.zeros(0, 1, 4), torch.zeros(0, dtype=torch.long), mask)
    assert metric.matrices().tolist() == [[[2, 0, 0], [1, 0, 0], [0, 0, 0]]] * 2


def test_seeds_merge():
    whole, one, other = SeedIoU(5), SeedIoU(5), SeedIoU(5)
    for seed in range(3):
        whole.update(*seed_problem(seed))
        (one if seed else other).update(*seed_problem(seed))
    assert (one.merge(other).curve() == whole.curve()).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": torch.zeros(3, 3, dtype=torch.uint8)}, "but the mask is \\(3, 3\\)"),
        ({"classes": torch.tensor([1])}, "maps are \\(2, 15, 22\\) for 1 classes"),
        ({"classes": torch.tensor([1, 5])}, "classes of seeds must lie in 1 to 4, got \\[1, 5\\]"),
        ({"maps": torch.full((2, 15, 22), torch.nan)}, "holds nan"),
        ({"mask": torch.full((15, 22), 9, dtype=torch.uint8)}, "mask hold 9"),
    ],
)
def test_bad_seeds(change, message):
    maps, present, mask = seed_problem()
    metric = SeedIoU(5)
    with pytest.raises(ValueError, match=message):
        metric.update(**{"maps": maps, "classes": present, "mask": mask} | change)
    assert metric.images == 0


def test_bad_sweeps():
    with pytest.raises(ValueError, match="scores must ascend"):
        SeedIoU(5, (0.2, 0.2))
    metric = SeedIoU(5, (0.2, 0.25))
    metric.update(*seed_problem())
    with pytest.raises(ValueError, match=r"background score 0\.3 is not in the sweep"):
        metric.at(0.3)
