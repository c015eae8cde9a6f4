"""ResNet-38: its size, the names in released files, and what the blocks compute."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from nets import lively, pictures
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import batch_norm, conv2d, relu

from wsolbook import backbones
from wsolbook.backbones import Trunk, build, build_trunk, start, tapped
from wsolbook.backbones.freeze import freeze_norms
from wsolbook.backbones.resnet import resnet38

BLOCKS = {  # name: inputs, middle, outputs, dilations of both 3x3 convolutions
    "b2": (64, 128, 128, 1, 1),
    "b2_1": (128, 128, 128, 1, 1),
    "b2_2": (128, 128, 128, 1, 1),
    "b3": (128, 256, 256, 1, 1),
    "b3_1": (256, 256, 256, 1, 1),
    "b3_2": (256, 256, 256, 1, 1),
    "b4": (256, 512, 512, 1, 1),
    **{f"b4_{i}": (512, 512, 512, 1, 1) for i in range(1, 6)},
    "b5": (512, 512, 1024, 1, 2),
    "b5_1": (1024, 512, 1024, 2, 2),
    "b5_2": (1024, 512, 1024, 2, 2),
}
BOTTLENECKS = {"b6": (1024, 2048), "b7": (2048, 4096)}


def released_shapes():
    """Return the names and shapes of the parameters in the authors' file, from the table of the blocks."""
    shapes = {"conv1a.weight": (64, 3, 3, 3), "fc8.weight": (20, 4096, 1, 1)}
    norms = {"bn7": 4096}
    for name, (inputs, middle, outputs, _, _) in BLOCKS.items():
        shapes[f"{name}.conv_branch2a.weight"] = (middle, inputs, 3, 3)
        shapes[f"{name}.conv_branch2b1.weight"] = (outputs, middle, 3, 3)
        norms |= {f"{name}.bn_branch2a": inputs, f"{name}.bn_branch2b1": middle}
        if inputs != outputs:
            shapes[f"{name}.conv_branch1.weight"] = (outputs, inputs, 1, 1)
    for name, (inputs, outputs) in BOTTLENECKS.items():
        shapes[f"{name}.conv_branch2a.weight"] = (outputs // 4, inputs, 1, 1)
        shapes[f"{name}.conv_branch2b1.weight"] = (outputs // 2, outputs // 4, 3, 3)
        shapes[f"{name}.conv_branch2b2.weight"] = (outputs, outputs // 2, 1, 1)
        shapes[f"{name}.conv_branch1.weight"] = (outputs, inputs, 1, 1)
        norms |= {f"{name}.bn_branch2a": inputs, f"{name}.bn_branch2b1": outputs // 4}
        norms |= {f"{name}.bn_branch2b2": outputs // 2}
    for name, channels in norms.items():
        for kind in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{kind}"] = (channels,)
    return shapes


def released(network: Trunk):
    """Return the parameters of a network under the authors' names."""
    moved = {"bn4.": "b5.bn_branch2a.", "bn5.": "b6.bn_branch2a."}
    state = {}
    for key, value in network.state_dict().items():
        prefix = next((p for p in moved if key.startswith(p)), "")
        if not key.endswith("num_batches_tracked"):
            state[moved.get(prefix, "") + key.removeprefix(prefix)] = value
    return state


@pytest.fixture
def thin(monkeypatch) -> Trunk:
    """A network with a 16th of the channels, which also `build` makes."""
    monkeypatch.setitem(backbones.BACKBONES, "resnet38", backbones.Backbone(partial(resnet38, width=4), (8,)))
    torch.manual_seed(0)
    return lively(build_trunk("resnet38"))


def test_number_of_parameters():
    """Convolutions, without biases, and two numbers a channel for each normalization.

    In units of 64 x 64 weights:
    b2      3x3: 9 x (1x2 + 2x2) + 2 x 9 x (4 + 4) = 198; 1x1: 1x2 = 2;           200
    b3      as b2 with twice the channels, the first block from 2 to 4:           800
    b4      3x3: 9 x (4x8 + 8x8) + 5 x 9 x (64 + 64) = 6,624; 1x1: 4x8 = 32;    6,656
    b5      3x3: 9 x (8x8 + 8x16) + 2 x 9 x (16x8 + 8x16) = 6,336; 1x1: 8x16;   6,464
    b6      16x8 + 9 x 8x16 + 16x32 + 1x1: 16x32                                2,304
    b7      32x16 + 9 x 16x32 + 32x64 + 1x1: 32x64                              9,216
    together 25,640, and 27 x 64 in conv1a.
    Channels that are normalized, in units of 64: b2 (1 + 2) + 2 x 4 = 11; b3 22; b4 (4 + 8) + 5 x 16 = 92;
    b5 (8 + 8) + 2 x (16 + 8) = 64; b6 16 + 8 + 16 = 40; b7 32 + 16 + 32 = 80; bn7 64: together 373.
    """
    with torch.device("meta"):
        trunk = build_trunk("resnet38")
    expected = 25_640 * 64 * 64 + 27 * 64 + 2 * 373 * 64
    assert expected == 105_070_912
    assert sum(p.numel() for p in trunk.parameters()) == expected
    convolutions = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.bias is None for m in convolutions)
    in_depth = [m for name, m in trunk.named_modules() if isinstance(m, nn.Conv2d) and "branch1" not in name]
    assert len(in_depth) + 1 == 38  # the last layer is the classifier's


def test_names_and_shapes_are_those_of_the_released_file():
    with torch.device("meta"):
        trunk = build_trunk("resnet38")
    expected = {name: shape for name, shape in released_shapes().items() if not name.startswith("fc8")}
    assert {name: tuple(value.shape) for name, value in released(trunk).items()} == expected


def test_released_parameters_come_to_their_places(thin, tmp_path):
    state = released(thin) | {"fc8.weight": torch.zeros(20, 256, 1, 1)}
    path = tmp_path / "psa.pth"
    torch.save(state, path)
    model = build("resnet38", classes=20, weights=path).eval()
    assert torch.equal(model.features(pictures(32)), thin(pictures(32)))
    assert [tuple(p.shape) for p in model.new_parameters()] == [(20, 256), (20,)]
    del state["b4_5.conv_branch2a.weight"]
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"lacks parameter features.b4_5.conv_branch2a.weight$"):
        start(model, model.features, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="resnet38 has no ImageNet weights to download"):
        build("resnet38", weights="imagenet")


def test_dilations():
    with torch.device("meta"):
        trunk, dense = build_trunk("resnet38"), build_trunk("resnet38", dilation=False)
    for name, (*_, first, second) in BLOCKS.items():
        block = trunk.get_submodule(name)
        found = [block.conv_branch2a.dilation[0], block.conv_branch2b1.dilation[0]]
        assert found == [first, second], name
    assert [trunk.get_submodule(f"{name}.conv_branch2b1").dilation[0] for name in BOTTLENECKS] == [4, 4]
    assert all(m.dilation == (1, 1) for m in dense.modules() if isinstance(m, nn.Conv2d))
    strided = [name for name, m in trunk.named_modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    assert strided == [f"{b}.{c}" for b in ("b2", "b3", "b4") for c in ("conv_branch2a", "conv_branch1")]


def test_taps_and_blocks_against_the_equations(thin):
    """The last stages from their parameters under the authors' names, b5 and b6 normalizing what they get."""
    state = released(thin)
    images = pictures(32, 1)

    def bn(maps, name):
        four = (state[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
        return relu(batch_norm(maps, *four))

    def conv(maps, name, rate=1):
        weight = state[f"{name}.weight"]
        return conv2d(maps, weight, padding=rate * (weight.shape[-1] // 2), dilation=rate)

    with torch.no_grad():
        maps = tapped(thin, images, ("conv4", "conv5", "conv6"))
        x = thin[: [name for name, _ in thin.named_children()].index("bn4")](images)
        entry = bn(x, "b5.bn_branch2a")
        torch.testing.assert_close(maps["conv4"], entry)
        inner = bn(conv(entry, "b5.conv_branch2a"), "b5.bn_branch2b1")
        x = conv(entry, "b5.conv_branch1") + conv(inner, "b5.conv_branch2b1", 2)
        for name in ("b5_1", "b5_2"):
            inner = bn(conv(bn(x, f"{name}.bn_branch2a"), f"{name}.conv_branch2a", 2), f"{name}.bn_branch2b1")
            x = x + conv(inner, f"{name}.conv_branch2b1", 2)
        torch.testing.assert_close(maps["conv5"], bn(x, "b6.bn_branch2a"))
        for name in ("b6", "b7"):
            entry = bn(x, f"{name}.bn_branch2a")
            inner = bn(conv(entry, f"{name}.conv_branch2a"), f"{name}.bn_branch2b1")
            inner = bn(conv(inner, f"{name}.conv_branch2b1", 4), f"{name}.bn_branch2b2")
            x = conv(entry, f"{name}.conv_branch1") + conv(inner, f"{name}.conv_branch2b2")
        torch.testing.assert_close(maps["conv6"], bn(x, "bn7"))
        assert torch.equal(maps["conv6"], thin(images))


def test_what_is_frozen_in_the_paper(thin):
    thin.upto("conv2").requires_grad_(False)
    freeze_norms(thin)
    thin.train()
    for _ in range(2):  # dropout may silence a channel once
        thin(pictures(32)).square().sum().backward()
    learning = {name for name, p in thin.named_parameters() if p.grad is not None and p.grad.any()}
    expected = {name for name, p in thin.named_parameters() if p.ndim == 4}
    assert learning == {name for name in expected if not name.startswith(("conv1a", "b2"))}


def test_dropout_is_of_whole_channels_and_only_in_training(thin):
    images = pictures(32)
    freeze_norms(thin)
    with torch.no_grad():
        expected = thin(images)
        assert torch.equal(thin(images), expected)
        assert not torch.allclose(thin.train()(images), expected)
        seen = []
        thin.b7.conv_branch2b1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        thin(images)
    channels = seen[0].flatten(2).amax(2)
    assert 0.25 < channels.eq(0).float().mean() < 0.75  # half of them, apart from those that were silent
