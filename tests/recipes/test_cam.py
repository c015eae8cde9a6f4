"""CAM on every data set: each recipe trains, and its settings are those of its source."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from wsolbook.recipes import RECIPES
from wsolbook.recipes.affinity import AFFINITY
from wsolbook.recipes.cam import CAM
from wsolbook.training import train

PSA = [name for name in AFFINITY if name.startswith("psa-voc-")]


@pytest.mark.filterwarnings("ignore:.* has 2 classes")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if r.backbone in ("vgg16", "googlenet") else [])
        for n, r in CAM.items()
    ],
)
def test_every_recipe_builds_takes_one_step_and_is_measured(name, miniature):
    recipe = replace(
        CAM[name],
        weights=None,
        steps=1,
        batch_size=2,
        workers=0,
        device="cpu",
        data=miniature(CAM[name].data),
    )
    recipe.check()
    recipe = recipe.resolved()
    model, data = recipe.model(), recipe.training_data()
    before = {k: v.clone() for k, v in model.named_parameters()}
    history = train(model, data, recipe, evaluate=recipe.evaluate)
    assert history.step == 1
    assert np.isfinite(history.losses[0])
    assert list(history.final) == ["step", *recipe.data.metrics]
    assert not torch.equal(before["linear.weight"], model.linear.weight)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert bool(frozen) == (recipe.frozen > 0)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters() if name in frozen)
    assert data.batch([0], 0).boxes is None


def test_names_and_targets_are_in_order():
    for name, recipe in RECIPES.items():
        # The CAM network and AffinityNet of Ahn and Kwak are called PSA; their whole staircase on critters
        # ends with a DeepLab.
        assert re.match(f"{recipe.method}(_ext)?-", name) or name in ("affinity-multi", *PSA)
        assert recipe.source, name
        assert recipe.target, name
        named = {metric for metric in recipe.target if "mIoU of" not in metric}  # a second network's numbers
        assert named <= set(recipe.metrics), name
        documented = "".join(c.__doc__ or "" for c in type(recipe).__mro__)
        assert all(f"{f.name}: " in documented for f in fields(recipe)), name


# Data, backbone, weights, head, output stride, dilation, dropout, frozen; then epochs or steps, batch, rate,
# momentum, weight decay, factors of new layers and of biases, decay of biases, schedule, milestones, epochs
# between evaluations, size, augmentation.
CAFFE = (2.0, False)
SETTINGS = {
    "cam-critters": (
        ("critters", "tiny", "critters", "gap", 8, True, 0.0, 0),
        (3, 64, 0.02, 0.9, 5e-4, 1.0, 1.0, True, "cosine", (), 1, 64, None),
    ),
    "cam-critters-gmp": (
        ("critters", "tiny", "critters", "gmp", 8, True, 0.0, 0),
        (3, 64, 0.02, 0.9, 5e-4, 1.0, 1.0, True, "cosine", (), 1, 64, None),
    ),
    "cam-critters-fine": (
        ("critters", "tiny", "critters", "gap", 4, True, 0.0, 0),
        (3, 64, 0.02, 0.9, 5e-4, 1.0, 1.0, True, "cosine", (), 1, 64, None),
    ),
    "cam-critters-coarse": (
        ("critters", "tiny", "critters", "gap", 16, True, 0.0, 0),
        (3, 64, 0.02, 0.9, 5e-4, 1.0, 1.0, True, "cosine", (), 1, 64, None),
    ),
    "cam-voc": (
        ("voc2012", "vgg16", "imagenet", "gap", 8, True, 0.5, 0),
        (15, 16, 0.1, 5e-4, 5e-4, 10.0, *CAFFE, "poly", (), 5, 448, "affinity-cam"),
    ),
    "cam-voc632": (
        ("voc2012", "mobilenet_v2", "mobilenet_v2_symmetric", "gap", 16, True, 0.5, 14),
        (8, 16, 0.02, 0.9, 1e-4, 10.0, *CAFFE, "cosine", (), 0, 224, "wsol"),
    ),
    "cam-cub": (
        ("cub", "vgg16", "imagenet", "gap", 8, False, 0.0, 0),
        (50, 32, 1e-3, 0.9, 5e-4, 10.0, 1.0, True, "step", (15, 30, 45), 5, 224, "wsol"),
    ),
    "cam-cub10": (
        ("cub", "mobilenet_v2", "mobilenet_v2_symmetric", "gap", 16, True, 0.0, 14),
        (8, 16, 0.002, 0.9, 1e-4, 10.0, *CAFFE, "cosine", (), 0, 224, "wsol"),
    ),
    "cam-ilsvrc": (
        ("ilsvrc2012", "googlenet", "imagenet", "gap", 16, True, 0.0, 0),
        (160_000, 64, 1e-3, 0.9, 5e-4, 1.0, *CAFFE, "step", (40_000, 80_000, 120_000), 1, 224, "wsol"),
    ),
}


def test_the_settings_are_those_of_the_sources():
    assert CAM.keys() == SETTINGS.keys()
    for name, recipe in CAM.items():
        r = recipe.resolved()
        weights = r.weights.rpartition("/")[2].removesuffix(".safetensors")
        network = (
            r.data.name,
            r.backbone,
            weights,
            r.head,
            r.output_stride,
            r.dilation,
            r.dropout,
            r.frozen,
        )
        training = (
            r.steps or r.epochs, r.batch_size, r.optim.lr, r.optim.momentum, r.optim.weight_decay,
            r.optim.new_layers, r.optim.biases, r.optim.decay_biases, r.schedule.kind, r.schedule.milestones,
            r.evaluate_every, r.data.size, getattr(r.data, "augment", None),
        )  # fmt: skip
        assert (network, training) == SETTINGS[name], name
        assert r.frozen_norms == (r.frozen > 0)
        assert r.optim.nesterov == (name == "cam-cub")
        assert (r.schedule.gamma, r.schedule.power) == (0.1, 0.9)
    assert CAM["cam-ilsvrc"].schedule.unit == "steps"
    assert [(r.data.train, r.data.test) for n, r in CAM.items() if "critters" not in n] == [
        ("trainaug", "train"), ("train", "val"), ("train", "test"), ("train", "test"), ("train", "val"),
    ]  # fmt: skip


def test_the_slip_of_the_released_optimizer_is_a_switch():
    recipe = CAM["cam-voc"]
    assert recipe.optim.momentum == 0.9
    assert recipe.resolved().optim.momentum == 5e-4
    assert replace(recipe, momentum_slip=False).resolved().optim.momentum == 0.9
