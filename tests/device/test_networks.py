"""Networks, methods and explanations keep their tensors on one device."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nets import batch, pictures
from taught import stripes

from wsolbook import cam
from wsolbook.alignment import align, grid_of
from wsolbook.backbones import BACKBONES, build
from wsolbook.cam.photograph import EXPLAINERS
from wsolbook.doubts import later
from wsolbook.methods import METHODS
from wsolbook.types import Supervision

LABELS = [[0.0, 0, 1, 0], [0, 1, 0, 0]]
HEAVY = {
    "vgg16",
    "vgg16_largefov",
    "vgg16_psa",
    "resnet101",
    "resnet38",
    "inception_v3",
    "googlenet",
    "alexnet",
}


def waits_of_maps(gpu, net, images, classes) -> int:
    """Return how often the processor waits while maps are made that nobody has looked at yet."""
    classes = classes.to("cuda")
    gpu.waits.clear()
    with later():
        assert net.maps(images, classes).is_cuda
    return sum(gpu.waits.values())


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in HEAVY else []) for n in BACKBONES]
)
def test_a_network_learns_and_explains_where_it_is(name, gpu):
    net = build(name, classes=4).to("cuda")
    images = pictures(96, 1).to("cuda")
    net(images).sum().backward()
    assert all(p.grad.is_cuda for p in net.parameters() if p.grad is not None)
    net.eval()
    assert waits_of_maps(gpu, net, images, torch.tensor([1])) == 0, gpu.waits


@pytest.mark.parametrize("name", list(METHODS))
def test_a_method_trains_and_maps_where_it_is(name, gpu):
    net = METHODS[name](backbone="tiny", classes=4).to("cuda")
    assert isinstance(net.supervision, Supervision)
    seen = batch(LABELS)
    if net.supervision.made:
        seen = replace(seen, masks=stripes(64, 64, 4).repeat(len(seen), 1, 1))
    terms = net.loss(seen.to("cuda"))
    torch.stack([*terms.values()]).sum().backward()
    assert all(p.grad.is_cuda for p in net.parameters() if p.grad is not None)
    classes = torch.tensor([[1, 2], [0, 1]])
    assert waits_of_maps(gpu, net.eval(), pictures(64).to("cuda"), classes) == 0, gpu.waits


@pytest.mark.parametrize("name", list(EXPLAINERS))
def test_an_explanation_is_where_its_network_is(name, gpu):
    net = build("tiny", classes=4).eval().to("cuda")
    maps = EXPLAINERS[name](net, pictures(64).to("cuda"), 2)
    assert (maps.values.is_cuda, maps.logits.is_cuda, maps.classes.is_cuda) == (True, True, True)


def test_faithfulness_and_alignment(gpu):
    net, images = build("tiny", classes=4).eval().to("cuda"), pictures(64).to("cuda")
    maps = cam.cam(net, images)
    for curve in (cam.deletion(net, images, maps, 2), cam.insertion(net, images, maps, 2)):
        assert curve.is_cuda
        assert cam.area(curve).is_cuda
    grid = grid_of(net, "features", images, (8, 8))
    assert align(maps.values, grid, 64).is_cuda
    assert not gpu.doubles
