from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score
from trees import picture, write, xml

from wsolbook import cli
from wsolbook.backbones.freeze import freeze_layers, freeze_norms
from wsolbook.commands import reproduce
from wsolbook.evaluation.measure import Center, mean_average_precision, measure, measure_seeds
from wsolbook.recipes import RECIPES
from wsolbook.recipes.cam_voc import CamVoc
from wsolbook.training import train
from wsolbook.types import Batch


def voc(root: Path) -> Path:
    for name in ("2007_000001", "2007_000002"):
        picture(root / "JPEGImages" / f"{name}.jpg", 64, 48)
        write(
            root / "Annotations" / f"{name}.xml",
            xml((64, 48), [("cat", (9, 9, 40, 40), ""), ("dog", (1, 1, 20, 20), "")]),
        )
        mask = np.zeros((48, 64), np.uint8)
        mask[8:40, 8:40], mask[0] = 8, 255
        (root / "SegmentationClass").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "SegmentationClass" / f"{name}.png")
    for split in ("train", "val", "trainaug"):
        write(root / "ImageSets" / "Segmentation" / f"{split}.txt", "2007_000001\n2007_000002\n")
    return root


def cub(root: Path) -> Path:
    lists: dict[str, list[str]] = {
        "images": [], "image_class_labels": [], "bounding_boxes": [], "train_test_split": [],
    }  # fmt: skip
    for i, (kind, train_picture) in enumerate([(1, 1), (2, 1), (1, 0), (2, 0)], 1):
        picture(root / "images" / f"{kind:03d}" / f"{i}.jpg", 64, 48)
        lists["images"].append(f"{i} {kind:03d}/{i}.jpg")
        lists["image_class_labels"].append(f"{i} {kind}")
        lists["bounding_boxes"].append(f"{i} 4.0 4.0 20.0 30.0")
        lists["train_test_split"].append(f"{i} {train_picture}")
    for name, lines in lists.items():
        write(root / f"{name}.txt", "\n".join(lines))
    write(root / "classes.txt", "1 001.A\n2 002.B")
    return root


def ilsvrc(root: Path) -> Path:
    for number, wnid in enumerate(("n01", "n02"), 1):
        picture(root / "Data" / "CLS-LOC" / "train" / wnid / f"{wnid}_1.JPEG", 64, 48)
        name = f"ILSVRC2012_val_0000000{number}"
        picture(root / "Data" / "CLS-LOC" / "val" / f"{name}.JPEG", 64, 48)
        write(
            root / "Annotations" / "CLS-LOC" / "val" / f"{name}.xml",
            xml((64, 48), [(wnid, (5, 5, 30, 30), "")]),
        )
    lists = root / "ImageSets" / "CLS-LOC"
    write(lists / "train_cls.txt", "n01/n01_1 1\nn02/n02_1 2\n")
    write(lists / "val.txt", "ILSVRC2012_val_00000001 1\nILSVRC2012_val_00000002 2\n")
    write(root / "LOC_synset_mapping.txt", "n01 tench\nn02 goldfish\n")
    return root


def miniature(name: str, folder: Path):
    """Return a recipe cut down to one step on pictures of 64 pixels."""
    recipe = RECIPES[name](weights=None, steps=1, batch_size=2, workers=0, device="cpu", best="")
    if name.startswith("cam-critters"):
        return replace(recipe, data=replace(recipe.data, n=8, held_out=4, size=16))
    root = {"voc": voc, "cub": cub, "ils": ilsvrc}[name.removeprefix("cam-")[:3]](folder / "data")
    return replace(recipe, data=replace(recipe.data, root=str(root), size=64))


@pytest.mark.filterwarnings("ignore:.* has 2 classes")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if k.backbone in ("vgg16", "googlenet") else [])
        for n, k in RECIPES.items()
    ],
)
def test_every_recipe_builds_takes_one_step_and_is_measured(name, tmp_path, caplog):
    recipe = miniature(name, tmp_path)
    recipe.check()
    recipe = recipe.resolved()
    model, data = recipe.model(), recipe.training_data()
    before = {k: v.clone() for k, v in model.named_parameters()}
    history = train(model, data, recipe)
    assert history.step == 1
    assert np.isfinite(history.losses[0])
    assert not torch.equal(before["linear.weight"], model.linear.weight)
    assert data.batch([0], 0).boxes is None


def test_names_and_targets_are_in_order():
    assert list(RECIPES) == [
        re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower() for kind in RECIPES.values()
    ]
    for kind in RECIPES.values():
        assert kind.target
        assert kind.paper
        documented = "".join(c.__doc__ or "" for c in kind.__mro__)
        assert all(f.name in documented or f.name in ("data", "optim") for f in fields(kind)), kind


