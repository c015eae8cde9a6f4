"""The commands on a device: trained there, looked at there, and what they write is read again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from explaining import picture

from wsolbook import cli, methods
from wsolbook.methods import METHODS
from wsolbook.recipes import RECIPES

SMALL = ["--data.n", "16", "--data.held-out", "8", "--data.size", "32", "--batch-size", "8", "--steps", "2"]
FEW = ["--number", "4", "--preset", "multi"]


@pytest.fixture
def folder(gpu, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_training_and_what_follows_it(folder, capsys):
    train = ["train", "--recipe", "cam-critters", *SMALL, "--device", "cuda", "--images-every", "1"]
    assert cli.main([*train, "--precision", "auto", "--run", "run"]) == 0
    weights = str(folder / "run" / "model.safetensors")
    assert cli.main(["maps", "--weights", weights, "--out", "maps", *FEW, "--flip"]) == 0
    scored = ["evaluate", *FEW, "--metric", "miou", "--precision", "auto"]
    assert cli.main([*scored, "--maps", "maps"]) == 0
    assert cli.main([*scored, "--weights", weights]) == 0
    assert cli.main(["evaluate", "--number", "4", "--weights", weights, "--out", "report"]) == 0
    assert "center Gaussian" in (folder / "report" / "report.md").read_text()
    assert cli.main(["doctor"]) == 0
    said, older = capsys.readouterr().out, torch.cuda.get_device_capability() < (8, 0)
    assert ("fp16: cuda:0 only emulates bf16" in said) == older


def test_label_maps(folder, capsys):
    methods.save(METHODS["affinity"](backbone="tiny", classes=8), "net.safetensors")
    for out, alphas in (("unsure", ["4", "24"]), ("labels", ["16"])):  # two alphas leave pixels unknown
        given = ["--weights", "net.safetensors", "--out", out, "--crf", "psa", "--crf-scale", "0.1"]
        assert cli.main(["pseudo-labels", *given, "--alphas", *alphas, *FEW]) == 0
        assert "4 of 4 pictures written" in capsys.readouterr().out
    assert cli.main(["evaluate", *FEW, "--maps", "labels", "--metric", "miou"]) == 0


def test_photographs_are_explained(folder):
    methods.save(METHODS["cam"](backbone="tiny", classes=8), "net.safetensors")
    picture().save("one.png")
    picture(90, 80).save("two.png")
    given = ["explain", "one.png", "two.png", "--weights", "net.safetensors", "--device", "cuda"]
    assert cli.main([*given, "--method", "cam", "score-cam", "--classes", "top3", "-o", "out"]) == 0
    assert (folder / "out" / "index.html").is_file()


def test_a_recipe_is_reproduced_over_seeds(folder, monkeypatch):
    small = replace(RECIPES["cam-critters"], steps=1, batch_size=4, columns={}, device="cuda")
    small = replace(small, data=replace(small.data, n=8, held_out=4, size=32))
    monkeypatch.setitem(RECIPES, "cam-critters", small)
    assert cli.main(["reproduce", "cam-critters", "--seeds", "0", "1"]) == 0
    found = json.loads((folder / "results" / "cam-critters.json").read_text())
    assert found["provenance"]["device"] == torch.cuda.get_device_name()
    assert found["config"]["precision"] == "fp32"
