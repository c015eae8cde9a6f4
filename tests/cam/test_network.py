"""One network, many threads; networks that cannot be looked into."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from problems import PROBLEMS, full_grad_cam
from torch import nn

from wsolbook.cam import (
    backprop,
    cam,
    deconvnet,
    default_layer,
    grad_cam,
    grad_cam_of,
    guided_backprop,
    occlusion,
    record,
)  # fmt: skip
from wsolbook.cam.network import eager


class Bumpy(nn.Module):
    """Batch norm and dropout, so that a wrong mode shows; pauses, so that threads meet."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.linear = nn.Linear(8, 5)

    def forward(self, x):
        maps = self.features(x)
        torch.mm(torch.ones(200, 200), torch.ones(200, 200))
        return self.linear(maps.mean((2, 3)).square())


@pytest.mark.parametrize("training", [False, True])
def test_threads_that_share_a_network(training):
    net = Bumpy().train(training)
    batches = torch.randn(48, 2, 3, 12, 12)

    def explain(x):
        layer = default_layer(net, x)
        with record(net, layer):  # another tape of this thread, around the next
            values = grad_cam(net, x, 1, layer).values
        return values, guided_backprop(net, x, 1).values, occlusion(net, x, 1, patch=6, stride=6).values

    alone = [explain(x) for x in batches]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(explain, batches))
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b)
    assert all(m.training == training for m in net.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_plain_call_from_another_thread_is_not_recorded():
    net = PROBLEMS["squared"].make()
    x, other = torch.randn(2, 2, 3, 6, 6)
    with record(net, "features") as tape, ThreadPoolExecutor(1) as pool:
        logits = net(x)
        pool.submit(net, other).result()
    torch.testing.assert_close(
        grad_cam_of(tape, logits, 1).values, full_grad_cam(net, "features", x, torch.tensor([[1], [1]]))
    )


@pytest.mark.filterwarnings("ignore")
def test_blocks_of_several_threads_leave_the_compiler_as_it_was():
    import torch._dynamo

    before = torch._dynamo.eval_frame._stance
    first, second = eager(), eager()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch._dynamo.eval_frame._stance.stance == "force_eager"
    second.__exit__(None, None, None)
    assert torch._dynamo.eval_frame._stance == before


def small():
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 8), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(8, 3)).eval()


def scripted(net, x):
    return torch.jit.script(net)


def traced(net, x):
    return torch.jit.trace(net, x)


def frozen(net, x):
    return torch.jit.freeze(torch.jit.script(net))


def exported(net, x):
    return torch.export.export(net, (x,)).module()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [scripted, traced, frozen, exported])
def test_networks_that_are_no_python_any_more(make):
    net, x = small(), torch.randn(2, 3, 8, 8)
    closed = make(net, x)
    kind = "exported" if make is exported else "scripted or traced"
    for method in (grad_cam, cam, guided_backprop, deconvnet):
        with pytest.raises(ValueError, match=f"is {kind}: its layers cannot be seen"):
            method(closed, x, 1)
    if make is not frozen:
        torch.testing.assert_close(backprop(closed, x, 1).values, backprop(net, x, 1).values)


@pytest.mark.filterwarnings("ignore")
def test_a_network_of_traced_modules_is_python_still():
    net, x = small(), torch.randn(2, 3, 8, 8)
    graph = torch.fx.symbolic_trace(copy.deepcopy(net))
    torch.testing.assert_close(guided_backprop(graph, x, 1).values, guided_backprop(net, x, 1).values)
    torch.testing.assert_close(grad_cam(graph, x, 1, "1").values, grad_cam(net, x, 1, "1").values)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", [backprop, deconvnet, guided_backprop])
def test_quantized_layers_have_no_gradient(method):
    net = torch.ao.quantization.quantize_dynamic(small(), {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(ValueError, match="layer 4 is quantized and has no gradient"):
        method(net, torch.randn(2, 3, 8, 8), 1)