def test_the_constants_of_the_papers():
    solver = RECIPES["cam-ilsvrc"]()
    assert (solver.steps, solver.batch_size, solver.backbone) == (160_000, 64, "googlenet")
    assert (solver.optim.lr, solver.optim.momentum, solver.optim.weight_decay) == (1e-3, 0.9, 5e-4)
    assert (solver.optim.biases, solver.optim.decay_biases, solver.optim.new_layers) == (2.0, False, 1.0)
    assert solver.schedule.milestones == (40_000, 80_000, 120_000)
    seeds = RECIPES["cam-voc"]()
    assert (seeds.epochs, seeds.batch_size, seeds.data.size, seeds.schedule.power) == (15, 16, 448, 0.9)


def test_the_slip_of_the_released_optimizer_is_a_switch():
    assert CamVoc().resolved().optim.momentum == 5e-4
    assert CamVoc(momentum_slip=False).resolved().optim.momentum == 0.9


def test_frozen_layers_and_norms_stay_as_they_are():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 4, 3))
    freeze_layers(net, 1)
    freeze_norms(net)
    assert [p.requires_grad for p in net.parameters()] == [False, False, False, False, True, True]
    before = net[1].running_mean.clone()
    net.train()
    images = torch.randn(2, 3, 8, 8) + 5
    seen = net[:2](images)
    assert torch.equal(net[1].running_mean, before)
    torch.testing.assert_close(seen, net[0](images) / (1 + 1e-5) ** 0.5)


class Drawn:
    """Two pictures with known boxes and masks, and a network whose maps are known."""

    classes = ("a", "b")
    box_classes = (torch.tensor([0, 1]), torch.tensor([1]))

    def __len__(self):
        return 2

    def batch(self, index, epoch=None):
        masks = torch.zeros(2, 224, 224, dtype=torch.uint8)
        masks[0, 10:60, 20:90], masks[0, 100:200, 100:200], masks[1, 50:150, 50:150] = 1, 2, 2
        boxes = [torch.tensor([[20, 10, 89, 59], [100, 100, 199, 199]]), torch.tensor([[50, 50, 149, 149]])]
        labels = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
        pick = list(index)
        images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 224, 224)
        return Batch(images[pick], labels[pick], torch.tensor(pick), [boxes[i] for i in pick], masks[pick])


class Perfect:
    def __call__(self, images):
        return Drawn().batch(images[:, 0, 0, 0].long().tolist()).labels - 0.5

    def maps(self, images, classes):
        masks = Drawn().batch(images[:, 0, 0, 0].long().tolist()).masks
        return (masks[:, None] == classes[:, :, None, None] + 1).float()


def test_perfect_maps_score_100_and_the_center_does_not():
    found = measure(Perfect(), Drawn(), multi_label=True)
    assert found == {"mAP": 100, "MaxBoxAccV2": 100, "MaxBoxAcc": 100, "PxAP": 100}
    center = measure(Center(2), Drawn(), multi_label=True)
    # Only the box in the middle of picture 1 overlaps a centered one by more than half.
    assert center["MaxBoxAcc"] == pytest.approx(100 / 3)
    assert measure(Perfect(), Drawn(), multi_label=True, batch_size=1) == found


def test_perfect_seeds_score_100():
    assert measure_seeds(Perfect(), Drawn()) == {"seed mIoU": 100, "background score": 0.0}


def test_average_precision_is_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(40, 5, generator=generator) < 0.3).float()
    scores = (torch.randn(40, 5, generator=generator) + labels).round(decimals=1)  # with ties
    expected = 100 * average_precision_score(labels.numpy(), scores.numpy(), average="macro")
    assert mean_average_precision(scores, labels) == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least one positive"):
        mean_average_precision(scores, torch.zeros(40, 5))


def test_reproduce_writes_numbers_with_their_provenance(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [
        "reproduce", "cam-critters", "--seeds", "0", "1", "--steps", "2", "--batch-size", "4",
        "--device", "cpu", "--data.n", "8", "--data.held-out", "6", "--data.size", "16",
    ]  # fmt: skip
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    record = json.loads((tmp_path / "results" / "cam-critters.json").read_text())
    assert len(record["metrics"]["top-1"]) == 2
    assert record["target"] == {"top-1": 95.0}
    parts = {"head", "body", "limbs", "background"}
    assert record["center"].keys() == {"MaxBoxAccV2", "MaxBoxAcc", "PxAP"} | parts
    about = record["provenance"]
    assert about["command"] == "wsolbook " + " ".join(arguments)
    assert about["seeds"] == [0, 1]
    assert set(about) >= {"commit", "device", "threads", "versions", "seconds", "date"}
    assert str(tmp_path) not in json.dumps(record)
    assert reproduce.compare(record) in said
    assert re.search(r"top-1 +\S+ ± \S+ +95\.0", said)


def test_reproduce_needs_a_name(capsys):
    assert cli.main(["reproduce"]) == 1
    assert "give the name of a recipe first, one of cam-critters" in capsys.readouterr().err
