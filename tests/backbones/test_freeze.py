from __future__ import annotations

import torch

from wsolbook.backbones.freeze import freeze_layers, freeze_norms


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
