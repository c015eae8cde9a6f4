"""What a network or its user may do that has no map: one sentence each that names it and says what to do."""

from __future__ import annotations

import jaxtyping
import numpy as np
import pytest
import torch
from problems import PROBLEMS, full_grad_cam
from torch import nn
from torch.utils.checkpoint import checkpoint

from wsolbook.cam import (
    backprop,
    cam,
    default_layer,
    grad_cam,
    grad_cam_of,
    guided_backprop,
    hires_cam,
    occlusion,
    record,
    score_cam,
)

METHODS = [backprop, cam, default_layer, grad_cam, guided_backprop, hires_cam, occlusion, score_cam]
X = torch.randn(2, 3, 8, 8)


def small(*end: nn.Module) -> nn.Sequential:
    pooled = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    return nn.Sequential(*pooled, *end).eval()


@pytest.fixture
def unchecked():
    """As users run the package: no type is checked before its own checks."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([X[0], X[1]], r"images must be a tensor .*, got a list: use torch.stack"),
        (X.numpy(), r"images must be a tensor .*, got a ndarray: use torch.from_numpy"),
        (np.zeros((8, 8, 3), np.uint8), r"got a ndarray: use torch.from_numpy, and transforms.to_network"),
    ],
)
def test_images_that_are_no_tensor(method, images, message):
    with pytest.raises(TypeError, match=message):
        method(small(), images)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_batch(method):
    with pytest.raises(ValueError, match=r"images are an empty batch, of shape \(0, 3, 8, 8\)"):
        method(small(), X[:0])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("layer", [["0", "1"], [nn.ReLU()], 1, lambda network: network[0]])
def test_a_layer_that_is_no_name_and_no_module(layer):
    kind = type(layer).__name__
    message = f"layer must be a dotted name or a module, got {kind}: one at a time"
    for method in (grad_cam, hires_cam, score_cam):
        with pytest.raises(TypeError, match=message):
            method(small(), X, 0, layer)
    with pytest.raises(TypeError, match=message), record(small(), layer):
        pass


def test_a_network_without_layers():
    with pytest.raises(ValueError, match=r"ReLU has no layer 'a': it is a single layer$"):
        grad_cam(nn.ReLU(), X, 0, "a")


def occluded(network, images, classes):
    return occlusion(network, images, classes, patch=4, stride=4)


@pytest.mark.parametrize("method", [cam, grad_cam, hires_cam, score_cam, backprop, guided_backprop, occluded])
def test_classes_by_name(method):
    net = small()
    with pytest.raises(
        ValueError, match="the network has no names for its 3 classes: pass the number of 'cat'"
    ):
        method(net, X, "cat")
    net.names = ("dog", "Cat")
    with pytest.raises(ValueError, match="the network has 2 names for its 3 classes"):
        method(net, X, "cat")
    net.names = ("dog", "Cat", "cat flap")
    by_number = method(net, X, 1)
    for named in ("cat", "1", ["CAT", "Cat"], ("cat", 1)):
        torch.testing.assert_close(method(net, X, named).values, by_number.values)
    assert method(net, X, ["cat flap", "dog"]).classes.tolist() == [[2], [0]]
    best = net(X).argsort(1, descending=True)
    assert method(net, X, "top2").classes.tolist() == best[:, :2].tolist()
    with pytest.raises(ValueError, match="no class is called 'cta'; did you mean cat"):
        method(net, X, "cta")
    with pytest.raises(ValueError, match="class 3 does not exist: the network has classes 0 to 2"):
        method(net, X, "3")


class Quantizable(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(self.conv(x).mean((2, 3)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", [cam, grad_cam, backprop])
def test_int8_layers(method):
    torch.backends.quantized.engine = "fbgemm"
    net = torch.ao.quantization.QuantWrapper(Quantizable().eval())
    net.qconfig = torch.ao.quantization.get_default_qconfig("fbgemm")
    net = torch.ao.quantization.prepare(net.eval())
    net(X)
    net = torch.ao.quantization.convert(net)
    with pytest.raises(ValueError, match="layer quant is quantized and has no gradient"):
        method(net, X, 0)


@pytest.mark.filterwarnings("ignore")
def test_int8_layers_behind_the_map():
    net = torch.ao.quantization.quantize_dynamic(small(nn.ReLU(), nn.Linear(3, 3)), {nn.Linear}, torch.qint8)
    with pytest.raises(ValueError, match="do not depend on layer 1 through a graph: layer 4 is quantized"):
        grad_cam(net, X, 0)


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = small(nn.ReLU(), nn.Linear(3, 3))


class Inferring(Wrapped):
    @torch.inference_mode()
    def forward(self, x):
        return self.net(x)


class WithoutGradient(Wrapped):
    @torch.no_grad()
    def forward(self, x):
        return self.net(x)


def test_a_forward_under_inference_mode():
    message = "Inferring itself uses torch.inference_mode around layer net.1: take that out of it"
    with pytest.raises(ValueError, match=message):
        grad_cam(Inferring().eval(), X, 0, "net.1")
    with pytest.raises(ValueError, match=r"does Inferring itself use torch.no_grad"):
        guided_backprop(Inferring().eval(), X, 0)


def test_a_forward_without_gradient():
    net = WithoutGradient().eval()
    expected = grad_cam(net.net, X, 0, "1")
    torch.testing.assert_close(grad_cam(net, X, 0, "net.1").values, expected.values)
    with pytest.raises(ValueError, match=r"no gradient: does WithoutGradient itself use torch.no_grad"):
        backprop(net, X, 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("unchecked")  # torch 2.11 cannot compile what checks types
@pytest.mark.parametrize("method", [grad_cam, cam, guided_backprop])
def test_a_compiled_call(method):
    compiled = torch.compile(lambda x: method(small(), x, 0).values, backend="eager")
    with pytest.raises(
        ValueError, match=r"torch.compile is around a method of wsolbook: compile the network"
    ):
        compiled(X)


@pytest.mark.parametrize(("outer", "inner"), [("0", "1"), ("1", "0"), ("1", "1")])
@pytest.mark.parametrize("end", [(), (nn.ReLU(), nn.Linear(3, 3))])
def test_nested_blocks_record_two_layers_of_one_pass(outer, inner, end):
    net, classes = small(*end), torch.tensor([[0, 2], [1, 1]])
    with record(net, outer) as first, record(net, inner) as second:
        logits = net(X)
    for layer, tape in ((outer, first), (inner, second)):
        torch.testing.assert_close(
            grad_cam_of(tape, logits, classes).values, full_grad_cam(net, layer, X, classes)
        )
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_second_pass_in_a_block():
    net = PROBLEMS["squared"].make().eval()
    x, other = torch.randn(2, 2, 3, 6, 6)
    with record(net, "features") as tape:
        earlier, last = net(other), net(x)
    expected = full_grad_cam(net, "features", x, torch.tensor([[1], [1]]))
    torch.testing.assert_close(grad_cam_of(tape, last, 1).values, expected)
    with pytest.raises(
        ValueError, match="ran 2 times in the block, and its last pass is recorded: use the output"
    ):
        grad_cam_of(tape, earlier, 1)
    with pytest.raises(ValueError, match=r"1 rows of scores for the 2 images .* the network ran 2 times"):
        grad_cam_of(tape, last[:1], 1)


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first, self.block = nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.linear, self.reentrant = nn.Linear(4, 3), reentrant

    def forward(self, x):
        x = checkpoint(self.block, self.first(x), use_reentrant=self.reentrant)
        return self.linear(x.mean((2, 3))).square()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layer", ["first", "block.0"])
def test_reentrant_checkpoints(layer):
    net, classes = Checkpointed(True).eval(), torch.tensor([[0, 2], [1, 1]])
    for wanted in (classes, classes[:, 0]):
        with pytest.raises(ValueError, match=r"torch\.utils\.checkpoint.*pass use_reentrant=False"):
            grad_cam(net, X, wanted, layer)
    with pytest.raises(ValueError, match=r"torch\.utils\.checkpoint.*pass use_reentrant=False"):
        backprop(net, X, 0)
    net.reentrant = False
    torch.testing.assert_close(grad_cam(net, X, classes, layer).values, full_grad_cam(net, layer, X, classes))
