import pytest
import torch
from torch import nn

from wsolbook.cam import area, deletion, insertion
from wsolbook.types import Maps


class Sum(nn.Module):
    """Two logits: the sum of the upper left quarter of a 4 x 4 image, and 0."""

    def forward(self, x):
        s = x[:, 0, :2, :2].sum((1, 2))
        return torch.stack([s, torch.zeros_like(s)], 1)


def maps(values):
    values = torch.as_tensor(values)[None, None].float()
    return Maps(values, torch.zeros(1, 2), torch.zeros(1, 1, dtype=torch.long))


ONES = torch.ones(1, 3, 4, 4)
RIGHT = torch.zeros(4, 4)
RIGHT[:2, :2] = torch.tensor([[4.0, 3], [2, 1]])


def test_deletion_and_insertion_by_hand():
    falling = torch.sigmoid(torch.tensor([4.0, 3, 2, 1] + 13 * [0.0]))
    torch.testing.assert_close(deletion(Sum(), ONES, maps(RIGHT), steps=16)[0, 0], falling)
    rising = torch.sigmoid(torch.tensor([0.0, 1, 2, 3] + 13 * [4.0]))
    nothing = torch.zeros_like(ONES)
    torch.testing.assert_close(insertion(Sum(), ONES, maps(RIGHT), 16, start=nothing)[0, 0], rising)


def test_the_right_map_beats_the_wrong_one():
    wrong = maps(-RIGHT)
    assert area(deletion(Sum(), ONES, maps(RIGHT), 16)) < area(deletion(Sum(), ONES, wrong, 16))
    start = torch.zeros_like(ONES)
    assert area(insertion(Sum(), ONES, maps(RIGHT), 16, start)) > area(
        insertion(Sum(), ONES, wrong, 16, start)
    )


def test_insertion_starts_blurred_and_ends_whole():
    x = torch.rand(1, 3, 16, 16)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 2))
    curve = insertion(net, x, maps(torch.rand(4, 4)), 5)
    torch.testing.assert_close(curve[0, 0, -1], net(x).softmax(1)[0, 0].detach())
    assert not torch.isclose(curve[0, 0, 0], curve[0, 0, -1])


def test_area():
    assert float(area(torch.tensor([0.0, 0.5, 1.0]))) == 0.5
    assert area(torch.ones(2, 3, 5)).tolist() == [[1.0] * 3] * 2


def test_several_classes_and_images_are_each_treated_alone():
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    x, values = torch.rand(2, 3, 4, 4), torch.rand(2, 2, 4, 4)
    classes = torch.tensor([[0, 1], [2, 0]])
    curves = deletion(net, x, Maps(values, net(x).detach(), classes), 4)
    for n in range(2):
        for k in range(2):
            part = Maps(
                values[n : n + 1, k : k + 1], net(x[n : n + 1]).detach(), classes[n : n + 1, k : k + 1]
            )
            torch.testing.assert_close(deletion(net, x[n : n + 1], part, 4)[0, 0], curves[n, k])


def test_bad_input():
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        deletion(Sum(), ONES, maps(RIGHT), 0)
    with pytest.raises(ValueError, match="do not belong to images"):
        deletion(Sum(), ONES.expand(2, 3, 4, 4), maps(RIGHT))
    with pytest.raises(ValueError, match="not finite"):
        deletion(Sum(), ONES, maps(RIGHT * torch.nan))
