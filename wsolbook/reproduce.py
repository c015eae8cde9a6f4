"""`wsolbook reproduce NAME`: train over seeds, evaluate, keep the numbers with where they come from."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import torch
import tyro

from wsolbook import results
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
    try:
        found = [run(name, recipe, options.runs) for recipe in recipes]
    except Stopped as stopped:
        print(f"wsolbook: {stopped}", file=sys.stderr)
        return EXIT_STOPPED
    record = summary(name, recipes, found, ["wsolbook", "reproduce", *arguments])
    write_json(options.out / f"{name}.json", record)
    print(compare(record))
    return 0


def run(name: str, recipe: Recipe, folder: Path) -> dict[str, float]:
    """Train and measure one seed; return its metrics and the seconds this took, over all of its parts."""
    started = time.perf_counter()
    torch.manual_seed(recipe.seed)
    model = recipe.model()
    place = folder / f"{name}-seed{recipe.seed}"
    history = train(model, recipe.training_data(), recipe, run=place, evaluate=recipe.evaluate, resume="auto")
    measured = {k: float(v) for k, v in history.final.items() if k != "step"}
    return measured | {"seconds": time.perf_counter() - started}


def summary(
    name: str, recipes: list[Recipe], found: list[dict[str, float]], command: list[str]
) -> dict[str, Any]:
    """Return what results/NAME.json holds: metrics of each seed, their mean and spread, and provenance.

    The spread is the standard deviation over seeds (n - 1 in the denominator), None for a single seed.
    """
    metrics = [metric for metric in found[0] if metric != "seconds"]
    values = {metric: [one[metric] for one in found] for metric in metrics}
    config = plain(recipes[0])
    config.pop("seed")
    return {
        "name": name,
        "paper": recipes[0].paper,
        "target": recipes[0].target,
        "metrics": {
            metric: {
                "mean": statistics.fmean(v),
                "spread": statistics.stdev(v) if len(v) > 1 else None,
                "seeds": v,
            }
            for metric, v in values.items()
        },
        "baseline": recipes[0].baseline(),
        "provenance": {
            "command": " ".join(command),
            "seeds": [recipe.seed for recipe in recipes],
            "seconds": [round(one["seconds"], 1) for one in found],
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            **provenance(best_device() if recipes[0].device == "auto" else recipes[0].device),
        },
        "config": config,
    }


def compare(record: dict[str, Any]) -> str:
    """Return our numbers beside the target's as a text table."""
    rows = []
    for metric, ours in record["metrics"].items():
        spread = "" if ours["spread"] is None else f" ± {ours['spread']:.1f}"
        target, centre = record["target"].get(metric), record["baseline"].get(metric)
        rows.append(
            (
                metric,
                f"{ours['mean']:.1f}{spread}" if metric != "background score" else f"{ours['mean']:.2f}",
                "" if target is None else f"{target:.1f}",
                "" if centre is None else f"{centre:.1f}",
            )
        )
    table = results.table((record["name"], "ours", "target", "centre"), rows)
    return f"{table}\n\ntarget: {record['paper']}; {len(record['provenance']['seeds'])} seeds, mean ± spread"


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
