"""Step-wise erasing as recipes: round after round, in the budget of CAM, until it does not learn any more."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from wsolbook import cli
from wsolbook.methods.erasing import Erasing
from wsolbook.recipes import RECIPES, OnCritters
from wsolbook.recipes.cam import CAM
from wsolbook.recipes.erasing import ERASING
from wsolbook.training.run import History

SHORT = {"weights": None, "batch_size": 2, "workers": 0, "device": "cpu"}


@pytest.mark.filterwarnings("ignore:.* has 2 classes")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "erasing-voc632" else []) for n in ERASING]
)
def test_every_recipe_trains_round_after_round_and_is_measured(name, miniature, tmp_path):
    recipe = replace(
        ERASING[name], rounds=2, epochs=1, stop=None, data=miniature(ERASING[name].data), **SHORT
    )
    recipe.check()
    model, data = recipe.model(), recipe.training_data()
    assert isinstance(model, Erasing)
    before = [one.linear.weight.clone() for one in model.classifiers]
    history = recipe.fit(model, data, run=tmp_path, evaluate=recipe.evaluate)
    assert np.isfinite(history.losses).all()
    assert list(history.final) == ["step", *recipe.data.metrics]
    assert not any(
        torch.equal(b, one.linear.weight) for b, one in zip(before, model.classifiers, strict=True)
    )
    assert int(model.kept) == 2
    assert model.losses.gt(0).all()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("round")) == ["round-1", "round-2"]
    frozen = [not p.requires_grad for p in model.classifiers[1].features.parameters()]
    assert any(frozen) == (recipe.frozen > 0 or recipe.frozen_norms)


def test_what_does_not_learn_is_dropped(tmp_path, monkeypatch):
    recipe = replace(
        ERASING["erasing-critters"],
        rounds=4,
        epochs=1,
        stop=2.0,
        data=OnCritters(n=4, held_out=4, size=16),
        **SHORT,
    )
    ends = iter([1.0, 1.9, 2.1])

    def train(model, *_args, **_options):
        model.losses[int(model.kept)] = next(ends)
        return History(step=7)

    monkeypatch.setattr("wsolbook.recipes.erasing.train", train)
    model = recipe.model()
    history = recipe.fit(
        model, recipe.training_data(), run=tmp_path, evaluate=lambda net: {"kept": float(net.kept)}
    )
    assert history.evaluations == [{"step": 7, "kept": 2}]
    assert next(ends, None) is None


def test_columns_are_rounds_of_one_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = OnCritters(n=8, held_out=6, size=16)
    recipe = replace(
        ERASING["erasing-critters"], epochs=1, rounds=2, data=data, columns={"1 round": {"shown": 1}}, **SHORT
    )
    monkeypatch.setitem(RECIPES, "erasing-critters", recipe)
    for _ in range(2):  # the second time nothing is trained
        assert cli.main(["reproduce", "erasing-critters", "--seeds", "3"]) == 0
        record = json.loads((tmp_path / "results" / "erasing-critters.json").read_text())
        first = record["columns"]["1 round"]
        assert first["metrics"]["top-1"] == record["metrics"]["top-1"]
        assert first["metrics"]["PxAP"] != record["metrics"]["PxAP"]
        assert [p.name for p in (tmp_path / "runs").iterdir()] == ["erasing-critters-seed3"]
    cam = replace(CAM["cam-critters"], epochs=1, data=data, columns={}, evaluate_every=0, **SHORT)
    monkeypatch.setitem(RECIPES, "cam-critters", cam)
    assert cli.main(["reproduce", "cam-critters", "--seeds", "3"]) == 0
    alone = json.loads((tmp_path / "results" / "cam-critters.json").read_text())
    assert alone["metrics"]["top-1"] == record["metrics"]["top-1"]


def test_pictures_start_and_budget_of_a_round_are_those_of_cam():
    ours, cam = ERASING["erasing-voc632"], CAM["cam-voc632"]
    for field in (
        "data", "backbone", "weights", "frozen", "frozen_norms", "epochs", "batch_size", "optim", "schedule",
        "dropout", "output_stride",
    ):  # fmt: skip
        assert getattr(ours, field) == getattr(cam, field), field
    assert ours.settings()["loss"] == "sigmoid"
    assert (ours.threshold, ours.share_of, ours.stop) == (0.8, "pixels", 2.5)
