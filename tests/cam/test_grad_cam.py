import gc

import pytest
import torch
from problems import PROBLEMS, SIDE, full_grad_cam, full_gradients
from torch import nn

from wsolbook.cam import cam, default_layer, grad_cam, grad_cam_of, record

CLASSES = torch.tensor([[0, 3, 1], [1, 1, 0]])


def images(n=2, side=SIDE):
    return torch.randn(n, 3, side, side)


@pytest.mark.parametrize("name", PROBLEMS)
def test_closed_form(name):
    problem = PROBLEMS[name]
    net, x = problem.make().double(), images().double()
    signed = problem.maps(net, x, CLASSES)
    result = grad_cam(net, x, CLASSES, "features")
    torch.testing.assert_close(result.values, signed.relu(), rtol=1e-12, atol=1e-14)
    against = grad_cam(net, x, CLASSES, "features", counterfactual=True).values
    torch.testing.assert_close(result.values - against, signed, rtol=1e-12, atol=1e-14)
    assert not (result.values * against).any()
    torch.testing.assert_close(result.logits, net(x).detach())
    assert result.layer == "features"


def test_cam_is_z_times_grad_cam():
    net, x = PROBLEMS["gap"].make(), images(3, 7)
    torch.testing.assert_close(cam(net, x, 2).values.relu(), 49 * grad_cam(net, x, 2, "features").values)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer4"),
        ("resnet18", "layer2"),
        ("resnet18", "layer4.1.bn2"),
        ("googlenet", "inception5b"),
        ("inception_v3", "Mixed_6e"),
        ("mobilenet_v2", "features"),
        ("mobilenet_v3_small", "features"),
        ("densenet121", "features"),
        ("densenet121", "features.denseblock3"),
        ("efficientnet_b0", "features"),
        ("squeezenet1_1", "classifier.2"),
        ("shufflenet_v2_x0_5", "conv5"),
        ("convnext_tiny", "features"),
        ("swin_t", "permute"),
        ("alexnet", "features.11"),
    ],
)
def test_torchvision_equals_the_full_definition(network, name, layer):
    net, x = network(name), images(2, 96)
    classes = torch.tensor([[1, 8], [7, 2]])
    if layer not in ("layer2", "layer4.1.bn2", "Mixed_6e", "features.denseblock3", "inception_v3"):
        assert default_layer(net, x) == layer
    result = grad_cam(net, x, classes, layer)
    expected = full_grad_cam(net, layer, x, classes)
    assert float(expected.max()) > 0
    activation, gradients = full_gradients(net, layer, x, classes)
    terms = torch.einsum(
        "nkchw,nchw->nkhw", gradients.abs().mean((3, 4), keepdim=True).expand_as(gradients), activation.abs()
    )
    torch.testing.assert_close(result.values, expected, rtol=0, atol=1e-6 * float(terms.max()))
    with record(net, layer) as tape:
        logits = net(x)
    assert torch.equal(tape.activation.detach(), activation), "to the bit"
    assert torch.equal(tape.gradients(logits.gather(1, classes[:, :1])), gradients[:, :1]), "to the bit"
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())


@pytest.mark.slow
def test_vgg16_layer_of_the_paper(network):
    net, x = network("vgg16"), images(1, 64)
    result = grad_cam(net, x, torch.arange(10)[None])
    assert result.layer == "features.29"
    expected = full_grad_cam(net, "features.29", x, result.classes)
    torch.testing.assert_close(result.values / expected.max(), expected / expected.max(), rtol=0, atol=1e-5)


def test_tape_explains_the_users_own_forward_pass_more_than_once():
    net, x = PROBLEMS["squared"].make(), images()
    with record(net, net.features) as tape:
        logits = net(x)
    for classes in (CLASSES, None, 4):
        expected = grad_cam(net, x, classes, "features")
        torch.testing.assert_close(grad_cam_of(tape, logits, classes).values, expected.values)
    torch.testing.assert_close(tape.activation, net.features(x))


def test_a_function_turns_any_output_into_scores():
    net, x = PROBLEMS["squared"].make(), images()
    plain = grad_cam(net, x, CLASSES, "features")
    picked = grad_cam(net, x, lambda y: y.gather(1, CLASSES), "features")
    torch.testing.assert_close(picked.values, plain.values)
    assert picked.classes.tolist() == [[0, 1, 2], [0, 1, 2]]
    head = net.head
    net.head = lambda n, a: {"boxes": None, "scores": head(n, a)}
    single = grad_cam(net, x, lambda y: y["scores"][:, 3], "features")
    net.head = head
    torch.testing.assert_close(single.values, grad_cam(net, x, 3, "features").values)
    with pytest.raises(ValueError, match=r"must return scores \(n,\) or \(n, k\), got \(2, 5, 1\)"):
        grad_cam(net, x, lambda y: y[..., None], "features")
    with pytest.raises(ValueError, match="got float"):
        grad_cam(net, x, lambda y: 1.0, "features")
    with pytest.raises(ValueError, match="1 rows of scores for the 2 images"):
        grad_cam(net, x, lambda y: y[:1, 0], "features")


