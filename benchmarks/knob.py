"""When does erasing help? CAM, ACoL and SPG as the body tells more and more of the species.

Writes `results/erasing-knob.json`: for each `body_cue`, what `wsolbook reproduce` writes of CAM, with ACoL
and SPG as its columns, on the same pictures, in the same number of steps. Settings are those of the recipes,
which were searched at `body_cue` 0.5 on other pictures.

    python benchmarks/knob.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from wsolbook import results
from wsolbook.files import write_json
from wsolbook.recipes import RECIPES, OnCritters, seeds
from wsolbook.recipes.recipe import Recipe


@dataclass(frozen=True)
class Knob:
    """Turn the knob.

    Attributes:
        cues: probabilities that an animal wears its own species' body.
        seeds: one training each of every method.
        n: training pictures.
        held_out: pictures to measure on.
        epochs: of each training.
        runs: folder of the run folders; what is done there is not done again.
        out: the file.
    """

    cues: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    n: int = 1024
    held_out: int = 300
    epochs: int = 4
    runs: Path = Path("runs")
    out: Path = results.folder() / "erasing-knob.json"


def recipe(cue: float, options: Knob) -> Recipe:
    """Return CAM at a cue, with the others as columns."""
    data = OnCritters(n=options.n, held_out=options.held_out, body_cue=cue)
    cam, acol, spg = (
        replace(one, data=data, epochs=options.epochs, device="cpu", channels_last=True, columns={})
        for one in (
            RECIPES["acol-critters"].column("CAM"),
            RECIPES["acol-critters"],
            RECIPES["spg-critters"],
        )
    )
    columns = {"ACoL": acol, "ACoL, first map": replace(acol, fusion="first"), "SPG": spg}
    return replace(cam, source="ours", target={}, columns=columns)


def main(options: Knob) -> None:
    """Train, measure and write."""
    torch.set_num_threads(1)
    command = ["python", "benchmarks/knob.py", *sys.argv[1:]]
    found = {
        str(cue): seeds.reproduce(f"knob-{cue}", recipe(cue, options), options.seeds, options.runs, command)
        for cue in options.cues
    }
    origin = next(iter(found.values()))["provenance"]
    write_json(options.out, {"name": "erasing-knob", "cues": found, "provenance": origin})


if __name__ == "__main__":
    main(tyro.cli(Knob))
