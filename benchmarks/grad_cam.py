"""What the pictures of chapter 3 agree with: occlusion, removed parts, another class, a network of noise.

Trains the network of the chapter once a seed and asks each method the same questions on held-out critters.
Maps are compared by rank correlation on the grid of the last convolution, mean over the pictures; the last
two questions are areas under curves of deletion and insertion. Writes `results/grad-cam-critters.json`.

    python benchmarks/grad_cam.py [--seeds 0 1 2] [--pictures 200]
"""

from __future__ import annotations

import copy
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from jaxtyping import Float, Int
from torch import Tensor, nn

from wsolbook import results
from wsolbook.backbones import build
from wsolbook.cam import (
    area,
    backprop,
    cam,
    deletion,
    grad_cam,
    guided_backprop,
    insertion,
    occlusion,
)
from wsolbook.data import critters
from wsolbook.data.transforms import to_network
from wsolbook.evaluation.sources import center_gaussian
from wsolbook.files import write_json
from wsolbook.maps import resize
from wsolbook.metrics import part_evidence, part_importance, rank_agreement
from wsolbook.results import provenance
from wsolbook.training import Optim, Schedule, TrainConfig, train
from wsolbook.types import Maps

TRAINING = 1500  # pictures
RANDOM = {"random linear": ("linear",), "random stage 4": ("linear", "features.stage4")}
PATCH, STRIDE = 16, 8  # pixels of 64

Answers = dict[str, dict[str, float]]  # method -> question -> number


@dataclass(frozen=True)
class Options:
    """Measure CAM, Grad-CAM, gradients and their product.

    Attributes:
        seeds: one training each; the pictures are the same for all.
        pictures: held-out critters to ask.
        steps: of deletion and insertion, from one end to the other.
        jobs: seeds at a time, each on one thread.
        out: the file.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    pictures: int = 200
    steps: int = 8
    jobs: int = 3
    out: Path = results.folder() / "grad-cam-critters.json"


def trained(seed: int) -> nn.Module:
    """Train the network of the chapter."""
    settings = TrainConfig(
        epochs=2, batch_size=32, optim=Optim(lr=0.05), schedule=Schedule("cosine"), seed=seed, device="cpu"
    )
    torch.manual_seed(seed)
    model = build("tiny", classes=8, weights="critters")
    train(model, critters.Critters(TRAINING, split="train"), settings)
    return model.eval()


def maps_of(
    model: nn.Module, x: Float[Tensor, "n 3 h w"], classes: Int[Tensor, " n"]
) -> dict[str, Float[Tensor, "n h w"]]:
    """Return the map of each method at the size of the pictures."""
    size = (x.shape[-2], x.shape[-1])
    coarse = resize(grad_cam(model, x, classes).values[:, 0], size)
    lines = guided_backprop(model, x, classes).values[:, 0].abs().sum(1)
    return {
        "CAM": resize(cam(model, x, classes).values[:, 0], size),
        "Grad-CAM": coarse,
        "Guided Grad-CAM": lines * coarse,
        "guided backprop": lines,
        "gradient": backprop(model, x, classes).values[:, 0],
        "center": center_gaussian(size).float().expand(len(x), -1, -1),
    }


def similarity(a: Float[Tensor, "n h w"], b: Float[Tensor, "n h w"], grid: int) -> float:
    """Return the mean rank correlation of pairs of maps on a grid."""
    pairs = (resize(m, grid).flatten(1) for m in (a, b))
    return float(rank_agreement(*pairs).nanmean())


def randomized(model: nn.Module, names: tuple[str, ...], seed: int) -> nn.Module:
    """Return a copy of a network with some of its modules initialized anew."""
    twin = copy.deepcopy(model)
    torch.manual_seed(seed)
    for name in names:
        for module in twin.get_submodule(name).modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return twin.eval()


def ask(model: nn.Module, data: critters.Critters, steps: int, seed: int) -> Answers:
    """Return what each method answers, by method and question."""
    test = data.batch(range(len(data)))
    x, true = test.images, test.labels.argmax(1)
    other = (true + 4) % len(data.classes)
    mine, wrong = maps_of(model, x, true), maps_of(model, x, other)
    grid = cam(model, x[:1]).values.shape[-1]

    drops = occlusion(model, x, true, patch=PATCH, stride=STRIDE).values[:, 0]
    without = {
        part: to_network(
            critters.render([s.without(part) for s in data.scenes], data.images.shape[-1]).images
        )
        for part in critters.PARTS
    }
    falls = torch.stack(list(part_importance(model, x, without, true).values()), 1)
    twins = {name: maps_of(randomized(model, modules, seed), x, true) for name, modules in RANDOM.items()}

    found = {}
    for name, value in mine.items():
        as_maps = Maps(value[:, None], torch.empty(0), true[:, None])
        found[name] = {
            "occlusion": similarity(value, drops, grid),
            "removed parts": float(rank_agreement(part_evidence(value, data.parts), falls).nanmean()),
            "another class": similarity(value, wrong[name], grid),
            **{what: similarity(value, twin[name], grid) for what, twin in twins.items()},
            "deletion": float(area(deletion(model, x, as_maps, steps)).mean()),
            "insertion": float(area(insertion(model, x, as_maps, steps)).mean()),
        }
    return found


def one_seed(options: Options, seed: int) -> tuple[Answers, float]:
    """Train and ask; return the answers and the seconds it took."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    data = critters.Critters(options.pictures, split="val")
    return ask(trained(seed), data, options.steps, seed), round(time.perf_counter() - start, 1)


def main(options: Options) -> None:
    """Train, ask, print and write."""
    torch.set_num_threads(1)
    where, n = provenance(), len(options.seeds)
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as jobs:
        answers, seconds = zip(*jobs.map(one_seed, [options] * n, options.seeds), strict=True)
    methods = {
        name: {question: [a[name][question] for a in answers] for question in of}
        for name, of in answers[0].items()
    }
    questions = list(methods["CAM"])
    rows = [[name, *(results.spread(of[q], 2) for q in questions)] for name, of in methods.items()]
    print(results.table(("method", *questions), rows))
    about = {
        "command": " ".join(["python benchmarks/grad_cam.py", *sys.argv[1:]]),
        "seeds": list(options.seeds),
        "seconds": list(seconds),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    pictures = {"training": TRAINING, "evaluated": options.pictures}
    write_json(options.out, {"methods": methods, "pictures": pictures, "provenance": about | where})


if __name__ == "__main__":
    main(tyro.cli(Options))
