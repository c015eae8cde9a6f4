"""Figures show the same, wherever what they show lies."""

from __future__ import annotations

import numpy as np
import torch

from wsolbook.backbones import build
from wsolbook.data import critters
from wsolbook.refine.affinity import affinities
from wsolbook.show.affinities import explore_affinities
from wsolbook.show.explorer import explore
from wsolbook.show.figures import etching, overlay
from wsolbook.show.laboratory import laboratory

DRAWN = critters.render(critters.scenes(2, "multi"), 32)


def on_both(make, *tensors):
    return make(*tensors), make(*(t.to("cuda") for t in tensors))


def test_what_is_printed(gpu):
    heat = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    for here, there in (on_both(overlay, DRAWN.images[0], heat), on_both(etching, DRAWN.images[0])):
        np.testing.assert_allclose(here, there, atol=1e-6)


def test_what_is_played_with(gpu):
    torch.manual_seed(0)
    maps, near = torch.rand(2, 8, 8), affinities(torch.randn(2, 4, 8, 8))
    here, there = on_both(lambda x, m, y: explore(x, {"map": m}, mask=y), DRAWN.images, maps, DRAWN.masks)
    assert here.content == there.content
    here, there = on_both(explore_affinities, DRAWN.images, near, maps, DRAWN.masks)
    assert here.content == there.content


def test_a_network_of_the_device_goes_to_the_laboratory(gpu):
    net = build("tiny", classes=8).eval().to("cuda")
    (network,) = laboratory(networks={"mine": net}).content["networks"]
    assert len(network["file"]) > 400_000
    assert next(net.parameters()).is_cuda
