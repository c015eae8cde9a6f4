"""AffinityNet on values that follow from its definition."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from nets import lively, pictures
from torch import nn
from torch.nn.functional import elu

from wsolbook import methods
from wsolbook.backbones import build
from wsolbook.maps import normalize
from wsolbook.methods.affinity import AffinityNet, pair_labels, pair_losses
from wsolbook.refine.affinity import offsets, pairs
from wsolbook.refine.random_walk import random_walk
from wsolbook.types import Batch, Supervision

OFFICIAL = {"vgg16_psa": (512, 512, 1024), "resnet38": (512, 1024, 4096)}


def affinity(**settings) -> AffinityNet:
    torch.manual_seed(3)
    small = {"backbone": "tiny", "classes": 4, "output_stride": 4, "widths": (8, 16, 32)}
    return lively(methods.METHODS["affinity"](**small | settings))


def labeled(masks: torch.Tensor, size: int = 64) -> Batch:
    images = pictures(size, len(masks))
    return Batch(images, torch.ones(len(masks), 4), torch.arange(len(masks)), masks=masks)


def halves(n: int = 2, size: int = 64) -> torch.Tensor:
    """Return masks that are background on the left, class 2 on the right and unknown between."""
    masks = torch.zeros(n, size, size, dtype=torch.uint8)
    masks[:, :, size // 2 :] = 3
    masks[:, :, size // 2 - 4 : size // 2] = 255
    return masks


@pytest.mark.parametrize("backbone", OFFICIAL)
def test_the_networks_of_the_paper_have_448_features_on_a_grid_of_56(backbone):
    with torch.device("meta"):
        net = methods.METHODS["affinity"](backbone, 20).eval()
        assert net.embed(torch.zeros(1, 3, 448, 448)).shape == (1, 448, 56, 56)
    assert [layer.weight.shape[:2] for layer in net.reductions] == [
        (width, channels) for width, channels in zip((64, 128, 256), OFFICIAL[backbone], strict=True)
    ]
    assert net.mix.weight.shape == (448, 448, 1, 1)
    assert all(layer.bias is None for layer in (*net.reductions, net.mix))
    grouped = [layer.num_groups for layer in net.norms if isinstance(layer, nn.GroupNorm)]
    assert grouped == ([8, 16, 32] if backbone == "vgg16_psa" else [])
    if backbone == "vgg16_psa":  # spread for affinities, not for the CAM network
        assert net.features.fc6.dilation == (4, 4)
        assert net.teacher.features.fc6.dilation == (1, 1)


@pytest.mark.parametrize(
    ("backbone", "stride"), [("resnet50", 8), ("mobilenet_v2", 8), ("tiny", 4), ("tiny_resnet", 4)]
)
def test_other_trunks_have_a_grid_large_enough_for_pairs(backbone, stride):
    with torch.device("meta"):
        net = methods.METHODS["affinity"](backbone, output_stride=stride).eval()
        size = 224 if stride == 8 else 128
        assert net.embed(torch.zeros(1, 3, size, size)).shape == (1, 448, size // stride, size // stride)


def test_features_are_those_of_the_definition():
    net, x = affinity(), pictures(64)
    stage2 = nn.Sequential(*list(net.features.children())[:3])(x)
    stage3 = nn.Sequential(*list(net.features.children())[:5])(x)
    stage4 = net.features(x)
    halved = stage2.unflatten(2, (16, 2)).unflatten(4, (16, 2)).mean((3, 5))
    reduced = [
        elu(torch.einsum("nchw,kc->nkhw", maps, layer.weight[:, :, 0, 0]))
        for maps, layer in zip((halved, stage3, stage4), net.reductions, strict=True)
    ]
    expected = elu(torch.einsum("nchw,kc->nkhw", torch.cat(reduced, 1), net.mix.weight[:, :, 0, 0]))
    torch.testing.assert_close(net.embed(x), expected)
    found, y, features = net.affinities(x), 7, expected
    for o, (dy, dx) in enumerate(offsets()):
        if 0 <= 5 + dx < 16 and y + dy < 16:
            distance = (features[0, :, y, 5] - features[0, :, y + dy, 5 + dx]).abs()
            assert found[0, o, y, 5].item() == pytest.approx(math.exp(-distance.mean().item()), rel=1e-4)
            total = affinity(reduce="sum").affinities(x)[0, o, y, 5].item()
            assert total == pytest.approx(math.exp(-distance.sum().item()), rel=1e-3, abs=1e-9)


def test_pairs_of_a_map_with_an_unknown_stripe():
    labels = torch.tensor([[0, 0, 255, 1, 2]], dtype=torch.uint8).repeat(4, 1)[None]
    background, foreground, different = pair_labels(labels, radius=2)
    # The partners within radius 2 are right of a cell, and below it to the left, straight and to the right.
    steps = offsets(2)
    assert steps == [(0, 1), (1, -1), (1, 0), (1, 1)]
    count = {step: i for i, step in enumerate(steps)}
    assert background.sum((0, 2, 3))[[count[0, 1], count[1, 0], count[1, 1], count[1, -1]]].tolist() == [
        4,
        6,
        3,
        3,
    ]
    assert foreground.sum((0, 2, 3))[[count[0, 1], count[1, 0], count[1, 1], count[1, -1]]].tolist() == [
        0,
        6,
        0,
        0,
    ]
    assert different.sum((0, 2, 3))[[count[0, 1], count[1, 0], count[1, 1], count[1, -1]]].tolist() == [
        4,
        0,
        3,
        3,
    ]
    known = pair_labels(torch.where(labels == 255, 3, labels), radius=2)
    assert int(sum(kind.sum() for kind in known)) == int(pairs(4, 5, 2).sum())
    assert not (background & foreground | background & different | foreground & different).any()


def test_a_pair_of_each_kind_at_one_half_costs_ln_2():
    found = torch.full((1, 1, 1, 4), 0.5)
    kinds = [torch.arange(4).view(1, 1, 1, 4) == i for i in range(3)]
    terms = pair_losses(found, *kinds)
    assert list(terms) == ["background", "foreground", "different"]
    shares = [term.item() for term in terms.values()]
    assert shares == pytest.approx([math.log(2) / 4, math.log(2) / 4, math.log(2) / 2], rel=1e-4)
    nothing = torch.zeros_like(kinds[0])
    assert pair_losses(found, kinds[0], nothing, nothing)["different"].item() == 0


def test_the_loss_counts_each_kind_alike_however_rare():
    found = torch.tensor([0.9, 0.8, 0.7, 0.2]).view(1, 1, 1, 4)
    kinds = [
        torch.tensor(w, dtype=torch.bool).view(1, 1, 1, 4) for w in ([1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1])
    ]
    terms = pair_losses(found, *kinds)
    assert terms["background"].item() == pytest.approx(-math.log(0.9 * 0.8) / 8, rel=1e-4)
    assert terms["foreground"].item() == pytest.approx(-math.log(0.7) / 4, rel=1e-4)
    assert terms["different"].item() == pytest.approx(-math.log(0.8) / 2, rel=1e-4)


@pytest.mark.parametrize("value", [0, 2, 255])
def test_labels_of_one_kind_give_a_finite_loss_and_gradient(value):
    net = affinity().train()
    terms = net.loss(labeled(torch.full((2, 64, 64), value, dtype=torch.uint8)))
    total = torch.stack([*terms.values()]).sum()
    total.backward()
    assert terms["different"].item() == 0
    assert (total.item() == 0) == (value == 255)
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    assert all(p.grad is None for p in net.teacher.parameters())


def test_identical_cells_have_affinity_one_and_a_finite_gradient():
    found = torch.ones(1, 1, 1, 1, requires_grad=True)
    here = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    terms = pair_losses(found, here, here, here)
    torch.stack([*terms.values()]).sum().backward()
    assert found.grad.isfinite().all()
    assert terms["different"].item() == pytest.approx(-math.log(1e-5) / 2, rel=1e-2)


def test_a_grid_too_small_for_the_official_border_is_refused():
    small = affinity(output_stride=8, border="official")
    with pytest.raises(
        ValueError, match="grid of 8 x 8 holds no pair within radius 5 by the official border"
    ):
        small.loss(labeled(halves()))
    assert torch.stack([*affinity(border="official").loss(labeled(halves())).values()]).isfinite().all()
    with pytest.raises(ValueError, match="the batch has none"):
        small.loss(replace(labeled(halves()), masks=None))


def test_training_teaches_the_border_and_not_the_teacher():
    net, data = affinity().train(), labeled(halves())
    data = replace(data, pictures=data.images + 2 * (data.masks == 3)[:, None].float())
    before = {k: v.clone() for k, v in net.teacher.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.05, momentum=0.9)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.stack([*net.loss(data).values()]).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(before[k], v) for k, v in net.teacher.state_dict().items())
    found, step = net.affinities(data.images), offsets().index((0, 4))
    assert found[0, step, :, 6].mean() < 0.7 * found[0, step, :, 1].mean()


def test_maps_are_those_of_the_teacher_after_the_walk():
    net, x, classes = affinity(steps=16), pictures(64), torch.tensor([[0, 2], [1, 3]])
    nn.init.normal_(net.teacher.linear.weight)
    seen = normalize(net.teacher.maps(x, classes), "max")
    torch.testing.assert_close(net.maps(x, classes), random_walk(seen, net.affinities(x), 8.0, 16))
    torch.testing.assert_close(net.maps(x, classes[:, 1]), net.maps(x, classes)[:, 1])
    assert torch.equal(net(x), net.teacher(x))


def test_it_declares_made_labels_and_trains_only_new_layers_faster(tmp_path):
    assert AffinityNet.supervision == Supervision(masks=None, made=True)
    assert affinity().new_parameters() == []
    methods.save(lively(build("tiny", classes=4, output_stride=4)), tmp_path / "cam.safetensors")
    net = affinity(weights=tmp_path / "cam.safetensors")
    new = {name for name, p in net.named_parameters() if any(p is q for q in net.new_parameters())}
    assert new == {*(f"reductions.{i}.weight" for i in range(3)), "mix.weight"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"reduce": "max"}, "unknown reduce 'max'"),
        ({"border": "none"}, "unknown border 'none'"),
        ({"radius": 1}, "radius must be at least 2"),
        ({"widths": (1, 2)}, "widths must be three"),
        ({"beta": 0}, "beta must be positive"),
        ({"steps": -1}, "steps not negative"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(methods.METHODS["affinity"])(**setting)


def test_settings_are_all_kept():
    parameters = set(inspect.signature(methods.METHODS["affinity"]).parameters) - {"weights"}
    assert set(affinity().settings) == parameters
