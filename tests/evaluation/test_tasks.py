"""What each task needs, counts and says."""

from __future__ import annotations

import pytest
import torch

from wsolbook.evaluation.picture import Prediction, Truth
from wsolbook.evaluation.tasks import (
    Boxes,
    Classification,
    LabelMaps,
    Localization,
    MultiLabel,
    Pixels,
    Seeds,
)

TRUTH = Truth(
    (40, 40), torch.tensor([0, 2]), torch.tensor([[0, 0, 9, 9], [20, 20, 29, 29], [5, 5, 9, 9]]),
    torch.tensor([0, 2, 2]), torch.zeros(40, 40, dtype=torch.uint8),
)  # fmt: skip


def test_thresholds_come_from_the_small_split():
    task = Boxes(10, "largest")
    few, test = task.empty(), task.empty()
    maps = torch.zeros(2, 30, 30)
    maps[:, 5:25, 5:25] = 0.4
    maps[:, 10:15, 10:15] = 1.0
    few.update(maps, torch.tensor([[10, 10, 14, 14]] * 2))
    test.update(maps, torch.tensor([[10, 10, 14, 14], [5, 5, 24, 24]]))
    assert task.held_out(few, test) == {"MaxBoxAcc": 50.0, "threshold 0.5": 0.4}
    test.update(maps, torch.tensor([[5, 5, 24, 24]] * 2))
    assert task.held_out(few, test)["MaxBoxAcc"] == 25.0
    assert task.score(test) == 75.0  # the oracle, which chose on the test set itself


def test_the_background_score_too():
    task = Seeds(1)
    few, test = task.empty(), task.empty()
    mask = torch.tensor([[0, 1]], dtype=torch.uint8)
    few.update(torch.tensor([[[0.5, 1.0]]]), torch.tensor([1]), mask)  # 0.5 is the first score that suits
    test.update(torch.tensor([[[0.1, 0.4]]]), torch.tensor([1]), mask)
    assert task.held_out(few, test) == {"mIoU": 25.0, "background score": 0.5}  # all background
    assert task.values(test) == {
        "mIoU": 100.0, "background score": 0.1, "mIoU at 0.15": 100.0, "mIoU at 0.2": 100.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="only boxes and seeds have a threshold"):
        Pixels().held_out(Pixels().empty(), Pixels().empty())


def test_boxes_and_pixels_of_each_class_on_their_own():
    assert TRUTH.boxes_of(2).tolist() == [[20, 20, 29, 29], [5, 5, 9, 9]]
    mask = torch.tensor([[0, 1, 2, 3, 255]], dtype=torch.uint8)
    truth = Truth((1, 5), torch.tensor([0, 2]), mask=mask)
    assert truth.mask_of(2).tolist() == [[0, 0, 0, 1, 255]]
    assert truth.mask_of() is mask
    values = torch.zeros(2, 40, 40)
    values[0, :10, :10], values[1, 20:30, 20:30] = 1, 1
    counted = dict(Boxes(20, "largest").count(TRUTH, Prediction(values, torch.tensor([0, 2]))))
    assert counted.keys() == {0, 2}
    assert [metric.compute()["v2"] for metric in counted.values()] == [100, 100]
    swapped = dict(Boxes(20, "largest").count(TRUTH, Prediction(values, torch.tensor([2, 0]))))
    assert [metric.compute()["v2"] for metric in swapped.values()] == [0, 0]


def test_what_is_missing_is_said():
    maps = Prediction(torch.ones(1, 4, 4))
    bare = Truth((4, 4), torch.tensor([1]))
    for task, truth, message in (
        (Boxes(), bare, "the data set has no boxes"),
        (Pixels(), bare, "the data set has no masks"),
        (Seeds(3), bare, "the data set has no masks"),
        (LabelMaps(3), bare, "the data set has no masks"),
        (Classification(), bare, "says nothing about classes"),
        (MultiLabel(3), bare, "says nothing about classes"),
        (Localization(), bare, "does not say which classes"),
        (Boxes(), TRUTH, "holds 1 maps for 2 labels"),
    ):
        with pytest.raises(ValueError, match=message):
            list(task.count(truth, maps))
    with pytest.raises(ValueError, match="the picture has 2 labels; loc needs one"):
        list(Localization().count(TRUTH, Prediction(torch.ones(1, 4, 4), torch.tensor([0]))))
    with pytest.raises(ValueError, match="no box of class 1"):
        TRUTH.boxes_of(1)


def test_classes_found():
    said = Prediction(torch.zeros(2, 4, 4), torch.tensor([0, 2]), torch.tensor([0.1, 0.9, 0.5]))
    ((label, top),) = Classification().count(Truth((4, 4), torch.tensor([2])), said)
    assert (label, top.compute()) == (2, {"top-1": 0, "top-5": 100})
    task = MultiLabel(3)
    counted = [metric for _, metric in task.count(TRUTH, said)]
    other = Prediction(torch.zeros(1, 4, 4), torch.tensor([1]), torch.tensor([0.2, 0.2, 0.2]))
    counted += [metric for _, metric in task.count(Truth((4, 4), torch.tensor([1])), other)]
    total = task.empty().merge(*counted)
    assert task.class_values({}, total) == {0: 50, 1: 50, 2: 100}
    assert task.values(total) == {"mAP": pytest.approx(200 / 3)}
