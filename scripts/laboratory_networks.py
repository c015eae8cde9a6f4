"""Train the networks of the laboratory: `python scripts/laboratory_networks.py`.

Each is one recipe of the book, seed 0, and becomes one file of at most 350 kB that the page reads. What the
file's integers cost is measured on 200 test pictures against the network as it was trained, whose scores and
maps are kept for the tests. A network that lies in `runs/laboratory` already is not trained again.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from wsolbook import methods, results
from wsolbook.backbones import Classifier
from wsolbook.cam import cam
from wsolbook.data import critters
from wsolbook.data.critters import Critters
from wsolbook.files import atomic
from wsolbook.recipes import RECIPES
from wsolbook.recipes.on import OnCritters
from wsolbook.recipes.recipe import Recipe
from wsolbook.show.portable import SHIPPED, portable
from wsolbook.training.loop import train
from wsolbook.types import Network

ROOT = Path(__file__).resolve().parents[1]
RUNS, STORED = ROOT / "runs" / "laboratory", ROOT / "tests" / "show" / "laboratory"
CAM, ACOL, SPG, SEENET = (
    RECIPES[name] for name in ("cam-critters", "acol-critters", "spg-critters", "seenet-multi")
)
NETWORKS: dict[str, tuple[str, Recipe]] = {
    "cam": ("cam-critters", CAM),
    "gain": ("gain-critters", RECIPES["gain-critters"]),
    # Branches as narrow as a small file has them; no second look at the mirrored picture.
    "acol": ("acol-critters, width 12", replace(ACOL, width=12)),
    "spg": ("spg-critters, width 24", replace(SPG, width=24)),
    # At the rate of a softmax, as on birds: at that of the recipe 12 % of the names are wrong.
    "seenet": (
        "seenet-multi on single animals, loss summed, rate 0.05, width 12, map of the picture as it is",
        replace(
            SEENET,
            data=CAM.data,
            reduction="sum",
            optim=replace(SEENET.optim, lr=0.05),
            width=12,
            dropout=0.0,
            mirror=False,
            scaled="map",
        ),
    ),
    "biased": ("cam-critters, ducks always on water", replace(CAM, data=OnCritters(preset="biased"))),
}
PICTURES = 200


def trained(name: str, recipe: Recipe) -> Network:
    """Return the network of a recipe, seed 0."""
    path = RUNS / f"{name}.safetensors"
    if not path.is_file():
        torch.manual_seed(recipe.seed)
        model = recipe.model()
        train(model, recipe.training_data(), recipe)
        path.parent.mkdir(parents=True, exist_ok=True)
        methods.save(model, path)
    return methods.load(path).eval()


def of_page(model: Network, images: Tensor, classes: Tensor) -> Tensor:
    """Return the maps that the page is to show: of classifiers those of CAM, of others the method's own."""
    return (
        cam(model, images, classes).values[:, 0]
        if isinstance(model, Classifier)
        else model.maps(images, classes)
    )


def main(names: list[str]) -> None:
    """Train, write, and say how large each file is."""
    test = Critters(PICTURES, split="test")
    images = test.batch(range(PICTURES)).images
    for name in names or NETWORKS:
        title, settings = NETWORKS[name]
        recipe = replace(settings.resolved(), seed=0, evaluate_every=0)
        model = trained(name, recipe)
        with torch.no_grad():
            scores = model(images)
        named = scores.argmax(1)
        stored = {"scores": scores, "maps": of_page(model, images, named).half()}
        right = (named == test.labels.argmax(1)).float().mean()
        about = {
            "name": name,
            "recipe": title,
            "seed": 0,
            "right on 200 test pictures": round(float(right), 3),
        }
        about |= {"command": f"python scripts/laboratory_networks.py {name}", **results.provenance()}
        path = SHIPPED / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(portable(model, critters.MAIN, about))
        STORED.mkdir(exist_ok=True)
        save_file(stored, STORED / f"{name}.safetensors")
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB, {100 * right:.1f} % right")


if __name__ == "__main__":
    main(sys.argv[1:])
