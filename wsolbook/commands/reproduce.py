"""`wsolbook reproduce NAME`: train over seeds, evaluate, keep the numbers with where they come from."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from wsolbook import results
from wsolbook.distributed import rank_and_world
from wsolbook.files import write_json
from wsolbook.recipes import RECIPES, Recipe, named, seeds
from wsolbook.training.faults import EXIT_STOPPED, Stopped


@dataclass(frozen=True)
class Reproduce:
    """Train a recipe over several seeds and write results/NAME.json.

    A run that was stopped goes on where it was; a seed that is done is not trained again.

    Attributes:
        settings: what the recipe decides.
        seeds: one training each.
        runs: folder of the run folders.
        out: folder of the results.
    """

    settings: Annotated[Recipe, tyro.conf.arg(name="")]
    seeds: tuple[int, ...] = (0, 1, 2)
    runs: Path = Path("runs")
    out: Path = Path("results")


def reproduce(arguments: list[str]) -> int:
    """Reproduce the recipe that the first of `arguments` names, and print our numbers beside the target's."""
    name, rest = "".join(arguments[:1]), arguments[1:]
    if name in ("-h", "--help"):
        print("usage: wsolbook reproduce RECIPE [OPTIONS]\n", *RECIPES, sep="\n  ")
        print("\nwsolbook reproduce RECIPE --help shows its options.")
        return 0
    prog = f"wsolbook reproduce {name}"
    options = tyro.cli(Reproduce, args=rest, prog=prog, default=Reproduce(named(name)))
    recipe = options.settings.resolved()
    recipe.check()
    command = ["wsolbook", "reproduce", *arguments]
    try:
        record = seeds.reproduce(name, recipe, options.seeds, options.runs, command)
    except Stopped as stopped:
        print(f"wsolbook: {stopped}", file=sys.stderr)
        return EXIT_STOPPED
    if rank_and_world()[0] == 0:
        write_json(options.out / f"{name}.json", record)
        print(results.compare(record))
        if str(record["provenance"]["commit"]).endswith("-dirty"):
            print(
                "wsolbook: made with uncommitted changes; commit them before a result is kept",
                file=sys.stderr,
            )
    return 0
