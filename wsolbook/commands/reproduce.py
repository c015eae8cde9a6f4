"""`wsolbook reproduce NAME`: train over seeds, evaluate, keep the numbers with where they come from."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import torch
import tyro

from wsolbook import results
from wsolbook.distributed import rank_and_world
from wsolbook.files import write_json
from wsolbook.profiles import best_device
from wsolbook.recipes import RECIPES, Recipe
from wsolbook.training.config import ConfigError, plain
from wsolbook.training.interrupt import EXIT_STOPPED, Stopped
from wsolbook.training.loop import train
from wsolbook.training.provenance import provenance

R = TypeVar("R", bound=Recipe)


@dataclass(frozen=True)
class Options(Generic[R]):
    """Train a recipe over several seeds and write results/NAME.json.

    A run that was stopped goes on where it was; a seed that is done is not trained again.

    Attributes:
        settings: what the recipe decides.
        seeds: one training each.
        runs: folder of the run folders.
        out: folder of the results.
    """

    settings: Annotated[R, tyro.conf.arg(name="")]
    seeds: tuple[int, ...] = (0, 1, 2)
    runs: Path = Path("runs")
    out: Path = Path("results")


def reproduce(arguments: list[str]) -> int:
    """Reproduce the recipe that the first of `arguments` names, and print ours beside the paper's numbers."""
    name, options = parse(arguments)
    recipes = [replace(options.settings, seed=seed).resolved() for seed in options.seeds]
    recipes[0].check()
    started = time.perf_counter()
    try:
        found = [run(name, recipe, options.runs) for recipe in recipes]
    except Stopped as stopped:
        print(f"wsolbook: {stopped}", file=sys.stderr)
        return EXIT_STOPPED
    seconds = time.perf_counter() - started
    record = summary(name, recipes, found, ["wsolbook", "reproduce", *arguments], seconds)
    if rank_and_world()[0] == 0:
        write_json(options.out / f"{name}.json", record)
        print(compare(record))
    return 0


def run(name: str, recipe: Recipe, folder: Path) -> dict[str, float]:
    """Train and measure one seed, or go on with it, and return its metrics."""
    torch.manual_seed(recipe.seed)
    place = folder / f"{name}-seed{recipe.seed}"
    data = recipe.training_data()
    history = train(recipe.model(), data, recipe, run=place, evaluate=recipe.evaluate, resume="auto")
    return {metric: float(value) for metric, value in history.final.items() if metric != "step"}


def summary(
    name: str, recipes: list[Recipe], found: list[dict[str, float]], command: list[str], seconds: float
) -> dict[str, Any]:
    """Return what results/NAME.json holds: metrics of each seed, the paper's, and where ours come from."""
    device = best_device() if recipes[0].device == "auto" else recipes[0].device
    config = plain(recipes[0])
    config.pop("seed")
    return {
        "name": name,
        "metrics": {metric: [one[metric] for one in found] for metric in found[0]},
        "target": recipes[0].target,
        "target_source": recipes[0].paper,
        "center": recipes[0].baseline(),
        "provenance": {
            "command": " ".join(command),
            "seeds": [recipe.seed for recipe in recipes],
            "seconds": round(seconds, 1),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            **provenance(device),
        },
        "config": config,
    }


def compare(record: dict[str, Any]) -> str:
    """Return our numbers, mean and spread over seeds, beside the target's and those of the center."""
    rows = [
        (
            metric,
            results.spread(ours, digits=2 if metric == "background score" else 1),
            *(f"{record[of][metric]:.1f}" if metric in record[of] else "" for of in ("target", "center")),
        )
        for metric, ours in record["metrics"].items()
    ]
    table = results.table((record["name"], "ours", "target", "center"), rows)
    seeds = len(record["provenance"]["seeds"])
    return f"{table}\n\nover {seeds} seed{'s' * (seeds > 1)}; target: {record['target_source']}"


def parse(arguments: list[str]) -> tuple[str, Options]:
    """Read the name of a recipe and its options.

    Raises:
        ConfigError: when there is no such recipe.
    """
    finder = argparse.ArgumentParser(prog="wsolbook reproduce", add_help=False)
    finder.add_argument("name", nargs="?", default="")
    name = finder.parse_known_args(arguments[:1])[0].name
    if name not in RECIPES:
        raise ConfigError([f"give the name of a recipe first, one of {', '.join(RECIPES)}"])
    kind: Any = RECIPES[name]
    return name, tyro.cli(Options[kind], args=arguments[1:], prog=f"wsolbook reproduce {name}")
