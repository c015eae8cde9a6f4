"""A new paper costs one class: it trains and is measured on every data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from wsolbook.maps import normalize, resize
from wsolbook.methods import METHODS
from wsolbook.metrics import best_threshold, part_coverage
from wsolbook.recipes import On, OnCritters, OnCub, OnIlsvrc, OnVoc, Recipe
from wsolbook.recipes.on import leads, scores
from wsolbook.recipes.spg import SPG
from wsolbook.training import ConfigError, Optim, train
from wsolbook.types import Network


class ToyNet(Network):
    def __init__(self, backbone: str, classes: int, weights: None, scale: float) -> None:
        super().__init__()
        self.conv, self.scale = nn.Conv2d(3, classes, 4, 4), scale

    def forward(self, images):
        return self.conv(images).mean((2, 3))

    def loss(self, batch):
        return {"toy": self.scale * binary_cross_entropy_with_logits(self(batch.images), batch.labels)}

    def maps(self, images, classes):
        return torch.take_along_dim(self.conv(images), classes[:, :, None, None], 1)


@dataclass(frozen=True)
class Toy(Recipe):
    """One convolution; with its line in METHODS, this is the whole paper."""

    method: ClassVar[str] = "toy"

    scale: float = 1.0

    def settings(self) -> dict[str, Any]:
        return {"scale": self.scale}


@pytest.fixture(autouse=True)
def toy_is_a_method(monkeypatch):
    monkeypatch.setitem(METHODS, "toy", ToyNet)


@pytest.mark.filterwarnings("ignore:.* has 2 classes")
@pytest.mark.parametrize("data", [OnCritters(), OnVoc(), OnCub(), OnIlsvrc()], ids=lambda data: data.name)
def test_a_paper_of_one_class_trains_and_is_measured_on_every_data_set(data: On, miniature):
    optim = Optim(lr=0.5, momentum=0.0, weight_decay=0.0)
    recipe = Toy(data=miniature(data), scale=3.0, steps=1, batch_size=2, device="cpu", optim=optim)
    recipe.check()
    model, pictures = recipe.model(), recipe.training_data()
    assert len(pictures.classes) == model.conv.out_channels == len(recipe.data.classes)
    before = model.conv.bias.detach().clone()
    history = train(model, pictures, recipe, evaluate=recipe.evaluate)
    assert list(history.final) == ["step", *recipe.data.metrics]
    assert list(scores(recipe.data.center())) == list(recipe.data.metrics[1:])
    assert not torch.equal(model.conv.bias, before)
    # Both losses are sums over the same two pictures, so three times the scale is three times the step.
    torch.manual_seed(0)
    ones = replace(recipe, scale=1.0).model()
    threes = replace(recipe, scale=3.0).model()
    threes.load_state_dict(ones.state_dict())
    start = ones.conv.bias.detach().clone()
    for net, scale in ((ones, 1.0), (threes, 3.0)):
        train(net, pictures, replace(recipe, scale=scale))
    torch.testing.assert_close(threes.conv.bias - start, 3 * (ones.conv.bias - start))


def test_pictures_are_seen_at_the_size_of_the_test_and_counted_in_the_frame(miniature):
    cub = replace(miniature(OnCub()), test_size=96)
    assert cub.training(0).batch([0], epoch=0).images.shape[-2:] == (64, 64)
    seen = cub.testing().batch(range(2))
    assert seen.images.shape[-2:] == (96, 96)
    at_224 = replace(cub, test_size=224).testing().batch(range(2))
    for ours, theirs in zip(seen.boxes, at_224.boxes, strict=True):
        assert (ours * 224 / 96 - theirs).abs().max() <= 224 / 96
    assert {SPG[name].data.test_size for name in ("spg-cub", "spg-ilsvrc")} == {321}


def test_all_problems_of_a_recipe_are_reported_at_once():
    recipe = Toy(
        data=OnVoc(root="/nowhere", size=8, augment="blur"), backbone="vgg", weights="a.pth", frozen=-1,
        best="mIoU", epochs=0,
    )  # fmt: skip
    with pytest.raises(ConfigError) as error:
        recipe.check()
    assert [p.split()[0] for p in error.value.problems] == [
        "epochs", "data.root", "data.size", "data.augment", "best", "backbone", "weights", "frozen",
    ]  # fmt: skip
    assert "best must be one of mAP, MaxBoxAccV2, MaxBoxAcc, PxAP, seed mIoU" in str(error.value)
    with pytest.raises(ConfigError, match=r"3 problems.*data\.n and.*data\.size.*data\.preset must be"):
        Toy(data=OnCritters(n=0, size=8, preset="dogs")).check()


def test_held_out_critters_are_the_same_for_every_seed_and_no_training_pictures():
    data = OnCritters(n=4, held_out=4, size=16)
    assert data.testing() is data.testing()
    assert not torch.equal(data.training(0).images, data.training(1).images)
    assert not torch.equal(data.training(0).images, data.testing().images)


def test_several_species_a_picture_are_measured_as_such():
    data = OnCritters(preset="multi", n=4, held_out=6, size=16)
    assert data.multi_label
    assert data.metrics == ("mAP", "MaxBoxAccV2", "MaxBoxAcc", "PxAP", "seed mIoU", "background score")
    assert list(scores(data.center())) == list(data.metrics[1:])


def test_parts_are_covered_as_by_the_function_on_all_maps_at_once():
    data = OnCritters(held_out=40, size=32)
    pictures, model = data.testing(), Toy(data=data).model()
    batch = pictures.batch(range(40))
    with torch.no_grad():
        raw = model.maps(batch.images, batch.labels.argmax(1, keepdim=True))[:, 0]
    maps = normalize(resize(raw, 32))
    expected = part_coverage(maps, pictures.parts, best_threshold(maps, pictures.masks))
    found = scores(data.each(model))
    for part, share in expected.items():
        assert found[part] == pytest.approx(100 * share, abs=1e-9)


def test_leads_pair_the_pictures_of_what_both_have_counted():
    data = OnCritters(held_out=20, size=16)
    torch.manual_seed(0)
    ours = data.each(Toy(data=data).model())
    same = leads(ours, ours)
    assert same == {name: [0.0, 0.0] for name in data.metrics}  # the same draws of pictures for both
    over = leads(ours, data.center())
    assert list(over) == list(data.metrics[1:])
    for name, (low, high) in over.items():
        assert low <= scores(ours)[name] - scores(data.center())[name] <= high
