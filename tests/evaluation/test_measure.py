"""What recipes report, on two pictures whose boxes, masks and maps are known."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score

from wsolbook.evaluation.measure import Center, mean_average_precision, measure, measure_seeds
from wsolbook.types import Batch


class Drawn:
    """Two pictures with known boxes and masks, and a network whose maps are known."""

    classes = ("a", "b")
    box_classes = (torch.tensor([0, 1]), torch.tensor([1]))

    def __len__(self):
        return 2

    def batch(self, index, epoch=None):
        masks = torch.zeros(2, 224, 224, dtype=torch.uint8)
        masks[0, 10:60, 20:90], masks[0, 100:200, 100:200], masks[1, 50:150, 50:150] = 1, 2, 2
        boxes = [torch.tensor([[20, 10, 89, 59], [100, 100, 199, 199]]), torch.tensor([[50, 50, 149, 149]])]
        labels = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
        pick = list(index)
        images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 224, 224)
        return Batch(images[pick], labels[pick], torch.tensor(pick), [boxes[i] for i in pick], masks[pick])


class Perfect:
    def __call__(self, images):
        return Drawn().batch(images[:, 0, 0, 0].long().tolist()).labels - 0.5

    def maps(self, images, classes):
        masks = Drawn().batch(images[:, 0, 0, 0].long().tolist()).masks
        return (masks[:, None] == classes[:, :, None, None] + 1).float()


def test_perfect_maps_score_100_and_the_center_does_not():
    found = measure(Perfect(), Drawn(), multi_label=True)
    assert found == {"mAP": 100, "MaxBoxAccV2": 100, "MaxBoxAcc": 100, "PxAP": 100}
    center = measure(Center(2), Drawn(), multi_label=True)
    # Only the box in the middle of picture 1 overlaps a centered one by more than half.
    assert center["MaxBoxAcc"] == pytest.approx(100 / 3)
    assert measure(Perfect(), Drawn(), multi_label=True, batch_size=1) == found


def test_perfect_seeds_score_100():
    assert measure_seeds(Perfect(), Drawn()) == {"seed mIoU": 100, "background score": 0.0}


def test_average_precision_is_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(40, 5, generator=generator) < 0.3).float()
    scores = (torch.randn(40, 5, generator=generator) + labels).round(decimals=1)  # with ties
    expected = 100 * average_precision_score(labels.numpy(), scores.numpy(), average="macro")
    assert mean_average_precision(scores, labels) == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least one positive"):
        mean_average_precision(scores, torch.zeros(40, 5))
