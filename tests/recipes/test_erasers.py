"""ACoL and SPG on every data set: by the settings of their sources, or in the budget of CAM."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wsolbook.recipes import RECIPES
from wsolbook.recipes.acol import ACOL
from wsolbook.recipes.cam import CAM
from wsolbook.recipes.on import OnCritters
from wsolbook.recipes.spg import SPG
from wsolbook.training import train

BOTH = ACOL | SPG
SLOW = ("vgg16_largefov", "inception_v3", "mobilenet_v2")


@pytest.mark.filterwarnings("ignore:.* has 2 classes")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if r.backbone in SLOW else []) for n, r in BOTH.items()],
)
def test_every_recipe_builds_takes_one_step_and_is_measured(name, miniature):
    recipe = replace(
        BOTH[name],
        weights=None,
        steps=1,
        batch_size=2,
        workers=0,
        device="cpu",
        data=miniature(BOTH[name].data),
    ).resolved()
    recipe.check()
    model, data = recipe.model(), recipe.training_data()
    layer = model.first[-1] if name in ACOL else model.a4
    before = layer.weight.clone()
    history = train(model, data, recipe, evaluate=recipe.evaluate)
    terms = ["classification", "erased"] if name in ACOL else ["classification", "b2", "b1", "c"]
    assert list(history.terms) == terms
    assert np.isfinite(history.losses[0])
    assert list(history.final) == ["step", *recipe.data.metrics]
    assert not torch.equal(before, layer.weight)


def test_the_columns_are_recipes_too():
    for recipe in BOTH.values():
        for name in recipe.columns:
            column = replace(recipe, seed=4).column(name)
            assert column != recipe
            assert column.seed == 4
            assert not [p for p in column.problems() if "not a folder" not in p and "does not exist" not in p]
    for name in ("spg-critters", "spg-cub", "spg-ilsvrc"):
        assert {"plain", "no-cascade", "unshared", "no-c"} <= set(SPG[name].columns)
    assert RECIPES["acol-critters"].column("CAM").method == "cam"


def test_the_settings_of_the_papers():
    def training(r):
        o, s = r.optim, r.schedule
        return (
            r.epochs, r.batch_size, o.lr, o.momentum, o.nesterov, o.weight_decay, o.new_layers, o.biases,
            o.decay_biases, s.kind, s.milestones,
        )  # fmt: skip

    def network(r):
        return (r.backbone, r.weights, r.output_stride, r.dilation, r.data.size, r.data.augment)

    sgd = (0.9, True, 5e-4)
    acol, spg = ACOL["acol-ilsvrc"], SPG["spg-ilsvrc"]
    assert network(acol) == network(ACOL["acol-cub"]) == ("vgg16_largefov", "imagenet", 8, False, 224, "wsol")
    assert training(acol) == (6, 20, 1e-4, *sgd, 10.0, 2.0, True, "constant", ())
    assert training(ACOL["acol-cub"]) == (60, 20, 1e-2, *sgd, 10.0, 2.0, True, "constant", ())
    assert (acol.threshold, acol.fusion, acol.class_layer) == (0.6, "max", "xavier")
    assert network(spg) == network(SPG["spg-cub"]) == ("inception_v3", "imagenet", None, True, 321, "spg")
    assert training(spg) == (5, 20, 1e-3, *sgd, 10.0, 2.0, True, "constant", ())
    assert training(SPG["spg-cub"]) == (50, 32, 1e-3, *sgd, 10.0, 2.0, True, "step", (15, 30, 45))
    assert (spg.b2, spg.b1, spg.c) == ((0.05, 0.7), (0.05, 0.5), (0.1, 0.7))
    assert (spg.b2_tap, spg.dropout, spg.fallback, spg.variant) == ("6d", 0.0, True, "full")


def test_the_misspelled_group_is_a_switch():
    spg = SPG["spg-ilsvrc"]
    assert spg.resolved().optim.new_layers == 1.0
    assert replace(spg, group_slip=False).resolved().optim.new_layers == 10.0
    assert "group_slip" not in spg.settings()


@pytest.mark.parametrize("name", ["critters", "cub10"])
@pytest.mark.parametrize("method", ["acol", "spg"])
def test_pictures_start_and_budget_are_those_of_cam(method, name):
    ours, cam = BOTH[f"{method}-{name}"], CAM[f"cam-{name}"]
    for field in (
        "data", "backbone", "weights", "frozen", "frozen_norms", "epochs", "batch_size", "output_stride",
    ):  # fmt: skip
        assert getattr(ours, field) == getattr(cam, field), field


def test_what_cannot_be_is_named():
    several = OnCritters(preset="multi")
    assert replace(ACOL["acol-critters"], data=several).problems() == [
        "acol takes one class a picture, critters may show several"
    ]
    assert replace(SPG["spg-critters"], data=OnCritters(body_cue=2.0)).problems() == [
        "data.body_cue must be between 0 and 1, got 2.0"
    ]
    with pytest.raises(ValueError, match=r"thresholds must be in \(0, 1\), the first below the second"):
        replace(SPG["spg-critters"], b1=(0.5, 0.05)).model()
    with pytest.raises(ValueError, match=r"threshold must be between 0 and 1, got 1\.0"):
        replace(ACOL["acol-critters"], threshold=1.0).model()


def test_the_knob_turns_the_world_and_nothing_else(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    knob = importlib.import_module("knob")
    options = knob.Knob()
    for cue in options.cues:
        cam = knob.recipe(cue, options)
        assert cam.data == OnCritters(n=1024, held_out=300, body_cue=cue)
        columns = {name: cam.column(name) for name in cam.columns}
        assert [(name, r.method) for name, r in columns.items()] == [
            ("ACoL", "acol"), ("ACoL, first map", "acol"), ("SPG", "spg"),
        ]  # fmt: skip
        for column in columns.values():
            assert column.data == cam.data
            assert (column.epochs, column.batch_size, column.weights) == (4, 64, "critters")
        first = replace(columns["ACoL"], fusion="first", columns=columns["ACoL, first map"].columns)
        assert columns["ACoL, first map"] == first
        for name, method in (("ACoL", "acol"), ("SPG", "spg")):
            assert columns[name].optim == RECIPES[f"{method}-critters"].optim
            assert columns[name].settings() == RECIPES[f"{method}-critters"].settings()
