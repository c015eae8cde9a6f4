"""Files of parameters: which fit, which are refused, and that none is half written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pretrain_tiny
import pytest
import torch
from nets import lively, pictures
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision import models

from wsolbook import backbones
from wsolbook.backbones import build
from wsolbook.backbones.weights import read_state, write_state
from wsolbook.data.critters.species import MAIN
from wsolbook.methods import load, save


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
    assert json.loads(header["settings"])["backbone"] == name
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
    accuracies = pretrain_tiny.main(
        pretrain_tiny.Pretrain(names=("tiny",), out=tmp_path, n=64, held_out=30, epochs=1)
    )
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


def test_one_altered_byte_of_weights_is_noticed(tmp_path):
    """Neither format's reader compares checksums; ours, and that of the archive, are."""
    state = {"w": torch.full((1000,), 7.0)}
    write_state(tmp_path / "a.safetensors", state, {"format": "wsolbook network 1"})
    torch.save(state, tmp_path / "a.pth")
    for name, kind in {"a.safetensors": "safetensors file", "a.pth": "PyTorch state dict"}.items():
        path = tmp_path / name
        assert torch.equal(read_state(path)[0]["w"], state["w"])
        content = bytearray(path.read_bytes())
        content[content.find(state["w"].numpy().tobytes()) + 1000] ^= 1
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is not a whole {kind}; download it"):
            read_state(path)


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
    with pytest.raises(
        ValueError, match=r"code.pth is not a whole PyTorch state dict, or holds Python objects"
    ):
        build("tiny", weights=tmp_path / "code.pth")
    with pytest.raises(FileNotFoundError, match=r"none.pth does not exist"):
        build("tiny", weights=tmp_path / "none.pth")
    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match=r"bare.safetensors does not say how to build"):
        load(tmp_path / "bare.safetensors")


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