def test_output_that_is_no_class_vector_asks_for_a_function():
    net, x = PROBLEMS["gap"].make(), images()
    net.head = lambda n, a: a
    with pytest.raises(ValueError, match=r"output has shape \(2, 4, 6, 6\), not \(n, classes\)"):
        grad_cam(net, x, layer="features")
    net.head = lambda n, a: {"out": a}
    with pytest.raises(TypeError, match="returns a dict: pass classes as a function of it"):
        grad_cam(net, x, layer="features")
    dense = grad_cam(net, x, lambda y: y["out"].sum((2, 3))[:, :2], "features").values
    torch.testing.assert_close(dense, net.features(x)[:, :2].relu().detach())


@pytest.mark.parametrize("name", ["gap", "squared"])
def test_differentiable_map_passes_gradcheck(name):
    net, x = PROBLEMS[name].make().double(), images(2, 3).double().requires_grad_()
    parameters = [*net.features.parameters(), net.linear.weight]

    def value(pictures, *_):
        result = grad_cam(net, pictures, torch.tensor([[0, 2], [1, 4]]), "features", differentiable=True)
        return result.values, result.logits

    assert torch.autograd.gradcheck(value, (x, *parameters))


@pytest.mark.parametrize("name", ["gap", "squared"])
def test_differentiable_map_of_a_frozen_network(name):
    net, x = PROBLEMS[name].make().requires_grad_(False), images()
    torch.testing.assert_close(
        grad_cam(net, x, 0, "features", differentiable=True).values, grad_cam(net, x, 0, "features").values
    )


def test_differentiable_map_trains_the_layers_before_it():
    net, x = PROBLEMS["squared"].make().train(), images()
    with torch.no_grad():
        result = grad_cam(net, x, 1, "features", differentiable=True)
    result.values.sum().backward()
    assert float(net.features.weight.grad.abs().sum()) > 0
    assert float(net.linear.weight.grad.abs().sum()) > 0
    assert net.training


def test_a_recorded_pass_trains_by_its_logits_and_its_map_at_once():
    net, x = PROBLEMS["squared"].make(), images()
    with record(net, "features", differentiable=True) as tape:
        logits = net(x)
    loss = logits.logsumexp(1).sum() + grad_cam_of(tape, logits, 1).values.square().sum()
    found = torch.autograd.grad(loss, list(net.parameters()))
    a = net.features(x)
    alpha = 2 * net.linear.weight[1] * a.mean((2, 3)) / 36
    by_hand = torch.einsum("nc,nchw->nhw", alpha, a).relu().square().sum() + net(x).logsumexp(1).sum()
    for ours, expected in zip(found, torch.autograd.grad(by_hand, list(net.parameters())), strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("name", ["gap", "squared"])
def test_weights_of_channels_as_constants(name):
    net, x = PROBLEMS[name].make(), images()
    with record(net, "features", differentiable="maps") as tape:
        logits = net(x)
    values = grad_cam_of(tape, logits, torch.tensor([[0, 2], [1, 4]])).values
    a = net.features(x)
    alpha = PROBLEMS[name].alpha(net, a, torch.tensor([[0, 2], [1, 4]])).detach()
    expected = torch.einsum("nkc,nchw->nkhw", alpha, a).relu()
    torch.testing.assert_close(values, expected)
    (ours,), (theirs,) = (
        torch.autograd.grad(v.square().sum(), net.features.weight) for v in (values, expected)
    )
    torch.testing.assert_close(ours, theirs)
    assert torch.autograd.grad(values.sum(), net.linear.weight, allow_unused=True) == (None,)


def test_flipping_the_image_flips_the_map():
    net, x = PROBLEMS["squared"].make(), images()
    with torch.no_grad():
        net.features.weight.copy_((net.features.weight + net.features.weight.flip(3)) / 2)
    torch.testing.assert_close(
        grad_cam(net, x.flip(3), 2, "features").values, grad_cam(net, x, 2, "features").values.flip(3)
    )


def test_scaling_the_score_scales_the_map():
    net, x = PROBLEMS["squared"].make(), images()
    once = grad_cam(net, x, lambda y: y[:, 0], "features").values
    torch.testing.assert_close(grad_cam(net, x, lambda y: 3 * y[:, 0], "features").values, 3 * once)


def test_opposite_classes_are_each_others_counterfactual():
    net, x = PROBLEMS["squared"].make(), images()
    with torch.no_grad():
        net.linear.weight[1] = -net.linear.weight[0]
    torch.testing.assert_close(
        grad_cam(net, x, 0, "features", counterfactual=True).values, grad_cam(net, x, 1, "features").values
    )


def test_volumes():
    net = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3))
    x = torch.randn(2, 1, 4, 5, 6)
    result = grad_cam(net, x, torch.tensor([[0, 2], [1, 1]]))
    assert result.layer == "0"
    weights = net[3].weight[result.classes] / 120
    torch.testing.assert_close(result.values, torch.einsum("nkc,ncdhw->nkdhw", weights, net[0](x)).relu())
    torch.testing.assert_close(cam(net, x, result.classes).values.relu(), 120 * result.values)


