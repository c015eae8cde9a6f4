"""Stages of the trunks: what is recorded about them is true, and methods can tap and cut them."""

from __future__ import annotations

import pytest
import torch
from nets import features_before, lively, pictures
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from wsolbook.backbones import BACKBONES, build, build_trunk, start, tapped
from wsolbook.backbones.strides import SameConv2d, use_same_padding
from wsolbook.backbones.weights import rename, transfer
from wsolbook.methods import save

SIDES = {  # of the maps at the end of each stage, for 224 and for 321 pixels
    ("tiny", None): "224 112 56 28 | 321 160 80 40",
    ("tiny", 4): "224 112 56 56 | 321 160 80 80",
    ("tiny", 16): "224 112 56 14 | 321 160 80 20",
    ("tiny_resnet", None): "224 112 56 28 28 | 321 160 80 40 40",
    ("tiny_resnet", 16): "224 112 56 28 14 | 321 160 80 40 20",
    ("vgg16", None): "224 112 56 28 14 | 321 160 80 40 20",
    ("vgg16", 8): "224 112 56 28 28 | 321 160 80 40 40",
    ("vgg16_largefov", None): "224 112 56 28 28 28 | 321 161 81 41 41 41",
    ("vgg16_psa", None): "224 112 56 28 28 28 | 321 161 81 41 41 41",
    ("alexnet", None): "55 27 13 13 13 | 79 39 19 19 19",
    ("resnet18", None): "56 56 28 14 7 | 81 81 41 21 11",
    ("resnet18", 16): "56 56 28 14 14 | 81 81 41 21 21",
    ("resnet50", None): "56 56 28 14 7 | 81 81 41 21 11",
    ("resnet50", 8): "56 56 28 28 28 | 81 81 41 41 41",
    ("resnet101", 8): "56 56 28 28 28 | 81 81 41 41 41",
    ("resnet38", None): "224 112 56 28 28 28 | 321 161 81 41 41 41",
    ("googlenet", None): "28 28 14 | 40 40 20",
    ("googlenet", 32): "28 28 14 7 | 40 40 20 10",
    ("inception_v3", None): "28 28 28 28 28 28 28 | 40 40 40 40 40 40 40",
    ("inception_v3", 16): "28 28 13 13 13 13 13 | 40 40 19 19 19 19 19",
    ("inception_v3", 32): "25 25 12 12 12 12 12 5 | 37 37 18 18 18 18 18 8",
    ("mobilenet_v2", None): "112 112 56 28 14 14 7 7 7 | 161 161 81 41 21 21 11 11 11",
    ("mobilenet_v2", 8): "112 112 56 28 28 28 28 28 28 | 161 161 81 41 41 41 41 41 41",
    ("squeezenet1_1", None): "111 55 27 13 13 | 160 80 40 20 20",
    ("squeezenet1_1", 8): "111 55 27 27 27 | 160 80 40 40 40",
}


def shapes(trunk, size):
    """Return channels and side at the end of each stage, at no cost: tensors on `meta` have no values."""
    images = torch.empty(1, 3, size, size, device="meta")
    return [(m.shape[1], m.shape[3]) for m in tapped(trunk, images, list(trunk.taps)).values()]


@pytest.mark.parametrize(("name", "output_stride"), SIDES)
def test_recorded_channels_and_strides_are_those_of_the_maps(name, output_stride):
    with torch.device("meta"):
        trunk = build_trunk(name, output_stride=output_stride).eval()
    taps = trunk.taps.values()
    found = {size: shapes(trunk, size) for size in (224, 256, 321)}
    expected = [[int(side) for side in part.split()] for part in SIDES[name, output_stride].split("|")]
    assert [[side for _, side in found[size]] for size in (224, 321)] == expected
    assert [tap.channels for tap in taps] == [channels for channels, _ in found[224]]
    # 32 pixels more are 32 / stride positions more, whatever is lost at the border.
    more = [b - a for (_, a), (_, b) in zip(found[224], found[256], strict=True)]
    assert [tap.stride * growth for tap, growth in zip(taps, more, strict=True)] == [32] * len(more)
    assert trunk.channels == found[224][-1][0]
    assert trunk.output_stride == list(taps)[-1].stride
    assert list(taps)[-1].layer == list(dict(trunk.named_children()))[-1]


def test_every_backbone_is_in_the_table():
    assert {name for name, _ in SIDES} == set(BACKBONES)


