"""Backbones: pre-trained parameters mean the same as in torchvision, strides, heads, files, errors."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import conv2d, pad
from torchvision import models

from wsolbook import backbones
from wsolbook.backbones import BACKBONES, build, load, save
from wsolbook.backbones.trunk import SameConv2d
from wsolbook.data.species import MAIN
from wsolbook.types import Batch


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch norm statistics and every layer values that would show a misplaced parameter."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
            with torch.no_grad():
                layer.weight.uniform_(0.5, 1.5, generator=generator)
                layer.bias.normal_(0, 0.2, generator=generator)
    return network.eval()


def pictures(size: int, n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def batch(labels: list[list[float]], size: int = 64) -> Batch:
    return Batch(
        pictures(size, len(labels)), torch.tensor(labels, dtype=torch.float32), torch.arange(len(labels))
    )


def features_before(network: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """Run a torchvision network and return what one of its layers was given."""
    seen = []
    hook = network.get_submodule(layer).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(images)
    hook.remove()
    return seen[0]


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
    model = build(name, classes=4, output_stride=stride).eval()
    with torch.no_grad():
        maps = model.features(pictures(size, 1))
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


def test_initialisation_of_the_paper():
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


def test_head_transfers_only_with_the_same_classes(tmp_path):
    save(build("tiny", classes=5), tmp_path / "five.safetensors")
    stored = load_file(tmp_path / "five.safetensors")
    five = build("tiny", classes=5, weights=tmp_path / "five.safetensors")
    six = build("tiny", classes=6, weights=tmp_path / "five.safetensors")
    assert torch.equal(five.linear.weight, stored["linear.weight"])
    assert five.new_parameters() == []
    assert [id(p) for p in six.new_parameters()] == [id(six.linear.weight), id(six.linear.bias)]
    assert torch.equal(six.features.stage1[0].weight, stored["features.stage1.0.weight"])


@pytest.mark.parametrize("name", ["tiny_resnet", "squeezenet1_1"])
def test_save_and_load(name, tmp_path):
    settings = {"classes": 3, "head": "gmp", "output_stride": 8, "loss": "sigmoid", "dropout": 0.25}
    model = lively(build(name, **settings))
    model.names = ("ant", "bee", "cat")
    path = tmp_path / "new" / "model.safetensors"
    save(model, path)
    again = load(path).eval()
    assert again.settings == model.settings
    assert again.names == ("ant", "bee", "cat")
    assert torch.equal(again(pictures(64)), model(pictures(64)))
    with safe_open(path, "pt") as file:
        header = file.metadata()
    assert json.loads(header["settings"])["name"] == name
    assert json.loads(header["preprocessing"])["mean"] == [0.485, 0.456, 0.406]
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def test_trunk_in_16_bits(tmp_path):
    """The form in which the weights of the tiny networks ship: what is before the pooling, kernels halved."""
    donor = lively(build("tiny", classes=30))
    state = {k: v.half() if v.ndim == 4 else v for k, v in donor.features.state_dict().items()}
    save_file({k: v for k, v in state.items() if not k.endswith("tracked")}, tmp_path / "trunk.safetensors")
    model = build("tiny", classes=30, weights=tmp_path / "trunk.safetensors").eval()
    assert [tuple(p.shape) for p in model.new_parameters()] == [(30, 128), (30,)]
    images = pictures(64)
    with torch.no_grad():
        expected = donor.features(images)
        assert (model.features(images) - expected).abs().max() < 5e-3 * expected.abs().max()
        assert model.features[0][0].weight.dtype == torch.float32


@pytest.mark.parametrize("name", ["tiny", "tiny_resnet"])
def test_shipped_weights(name):
    files = [backbones.SHIPPED / f"{each}.safetensors" for each in ("tiny", "tiny_resnet")]
    if not all(file.is_file() for file in files):
        pytest.skip("scripts/pretrain_tiny.py has not been run")
    assert sum(file.stat().st_size for file in files) < 3_000_000
    model = build(name, classes=8, weights="critters")
    assert len(model.new_parameters()) == 2
    with safe_open(backbones.SHIPPED / f"{name}.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["pretraining"])
    assert not set(facts["species"]) & set(MAIN)
    assert facts["accuracy"] > 10 * 100 / len(facts["species"])


@pytest.mark.slow
def test_pretraining_command(tmp_path):
    path = Path(__file__).parent.parent / "scripts" / "pretrain_tiny.py"
    spec = importlib.util.spec_from_file_location("pretrain_tiny", path)
    script = importlib.util.module_from_spec(spec)
    sys.modules["pretrain_tiny"] = script  # dataclasses look their module up
    spec.loader.exec_module(script)
    accuracies = script.main(script.Pretrain(names=("tiny",), out=tmp_path, n=64, held_out=30, epochs=1))
    assert 0 <= accuracies["tiny"] <= 100
    build("tiny", classes=8, weights=tmp_path / "tiny.safetensors")


def test_failed_save_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save(build("tiny", classes=2), path)
    before = path.read_bytes()

    def full_disk(temporary, data):
        with temporary.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(build("tiny", classes=2), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "odd.safetensors"
    good = models.mobilenet_v2(num_classes=4).state_dict()

    def error(state):
        save_file(state, path)
        with pytest.raises(ValueError, match="does not fit mobilenet_v2") as caught:
            build("mobilenet_v2", classes=4, weights=path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    lacking = {k: v for k, v in good.items() if k not in ("features.0.0.weight", "features.1.conv.1.weight")}
    assert "lacks parameter features.0.0.weight and 1 more" in error(lacking)
    assert "has the unknown parameter extra.weight" in error({**good, "extra.weight": torch.zeros(1)})
    wrong = {**good, "features.0.0.weight": torch.zeros(8, 3, 3, 3)}
    assert "features.0.0.weight has shape (8, 3, 3, 3), expected (32, 3, 3, 3)" in error(wrong)
    counters = {k: v for k, v in good.items() if not k.endswith("num_batches_tracked")}
    save_file(counters, path)  # files older than PyTorch 0.4.1 lack them
    build("mobilenet_v2", classes=4, weights=path)


def test_wrapped_state_dicts(tmp_path):
    state = models.squeezenet1_1(num_classes=4).state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "a.pth")
    model = build("squeezenet1_1", classes=4, weights=tmp_path / "a.pth")
    assert torch.equal(model.features[0].weight, state["features.0.weight"])


def test_files_that_are_no_weights(tmp_path):
    cases = {
        "a.safetensors": b"not a tensor file",
        "b.pth": b"not a tensor file",
        "empty.pth": b"",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            build("tiny", weights=tmp_path / name)
    save(build("tiny", classes=2), tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"cut.safetensors is not a whole safetensors file"):
        build("tiny", weights=tmp_path / "cut.safetensors")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list.pth does not hold a state dict"):
        build("tiny", weights=tmp_path / "list.pth")
    torch.save({"f": build}, tmp_path / "code.pth")  # would need to unpickle a function
    with pytest.raises(ValueError, match=r"code.pth is not a PyTorch state dict"):
        build("tiny", weights=tmp_path / "code.pth")
    with pytest.raises(FileNotFoundError, match=r"none.pth does not exist"):
        build("tiny", weights=tmp_path / "none.pth")
    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match=r"bare.safetensors does not say how to build"):
        load(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet51"}, "unknown backbone 'resnet51'; choose one of tiny, "),
        ({"name": "tiny", "head": "max"}, "unknown head 'max'; choose one of gap, gmp"),
        ({"name": "tiny", "loss": "hinge"}, "unknown loss 'hinge'"),
        ({"name": "tiny", "padding": "valid"}, "unknown padding 'valid'"),
        ({"name": "tiny", "classes": 0}, "classes must be at least 1, got 0"),
        ({"name": "tiny", "dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"name": "vgg16", "output_stride": 32}, "vgg16 has output stride 16 or 8, not 32"),
        ({"name": "tiny", "weights": "imagenet"}, "tiny has no ImageNet weights"),
        ({"name": "vgg16", "weights": "critters"}, "vgg16 has no critters weights"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(build)(**arguments)  # around the type checker of the tests


def test_imagenet_without_a_connection(monkeypatch, tmp_path):
    from urllib.error import URLError

    def offline(*_args, **_kwargs):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(OSError, match="cannot download the ImageNet weights of squeezenet1_1") as caught:
        build("squeezenet1_1", weights="imagenet")
    assert "pass the path of a .safetensors or .pth file" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_every_backbone_learns():
    """One step changes every parameter that is meant to learn (no part is cut off from the loss)."""
    for name in BACKBONES.keys() - {"resnet50", "resnet101", "inception_v3"}:  # as resnet18, as googlenet
        torch.manual_seed(0)
        model = build(name, classes=3, loss="sigmoid").train()
        size = 64 if name.startswith("tiny") else 96
        model.loss(batch([[1, 0, 0], [0, 1, 1]], size))["classification"].backward()
        silent = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert silent == [], name


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
