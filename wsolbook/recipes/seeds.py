"""A recipe over several seeds: train, measure, and keep the numbers with where they come from."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from wsolbook.evaluation import Tally
from wsolbook.files import read_json
from wsolbook.profiles import best_device
from wsolbook.recipes.on import leads, scores
from wsolbook.recipes.recipe import Recipe
from wsolbook.results import provenance
from wsolbook.training.config import FREE, digest, plain
from wsolbook.types import Network, Samples


def reproduce(
    name: str, recipe: Recipe, seeds: Sequence[int], runs: Path, command: Sequence[str]
) -> dict[str, Any]:
    """Train and measure a recipe and its columns once a seed, and return what results/NAME.json holds.

    A run that was stopped goes on where it was; a seed that is done is not trained again.

    Args:
        name: of the recipe.
        recipe: as `resolved`, with columns as they are to be run.
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
    runs_of = {name: name} | {column: f"{name}-{column.replace(' ', '-')}" for column in recipe.columns}
    folders = {(of, s): runs / f"{run}-seed{s}" for of, run in runs_of.items() for s in seeds}
    earlier = [folder for s in seeds for folder in (runs / f"{name}-before-seed{s}").glob("*/")]
    for folder in (*folders.values(), *earlier):
        _require_commit(folder, where["commit"])
    blind = recipe.blind()
    main, columns = _Column(), {column: _Column() for column in recipe.columns}
    for seed in seeds:
        before = runs / f"{name}-before-seed{seed}"
        one = replace(recipe, seed=seed).prepared(before)
        data = one.data.training(seed)
        trained: dict[str, Network] = {}
        ours = main.run(one, data, folders[name, seed], trained)
        main.lead(ours, blind)
        for column in recipe.columns:
            theirs = one.column(column).prepared(before)
            counted = columns[column].run(theirs, data, folders[column, seed], trained)
            columns[column].lead(counted, ours)
    config = plain(recipe)
    return {
        "name": name,
        "metrics": main.metrics,
        "target": config.pop("target"),
        "target_source": config.pop("source"),
        "center": scores(blind),
        "over_center": main.leads,
        "columns": {
            column: {
                "changed": _changed(recipe, column),
                "metrics": columns[column].metrics,
                "lead": columns[column].leads,
                "seconds": columns[column].seconds,
            }
            for column in config.pop("columns")
        },
        "pictures": {"training": len(data), "evaluated": len(recipe.data.testing())},
        "provenance": {
            "command": " ".join(command),
            "seeds": list(seeds),
            "seconds": main.seconds,
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            **where,
        },
        "config": {key: value for key, value in config.items() if key != "seed"},
    }


class _Column:
    """What the seeds of one recipe found.

    Attributes:
        metrics: each number, a value a seed.
        leads: intervals of a lead, one a seed.
        seconds: of each seed; None for one that an earlier call began.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, list[float]] = {}
        self.leads: dict[str, list[list[float]]] = {}
        self.seconds: list[float | None] = []

    def run(
        self, recipe: Recipe, data: Samples, folder: Path, trained: dict[str, Network]
    ) -> list[Tally[Any]]:
        """Train and measure one seed, and return the counts of its test pictures.

        A network of `trained` whose training was the same is not trained again, only its maps are made anew.
        """
        started = time.perf_counter()
        counted: list[Tally[Any]] = []

        def measure(model: Network) -> dict[str, float]:
            counted[:] = recipe.each(model)
            return scores(counted)

        training = _training(recipe)
        if training in trained:
            model = copy.copy(trained[training])
            model.settings = model.settings | recipe.settings()
            found, whole = measure(model), True
        else:
            torch.manual_seed(recipe.seed)
            model = recipe.model()
            seen = recipe.shows(data)
            history = recipe.fit(model, seen, run=folder, evaluate=measure, resume="auto")
            found, whole = history.final, len(history.losses) == history.step
            if not counted:  # all was done before
                measure(model)
            if recipe.at_test:
                trained[training] = model
        for metric in recipe.metrics:
            self.metrics.setdefault(metric, []).append(float(found[metric]))
        self.seconds.append(round(time.perf_counter() - started, 1) if whole else None)
        return counted

    def lead(self, own: list[Tally[Any]], others: list[Tally[Any]]) -> None:
        """Keep how far its own numbers of a seed lie above others."""
        for metric, interval in leads(own, others).items():
            self.leads.setdefault(metric, []).append(interval)


def _training(recipe: Recipe) -> str:
    """Return a short hash of all that can change the trained network."""
    config = {key: value for key, value in plain(recipe).items() if key not in recipe.at_test}
    return digest(config | {"method": recipe.method})


def _changed(recipe: Recipe, column: str) -> dict[str, Any]:
    """Return the settings in which a column differs, and its method where that is another."""
    given, theirs, ours = recipe.columns[column], plain(recipe.column(column)), plain(recipe)
    if isinstance(given, Mapping):
        return {name: theirs[name] for name in given}
    own = {key: value for key, value in theirs.items() if key not in FREE and value != ours.get(key)}
    return {"method": recipe.column(column).method} | own


def _require_commit(folder: Path, commit: str | None) -> None:
    """Raise a ValueError if a run was begun by another commit: one result has one origin."""
    for about in folder.glob("**/config.json"):
        if (before := read_json(about, "remove the folder").get("commit")) != commit:
            raise ValueError(f"{folder} was begun at commit {before}, this is {commit}: remove the folder")
