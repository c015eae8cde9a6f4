import pytest
import torch
import torch.nn.functional as F
from problems import PROBLEMS, SIDE, full_gradients

from wsolbook.cam import grad_cam, grad_cam_plus_plus, hires_cam, layer_cam, score_cam, xgrad_cam

CLASSES = torch.tensor([[0, 3], [4, 1]])


@pytest.fixture
def x():
    return torch.randn(2, 3, SIDE, SIDE)


def loops(rule, net, x):
    """Evaluate a rule from (A^k, G^k) of one channel to its share of the map, channel by channel."""
    a, g = full_gradients(net, "features", x, CLASSES)
    maps = torch.zeros(2, 2, SIDE, SIDE)
    for n in range(2):
        for k in range(2):
            maps[n, k] = sum(rule(a[n, c], g[n, k, c]) for c in range(a.shape[1]))
    return maps.relu()


def plus_plus(a, g):
    alpha = torch.where(g != 0, g**2 / (2 * g**2 + a.sum() * g**3), 0)
    return (alpha * g.relu()).sum() * a


@pytest.mark.parametrize("name", ["gap", "flat", "functional ReLU", "in-place ReLU module", "squared"])
@pytest.mark.parametrize(
    ("method", "rule"),
    [
        (hires_cam, lambda a, g: a * g),
        (layer_cam, lambda a, g: a * g.relu()),
        (xgrad_cam, lambda a, g: a * (a * g).sum() / a.sum()),
        (grad_cam_plus_plus, plus_plus),
        (grad_cam, lambda a, g: a * g.mean()),
    ],
)
def test_formula(name, method, rule, x):
    net = PROBLEMS[name].make()
    result = method(net, x, CLASSES, "features")
    torch.testing.assert_close(result.values, loops(rule, net, x), rtol=1e-4, atol=1e-5)
    assert not result.values.requires_grad
    assert torch.equal(result.classes, CLASSES)


def test_all_gradient_rules_agree_on_gap():
    """With `dy/dA = W / Z` everywhere, HiRes-CAM and XGrad-CAM are Grad-CAM."""
    net, x = PROBLEMS["gap"].make(), torch.randn(2, 3, 5, 7)
    expected = grad_cam(net, x, CLASSES, "features").values
    for method in (hires_cam, xgrad_cam):
        torch.testing.assert_close(method(net, x, CLASSES, "features").values, expected, rtol=1e-4, atol=1e-6)


def test_score_cam_by_definition(x):
    net = PROBLEMS["flat"].make()
    a = net.features(x).detach()
    expected = torch.zeros(2, 2, SIDE, SIDE)
    for n in range(2):
        for k in range(2):
            rises = []
            for channel in a[n]:
                mask = (channel - channel.min()) / (channel.max() - channel.min())
                masked, empty = net((x[n] * mask)[None]), net(torch.zeros_like(x[:1]))
                rises.append((masked - empty)[0, CLASSES[n, k]])
            expected[n, k] = (torch.stack(rises).softmax(0)[:, None, None] * a[n]).sum(0).relu()
    for size in (1, 3, 32):
        result = score_cam(net, x, CLASSES, "features", batch_size=size)
        torch.testing.assert_close(result.values, expected.detach())
    picked = score_cam(net, x, lambda y: y[:, 2], "features").values
    torch.testing.assert_close(picked, score_cam(net, x, 2, "features").values)


def test_a_channel_that_is_zero_everywhere_does_no_harm(x):
    net = PROBLEMS["flat"].make()
    torch.nn.init.zeros_(net.features.weight)
    torch.nn.init.zeros_(net.features.bias)
    for method in (hires_cam, layer_cam, xgrad_cam, grad_cam_plus_plus, score_cam):
        assert not method(net, x, CLASSES, "features").values.any()


@pytest.mark.parametrize("method", [hires_cam, layer_cam, xgrad_cam, grad_cam_plus_plus, score_cam])
def test_bad_input(method, x):
    with pytest.raises(ValueError, match="class 9 does not exist"):
        method(PROBLEMS["gap"].make(), x, 9, "features")
    with pytest.raises(ValueError, match="has no layer"):
        method(PROBLEMS["gap"].make(), x, 0, "nowhere")


def test_volumes():
    net = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 1), torch.nn.AdaptiveAvgPool3d(1), torch.nn.Flatten())
    x = torch.randn(1, 1, 3, 4, 5)
    assert score_cam(net, x, 0).values.shape == (1, 1, 3, 4, 5)
    torch.testing.assert_close(hires_cam(net, x, 0).values, F.relu(net[0](x)[:, :1] / 60).detach())
