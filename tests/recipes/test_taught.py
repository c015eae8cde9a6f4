"""Recipes whose network learns from label maps of a network before it, on miniature data."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from wsolbook import cli, methods
from wsolbook.backbones import BACKBONES, Backbone
from wsolbook.backbones.resnet import resnet38
from wsolbook.data.images import read_mask
from wsolbook.data.made import taught_by
from wsolbook.evaluation import evaluate
from wsolbook.evaluation.labels import PseudoLabels
from wsolbook.evaluation.tasks import LabelMaps
from wsolbook.maps import normalize, resize
from wsolbook.recipes import RECIPES, OnVoc, seeds
from wsolbook.recipes.affinity import AFFINITY, Affinity
from wsolbook.recipes.segmentation import SEGMENTATION
from wsolbook.recipes.taught import Taught
from wsolbook.refine.pseudo_labels import Labeling
from wsolbook.training import ConfigError, train

LARGE = ("vgg16_psa", "vgg16_largefov", "resnet38", "resnet101")


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Give ResNet-38 a sixteenth of its channels: two of them in a file would be a gigabyte."""
    monkeypatch.setitem(BACKBONES, "resnet38", Backbone(partial(resnet38, width=4), (8,)))


def small(recipe, data):
    """Cut a recipe and those before it down to one step."""
    changes = {"weights": None, "steps": 1, "batch_size": 2, "workers": 0, "device": "cpu", "data": data}
    if isinstance(recipe, Taught):
        own = recipe.before.data
        below = replace(own, root=data.root, size=data.size) if isinstance(own, OnVoc) else data
        changes |= {"before": small(recipe.before, below), "columns": {}}
    if recipe.backbone in LARGE:
        # From random numbers, a deep network of frozen normalization has gradients that no step survives.
        changes["optim"] = replace(recipe.optim, lr=1e-12)
    if isinstance(recipe, Affinity):
        changes["border"] = "complete"  # crops of 64 pixels have no pair by the official rule
    return replace(recipe, **changes)


@pytest.mark.filterwarnings("ignore:.* has 2 classes")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if recipe.backbone in LARGE else [])
        for name, recipe in {**AFFINITY, **SEGMENTATION}.items()
    ],
)
def test_every_recipe_prepares_takes_one_step_and_is_measured(name, miniature, tmp_path):
    recipe = small(RECIPES[name], miniature(RECIPES[name].data))
    recipe.check()
    ready = recipe.resolved().prepared(tmp_path / "before")
    torch.manual_seed(0)
    model, data = ready.model(), ready.training_data()
    before = {k: v.clone() for k, v in model.named_parameters()}
    history = train(model, data, ready, evaluate=ready.evaluate)
    assert np.isfinite(history.losses[0])
    assert list(history.final) == ["step", *recipe.metrics]
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters() if name in frozen)
    assert data.batch([0], 0).masks is None


@pytest.fixture
def stairs(miniature):
    recipe = RECIPES["affinity-multi"]
    return replace(
        small(recipe, replace(miniature(recipe.data), preset="multi")), columns=recipe.columns, epochs=1
    )


def test_the_staircase_is_measured_and_goes_on_where_it_was(stairs, tmp_path):
    record = seeds.reproduce("affinity-multi", stairs, [3], tmp_path, ["test"])
    stages = ["CAM mIoU", "CAM + CRF mIoU", "walk mIoU", "walk + CRF mIoU", "mIoU", "mIoU with CRF"]
    named = [stage.replace("mIoU", each) for stage in stages for each in ("mIoU", "mFP", "mFN")]
    assert list(record["metrics"]) == named
    shares = torch.tensor([record["metrics"][name][0] for name in named]).view(-1, 3)
    torch.testing.assert_close(shares.sum(1), torch.full((6,), 100.0))
    assert list(record["center"]) == list(record["metrics"])
    assert list(record["columns"]["full supervision"]["metrics"]) == named[-6:]
    assert str(tmp_path) not in str(record["config"])
    assert record["config"]["before"]["before"]["seed"] == 0
    folder = tmp_path / "affinity-multi-before-seed3"
    stages = ["affinity", "affinity.json", "affinity.safetensors", "cam", "cam.safetensors"]
    made = sorted(path.name for path in folder.iterdir())
    assert made == [*stages, "deeplab.json", "labels-affinity", "labels-deeplab"]
    teacher = methods.load(folder / "cam.safetensors")
    inside = methods.load(folder / "affinity.safetensors").teacher
    assert all(torch.equal(v, inside.state_dict()[k]) for k, v in teacher.state_dict().items())
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    assert len(kept) == 2 * 8
    lost = folder / "labels-deeplab" / "000003.png"
    content = read_mask(lost)
    lost.unlink()
    (tmp_path / "affinity-multi-seed3" / "found.json").unlink()  # or a clean checkout takes what it found
    again = seeds.reproduce("affinity-multi", stairs, [3], tmp_path, ["test"])
    assert again["metrics"] == record["metrics"]
    assert torch.equal(read_mask(lost), content)
    assert {path for path, time in kept.items() if path.stat().st_mtime_ns != time} == {lost}
    other = replace(stairs, crf_scale=0.5, workers=1)
    with pytest.raises(
        ValueError, match=r"made with other settings \(crf_scale was 0\.256, is 0\.5\); remove it"
    ):
        seeds.reproduce("affinity-multi", other, [3], tmp_path, ["test"])


