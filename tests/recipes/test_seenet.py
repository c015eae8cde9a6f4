"""SeeNet on every data set: by the schedule of the paper, or in the budget of CAM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsolbook.recipes.bias import OnBiased
from wsolbook.recipes.cam import CAM
from wsolbook.recipes.on import OnCritters, OnVoc
from wsolbook.recipes.seenet import SEENET
from wsolbook.training import train


@pytest.mark.filterwarnings("ignore:.* has 2 classes")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if r.backbone in ("vgg16", "mobilenet_v2") else [])
        for n, r in SEENET.items()
    ],
)
def test_every_recipe_builds_takes_one_step_and_is_measured(name, miniature):
    recipe = replace(
        SEENET[name],
        weights=None,
        steps=1,
        batch_size=2,
        device="cpu",
        optim=replace(SEENET[name].optim, lr=0.1),
        data=miniature(SEENET[name].data),
    )
    recipe.check()
    model, data = recipe.model(), recipe.training_data()
    third = model.s_b if recipe.shared else model.s_c
    before = third[-1].weight.clone()
    history = train(model, data, recipe, evaluate=recipe.evaluate)
    assert list(history.terms) == ["classification", "s_b", "s_c"]
    assert np.isfinite(history.losses[0])
    assert list(history.final) == ["step", *recipe.data.metrics]
    if recipe.data.saliency:
        assert 0 < history.final["proxy mIoU"] < 100
    assert not torch.equal(before, third[-1].weight)


def test_the_columns_are_recipes_too():
    for recipe in SEENET.values():
        for name in recipe.columns:
            column = replace(recipe, seed=4).column(name)
            assert column != recipe
            assert column.seed == 4
            assert column.data == recipe.data
            assert not [p for p in column.problems() if "not a folder" not in p and "does not exist" not in p]
    ablations = {"ACoL", "no sign flip", "no S_B", "no S_C", "shared"}
    assert ablations <= SEENET["seenet-multi"].columns.keys()
    assert ablations == SEENET["seenet-voc"].columns.keys()
    terms = {
        name: (net.s_b is not None, net.s_c is not None, net.settings["sign_flip"])
        for name in sorted(ablations)
        for net in [SEENET["seenet-multi"].column(name).model()]
    }
    assert SEENET["seenet-multi"].column("shared").model().settings["shared"]
    assert terms == {
        "ACoL": (True, False, False),
        "no sign flip": (True, True, False),
        "no S_B": (False, True, True),
        "no S_C": (True, False, True),
        "shared": (True, False, True),  # S_C is S_B
    }


def test_the_settings_of_the_paper():
    r = SEENET["seenet-voc"]
    assert (r.batch_size, r.steps, r.optim.lr, r.optim.weight_decay) == (16, 25_000, 1e-3, 2e-4)
    assert (r.schedule.kind, r.schedule.milestones, r.schedule.gamma) == ("step", (15_000,), 0.1)
    assert r.schedule.unit == "steps"
    assert (r.backbone, r.output_stride, r.data.train, r.weights) == ("vgg16", 16, "trainaug", "imagenet")
    assert (r.low, r.high, r.background, r.convolutions, r.dropout) == (0.05, 0.7, None, 2, 0.5)
    assert (r.optim.biases, r.optim.decay_biases, r.optim.new_layers) == (2.0, False, 1.0)
    assert (r.initial, r.reduction, r.test_size) == ("gaussian", "sum", 256)


@pytest.mark.parametrize("data", ["voc632", "cub10"])
def test_pictures_start_and_budget_are_those_of_cam(data):
    ours, cam = SEENET[f"seenet-{data}"], CAM[f"cam-{data}"]
    for field in (
        "backbone", "weights", "frozen", "frozen_norms", "epochs", "batch_size", "output_stride",
    ):  # fmt: skip
        assert getattr(ours, field) == getattr(cam, field), field
    assert replace(ours.optim, new_layers=10.0) == cam.optim
    assert replace(ours.data, saliency=None) == cam.data


def test_proxies_and_background_are_measured_where_a_saliency_is_given(tmp_path):
    several = OnCritters(preset="multi")
    assert "proxy mIoU" not in several.metrics
    assert "background" not in several.metrics
    with_it = replace(several, saliency="barriers")
    assert set(with_it.metrics) - set(several.metrics) == {
        "head", "body", "limbs", "background", "proxy mIoU",
    }  # fmt: skip
    assert replace(several, saliency=str(tmp_path)).problems() == []
    small = replace(several, held_out=2, size=16, saliency=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no map 000000\.npz, \.npy or \.png in "):
        small.center()


def test_what_cannot_be_is_named():
    assert OnVoc(root="/", saliency="nowhere").problems() == [
        "data.saliency must be barriers or a folder, got 'nowhere'"
    ]
    assert OnBiased(saliency="barriers").problems() == [
        "data.saliency is not for the biased world, got 'barriers'"
    ]
    with pytest.raises(ValueError, match=r"low below high, got 0\.7 and 0\.7"):
        replace(SEENET["seenet-multi"], low=0.7).model()