@pytest.mark.parametrize(
    "name", ["tiny", "tiny_resnet", "alexnet", "resnet18", "googlenet", "mobilenet_v2", "squeezenet1_1"]
)
def test_taps_of_one_pass_are_the_outputs_of_the_cut_trunks(name):
    trunk = lively(build_trunk(name))
    images = pictures(64, 1)
    with torch.no_grad():
        maps = tapped(trunk, images, list(trunk.taps))
        for stage, tap in trunk.taps.items():
            cut = trunk.upto(stage)
            assert torch.equal(cut(images), maps[stage])
            assert (cut.channels, cut.output_stride) == (tap.channels, tap.stride)
            assert list(cut.taps) == list(cut.stages) == list(trunk.taps)[: len(cut.taps)]
        assert torch.equal(trunk(images), maps[stage])


def test_a_pass_ends_with_the_last_stage_that_is_wanted():
    trunk = build_trunk("tiny").eval()
    trunk.stage3.register_forward_hook(lambda *_: pytest.fail("stage3 was not asked for"))
    maps = tapped(trunk, pictures(64), ("stage2", "stage1"))
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "stage1": (2, 16, 64, 64),
        "stage2": (2, 32, 32, 32),
    }


def test_a_cut_trunk_shares_its_layers():
    trunk = build_trunk("vgg16_largefov")
    cut = trunk.upto("conv2")
    assert cut[0] is trunk[0]
    cut.requires_grad_(False)
    frozen = [name for name, p in trunk.named_parameters() if not p.requires_grad]
    assert frozen == [f"{i}.{kind}" for i in (0, 2, 5, 7) for kind in ("weight", "bias")]
    assert isinstance(trunk[:4], nn.Sequential)
    assert torch.equal(trunk[:4](pictures(32)), trunk.upto("conv1")(pictures(32)))


def test_unknown_stages():
    message = "alexnet has no stage 'conv6'; its stages are conv1, conv2, conv3, conv4, conv5$"
    with pytest.raises(ValueError, match=message):
        build_trunk("alexnet").upto("conv6")
    with pytest.raises(ValueError, match=message):
        tapped(build_trunk("alexnet"), pictures(64), ("conv1", "conv6"))


@pytest.mark.parametrize(
    ("name", "classes", "stage", "layers", "channels", "side"),
    [
        ("vgg16", 5, "conv5", ["cam_conv", "cam_relu"], 1024, 14),
        ("alexnet", 5, "conv5", ["pool5", "conv6", "relu6", "conv7", "relu7"], 512, 11),
        ("googlenet", 5, "inception_4", ["cam_conv", "cam_relu"], 1024, 14),
        ("inception_v3", 5, "mixed_6e", ["conv_a3_1", "relu_a3_1", "conv_a3_2", "relu_a3_2"], 1024, 28),
        ("squeezenet1_1", 1000, "fire9", ["class_conv", "class_relu"], 1000, 13),
    ],
)
def test_only_the_classifier_has_the_convolutions_of_cam(name, classes, stage, layers, channels, side):
    with torch.device("meta"):
        plain, extended = build_trunk(name), build_trunk(name, cam_classes=classes)
        features = build(name, classes=classes).features
    assert list(plain.taps)[-1] == stage
    assert list(extended.taps) == list(features.taps) == [*plain.taps, "cam"]
    assert [n for n, _ in extended.named_children()] == [*dict(plain.named_children()), *layers]
    assert shapes(extended.eval(), 224)[-1] == (channels, side)
    assert list(extended.upto(stage).state_dict()) == list(plain.state_dict())


def receptive_field(layers):
    """Return the side of the square that one output position sees, and how far apart two such squares lie."""
    side, step = 1, 1
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride, spread = (
                value if isinstance(value, int) else value[0]
                for value in (layer.kernel_size, layer.stride, getattr(layer, "dilation", 1))
            )
            side, step = side + (kernel - 1) * spread * step, step * stride
    return side, step


def test_geometry_of_deeplab_largefov():
    with torch.device("meta"):
        trunk = build_trunk("vgg16_largefov")
        fc6 = nn.Conv2d(512, 1024, 3, padding=12, dilation=12)
    fifth = [layer.dilation for layer in trunk.stages["conv5"] if isinstance(layer, nn.Conv2d)]
    assert fifth == [(2, 2)] * 3
    assert receptive_field(trunk) == (227, 8)
    assert receptive_field([*trunk, nn.AvgPool2d(3, 1, 1), fc6, nn.Conv2d(1024, 21, 1)]) == (435, 8)
    assert receptive_field(build_trunk("vgg16")) == (196, 16)  # conv5_3 of VGG-16, as tables give it


def on_meta(name, size, stages, **options):
    with torch.device("meta"):
        trunk = build_trunk(name, **options).eval()
    maps = tapped(trunk, torch.empty(2, 3, size, size, device="meta"), stages)
    return [tuple(maps[stage].shape) for stage in stages]


