"""A recipe over several seeds: train, measure, and keep the numbers with where they come from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from wsolbook.evaluation import Center
from wsolbook.files import read_json
from wsolbook.profiles import best_device
from wsolbook.recipes.on import leads
from wsolbook.recipes.recipe import Recipe
from wsolbook.results import provenance
from wsolbook.training.config import plain
from wsolbook.training.loop import train


def reproduce(
    name: str, recipe: Recipe, seeds: Sequence[int], runs: Path, command: Sequence[str]
) -> dict[str, Any]:
    """Train and measure a recipe once a seed, and return what results/NAME.json holds.

    A run that was stopped goes on where it was; a seed that is done is not trained again.

    Args:
        name: of the recipe.
        recipe: as `resolved`.
        seeds: one training each.
        runs: folder of the run folders NAME-seedS.
        command: the words of the command line.

    Raises:
        ValueError: when there is no seed or one comes twice, or a run was begun by another commit.
        Stopped: after a signal; what was done is saved.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different numbers, at least one, got {list(seeds)}")
    where = provenance(best_device() if recipe.device == "auto" else recipe.device)
    folders = {seed: runs / f"{name}-seed{seed}" for seed in seeds}
    for folder in folders.values():
        _require_commit(folder, where["commit"])
    found, each, seconds = [], [], []
    for seed, folder in folders.items():
        started = time.perf_counter()
        one = replace(recipe, seed=seed)
        torch.manual_seed(seed)
        model, data = one.model(), one.training_data()
        history = train(model, data, one, run=folder, evaluate=one.evaluate, resume="auto")
        found.append(history.final)
        each.append(one.data.each_map(model.eval(), one.workers))
        whole = len(history.losses) == history.step
        seconds.append(round(time.perf_counter() - started, 1) if whole else None)
    blind = recipe.data.each_map(Center(len(recipe.data.classes)), recipe.workers)
    over_center = [leads(ours, blind) for ours in each]
    config = plain(recipe)
    return {
        "name": name,
        "metrics": {metric: [float(one[metric]) for one in found] for metric in recipe.data.metrics},
        "target": config.pop("target"),
        "target_source": config.pop("source"),
        "center": recipe.data.center(),
        "over_center": {metric: [lead[metric] for lead in over_center] for metric in over_center[0]},
        "pictures": {"training": len(data), "evaluated": len(recipe.data.testing())},
        "provenance": {
            "command": " ".join(command),
            "seeds": list(seeds),
            "seconds": seconds,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            **where,
        },
        "config": {key: value for key, value in config.items() if key != "seed"},
    }


def _require_commit(folder: Path, commit: str | None) -> None:
    """Raise a ValueError if a run was begun by another commit: one result has one origin."""
    about = folder / "config.json"
    if about.is_file() and (before := read_json(about, "remove the folder").get("commit")) != commit:
        raise ValueError(f"{folder} was begun at commit {before}, this is {commit}: remove the folder")