def test_on_birds_the_maps_are_measured_after_the_walk_and_without_a_step(miniature, tmp_path):
    named = RECIPES["affinity-cub10"]
    recipe = replace(small(named, miniature(named.data)), columns=named.columns)
    record = seeds.reproduce("affinity-cub10", recipe, [3], tmp_path, ["test"])
    assert list(record["metrics"]) == ["top-1", "MaxBoxAccV2", "MaxBoxAcc"]
    assert list(record["center"]) == ["MaxBoxAccV2", "MaxBoxAcc"]
    still = record["columns"]["no walk"]
    assert still["changed"] == {"walk_steps": 0}
    assert still["metrics"]["top-1"] == record["metrics"]["top-1"]  # of the same CAM network
    before = {"affinity-cub10-before-seed3", "affinity-cub10-seed3"}
    assert {path.name for path in tmp_path.glob("affinity-*")} == before  # nothing is trained for the column
    model = replace(recipe, seed=3).prepared(tmp_path / "affinity-cub10-before-seed3").model().eval()
    model.settings = model.settings | recipe.column("no walk").settings()
    images, classes = recipe.data.testing().batch([0, 1]).images, torch.tensor([0, 1])
    seen = normalize(resize(model.teacher.maps(images, classes)[:, None], (28, 28)), "max")[:, 0]
    torch.testing.assert_close(model.maps(images, classes), seen)


def test_the_stages_of_a_walk_are_counted_together_as_they_are_alone(stairs):
    recipe = stairs.before
    torch.manual_seed(0)
    model = recipe.model().eval()
    data = recipe.data.testing()
    kinds = product((False, True), (None, recipe.constants))
    for tally, (walk, crf) in zip(recipe.each(model), kinds, strict=True):
        label = Labeling((recipe.alpha,), crf, steps=recipe.walk_steps)
        alone = evaluate(PseudoLabels(label, model, walk), data, [LabelMaps(8)], keep=True)[0]
        assert np.array_equal(tally.each.rows(), alone.each.rows())


def test_training_sees_what_was_made_and_the_reference_the_truth(stairs, tmp_path):
    ready = replace(stairs, columns={}).prepared(tmp_path)
    drawn = ready.data.training(0)
    seen = ready.shows(drawn).batch(range(8), 0, range(8)).masks
    files = sorted((tmp_path / "labels-deeplab").iterdir())
    assert len(files) == 8
    assert torch.equal(seen, taught_by(drawn, files).batch(range(8), 0, range(8)).masks)
    assert ready.model().supervision.made
    truth = replace(ready, truth=True)
    assert truth.shows(drawn) is drawn
    assert not truth.model().supervision.made
    assert truth.prepared(tmp_path / "none") is truth
    with pytest.raises(ValueError, match="declares to learn from true masks"):
        train(truth.model(), ready.shows(drawn), truth)


def test_a_file_and_a_folder_take_the_place_of_the_network_before(stairs, tmp_path):
    made = stairs.prepared(tmp_path)
    given = replace(stairs, before=None, network=made.network, labels=made.labels)
    given.check()
    assert given.prepared(tmp_path / "none") == given
    assert not (tmp_path / "none").exists()
    with pytest.raises(ConfigError, match=r"3 problems.*network file absent does not exist"):
        replace(given, network="absent", labels="nowhere", alphas=(2.0, 1.0)).check()
    with pytest.raises(ConfigError, match="network must name the file of a trained network"):
        replace(given, network="").check()
    with pytest.raises(ConfigError, match="of the network before: of the network before: epochs must be"):
        replace(stairs, before=replace(stairs.before, before=replace(stairs.before.before, epochs=0))).check()


def test_a_dry_run_makes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = ["--data.n", "8", "--data.held-out", "2", "--data.size", "32", "--weights", "None"]
    assert cli.main(["train", "--recipe", "affinity-multi", "--dry-run", *few]) == 0
    assert "steps: 6 of 8 pictures" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_settings_of_the_papers():
    psa, deep, sec = RECIPES["psa-voc-vgg16"], RECIPES["deeplab-voc"], RECIPES["sec-voc"]
    assert (psa.epochs, psa.batch_size, psa.optim.lr, psa.optim.momentum, psa.data.size) == (
        8,
        8,
        0.1,
        5e-4,
        448,
    )
    assert (psa.alphas, psa.alpha, psa.beta, psa.walk_steps, psa.radius) == ((4, 32), 16, 8, 256, 5)
    assert psa.settings()["border"] == "official"
    assert (psa.before.epochs, psa.before.batch_size, psa.before.resolved().optim.momentum) == (15, 16, 5e-4)
    assert RECIPES["psa-voc-resnet38"].optim.lr == 0.01
    assert (deep.steps, deep.batch_size, deep.schedule.kind, deep.schedule.power) == (20_000, 10, "poly", 0.9)
    assert (deep.crf, deep.test_crf, deep.data.size) == ("psa", "deeplab-v1", 321)
    assert deep.power == psa.power == 0.5  # of the maps of VGG-16, and of no other network's
    assert RECIPES["deeplab-voc-resnet38"].power == RECIPES["deeplab-voc-resnet38"].before.power == 1
    assert (sec.steps, sec.batch_size, sec.schedule.milestones) == (8000, 15, (2000, 4000, 6000))
    assert sec.data.augment == "none"
    assert "crf_scale" not in sec.settings()  # that of the network on its grid is 1 / 12 by itself
    multi = RECIPES["affinity-multi"]
    assert (multi.data.size, multi.output_stride, multi.before.output_stride) == (128, 4, 4)
