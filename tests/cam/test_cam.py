import pytest
import torch
from problems import PROBLEMS, SIDE
from torch import nn

from wsolbook.backbones import build
from wsolbook.cam import cam

POOLED = {name: problem for name, problem in PROBLEMS.items() if problem.pooled}
TORCHVISION = {
    "resnet18": "layer4",
    "googlenet": "inception5b",
    "inception_v3": "Mixed_7c",
    "mobilenet_v2": "features",
    "densenet121": "features",
    "efficientnet_b0": "features",
    "squeezenet1_1": "classifier.2",
    "shufflenet_v2_x0_5": "conv5",
    "mnasnet0_5": "layers",
    "swin_t": "permute",
}


@pytest.mark.parametrize("name", POOLED)
def test_closed_form(name):
    net, problem = POOLED[name].make(), POOLED[name]
    images, classes = torch.randn(3, 3, SIDE, SIDE + 2), torch.tensor([[0, 3], [1, 1], [2, 0]])
    result = cam(net, images, classes)
    z = SIDE * (SIDE + 2)
    torch.testing.assert_close(result.values, z * problem.maps(net, images, classes), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(result.logits, net(images))
    assert torch.equal(result.classes, classes)
    assert not result.values.requires_grad


@pytest.mark.parametrize("name", TORCHVISION)
def test_mean_of_the_map_plus_bias_is_the_logit(network, name):
    net = network(name).train()
    images = torch.randn(2, 3, 64 if name != "inception_v3" else 128, 96 if name != "inception_v3" else 128)
    classes = torch.arange(10).expand(2, 10)
    result = cam(net, images, classes)
    linear = [m for m in net.modules() if isinstance(m, nn.Linear)]
    bias = linear[-1].bias if linear else torch.zeros(10)
    sums = result.values.sum((2, 3)) / result.values[0, 0].numel() + bias
    torch.testing.assert_close(sums, result.logits, rtol=1e-4, atol=1e-5 * float(result.logits.abs().max()))
    assert result.layer == TORCHVISION[name]
    assert all(m.training for m in net.modules()), "flags restored"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules()), "hooks removed"
    torch.testing.assert_close(result.logits, net.eval()(images))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alexnet", "AlexNet ends in 3 linear layers; use grad_cam"),
        ("mobilenet_v3_small", "MobileNetV3 ends in 2 linear layers"),
        ("convnext_tiny", "ConvNeXt changes the pooled features before its linear layer"),
    ],
)
def test_says_why_a_network_has_no_cam(network, name, reason):
    with pytest.raises(ValueError, match=reason):
        cam(network(name), torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (lambda n, a: n.linear(a[:, :, 0, 0]), "no global pooling"),
        (lambda n, a: n.linear(a.mean((2, 3))).softmax(1), "changes the scores after its linear layer"),
        (lambda n, a: a.mean((2, 3)) @ n.linear.weight.T, "no linear layer after the pooling"),
        (lambda n, a: {"out": n.linear(a.mean((2, 3)))}, "returns a dict"),
    ],
)
def test_says_why_a_head_has_no_cam(head, reason):
    net = PROBLEMS["gap"].make()
    net.head = head
    with pytest.raises(ValueError, match=reason):
        cam(net, torch.randn(1, 3, 6, 6))


def test_one_forward_pass_without_a_graph():
    net, calls = PROBLEMS["gap"].make(), []
    net.features.register_forward_hook(lambda m, i, o: calls.append(o.requires_grad))
    cam(net, torch.randn(2, 3, 6, 6))
    assert calls == [False]


def test_permuting_channels_changes_nothing_and_doubling_a_class_doubles_its_map():
    net = PROBLEMS["gap"].make()
    images = torch.randn(2, 3, 6, 6)
    before = cam(net, images, 1).values
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        net.features.weight.copy_(net.features.weight[order])
        net.features.bias.copy_(net.features.bias[order])
        net.linear.weight.copy_(net.linear.weight[:, order])
        torch.testing.assert_close(cam(net, images, 1).values, before)
        net.linear.weight[1] *= 2
    torch.testing.assert_close(cam(net, images, 1).values, 2 * before)


def test_dropout_is_off_and_each_flag_restored():
    net = PROBLEMS["gap"].make()
    net.head = lambda n, a: n.linear(n.drop(a.mean((2, 3))))
    net.drop = nn.Dropout(0.5)
    net.train()
    net.features.eval()
    images = torch.randn(1, 3, 6, 6)
    result = cam(net, images, 0)
    sums = result.values.mean((2, 3)) + net.linear.bias[0]
    torch.testing.assert_close(sums, result.logits[:, :1])
    assert net.training
    assert net.drop.training
    assert not net.features.training


def test_classes():
    net, images = PROBLEMS["gap"].make(), torch.randn(2, 3, 6, 6)
    every = cam(net, images, torch.arange(5).expand(2, 5)).values
    best = cam(net, images)
    assert torch.equal(best.classes[:, 0], best.logits.argmax(1))
    torch.testing.assert_close(best.values[:, 0], every[torch.arange(2), best.classes[:, 0]])
    torch.testing.assert_close(cam(net, images, 3).values[:, 0], every[:, 3])
    torch.testing.assert_close(cam(net, images, [4, 1]).values[:, 0], every[[0, 1], [4, 1]])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (5, "class 5 does not exist: the network has classes 0 to 4"),
        (-1, "class -1 does not exist"),
        (torch.tensor([[0, 9], [0, 0]]), "class 9 does not exist"),
        (torch.tensor([0, 1, 2]), r"for n = 2 images, got \(3, 1\)"),
        (torch.zeros(2, 1, 1, dtype=torch.long), r"got \(2, 1, 1\)"),
    ],
)
def test_bad_classes(classes, message):
    with pytest.raises(ValueError, match=message):
        cam(PROBLEMS["gap"].make(), torch.randn(2, 3, 6, 6), classes)


def test_classes_must_be_integers():
    with pytest.raises(TypeError, match=r"classes must be integers, got torch\.float32"):
        cam(PROBLEMS["gap"].make(), torch.randn(2, 3, 6, 6), torch.zeros(2))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 1, 6, 6), r"reads 3 channels, images of shape \(1, 1, 6, 6\) have 1"),
        (torch.zeros(3, 6, 6), r"images must have shape \(n, channels, height, width\), got \(3, 6, 6\)"),
        (
            torch.full((2, 3, 6, 6), torch.nan),
            "the map of image 0 is not finite: the activation of layer",
        ),
    ],
)
def test_bad_images(images, message):
    net = PROBLEMS["gap"].make()
    with pytest.raises(ValueError, match=message):
        cam(net, images)
    assert not any(m._forward_hooks for m in net.modules())
    assert net.training


def test_images_must_be_floating_point():
    with pytest.raises(TypeError):
        cam(PROBLEMS["gap"].make(), torch.zeros(1, 3, 6, 6, dtype=torch.uint8))


@pytest.mark.parametrize("head", ["gap", "gmp"])
def test_classifier_of_the_book(head):
    net = build("tiny", classes=7, head=head)
    x, classes = torch.randn(2, 3, 32, 32), torch.tensor([[0, 6], [3, 3]])
    result = cam(net, x, classes)
    expected = torch.einsum("nkc,nchw->nkhw", net.linear.weight[classes], net.eval().features(x))
    torch.testing.assert_close(result.values, expected.detach())
    assert result.layer == "features"
