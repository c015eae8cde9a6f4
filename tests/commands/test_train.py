"""`wsolbook train`: any method, from the first step to a file that every command reopens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from toys import ToyMethod

from wsolbook import cli, methods
from wsolbook.backbones.pretrained import load_pretrained
from wsolbook.data.critters import Critters
from wsolbook.recipes import RECIPES, Recipe


@dataclass(frozen=True)
class Toy(Recipe):
    """A recipe of a method that is not CAM.

    Attributes:
        width: of the network.
    """

    method: ClassVar[str] = "toy"

    width: int = 4
    steps: int | None = 2
    batch_size: int = 4

    def settings(self):
        return {"width": self.width}

    def training_data(self):
        return Critters(8, size=16, seed=self.seed)

    def evaluate(self, model):
        return {"bias": model.linear.bias[0].item()}


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(methods.METHODS, "toy", ToyMethod)
    monkeypatch.setitem(RECIPES, "toy", Toy())


@pytest.mark.usefixtures("toy")
def test_every_command_reopens_a_method_of_its_own(tmp_path, capsys):
    run = ["train", "--recipe", "toy", "--device", "cpu", "--run", str(tmp_path / "run")]
    assert cli.main([*run, "--width", "6"]) == 0
    file = tmp_path / "run" / "model.safetensors"
    network = methods.load(file).eval()
    assert (network.method, network.settings) == ("toy", {"backbone": "tiny", "classes": 8, "width": 6})
    assert network.names == Critters(1, size=16).classes
    assert f"2 steps; bias {network.linear.bias[0].item():.4g}" in capsys.readouterr().out
    untrained = ToyMethod(classes=8, width=6)
    assert not torch.equal(network.features.weight, untrained.features.weight)

    pretrained = load_pretrained(weights=file)
    assert (pretrained.name, pretrained.names) == ("tiny", network.names)
    batch = Critters(3, split="val").batch(range(3))
    classes = batch.labels.argmax(1, keepdim=True)
    expected = network.maps(batch.images, classes)
    assert torch.equal(pretrained.network.maps(batch.images, classes), expected)

    maps = ["maps", "--weights", str(file), "--out", str(tmp_path / "maps"), "--number", "3"]
    assert cli.main(maps) == 0
    for i in range(3):
        with np.load(tmp_path / "maps" / f"{i:06d}.npz") as saved:
            assert saved["classes"].tolist() == classes[i].tolist()
            np.testing.assert_array_equal(saved["maps"], expected[i].detach().numpy().astype(np.float16))
    out = tmp_path / "scores"
    evaluate = ["evaluate", "--weights", str(file), "--number", "3", "--metric", "pxap", "--out", str(out)]
    assert cli.main(evaluate) == 0
    assert json.loads((out / "report.json").read_text())["images"] == 3

    picture = (Critters(1, size=64).images[0].permute(1, 2, 0)).numpy()
    Image.fromarray(picture).save(tmp_path / "photo.png")
    explain = ["explain", str(tmp_path / "photo.png"), "--weights", str(file), "--method", "grad-cam"]
    assert cli.main([*explain, "--classes", "0", "-o", str(tmp_path / "seen")]) == 0
    asked, facts = map(json.loads, (tmp_path / "seen" / "explained.jsonl").read_text().splitlines())
    assert (asked["model"], facts["maps"][0]["class_name"]) == ("tiny", network.names[0])


@pytest.mark.usefixtures("toy")
def test_training_starts_from_a_whole_file(tmp_path, capsys):
    donor = ToyMethod(classes=8, width=4, seed=3)
    methods.save(donor, tmp_path / "toy.safetensors")
    started = Toy(weights=str(tmp_path / "toy.safetensors")).model()
    assert torch.equal(started.linear.weight, donor.linear.weight)
    run = ["train", "--recipe", "toy", "--device", "cpu", "--run", str(tmp_path / "run")]
    assert cli.main([*run, "--width", "5", "--weights", str(tmp_path / "toy.safetensors")]) == 1
    assert "toy.safetensors holds another network: width was 4, is 5" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("width", "message"),
    [
        (torch.zeros(1), "toy cannot be saved: JSON cannot hold its settings"),
        (9, "ToyMethod cannot be saved: its settings build a network of other parameters"),
    ],
)
def test_what_cannot_be_saved_is_not_trained(tmp_path, monkeypatch, capsys, width, message):
    def model(self):
        network = ToyMethod(classes=8)
        network.settings["width"] = width
        return network

    monkeypatch.setattr(Toy, "model", model)
    assert cli.main(["train", "--recipe", "toy", "--device", "cpu", "--run", str(tmp_path / "run")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
