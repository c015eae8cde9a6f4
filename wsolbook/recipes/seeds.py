"""A recipe over several seeds: train, measure, and keep the numbers with where they come from."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from wsolbook.distributed import rank_and_world
from wsolbook.evaluation import Tally
from wsolbook.files import read_json, write_json
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

    A run that was stopped goes on where it was; a seed that is done is neither trained nor measured again.

    Args:
        name: of the recipe.
        recipe: as `resolved`, with columns as they are to be run.
        seeds: one training each.
        runs: folder of the run folders NAME-seedS, and of NAME-COLUMN-seedS and NAME-before-seedS.
        command: the words of the command line.

    Raises:
        ValueError: when there is no seed or one comes twice, or a run was begun by another commit.
        Stopped: after a signal; what was done is saved.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different numbers, at least one, got {list(seeds)}")
    where = provenance(best_device() if recipe.device == "auto" else recipe.device)
    for seed in seeds:
        for of in ("", "before", *recipe.columns):
            _require_commit(_folder(runs, name, seed, of), where["commit"])
    blind = recipe.blind()
    found = [_one_seed(name, replace(recipe, seed=seed), runs, blind, where["commit"]) for seed in seeds]

    def over(kind: str, column: str) -> dict[str, Any]:
        return {key: [each[kind][column][key] for each in found] for key in found[0][kind][column]}

    config = plain(recipe)
    return {
        "name": name,
        "metrics": over("metrics", name),
        "target": config.pop("target"),
        "target_source": config.pop("source"),
        "center": scores(blind),
        "over_center": over("lead", name),
        "columns": {
            column: {
                "changed": _changed(recipe, column),
                "metrics": over("metrics", column),
                "lead": over("lead", column),
                "seconds": [each["seconds"][column] for each in found],
            }
            for column in config.pop("columns")
        },
        "pictures": {"training": found[-1]["pictures"], "evaluated": len(recipe.data.testing())},
        "provenance": {
            "command": " ".join(command),
            "seeds": list(seeds),
            "seconds": [each["seconds"][name] for each in found],
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            **where,
        },
        "config": {key: value for key, value in config.items() if key != "seed"},
    }


def _folder(runs: Path, name: str, seed: int, of: str = "") -> Path:
    """Return the folder of a recipe for one seed, or of a column, or of what is trained before."""
    return runs / f"{'-'.join([name, *of.split()])}-seed{seed}"


def _one_seed(
    name: str, recipe: Recipe, runs: Path, blind: list[Tally[Any]], commit: str | None
) -> dict[str, Any]:
    """Return numbers, leads and seconds of a recipe and its columns for one seed; keep them in its folder.

    What is kept there is taken where settings and commit are the same and nothing was changed since. Seconds
    are None for a training that an earlier call began.
    """
    own, before = _folder(runs, name, recipe.seed), _folder(runs, name, recipe.seed, "before")
    file, about = own / "found.json", {"commit": commit, "config": plain(recipe)}
    if file.is_file() and commit is not None and not commit.endswith("-dirty"):
        kept = read_json(file, "remove the folder")
        if all(kept.get(key) == value for key, value in about.items()):
            return kept
    one = recipe.prepared(before)
    data = one.data.training(recipe.seed)
    trained: dict[str, Network] = {}
    metrics, seconds = {}, {}
    metrics[name], seconds[name], ours = _train_and_measure(one, data, own, trained)
    lead = {name: leads(ours, blind)}
    for column in recipe.columns:
        theirs, folder = one.column(column).prepared(before), _folder(runs, name, recipe.seed, column)
        metrics[column], seconds[column], counted = _train_and_measure(theirs, data, folder, trained)
        lead[column] = leads(counted, ours)
    found = about | {"metrics": metrics, "lead": lead, "seconds": seconds, "pictures": len(data)}
    if rank_and_world()[0] == 0:
        write_json(file, found)
    return found


def _train_and_measure(
    recipe: Recipe, data: Samples, folder: Path, trained: dict[str, Network]
) -> tuple[dict[str, float], float | None, list[Tally[Any]]]:
    """Train and measure one seed; return its numbers, seconds, and the counts of its test pictures.

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
    seconds = round(time.perf_counter() - started, 1) if whole else None
    return {metric: float(found[metric]) for metric in recipe.metrics}, seconds, counted


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
        if (old := read_json(about, "remove the folder").get("commit")) != commit:
            raise ValueError(f"{about.parent} was begun at commit {old}, this is {commit}: remove the folder")
