import pytest
import torch
from torch import nn

from wsolbook.cam import occlusion


@pytest.fixture
def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 16, 5))


def test_of_a_linear_network_is_the_sum_of_what_the_patch_covers(linear):
    x = torch.randn(2, 3, 12, 16)
    classes = torch.tensor([[0, 4], [2, 2]])
    result = occlusion(linear, x, classes, patch=4, stride=4)
    parts = linear[1].weight[classes].view(2, 2, 3, 12, 16) * x[:, None]
    blocks = parts.sum(2).unflatten(3, (4, 4)).unflatten(2, (3, 4)).sum((3, 5))
    expected = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(result.values, expected.detach(), rtol=1e-4, atol=1e-5)


def test_single_pixel_is_seen_only_by_the_patches_that_cover_it():
    class Reads(nn.Module):
        def forward(self, x):
            return x[:, :1, 5, 6]

    values = occlusion(Reads(), torch.ones(1, 3, 12, 12), 0, patch=3, stride=1).values[0, 0]
    covering = torch.zeros(12, 12, dtype=torch.bool)
    covering[3:8, 4:9] = True
    assert torch.equal(values > 0, covering)
    assert float(values[5, 6]) == 1
    assert float(values[3, 4]) == pytest.approx(1 / 9)


@pytest.mark.parametrize(("patch", "stride", "fill"), [(5, 3, 0.0), (4, 4, 0.7), (12, 12, 0.0), (7, 2, -1.0)])
def test_agrees_with_captum(linear, patch, stride, fill):
    attr = pytest.importorskip("captum.attr")
    net = nn.Sequential(*linear, nn.Tanh())
    x, target = torch.randn(2, 3, 12, 16), torch.tensor([1, 3])
    expected = attr.Occlusion(net).attribute(
        x, (3, patch, patch), (3, stride, stride), baselines=fill, target=target
    )
    result = occlusion(net, x, target, patch=patch, stride=stride, fill=fill, batch_size=5)
    torch.testing.assert_close(result.values[:, 0], expected[:, 0].float(), rtol=1e-4, atol=1e-5)


def test_neither_batches_nor_a_function_change_the_result(linear):
    x = torch.randn(3, 3, 12, 16)
    whole = occlusion(linear, x, 2, patch=6, stride=2).values
    torch.testing.assert_close(occlusion(linear, x, 2, patch=6, stride=2, batch_size=1).values, whole)
    torch.testing.assert_close(occlusion(linear, x, lambda y: y[:, 2], patch=6, stride=2).values, whole)
    torch.testing.assert_close(occlusion(linear, x[1:2], 2, patch=6, stride=2).values, whole[1:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 13, "stride": 2}, "patch 13, image 12 x 16"),
        ({"patch": 2, "stride": 3}, "stride 3, patch 2"),
        ({"patch": 2, "stride": 0}, "stride 0"),
        ({"patch": 4, "stride": 4, "classes": 5}, "class 5 does not exist"),
    ],
)
def test_bad_input(linear, options, message):
    with pytest.raises(ValueError, match=message):
        occlusion(linear, torch.randn(1, 3, 12, 16), **options)


def test_leaves_images_and_network_alone(linear):
    net = nn.Sequential(*linear, nn.Dropout(0.5)).train()
    x = torch.randn(1, 3, 12, 16)
    before = x.clone()
    first, second = (occlusion(net, x, 0, patch=4, stride=4).values for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(x, before)
    assert all(m.training for m in net.modules())
