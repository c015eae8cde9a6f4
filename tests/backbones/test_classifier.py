"""Strides, padding, heads, losses and initialization of the classifiers."""

from __future__ import annotations

import inspect

import pytest
import torch
from nets import batch, lively, pictures
from torch import nn
from torch.nn.functional import conv2d, pad

from wsolbook.backbones import BACKBONES, build, build_trunk
from wsolbook.backbones.strides import SameConv2d
from wsolbook.methods import save

# Too large for a small machine, and built as resnet18, vgg16 and googlenet; resnet38 has tests of its own.
AS_OTHERS = {"resnet50", "resnet101", "resnet38", "vgg16_largefov", "vgg16_psa", "inception_v3"}
SUBGRID = {  # every second position of the finer map is the coarse map; where it starts
    "resnet18": 0,
    "resnet50": 0,
    "mobilenet_v2": 0,
    "squeezenet1_1": 1,
}


@pytest.mark.parametrize(("name", "start"), SUBGRID.items())
def test_dilation_keeps_every_value_of_the_coarse_map(name, start, tmp_path):
    coarse = lively(build(name, classes=3)).eval()
    save(coarse, tmp_path / "coarse.safetensors")
    images = pictures(80 if start else 96, 1)
    with torch.no_grad():
        expected = coarse.features(images)
        for stride in (16, 8) if start == 0 else (8,):
            step = (32 if start == 0 else 16) // stride
            fine = build(
                name, classes=3, output_stride=stride, weights=tmp_path / "coarse.safetensors"
            ).eval()
            maps = fine.features(images)
            assert maps.shape[-1] > expected.shape[-1]
            difference = (maps[..., start::step, start::step] - expected).abs().max()
            assert difference < 1e-5 * expected.abs().max()
            dense = build(
                name,
                classes=3,
                output_stride=stride,
                dilation=False,
                weights=tmp_path / "coarse.safetensors",
            ).eval()
            assert dense.features(images).shape == maps.shape
            assert all(m.dilation == (1, 1) for m in dense.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize(
    ("name", "stride", "size", "side"),
    [
        ("tiny", None, 64, 8),
        ("tiny", 4, 64, 16),
        ("tiny", 16, 64, 4),
        ("tiny_resnet", None, 64, 8),
        ("tiny_resnet", 4, 64, 16),
        ("tiny_resnet", 16, 64, 4),
        ("vgg16", None, 224, 14),
        ("vgg16", 8, 112, 14),
        ("alexnet", None, 224, 11),
        ("googlenet", None, 224, 14),
        ("googlenet", 32, 224, 7),
        ("inception_v3", 16, 224, 13),
        ("inception_v3", 32, 299, 8),
        ("mobilenet_v2", 8, 112, 14),
        ("resnet18", 16, 112, 7),
        ("squeezenet1_1", None, 224, 13),
    ],
)
def test_size_of_the_map(name, stride, size, side):
    with torch.device("meta"):  # shapes without values, at no cost
        model = build(name, classes=4, output_stride=stride).eval()
        maps = model.features(torch.empty(1, 3, size, size))
    assert maps.shape == (1, model.linear.in_features, side, side)


@pytest.mark.parametrize("name", ["tiny", "tiny_resnet"])
def test_tiny_is_tiny_and_aligned(name):
    model = lively(build(name, classes=8)).double()
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    images = pictures(64, 1).double()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_(layer.weight + layer.weight.flip(-1))
        # With symmetric kernels, mirroring commutes only if each cell lies exactly over its own pixels.
        torch.testing.assert_close(model.features(images.flip(-1)), model.features(images).flip(-1))


def test_tf_same_pads_right_and_below(tmp_path):
    layer = SameConv2d(2, 3, 3, stride=2, bias=False)
    x = torch.randn(1, 2, 8, 10)
    torch.testing.assert_close(layer(x), conv2d(pad(x, (0, 1, 0, 1)), layer.weight, stride=2))
    odd = torch.randn(1, 2, 7, 7)
    torch.testing.assert_close(layer(odd), conv2d(odd, layer.weight, stride=2, padding=1))
    plain = lively(build("mobilenet_v2", classes=3))
    save(plain, tmp_path / "plain.safetensors")
    same = build("mobilenet_v2", classes=3, padding="tf-same", weights=tmp_path / "plain.safetensors").eval()
    strided = [m for m in same.modules() if isinstance(m, SameConv2d)]
    assert len(strided) == 5
    assert not any(isinstance(m, SameConv2d) for m in plain.modules())
    images = pictures(64, 1)
    with torch.no_grad():
        stem = plain.features[0][0]
        torch.testing.assert_close(
            same.features[0][0](images), conv2d(pad(images, (0, 1, 0, 1)), stem.weight, stride=2)
        )
        assert same.features(images).shape == plain.features(images).shape
        assert not torch.allclose(same(images), plain(images))


def test_pooling_heads():
    torch.manual_seed(0)
    gap = build("tiny", classes=3).eval()
    gmp = build("tiny", classes=3, head="gmp").eval()
    gmp.load_state_dict(gap.state_dict())
    images = pictures(64)
    with torch.no_grad():
        maps = gap.features(images)
        weight, bias = gap.linear.weight, gap.linear.bias
        torch.testing.assert_close(gap(images), maps.flatten(2).sum(2) / 64 @ weight.T + bias)
        torch.testing.assert_close(gmp(images), maps.flatten(2).max(2).values @ weight.T + bias)


def test_map_is_the_logit_spread_over_space():
    torch.manual_seed(0)
    model = build("tiny", classes=4).eval()
    nn.init.normal_(model.linear.bias)
    images = pictures(64, 3)
    classes = torch.tensor([[0, 3], [1, 1], [2, 0]])
    with torch.no_grad():
        values = model.maps(images, classes)
        expected = model(images).gather(1, classes) - model.linear.bias[classes]
        torch.testing.assert_close(values.mean((-2, -1)), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(model.maps(images, classes[:, 1]), values[:, 1])
    assert values.shape == (3, 2, 8, 8)


def test_losses_in_closed_form():
    torch.manual_seed(0)
    softmax = build("tiny", classes=3).eval()
    sigmoid = build("tiny", classes=3, loss="sigmoid").eval()
    for model in (softmax, sigmoid):
        nn.init.zeros_(model.linear.weight)
        with torch.no_grad():
            model.linear.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
    total = torch.tensor([0.0, 1.0, 2.0]).exp().sum().log()
    one = softmax.loss(batch([[0, 0, 1], [1, 0, 0]]))
    assert one.keys() == {"classification"}
    torch.testing.assert_close(one["classification"], ((total - 2) + total) / 2)
    two = softmax.loss(batch([[0, 1, 1]]))["classification"]
    torch.testing.assert_close(two, total - 1.5)
    s = torch.nn.functional.softplus
    expected = (s(torch.tensor(0.0)) + s(torch.tensor(1.0)) - 1 + s(torch.tensor(2.0)) - 2) / 3
    torch.testing.assert_close(sigmoid.loss(batch([[0, 1, 1]]))["classification"], expected)


def test_dropout_only_in_training():
    model = build("tiny", classes=3, dropout=0.5).eval()
    images = pictures(64)
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
        frozen = model.features(images).mean((-2, -1))
        model.dropout.train()
        dropped = model.dropout(frozen)
    live = frozen != 0
    share = (dropped[live] == 0).float().mean().item()
    assert 0.3 < share < 0.7
    torch.testing.assert_close(dropped[dropped != 0], 2 * frozen[dropped != 0])


def test_initialization_of_the_paper():
    torch.manual_seed(0)
    vgg = build("vgg16", classes=10)
    convolution = vgg.features.cam_conv
    assert convolution.groups == 2
    assert convolution.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert convolution.bias.eq(0).all()
    bound = (6 / (1024 + 10)) ** 0.5
    assert vgg.linear.weight.abs().max() <= bound
    assert vgg.linear.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert vgg.linear.bias.eq(0).all()
    assert vgg.new_parameters() == []  # nothing was pre-trained


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet51"}, "unknown backbone 'resnet51'; choose one of tiny, "),
        ({"backbone": "tiny", "head": "max"}, "unknown head 'max'; choose one of gap, gmp"),
        ({"backbone": "tiny", "loss": "hinge"}, "unknown loss 'hinge'"),
        ({"backbone": "tiny", "classes": 0}, "classes must be at least 1, got 0"),
        ({"backbone": "tiny", "dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"backbone": "vgg16", "output_stride": 32}, "vgg16 has output stride 16 or 8, not 32"),
        ({"backbone": "tiny", "weights": "imagenet"}, "tiny has no ImageNet weights"),
        ({"backbone": "vgg16", "weights": "critters"}, "vgg16 has no critters weights"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(build)(**arguments)  # around the type checker of the tests


def test_wrong_padding():
    with pytest.raises(ValueError, match="unknown padding 'valid'; choose one of symmetric, tf-same"):
        inspect.unwrap(build_trunk)("tiny", padding="valid")


def test_every_backbone_learns():
    """One step changes every parameter that is meant to learn (no part is cut off from the loss)."""
    for name in BACKBONES.keys() - AS_OTHERS:
        torch.manual_seed(0)
        model = build(name, classes=3, loss="sigmoid").train()
        size = 64 if name.startswith("tiny") else 96
        model.loss(batch([[1, 0, 0], [0, 1, 1]], size))["classification"].backward()
        silent = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert silent == [], name
