"""Pre-trained parameters mean the same here as in torchvision's own networks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from nets import features_before, lively, pictures
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models

from wsolbook.backbones import build

SLOW = pytest.mark.slow
WHOLE = {  # torchvision's network, its output stride, the layer that follows the features, extra arguments
    "resnet18": (models.resnet18, None, "avgpool", {}),
    "resnet50": (models.resnet50, None, "avgpool", {}),
    "resnet101": (models.resnet101, None, "avgpool", {}),
    "mobilenet_v2": (models.mobilenet_v2, None, "classifier", {}),
    "googlenet": (
        models.googlenet,
        32,
        "avgpool",
        {"aux_logits": True, "transform_input": True, "init_weights": False},
    ),
    "inception_v3": (
        models.inception_v3,
        32,
        "avgpool",
        {"aux_logits": True, "transform_input": True, "init_weights": False},
    ),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW) if n == "resnet101" else n for n in WHOLE])
def test_whole_network_is_torchvisions(name, tmp_path):
    make, stride, after, options = WHOLE[name]
    network = lively(make(num_classes=7, **options))
    save_file(network.state_dict(), tmp_path / "theirs.safetensors")
    ours = build(name, classes=7, output_stride=stride, weights=tmp_path / "theirs.safetensors").eval()
    images = pictures(96)
    with torch.no_grad():
        if after == "classifier":
            expected = network.features(images)
        else:
            expected = features_before(network, images, after)
        torch.testing.assert_close(ours.features(images), expected)
        torch.testing.assert_close(ours(images), network(images), rtol=1e-4, atol=1e-5)
    assert ours.new_parameters() == []


@pytest.mark.parametrize(("name", "count"), [("vgg16", 30), ("alexnet", 12)])
def test_vgg_and_alexnet_share_their_convolutions(name, count, tmp_path):
    theirs = (
        models.vgg.make_layers(models.vgg.cfgs["D"])
        if name == "vgg16"
        else models.alexnet(num_classes=8).features
    )
    state = {f"features.{key}": value for key, value in theirs.state_dict().items()}
    state["classifier.6.weight"] = torch.zeros(8, 4096)  # fully connected layers have no place here
    save_file(state, tmp_path / "theirs.safetensors")
    ours = build(name, classes=8, weights=tmp_path / "theirs.safetensors").eval()
    images = pictures(64)
    with torch.no_grad():
        torch.testing.assert_close(ours.features[:count](images), theirs[:count](images))
    new = {"vgg16": 4, "alexnet": 6}[name]  # weight and bias of each CAM convolution and of the linear layer
    assert len(ours.new_parameters()) == new


def test_googlenet_keeps_everything_up_to_4e(tmp_path):
    network = lively(
        models.googlenet(num_classes=5, transform_input=True, aux_logits=True, init_weights=False)
    )
    torch.save(network.state_dict(), tmp_path / "theirs.pth")
    ours = build("googlenet", classes=5, weights=tmp_path / "theirs.pth").eval()
    images = pictures(64)
    with torch.no_grad():
        trunk = ours.features[: list(dict(ours.features.named_children())).index("cam_conv")]
        torch.testing.assert_close(trunk(images), features_before(network, images, "maxpool4"))
    assert len(ours.new_parameters()) == 4
    assert ours.features.cam_conv.groups == 2
    assert ours.features.cam_conv.bias.eq(1).all()


def test_inception_cam_network_is_spg_plain(tmp_path):
    network = lively(models.inception_v3(num_classes=5, aux_logits=True, init_weights=False))
    save_file(network.state_dict(), tmp_path / "theirs.safetensors")
    ours = build("inception_v3", classes=5, weights=tmp_path / "theirs.safetensors").eval()
    with torch.no_grad():
        a1 = torch.rand(1, 288, 12, 12)
        dense, strided = ours.features.Mixed_6a(a1), network.Mixed_6a(a1)
        assert dense.shape[-2:] == a1.shape[-2:]
        torch.testing.assert_close(dense[..., 1:-1:2, 1:-1:2], strided)
        for stage in ("Mixed_5b", "Mixed_5d", "Mixed_6c", "Mixed_6e"):
            x = torch.rand(1, network.get_submodule(stage).branch1x1.conv.in_channels, 9, 9)
            torch.testing.assert_close(ours.features.get_submodule(stage)(x), network.get_submodule(stage)(x))
        sizes = []
        for layer in ours.features:
            hook = layer.register_forward_hook(lambda _m, _i, out: sizes.append(tuple(out.shape[1:])))
        assert hook is not None
        ours.features(pictures(224, 1))
    for expected in [(32, 112, 112), (64, 110, 110), (64, 56, 56), (192, 54, 54), (192, 28, 28)]:
        assert expected in sizes
    assert sizes[-1] == (1024, 28, 28)
    assert len(ours.new_parameters()) == 6


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_squeezenet_keeps_its_own_head_for_imagenet(suffix, tmp_path):
    network = models.squeezenet1_1().eval()
    nn.init.normal_(network.classifier[1].weight, 0, 0.1)
    path = tmp_path / f"theirs.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(network.state_dict(), path)
    ours = build("squeezenet1_1", weights=path).eval()
    images = pictures(64)
    with torch.no_grad():
        logits = ours(images)
        torch.testing.assert_close(logits, network(images))
        assert (logits > 0).any()
        torch.testing.assert_close(ours.features(images).mean((-2, -1)), logits)
        other = build("squeezenet1_1", classes=20, weights=path).eval()
        torch.testing.assert_close(other.features(images), network.features(images))
    assert ours.new_parameters() == []
    assert [tuple(p.shape) for p in other.new_parameters()] == [(20, 512), (20,)]


@pytest.mark.real
@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v2_symmetric", "squeezenet1_1"])
def test_real_weights_classify_as_torchvision(name):
    path = Path(os.environ["WSOLBOOK_REAL"]) / "weights" / f"{name}.safetensors"
    architecture = name.removesuffix("_symmetric")
    theirs = models.get_model(architecture).eval()
    theirs.load_state_dict(load_file(path))
    ours = build(architecture, weights=path).eval()
    images = pictures(224)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)
