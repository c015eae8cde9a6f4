"""GAIN on every data set: each recipe trains, by the settings of its source and in the budget of CAM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsolbook.data.sampling import with_masks
from wsolbook.recipes import RECIPES
from wsolbook.recipes.cam import CAM
from wsolbook.recipes.gain import GAIN, Gain
from wsolbook.recipes.recipe import like
from wsolbook.training import train


@pytest.mark.filterwarnings("ignore:.* has 2 classes")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if r.backbone in ("vgg16", "mobilenet_v2") else [])
        for n, r in GAIN.items()
    ],
)
def test_every_recipe_builds_takes_one_step_and_is_measured(name, miniature):
    recipe = replace(
        GAIN[name],
        weights=None,
        steps=1,
        batch_size=2,
        device="cpu",
        best="",
        ducks=0,
        masks=min(GAIN[name].masks, 2),
        data=miniature(GAIN[name].data),
    )
    recipe.check()
    model, data = recipe.model(), recipe.training_data()
    before = model.linear.weight.clone()
    history = train(model, data, recipe, evaluate=recipe.evaluate)
    assert list(history.terms) == ["classification", "mining", *(["pixels"] if recipe.masks else [])]
    assert np.isfinite(history.losses[0])
    assert list(history.final) == ["step", *recipe.data.metrics]
    assert not torch.equal(before, model.linear.weight)
    assert model.settings["loss"] == ("sigmoid" if recipe.data.multi_label else "softmax")


def test_the_columns_are_recipes_too():
    for recipe in GAIN.values():
        for changes in recipe.columns.values():
            column = replace(recipe, **changes)
            assert column != recipe
            assert not [p for p in column.problems() if "not a folder" not in p and "does not exist" not in p]
    assert list(GAIN["gain-biased-95"].columns) == ["Grad-CAM", "9 masks", "23 masks", "78 masks"]


def test_the_settings_of_the_paper():
    for name, masks in (("gain-voc", 0), ("gain_ext-voc", 1464)):
        r = GAIN[name]
        assert (r.batch_size, r.optim.lr, r.epochs, r.alpha, r.pixel_weight) == (1, 1e-5, 35, 1.0, 10.0)
        assert (r.backbone, r.output_stride, r.data.size, r.data.train) == ("vgg16", 16, 224, "trainaug")
        assert (r.schedule.kind, r.masks) == ("constant", masks)
    assert GAIN["gain-voc"].target == {"mIoU of SEC, val": 55.3, "mIoU of SEC, test": 56.8}
    assert GAIN["gain-biased"].target["overall"] == (48 + 62) / 2
    assert GAIN["gain_ext-biased"].target["overall"] == (84 + 84) / 2


@pytest.mark.parametrize("name", ["critters", "voc632", "cub10"])
def test_pictures_start_and_budget_are_those_of_cam(name):
    ours, cam = GAIN[f"gain-{name}"], CAM[f"cam-{name}"]
    assert like(Gain, cam).columns == {}
    for field in ("data", "backbone", "weights", "frozen", "frozen_norms", "epochs", "batch_size", "dropout"):
        assert getattr(ours, field) == getattr(cam, field), field


def test_masks_of_ducks_are_counted_for_each_seed():
    recipe = replace(
        GAIN["gain_ext-biased"], ducks=3, weights=None, data=replace(GAIN["gain-biased"].data, n=64)
    )
    for seed in (0, 1):
        one = replace(recipe, seed=seed)
        masks = one.model().supervision.masks
        scenes = one.training_data().scenes
        chosen = with_masks(64, masks, seed)
        assert sum(scene.critters[0].species == "duck" for i, scene in enumerate(scenes) if i in chosen) == 3
    assert replace(recipe, ducks=0, masks=5).model().supervision.masks == 5


def test_what_cannot_be_is_named():
    wrong = replace(RECIPES["gain-critters"], alpha=-1.0, center=2.0, slope=0.0, dropout=1.0, ducks=9)
    assert isinstance(wrong, Gain)
    assert wrong.problems() == [
        "alpha must be at least 0, got -1.0",
        "dropout must be in [0, 1), got 1.0",
        "center must be in [0, 1], got 2.0",
        "slope must be positive, got 0.0",
        "ducks needs the biased world, not critters",
    ]