def test_vision_transformer():
    from torchvision.models import VisionTransformer

    net = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=10).eval()
    nn.init.normal_(net.heads.head.weight)
    x = images(2, 32)
    result = grad_cam(net, x, CLASSES, reshape="tokens")
    assert result.layer == "encoder.layers.encoder_layer_1.ln_1"
    kept = {}
    handle = net.encoder.layers[1].ln_1.register_forward_hook(lambda m, i, o: kept.update(a=o))
    logits = net(x)
    handle.remove()
    for j in range(3):
        (g,) = torch.autograd.grad(
            logits.gather(1, CLASSES[:, j : j + 1]).sum(), kept["a"], retain_graph=True
        )
        patches, gradient = kept["a"][:, 1:], g[:, 1:]  # without the class token
        expected = (patches @ gradient.mean(1)[:, :, None]).view(2, 4, 4).relu()
        torch.testing.assert_close(result.values[:, j], expected, rtol=1e-4, atol=1e-6)
    assert float(result.values.max()) > 0
    grid = grad_cam(net, x, CLASSES, result.layer, reshape=(4, 4))
    by_hand = grad_cam(net, x, CLASSES, result.layer, reshape=lambda t: t[:, 1:].mT.unflatten(2, (4, 4)))
    torch.testing.assert_close(grid.values, result.values)
    torch.testing.assert_close(by_hand.values, result.values)
    with pytest.raises(ValueError, match='pass reshape="tokens"'):
        grad_cam(net, x, 0, result.layer)
    with pytest.raises(ValueError, match="returns 17 tokens, fewer than 5 x 5"):
        grad_cam(net, x, 0, result.layer, reshape=(5, 5))
    with pytest.raises(ValueError, match=r"layer encoder returns .*, not a map"):
        grad_cam(net, x, 0, "encoder")


def test_swin_channels_last(network):
    net, x = network("swin_t"), images(1, 64)
    tokens = grad_cam(net, x, 3, "norm", reshape="tokens")
    torch.testing.assert_close(tokens.values, grad_cam(net, x, 3, "permute").values)
    assert default_layer(net, x, "tokens") == "features.7.1.norm1"


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 5)
        self.idle = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.linear(self.conv(self.conv(x).relu()).mean((2, 3)) ** 2)


def test_of_a_layer_that_runs_twice_the_last_output_counts():
    net, x = Shared(), images()
    a = net.conv(net.conv(x).relu()).detach()
    alpha = 2 * net.linear.weight[0] * a.mean((2, 3)) / 36
    torch.testing.assert_close(
        grad_cam(net, x, 0, "conv").values[:, 0], torch.einsum("nc,nchw->nhw", alpha, a).relu().detach()
    )


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("convv", "Shared has no layer 'convv'; did you mean conv"),
        ("", "Shared has no layer ''"),
        ("idle", "layer idle was never reached"),
        ("linear", r"layer linear returns \(2, 5\), not a map \(n, channels, height, width\)"),
        (nn.Conv2d(1, 1, 1), "the layer Conv2d is no part of this Shared"),
    ],
)
def test_bad_layers(layer, message):
    net = Shared()
    with pytest.raises(ValueError, match=message):
        grad_cam(net, images(), 0, layer)
    assert not any(m._forward_hooks for m in net.modules())
    assert torch.is_grad_enabled()
    assert net.training


def test_layer_that_returns_a_tuple():
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.MaxPool2d(2, return_indices=True))
    with pytest.raises(ValueError, match="layer 1 returns a tuple, not a tensor"):
        grad_cam(net, images(), 0, "1")


def test_network_that_cuts_the_graph_itself():
    net = PROBLEMS["gap"].make()
    net.head = lambda n, a: n.linear(a.detach().mean((2, 3)))
    with pytest.raises(ValueError, match="do not depend on layer features through a graph"):
        grad_cam(net, images(), lambda y: y[:, 0], "features")


def test_no_map_anywhere():
    with pytest.raises(ValueError, match="no layer returns a map"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(108, 3)), images())


@pytest.mark.parametrize("name", ["gap", "squared"])
def test_values_that_are_not_finite(name):
    net, x = PROBLEMS[name].make(), images()
    x[1, 0, 2, 2] = torch.inf
    with pytest.raises(
        ValueError, match="the map of image 1 is not finite: the activation of layer features"
    ):
        grad_cam(net, x, 0, "features")
    with torch.no_grad():
        net.linear.weight[0] = torch.nan
    with pytest.raises(ValueError, match="the map of image 0 is not finite: the weight of layer features"):
        grad_cam(net, images(), 0, "features")


def test_a_hundred_calls_leave_nothing():
    net, x = PROBLEMS["squared"].make(), images()

    def tensors():
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    grad_cam(net, x, CLASSES)
    before = tensors()
    for _ in range(100):
        grad_cam(net, x, CLASSES)
        with record(net, "features") as tape:
            logits = net(x)
        grad_cam_of(tape, logits)
    del tape, logits
    assert tensors() == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
