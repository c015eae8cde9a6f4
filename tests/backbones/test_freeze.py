"""Layers and normalization that do not learn stay as they are, whatever mode the network is put into."""

from __future__ import annotations

import copy

import torch
from nets import lively, pictures

from wsolbook.backbones import build, build_trunk
from wsolbook.backbones.freeze import freeze_layers, freeze_norms, keep_statistics, share_statistics


def test_frozen_layers_and_norms_stay_as_they_are():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 4, 3))
    freeze_layers(net, 1)
    freeze_norms(net)
    assert [p.requires_grad for p in net.parameters()] == [False, False, False, False, True, True]
    before = net[1].running_mean.clone()
    net.train()
    images = torch.randn(2, 3, 8, 8) + 5
    seen = net[:2](images)
    assert torch.equal(net[1].running_mean, before)
    torch.testing.assert_close(seen, net[0](images) / (1 + 1e-5) ** 0.5)


def test_training_mode_leaves_frozen_norms_in_evaluation():
    net = lively(build("tiny_resnet", classes=3))
    images = pictures(32)
    with torch.no_grad():
        expected = net(images)
        assert not torch.allclose(net.train()(images), expected)
        net = lively(net)
        freeze_norms(net)
        for frozen in (net, copy.deepcopy(net)):
            state = {key: value.clone() for key, value in frozen.state_dict().items()}
            assert torch.equal(frozen.train()(images), expected)
            assert all(torch.equal(value, state[key]) for key, value in frozen.state_dict().items())
            norms = [m for m in frozen.modules() if isinstance(m, torch.nn.BatchNorm2d)]
            assert not any(layer.training for layer in norms)
            assert frozen.training


def test_convolutions_before_a_frozen_norm_still_learn():
    net = lively(build_trunk("tiny"))
    freeze_norms(net)
    net.upto("stage1").requires_grad_(False)
    net.train()(pictures(32)).sum().backward()
    learning = {name for name, p in net.named_parameters() if p.grad is not None and p.grad.any()}
    convolutions = {name for name, p in net.named_parameters() if p.ndim == 4}
    assert learning == convolutions - {"stage1.0.weight"}


def test_first_layers_are_counted_as_parts_of_the_trunk():
    net = build_trunk("mobilenet_v2")
    freeze_layers(net, 14)
    frozen = {name.partition(".")[0] for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {str(i) for i in range(14)}
    stages = build_trunk("mobilenet_v2")
    stages.upto("bottleneck5").requires_grad_(False)
    assert [p.requires_grad for p in stages.parameters()] == [p.requires_grad for p in net.parameters()]


def test_a_pass_that_stores_nothing():
    net = lively(build_trunk("tiny"))
    images = pictures(32)
    stored = [buffer.clone() for buffer in net.buffers()]
    with torch.no_grad():
        by_stored = net(images)
        with keep_statistics(net.train(), "frozen"):
            assert torch.equal(net(images), by_stored)
        with keep_statistics(net):
            by_batch = net(images)
        assert all(map(torch.equal, stored, net.buffers()))
        assert all(layer.training for layer in net.modules())
        later = keep_statistics(net)
        net.eval()
        with later:  # as it was when it was asked for
            assert torch.equal(net(images), by_batch)
        assert not any(layer.training for layer in net.modules())
        assert all(map(torch.equal, stored, net.buffers()))
        assert not torch.equal(by_batch, by_stored)


def test_norms_that_learn_are_shared_and_frozen_ones_stay():
    learns, frozen = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    freeze_norms(frozen)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), learns, torch.nn.Sequential(frozen))
    before = net.state_dict()
    share_statistics(net)
    assert isinstance(net[1], torch.nn.SyncBatchNorm)
    assert net[1].weight is learns.weight
    assert net[2][0] is frozen
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(a, before[name]) for name, a in net.state_dict().items())
