"""Every probe of other CAM libraries that one of them fails: ours must pass them all."""

import gc
import weakref

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from problems import PROBLEMS, full_grad_cam
from torch import nn

from wsolbook.cam import default_layer, grad_cam, grad_cam_of, guided_backprop, record


class Small(nn.Module):
    """Two blocks, a batch norm, dropout, in-place ReLU, and a head with a hidden layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.layer = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Sequential(nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(16, 5))

    def forward(self, x):
        return self.head(self.act(self.layer(self.stem(x))).mean((2, 3)))


CLASSES = torch.tensor([[3, 1], [0, 4]])


@pytest.fixture
def net():
    return Small().eval()


@pytest.fixture
def x():
    return torch.randn(2, 3, 8, 8)


def truth(net, x, classes=CLASSES):
    return full_grad_cam(net, "layer", x, classes)


def same(net, x, expected, model=None, **tolerance):
    """Compare the function and the context manager with the expected maps."""
    model = net if model is None else model
    tolerance = tolerance or {"rtol": 1e-5, "atol": 1e-7}
    result = grad_cam(model, x, CLASSES, "layer").values
    with record(model, "layer") as tape:
        logits = model(x)
    for values in (result, grad_cam_of(tape, logits, CLASSES).values):
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, expected, **tolerance)
    assert not any(m._forward_hooks for m in net.modules())


def equals_the_definition(net, x):
    same(net, x, truth(net, x))


def in_place_relu_follows_the_layer(net, x):
    net.act = nn.ReLU()
    expected = truth(net, x)
    net.act = nn.ReLU(inplace=True)
    same(net, x, expected)


def under_no_grad(net, x):
    expected = truth(net, x)
    with torch.no_grad():
        same(net, x, expected)
        assert not torch.is_grad_enabled()


def under_inference_mode(net, x):
    expected = truth(net, x)
    with torch.inference_mode():
        same(net, x, expected)
        same(net, x * 1, expected)  # an inference tensor
        assert torch.is_inference_mode_enabled()


def frozen_parameters(net, x):
    expected = truth(net, x)
    same(net.requires_grad_(False), x, expected)


def leaves_gradients_alone(net, x):
    for p in net.parameters():
        p.grad = torch.full_like(p, 7.0)
    grad_cam(net, x, CLASSES, "layer")
    guided_backprop(net, x, CLASSES)
    assert all(bool((p.grad == 7).all()) for p in net.parameters())
    assert x.grad is None
    assert not x.requires_grad


def leaves_train_mode_as_it_was(net, x):
    expected = truth(net, x)
    net.train()
    net.stem[1].eval()
    flags = [m.training for m in net.modules()]
    statistics = net.stem[1].running_mean.clone()
    torch.testing.assert_close(grad_cam(net, x, CLASSES, "layer").values, expected, rtol=1e-5, atol=1e-7)
    assert [m.training for m in net.modules()] == flags
    assert torch.equal(net.stem[1].running_mean, statistics)
    with pytest.raises(ValueError, match="no layer"):
        grad_cam(net, x, CLASSES, "nowhere")
    assert [m.training for m in net.modules()] == flags


def autocast(net, x):
    expected = truth(net, x)
    with torch.autocast("cpu", torch.bfloat16):
        same(net, x, expected, rtol=0.1, atol=0.05 * float(expected.max()))


def bfloat16_model(net, x):
    expected = truth(net, x)
    same(net.bfloat16(), x.bfloat16(), expected, rtol=0.1, atol=0.05 * float(expected.max()))


def independent_of_the_batch(net, x):
    together = grad_cam(net, x, CLASSES, "layer").values
    alone = [grad_cam(net, x[i : i + 1], CLASSES[i : i + 1], "layer").values for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-7)


def channels_last(net, x):
    expected = truth(net, x)
    same(net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last), expected)


def class_out_of_range(net, x):
    with pytest.raises(ValueError, match="class 5 does not exist: the network has classes 0 to 4"):
        grad_cam(net, x, 5, "layer")


def own_error_leaves_the_block(net, x):
    for error in (IndexError, KeyboardInterrupt, RuntimeError):
        with pytest.raises(error), record(net, "layer"):  # noqa: PT012
            net(x)
            raise error("mine")
        assert not net.layer._forward_hooks
        assert torch.is_grad_enabled()


def dropped_objects_leave_no_hook(net, x):
    for _ in range(10):
        with record(net, "layer") as tape:
            net(x)
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in net.modules())
    gone = weakref.ref(tape.activation)
    del tape
    gc.collect()
    assert gone() is None


def constant_map(net, x):
    nn.init.zeros_(net.layer.weight)
    assert torch.isfinite(grad_cam(net, x, CLASSES, "layer").values).all()
    nn.init.constant_(net.layer.bias, -1.0)
    assert not grad_cam(net, x, CLASSES, "layer").values.any()


def no_graph_by_default(net, x):
    result = grad_cam(net, x, CLASSES, "layer")
    assert not result.values.requires_grad
    assert not result.logits.requires_grad


def guided_by_hand(net, x, classes):
    """Guided backprop of `Small` written out: the gradient of each ReLU keeps positive parts only."""
    seen = []

    def guided(a):
        y = F.relu(a)
        seen.append(y)
        if y.requires_grad:
            y.register_hook(lambda g: g.clamp(min=0))
        return y

    found = []
    for c in classes.unbind(1):
        pixels = x.clone().requires_grad_()
        h = guided(net.stem[1](net.stem[0](pixels)))
        h = guided(net.layer(h)).mean((2, 3))
        y = net.head[3](guided(net.head[0](h)))
        found.append(torch.autograd.grad(y.gather(1, c[:, None]).sum(), pixels)[0])
    return torch.stack(found, 1)


class Functional(nn.Module):
    """`Small` with functional ReLUs, in place and not."""

    def __init__(self, net):
        super().__init__()
        self.stem, self.layer, self.head = net.stem, net.layer, net.head

    def forward(self, x):
        h = F.relu(self.stem[1](self.stem[0](x)), inplace=True)
        h = torch.relu(self.layer(h)).mean((2, 3))
        return self.head[3](self.head[0](h).relu_())


def guided_backprop_sees_functional_relu(net, x):
    expected = guided_by_hand(net, x, CLASSES)
    torch.testing.assert_close(guided_backprop(Functional(net).eval(), x, CLASSES).values, expected)
    torch.testing.assert_close(guided_backprop(net, x, CLASSES).values, expected)


def guided_backprop_of_a_batch(net, x):
    found = guided_backprop(net, x, CLASSES).values
    assert found.shape == (2, 2, 3, 8, 8)
    torch.testing.assert_close(found, guided_by_hand(net, x, CLASSES))


def guided_backprop_leaves_the_model(net, x):
    modules, before = list(net.modules()), net(x)
    guided_backprop(net, x, CLASSES)
    assert all(a is b for a, b in zip(net.modules(), modules, strict=True))
    assert torch.equal(net(x), before)


PROBES = [
    equals_the_definition, in_place_relu_follows_the_layer, under_no_grad, under_inference_mode,
    frozen_parameters, leaves_gradients_alone, leaves_train_mode_as_it_was, autocast, bfloat16_model,
    independent_of_the_batch, channels_last, class_out_of_range, own_error_leaves_the_block,
    dropped_objects_leave_no_hook, constant_map, no_graph_by_default, guided_backprop_sees_functional_relu,
    guided_backprop_of_a_batch, guided_backprop_leaves_the_model,
]  # fmt: skip


@pytest.mark.parametrize("probe", PROBES, ids=lambda p: p.__name__.replace("_", " "))
def test_probe(probe, net, x):
    probe(net, x)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("in_place", [False, True])
def test_compiled_model_with_hooks_added_later(net, x, in_place):
    expected = truth(net, x)
    if in_place:
        net.compile(backend="eager")
        compiled = net
    else:
        compiled = torch.compile(net, backend="eager")
    compiled(x)  # compiled before any hook exists
    same(net, x, expected, model=compiled)
    assert default_layer(compiled, x) == "act"
    grad_cam(compiled, x, CLASSES, "layer" if in_place else "_orig_mod.layer")
    torch.testing.assert_close(guided_backprop(compiled, x, CLASSES).values, guided_by_hand(net, x, CLASSES))


@pytest.mark.filterwarnings("ignore")
def test_distributed_data_parallel(net, x):
    expected = truth(net, x)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(net)
        same(net, x, expected, model=model)
        same(net, x, expected, model=model)
        grad_cam(model, x, CLASSES, "module.layer")
        model(x).sum().backward()  # its own training step still works
        model(x).sum().backward()
    finally:
        dist.destroy_process_group()


def test_default_layer_is_the_map_that_pooling_reads(net, x):
    assert default_layer(net, x) == "act"
    assert default_layer(PROBLEMS["flat"].make(), x[..., :6, :6]) == "after"
