"""SEC: rank weights and the three losses on values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from nets import lively, pictures

from wsolbook import methods
from wsolbook.data.transforms import to_bytes
from wsolbook.maps import resize
from wsolbook.refine.crf import PRESETS, mean_field
from wsolbook.segmentation.sec import Sec, expand_loss, rank_weights
from wsolbook.types import Batch


def sec(**settings) -> Sec:
    torch.manual_seed(3)
    net = lively(methods.METHODS["sec"](backbone="tiny", classes=3, output_stride=4, rates=(1,), **settings))
    torch.nn.init.normal_(net.head.branches[0].weight, std=0.1)
    return net


def cued(masks: torch.Tensor, labels: list[list[int]]) -> Batch:
    n = len(masks)
    return Batch(
        pictures(32, n),
        torch.tensor(labels, dtype=torch.float32),
        torch.arange(n),
        masks=masks.to(torch.uint8),
    )


def test_rank_weights_on_the_papers_grid():
    weights = rank_weights(1681, 0.996).double()
    assert weights.sum().item() == pytest.approx(1)
    torch.testing.assert_close(
        weights[1:] / weights[:-1], torch.full((1680,), 0.996).double(), rtol=1e-4, atol=0
    )
    # 1 - d^n is the share of the n largest, here of 10 % of the cells.
    share = (1 - 0.996**168) / (1 - 0.996**1681)
    assert weights[:168].sum().item() == pytest.approx(share, rel=1e-4)
    assert rank_weights(420, 0.996)[:42].sum().item() == pytest.approx(share, rel=0.01)
    torch.testing.assert_close(rank_weights(4, 1.0), torch.full((4,), 0.25))
    assert rank_weights(4, 0.0).tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match="decays must be in"):
        rank_weights(4, 1.1)


def test_the_expand_loss_by_hand():
    p = torch.tensor([[[0.5, 0.3]], [[0.4, 0.5]], [[0.1, 0.2]]])[None]
    labels = torch.tensor([[1.0, 0.0]])
    as_means = expand_loss(p, labels, 1.0, 1.0).item()
    assert as_means == pytest.approx(-math.log(0.45) - math.log(0.8) - math.log(0.4), rel=1e-5)
    as_maxima = expand_loss(p, labels, 0.0, 0.0).item()
    assert as_maxima == pytest.approx(-math.log(0.5) - math.log(0.8) - math.log(0.5), rel=1e-5)
    none = expand_loss(p, torch.zeros(1, 2), 1.0, 1.0).item()
    assert none == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2 - math.log(0.4), rel=1e-5)
    every = expand_loss(p, torch.ones(1, 2), 1.0, 1.0).item()
    assert every == pytest.approx(-(math.log(0.45) + math.log(0.15)) / 2 - math.log(0.4), rel=1e-5)


def test_the_seed_loss_is_a_mean_over_the_cues_of_a_picture():
    net, masks = sec(), torch.full((2, 32, 32), 255)
    masks[0, :4, :4], masks[0, :4, 4:8] = 2, 0
    data = cued(masks, [[0, 1, 0], [1, 0, 0]])
    p = net.scores(data.images).softmax(1) + 1e-4
    p = p / (1 + 4e-4)
    expected = -(p[0, 2, 0, 0].log() + p[0, 0, 0, 1].log()) / 2 / 2  # over cues, then pictures: one has none
    terms = net.loss(data)
    assert list(terms) == ["seed", "expand", "constrain"]
    torch.testing.assert_close(terms["seed"], expected)
    torch.testing.assert_close(terms["expand"], expand_loss(p, data.labels))


def test_the_constrain_loss_compares_with_the_crf_which_no_gradient_enters():
    net, data = sec(crf_scale=0.5), cued(torch.full((2, 32, 32), 255), [[0, 1, 0], [1, 0, 0]])
    scores = net.scores(data.images)
    p = scores.softmax(1) + 1e-4
    p = p / p.sum(1, keepdim=True)
    small = to_bytes(resize(data.images, (8, 8)))
    q = mean_field(-scores.detach(), small, PRESETS["sec"].scaled(0.5)).clamp(min=1e-4)
    q = q / q.sum(1, keepdim=True)
    expected = (q * (q / p).log()).sum(1).mean()
    found = net.loss(data)["constrain"]
    torch.testing.assert_close(found, expected)
    assert found > 0
    by_hand = torch.autograd.grad(expected, net.head.branches[0].bias)[0]
    torch.testing.assert_close(torch.autograd.grad(found, net.head.branches[0].bias)[0], by_hand)


def test_pictures_without_cues_or_classes_give_finite_losses():
    net = sec()
    for label in ([0, 0, 0], [1, 1, 1]):
        terms = net.loss(cued(torch.full((2, 32, 32), 255), [label] * 2))
        torch.stack([*terms.values()]).sum().backward()
        assert terms["seed"].item() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
