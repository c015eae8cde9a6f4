"""ILSVRC localization error on hand-made guesses, and the relations between its numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsolbook.metrics import LocalizationError

TRUE, FAR = [0, 0, 9, 9], [20, 20, 29, 29]
HALF = [0, 0, 9, 4]  # covers exactly half of TRUE: IoU 0.5 counts
LESS = [0, 0, 9, 3]  # 0.4


def count(guesses, boxes, labels, truth=None, known=None, blacklisted=None):
    metric = LocalizationError()
    n = len(labels)
    metric.update(
        torch.tensor(guesses),
        torch.tensor(boxes),
        torch.tensor(labels),
        truth or [torch.tensor([TRUE])] * n,
        None if known is None else torch.tensor(known),
        None if blacklisted is None else torch.tensor(blacklisted),
    )
    return metric


def test_hand_computed_errors():
    metric = count(
        guesses=[[3, 1], [1, 3], [3, 3], [0, 1]],
        boxes=[[TRUE, FAR], [TRUE, HALF], [LESS, TRUE], [TRUE, TRUE]],
        labels=[3, 3, 3, 3],
        known=[TRUE, HALF, LESS, FAR],
    )
    assert metric.compute() == {
        "top1_cls": 50.0,
        "top5_cls": 25.0,
        "top1_loc": 75.0,
        "top5_loc": 25.0,
        "gt_known": 50.0,
    }


def test_any_of_several_boxes_of_the_image_will_do():
    truth = [torch.tensor([FAR, TRUE])]
    assert count([[2]], [[TRUE]], [2], truth).compute()["top1_loc"] == 0
    assert count([[2]], [[[10, 10, 19, 19]]], [2], truth).compute()["top1_loc"] == 100


def test_only_five_guesses_count():
    guesses, boxes = [[0, 0, 0, 0, 0, 7]], [[TRUE] * 6]
    assert count(guesses, boxes, [7]).compute()["top5_loc"] == 100
    assert count([guesses[0][1:]], [boxes[0][1:]], [7]).compute()["top5_loc"] == 0


def test_five_guesses_with_different_boxes_can_beat_gt_known():
    found = count([[1, 1, 2, 2, 3]], [[FAR, TRUE, FAR, FAR, FAR]], [1], known=[FAR]).compute()
    assert found["top5_loc"] < found["gt_known"]


def test_the_blacklist_changes_the_localization_denominator_alone():
    guesses, boxes, labels = [[1], [1], [0], [1]], [[TRUE], [FAR], [TRUE], [FAR]], [1, 1, 1, 1]
    plain = count(guesses, boxes, labels, known=[b[0] for b in boxes]).compute()
    listed = count(
        guesses, boxes, labels, known=[b[0] for b in boxes], blacklisted=[False, False, False, True]
    ).compute()
    assert plain == {"top1_cls": 25, "top5_cls": 25, "top1_loc": 75, "top5_loc": 75, "gt_known": 50}
    assert {k: listed[k] for k in ("top1_cls", "top5_cls")} == {"top1_cls": 25, "top5_cls": 25}
    assert listed["top1_loc"] == pytest.approx(200 / 3)
    assert listed["gt_known"] == pytest.approx(100 / 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_relations(seed):
    generator = torch.Generator().manual_seed(seed)
    n, classes = 12, 7
    ranking = torch.rand(n, classes, generator=generator).argsort(1)[:, :5]
    labels = torch.randint(0, classes, (n,), generator=generator)
    corner = torch.randint(0, 8, (n, classes, 2), generator=generator)
    each = torch.cat([corner, corner + 9], 2)  # one box a class
    boxes = each.gather(1, ranking[..., None].expand(-1, -1, 4))
    known = each[torch.arange(n), labels]
    whole, parts = LocalizationError(), LocalizationError()
    truth = [torch.tensor([TRUE])] * n
    whole.update(ranking, boxes, labels, truth, known)
    for part in (slice(7, n), slice(0, 7)):
        parts.update(ranking[part], boxes[part], labels[part], truth[part], known[part])
    found = whole.compute()
    assert found == parts.compute()
    assert found["top1_loc"] >= max(found["top1_cls"], found["gt_known"], found["top5_loc"])
    assert found["top5_loc"] >= max(found["top5_cls"], found["gt_known"])


def test_bad_input():
    with pytest.raises(ValueError, match="got 2 labels, but guesses of 1"):
        count([[1]], [[TRUE]], [1, 1])
    with pytest.raises(ValueError, match="image 0 of the batch has no ground-truth box"):
        count([[1]], [[TRUE]], [1], [torch.zeros(0, 4)])
    with pytest.raises(ValueError, match="at least one guess"):
        LocalizationError().update(
            torch.zeros(1, 0, dtype=torch.long),
            torch.zeros(1, 0, 4),
            torch.tensor([1]),
            [torch.tensor([TRUE])],
        )
    with pytest.raises(ValueError, match="is not \\(x0, y0, x1, y1\\)"):
        count([[1]], [[[5, 0, 4, 4]]], [1])
    with pytest.raises(ValueError, match="LocalizationError has counted no image"):
        LocalizationError().compute()
    with pytest.raises(ValueError, match="all 1 images are blacklisted"):
        count([[1]], [[TRUE]], [1], blacklisted=[True]).compute()
