"""A network looks once at each batch, in the number format that is asked for, and says what it says alone."""

from __future__ import annotations

import pytest
import torch
from nets import pictures

from wsolbook.backbones import build
from wsolbook.evaluation import FromNetwork
from wsolbook.evaluation.sources import looking_once
from wsolbook.methods import METHODS
from wsolbook.types import Batch

BATCH = Batch(pictures(64), torch.tensor([[0.0, 0, 1, 0], [0, 1, 0, 0]]), torch.arange(2))
# SeeNet also looks at mirrored pictures.
PASSES = {"seenet": 2}


def passes(network):
    """Return a list that grows with each pass of the first convolution of a network."""
    seen = []
    first = next(layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d))
    first.register_forward_hook(lambda *_: seen.append(1))
    return seen


@pytest.mark.parametrize("name", METHODS)
def test_one_pass_says_what_two_say(name):
    torch.manual_seed(0)
    net = METHODS[name](backbone="tiny", classes=4).eval()
    with torch.no_grad():
        logits, maps = net(BATCH.images), net.maps(BATCH.images, BATCH.labels.argmax(1)[:, None])
    seen = passes(net)
    said = FromNetwork(net, logits=True)(BATCH)
    assert torch.equal(torch.stack([one.logits for one in said]), logits)
    assert torch.equal(torch.stack([one.values for one in said]), maps)
    assert len(seen) == PASSES.get(name, 1)


def test_what_needs_a_graph_or_is_another_picture_is_computed():
    net = build("tiny", classes=4).eval()
    images, seen = BATCH.images, passes(net)
    with looking_once(net):
        net(images)
        net(images)
        assert len(seen) == 2
        with torch.no_grad():
            first = net(images)
            assert torch.equal(net(images), first)
            assert len(seen) == 3
            assert not torch.equal(net(images.flip(0)), first)
        assert len(seen) == 4
    with torch.no_grad():
        net(images)
    assert len(seen) == 5


def test_maps_in_a_shorter_format_are_nearly_the_same():
    net = build("tiny", classes=4).eval()
    (exact, _), (rounded, _) = (FromNetwork(net, precision=p)(BATCH) for p in ("fp32", "bf16"))
    assert rounded.values.dtype == torch.float32
    assert not torch.equal(exact.values, rounded.values)
    torch.testing.assert_close(exact.values, rounded.values, atol=0.05, rtol=0.05)
