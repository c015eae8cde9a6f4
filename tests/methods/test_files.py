"""A trained network of any method is one file."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from nets import lively, pictures
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from toys import ToyMethod

from wsolbook import methods
from wsolbook.backbones import build

TINY = {"backbone": "tiny", "classes": 3}


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_method_can_be_built_saved_and_loaded(name, tmp_path):
    model = lively(methods.METHODS[name](**TINY))
    assert model.method == name
    assert model.settings.items() >= TINY.items()
    model.names = ("ant", "bee", "cat")
    methods.save(model, tmp_path / "model.safetensors")
    again = methods.load(tmp_path / "model.safetensors").eval()
    assert (again.method, again.settings, again.names) == (name, model.settings, model.names)
    images, classes = pictures(64), torch.tensor([[0, 2], [1, 0]])
    assert torch.equal(again(images), model(images))
    assert torch.equal(again.maps(images, classes), model.maps(images, classes))


def test_the_header_says_all(tmp_path, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "toy", ToyMethod)
    model = ToyMethod(classes=3, width=5)
    model.names = ("fleur", "été", "花")
    methods.save(model, tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        header = file.metadata()
    assert header.pop("format") == "wsolbook network 1"
    assert header.pop("method") == "toy"
    assert len(header.pop("sha256")) == 64
    assert {key: json.loads(value) for key, value in header.items()} == {
        "settings": {"backbone": "tiny", "classes": 3, "width": 5},
        "names": ["fleur", "été", "花"],
        "preprocessing": {"range": [0, 1], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    }


SAVE = """
import sys, torch
from wsolbook import methods
torch.manual_seed(0)
methods.save(methods.METHODS["cam"](backbone="tiny", classes=3), sys.argv[1])
"""


def test_the_same_weights_are_the_same_bytes(tmp_path):
    """The library below writes metadata in an order that changes from process to process, and within one."""
    torch.manual_seed(0)
    model = build("tiny", classes=3)
    files = [tmp_path / f"{i}.safetensors" for i in range(4)]
    for file in files[:3]:
        methods.save(model.to(memory_format=torch.channels_last), file)
    subprocess.run([sys.executable, "-c", SAVE, str(files[3])], check=True)
    assert len({file.read_bytes() for file in files}) == 1
    with torch.no_grad():
        model.linear.bias[0] += 1
    methods.save(model, files[0])
    assert files[0].read_bytes() != files[1].read_bytes()
    size = int.from_bytes(files[0].read_bytes()[:8], "little")
    assert size % 8 == 0


def test_files_of_the_first_format_still_load(tmp_path):
    model = lively(build("tiny", classes=2, loss="sigmoid"))
    settings = {
        "name": "tiny", "classes": 2, "head": "gap", "output_stride": None, "loss": "sigmoid",
        "dropout": 0.0, "padding": "symmetric", "dilation": True,
    }  # fmt: skip
    header = {
        "format": "wsolbook classifier 1",
        "settings": json.dumps(settings),
        "names": json.dumps(["ant", "bee"]),
        "preprocessing": json.dumps({"range": [0, 1]}),
    }
    save_file(model.state_dict(), tmp_path / "old.safetensors", header)
    again = methods.load(tmp_path / "old.safetensors").eval()
    assert (again.names, again.settings) == (("ant", "bee"), model.settings)
    assert torch.equal(again(pictures(64)), model(pictures(64)))
    started = build("tiny", classes=2, weights=tmp_path / "old.safetensors")
    assert torch.equal(started.linear.weight, model.linear.weight)


def test_what_cannot_be_built_again_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="Linear cannot be saved: its method is None, not one of cam"):
        methods.save(nn.Linear(2, 2), tmp_path / "a.safetensors")
    model = build("tiny", classes=2)
    model.settings["mask"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"cam cannot be saved: JSON cannot hold its settings .*Tensor"):
        methods.save(model, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_settings_must_build_the_same_network(monkeypatch):
    monkeypatch.setitem(methods.METHODS, "toy", ToyMethod)
    tiny, model = build("tiny", classes=2), ToyMethod(width=5)
    before = torch.get_rng_state()
    methods.check(tiny)
    methods.check(model)
    assert torch.equal(before, torch.get_rng_state())
    del model.settings["width"]
    with pytest.raises(ValueError, match="ToyMethod cannot be saved: its settings build a network of other"):
        methods.check(model)
    model.settings["depth"] = 3
    with pytest.raises(ValueError, match=r"ToyMethod has settings that toy does not take .*depth"):
        methods.check(model)


def test_files_that_do_not_fit_are_named(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    monkeypatch.setitem(methods.METHODS, "toy", ToyMethod)
    methods.save(ToyMethod(classes=3), path)
    monkeypatch.setitem(methods.METHODS, "toy", lambda width, **others: ToyMethod(width=width + 1, **others))
    with pytest.raises(ValueError, match=r"a\.safetensors does not fit ToyMethod: size mismatch"):
        methods.load(path)
    monkeypatch.setitem(
        methods.METHODS, "toy", lambda backbone, classes: ToyMethod(backbone, classes=classes)
    )
    with pytest.raises(ValueError, match=r"a\.safetensors has settings that toy does not take .*width"):
        methods.load(path)
    monkeypatch.delitem(methods.METHODS, "toy")
    with pytest.raises(ValueError, match=r"a\.safetensors is of the method 'toy', not one of cam"):
        methods.load(path)


def test_a_network_goes_on_from_a_file_of_its_own_method_and_settings(tmp_path, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "toy", ToyMethod)
    path, donor = tmp_path / "a.safetensors", ToyMethod(classes=3, seed=1)
    methods.save(donor, path)
    before = torch.get_rng_state()
    model = methods.start("toy", path, **TINY)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(model.linear.weight, donor.linear.weight)
    with pytest.raises(ValueError, match=r"holds another network: width was 8, is 4$"):
        methods.start("toy", path, width=4, **TINY)
    with pytest.raises(ValueError, match=r"holds another network: method was toy, is cam$"):
        methods.start("cam", path, **TINY)


def test_other_weights_are_for_the_backbone(tmp_path, monkeypatch):
    path, donor = tmp_path / "a.safetensors", build("tiny", classes=5)
    methods.save(donor, path)
    torch.manual_seed(4)
    expected = build("tiny", classes=3, weights=path)
    torch.manual_seed(4)
    model = methods.start("cam", path, **TINY)
    assert torch.equal(model.linear.weight, expected.linear.weight)
    assert torch.equal(model.features.stage1[0].weight, donor.features.stage1[0].weight)
    assert len(model.new_parameters()) == 2
    monkeypatch.setitem(methods.METHODS, "toy", ToyMethod)
    with pytest.raises(ValueError, match=r"toy takes no weights for its backbone, got .*a\.safetensors"):
        methods.start("toy", path, **TINY)
    same = methods.start("cam", path, backbone="tiny", classes=5)
    assert torch.equal(same.linear.weight, donor.linear.weight)
    save_file(donor.features.state_dict(), path, {"format": "pt"})
    trunk = methods.start("cam", path, **TINY)
    assert torch.equal(trunk.features.stage1[0].weight, donor.features.stage1[0].weight)
    assert len(methods.start("cam", None, **TINY).new_parameters()) == 0
