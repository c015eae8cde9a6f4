"""`wsolbook train`: a recipe, its settings as options, and a folder for the run."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from wsolbook import methods
from wsolbook.distributed import rank_and_world
from wsolbook.recipes import Recipe, named
from wsolbook.training.config import plain
from wsolbook.training.estimate import memory, readable
from wsolbook.training.faults import EXIT_STOPPED, Stopped
from wsolbook.training.optim import parameter_groups


@dataclass(frozen=True)
class Train:
    """Train a network by a recipe.

    Attributes:
        settings: what the recipe decides.
        recipe: one of `wsolbook recipes`.
        run: folder of config, log and checkpoints; runs/RECIPE by default.
        resume: "never", "auto" for the newest valid checkpoint of the run, or a checkpoint file.
        dry_run: print the settings, parameter groups, steps and memory, and create nothing.
    """

    settings: Annotated[Recipe, tyro.conf.arg(name="")]
    recipe: str
    run: str = ""
    resume: str = "never"
    dry_run: bool = False


def train(arguments: list[str]) -> int:
    """Train by a recipe and return the exit code: 75 when a signal stopped it, saved."""
    options = parse(arguments)
    recipe = options.settings.resolved()
    recipe.check()
    if options.dry_run:
        print(describe(recipe))
        return 0
    run = Path(options.run or f"runs/{options.recipe}")
    resume: Any = options.resume if options.resume in ("never", "auto") else Path(options.resume)
    try:
        recipe = recipe.prepared(run / "before")
        torch.manual_seed(recipe.seed)
        model, data = recipe.model(), recipe.training_data()
        model.names = tuple(data.classes)
        methods.check(model)  # what could not be saved is refused before it is trained
        history = recipe.fit(model, data, run=run, evaluate=recipe.evaluate, resume=resume)
        main = rank_and_world()[0] == 0
        if main:
            methods.save(model, run / "model.safetensors")
    except Stopped as stopped:
        print(f"wsolbook: {stopped}", file=sys.stderr)
        return EXIT_STOPPED
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    if main:
        final = ", ".join(f"{k} {v:.4g}" for k, v in history.final.items() if k != "step")
        print(f"{run}: {history.step} steps; {final}")
    return 0


def parse(arguments: list[str]) -> Train:
    """Read the options of a recipe; which there are depends on `--recipe`.

    Raises:
        ConfigError: on an unknown recipe.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--recipe", default="cam-critters")
    name = finder.parse_known_args(arguments)[0].recipe
    return tyro.cli(Train, args=arguments, prog="wsolbook train", default=Train(named(name), name))


def describe(recipe: Recipe) -> str:
    """Return what a training would do, in words, without doing it."""
    model, data = recipe.model(), recipe.data.training(recipe.seed)
    steps = recipe.total_steps(len(data))
    groups = parameter_groups(model, recipe.optim)
    used = memory(model, data, recipe)
    lines = [
        json.dumps(plain(recipe), indent=2),
        f"pictures: {len(data)}, classes: {len(data.classes)}",
        f"steps: {steps} of {recipe.batch_size} pictures",
        *(
            f"{g['group']}: {sum(p.numel() for p in g['params']):,} numbers, "
            f"lr {recipe.optim.lr * g['scale']:g}, weight decay {g['weight_decay']:g}"
            for g in groups
        ),
        "memory: " + ", ".join(f"{what} {readable(size)}" for what, size in used.items()),
    ]
    return "\n".join(lines)
