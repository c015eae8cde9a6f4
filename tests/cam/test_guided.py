import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wsolbook.cam import backprop, deconvnet, grad_cam, guided_backprop, guided_grad_cam, pixel_gradients
from wsolbook.cam.guided import ReplaceReLU
from wsolbook.maps import resize

F_IN, ARRIVING = torch.tensor([1.0, -1, 2, 3]), torch.tensor([5.0, 6, -7, 8])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("backprop", [5.0, 0, -7, 8]), ("deconvnet", [5.0, 6, 0, 8]), ("guided", [5.0, 0, 0, 8])],
)
@pytest.mark.parametrize(
    "relu",
    [
        F.relu, torch.relu, torch.Tensor.relu, nn.ReLU(), nn.ReLU6(), F.relu6, torch.Tensor.relu_, F.relu_,
        nn.ReLU(inplace=True), nn.ReLU6(inplace=True), lambda t: F.relu(t, True), lambda t: F.relu(input=t),
    ],
)  # fmt: skip
def test_rules_on_a_hand_tensor(rule, expected, relu):
    x = F_IN.clone().requires_grad_()
    with ReplaceReLU(rule):
        y = relu(x * 1)
    assert y.tolist() == [1, 0, 2, 3]
    assert torch.autograd.grad(y, x, ARRIVING)[0].tolist() == expected


def test_relu6_stops_the_gradient_at_its_ceiling():
    x = torch.tensor([5.0, 7.0]).requires_grad_()
    with ReplaceReLU("guided"):
        y = F.relu6(x)
    assert y.tolist() == [5, 6]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [1, 0]


def test_in_place_relu_changes_the_tensor_that_others_hold():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    with ReplaceReLU("guided"):
        held = x * 1
        out = F.relu(held, inplace=True)
    assert held.tolist() == [1, 0]
    assert torch.autograd.grad((held + out).sum(), x)[0].tolist() == [2, 0]


def test_without_relu_all_three_are_the_gradient():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 5))
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    (expected,) = torch.autograd.grad(net(x)[:, 2].sum(), x)
    for rule in ("backprop", "deconvnet", "guided"):
        torch.testing.assert_close(pixel_gradients(net, x, 2, rule).values[:, 0], expected)
    assert x.grad is None


def test_saliency_of_a_linear_network_is_its_weight():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 5))
    expected = net[1].weight.detach().view(5, 3, 4, 4).abs().amax(1)
    for x in torch.randn(2, 1, 3, 4, 4):
        torch.testing.assert_close(backprop(net, x, torch.tensor([[0, 3]])).values[0], expected[[0, 3]])


def patched_gradient(net, x, classes, rule):
    """Apply the rule through tensor hooks, in all places that compute a ReLU, without a custom function."""
    relu, relu_, method = F.relu, torch.relu_, torch.Tensor.relu_

    def replaced(t, inplace=False):
        y = t.clamp(min=0)
        if rule == "deconvnet":
            y = t + (y - t).detach()
        if y.requires_grad:
            y.register_hook(lambda g: g.clamp(min=0))
        return y

    pixels = x.clone().requires_grad_()
    try:
        F.relu = replaced
        logits = net(pixels)
    finally:
        F.relu = relu
    assert (torch.relu_, torch.Tensor.relu_) == (relu_, method)
    return torch.stack(
        [
            torch.autograd.grad(logits.gather(1, c[:, None]).sum(), pixels, retain_graph=True)[0]
            for c in classes.unbind(1)
        ],
        1,
    )


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "resnet18", "squeezenet1_1"])
@pytest.mark.parametrize("method", [guided_backprop, deconvnet])
def test_networks_with_functional_and_in_place_relu(network, name, method):
    net, x = network(name), torch.randn(2, 3, 64, 64)
    classes = torch.tensor([[3, 1], [7, 9]])
    expected = patched_gradient(net, x, classes, "deconvnet" if method is deconvnet else "guided")
    found = method(net, x, classes)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found.values / scale, expected / scale, rtol=0, atol=1e-5)
    assert torch.equal(found.logits, net(x)), "the forward pass is the network's own, to the bit"
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("name", ["resnet18", "alexnet"])
def test_agrees_with_captum_where_relus_are_modules(network, name):
    attr = pytest.importorskip("captum.attr")
    net, x = network(name), torch.randn(2, 3, 64, 64)
    target = torch.tensor([4, 2])
    for method, peer in ((guided_backprop, attr.GuidedBackprop), (deconvnet, attr.Deconvolution)):
        with pytest.warns(UserWarning, match="backward hooks"):
            expected = peer(net).attribute(x.clone().requires_grad_(), target)
        scale = float(expected.abs().max())
        found = method(net, x, target).values[:, 0]
        torch.testing.assert_close(found / scale, expected.detach() / scale, rtol=0, atol=1e-5)


def test_guided_grad_cam_is_their_product(network):
    net, x = network("resnet18"), torch.randn(2, 3, 64, 96)
    result = guided_grad_cam(net, x, torch.tensor([[1, 2], [3, 4]]))
    coarse = grad_cam(net, x, result.classes)
    large = resize(coarse.values, (64, 96))
    expected = guided_backprop(net, x, result.classes).values * large[:, :, None]
    torch.testing.assert_close(result.values, expected)
    assert not result.values[(large == 0)[:, :, None].expand_as(result.values)].any()
    assert (result.layer, result.values.shape) == ("layer4", (2, 2, 3, 64, 96))


def test_a_function_as_classes(network):
    net, x = network("squeezenet1_1"), torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(
        guided_grad_cam(net, x, lambda y: y[:, 3]).values, guided_grad_cam(net, x, 3).values
    )


def test_bad_input(network):
    net, x = network("squeezenet1_1"), torch.randn(1, 3, 64, 64)
    with pytest.raises(ValueError, match="class 10 does not exist"):
        guided_backprop(net, x, 10)
    with pytest.raises(ValueError, match="reads 3 channels"):
        backprop(net, x[:, :1])
    x[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        backprop(net, x)