@pytest.mark.parametrize(("size", "side"), [(224, 28), (321, 40)])
def test_taps_of_spg(size, side):
    found = on_meta("inception_v3", size, ("stem", "mixed_5", "mixed_6d", "mixed_6e"), output_stride=8)
    assert found == [(2, channels, side, side) for channels in (192, 288, 768, 768)]


def test_taps_of_affinitynet():
    last = ("conv4", "conv5")
    assert on_meta("vgg16_largefov", 448, last) == [(2, 512, 56, 56), (2, 512, 56, 56)]
    found = on_meta("resnet38", 448, (*last, "conv6"))
    assert found == [(2, 512, 56, 56), (2, 1024, 56, 56), (2, 4096, 56, 56)]
    found = on_meta("resnet50", 448, ("layer2", "layer3", "layer4"), output_stride=8)
    assert found == [(2, 512, 56, 56), (2, 1024, 56, 56), (2, 2048, 56, 56)]
    found = on_meta("tiny", 64, ("stage2", "stage3", "stage4"), output_stride=4)
    assert found == [(2, 32, 32, 32), (2, 64, 16, 16), (2, 128, 16, 16)]


def test_trunks_of_seenet_and_acol():
    assert on_meta("vgg16", 224, ("conv5",)) == [(2, 512, 14, 14)]
    assert on_meta("vgg16", 256, ("conv5",)) == [(2, 512, 16, 16)]
    assert on_meta("vgg16", 224, ("conv5",), output_stride=8) == [(2, 512, 28, 28)]
    assert on_meta("vgg16_largefov", 224, ("pool5",), dilation=False) == [(2, 512, 28, 28)]
    with torch.device("meta"):
        acol = build_trunk("vgg16_largefov", dilation=False)
    assert all(layer.dilation == (1, 1) for layer in acol if isinstance(layer, nn.Conv2d))


class Branched(nn.Module):
    """A method with a head of its own on a cut trunk."""

    def __init__(self, trunk, classes=3):
        super().__init__()
        self.features = trunk
        self.branch = nn.Conv2d(trunk.channels, classes, 1)


def test_a_method_starts_from_released_weights(tmp_path):
    theirs = lively(models.resnet18())
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours = Branched(build_trunk("resnet18").upto("layer2"))
    fresh = start(ours, ours.features, tmp_path / "theirs.safetensors")
    assert fresh == {"branch.weight", "branch.bias"}
    maps = tapped(ours.features.eval(), pictures(64), ("layer2",))["layer2"]
    torch.testing.assert_close(maps, features_before(theirs, pictures(64), "layer3"))


def test_a_method_starts_from_a_classifier_with_other_layers(tmp_path):
    donor = build("alexnet", classes=4)
    save(donor, tmp_path / "cam.safetensors")
    ours = Branched(build_trunk("alexnet"))
    fresh = start(ours, ours.features, tmp_path / "cam.safetensors")
    assert fresh == {"branch.weight", "branch.bias"}
    assert torch.equal(ours.features[10].weight, donor.features[10].weight)
    again = build("alexnet", classes=4, weights=tmp_path / "cam.safetensors")
    assert again.new_parameters() == []


class WithClassifier(nn.Module):
    """AlexNet whose fully connected layers stay, but for the classes."""

    def __init__(self, trunk):
        super().__init__()
        self.features = trunk
        self.classifier = nn.ModuleDict({"4": nn.Linear(4096, 4096), "6": nn.Linear(4096, 3)})


def test_fully_connected_layers_are_taken_over_where_they_fit():
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in models.alexnet().state_dict().items()}
    theirs = {key: torch.full((1,), float(i)).expand(shape) for i, (key, shape) in enumerate(shapes.items())}
    ours = WithClassifier(build_trunk("alexnet"))
    fresh = transfer(ours, ours.features, rename(theirs, ours.features.keys), "the file")
    assert fresh == {"classifier.6.weight", "classifier.6.bias"}
    for key in shapes.keys() & ours.state_dict().keys() - fresh:
        assert torch.equal(ours.state_dict()[key], theirs[key]), key
    cut = WithClassifier(build_trunk("alexnet").upto("conv4"))  # where they were trained on other maps
    fresh = transfer(cut, cut.features, rename(theirs, cut.features.keys), "the file")
    assert {key.partition(".")[0] for key in fresh} == {"classifier"}
    assert len(fresh) == 4


def test_padding_replaces_layers_inside_stages():
    trunk = build_trunk("resnet18")
    use_same_padding(trunk)
    assert trunk.stages["stem"].conv1 is trunk.conv1
    assert [m for m in trunk.stages["stem"] if isinstance(m, SameConv2d)] == [trunk.conv1]
