"""One switch for where a chapter runs: a laptop, real pictures, or a GPU."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np
import torch
from tqdm.auto import tqdm

from wsolbook import results
from wsolbook.precision import round_products

if TYPE_CHECKING:
    from wsolbook.training.config import TrainConfig

Profile = Literal["book", "real", "full"]
T = TypeVar("T")
SEEDS = range(2**32)  # those that counters tell apart and every library takes


@dataclass(frozen=True)
class Setup:
    """What `setup` chose, and what a chapter uses.

    Attributes:
        profile: `"book"`, `"real"` or `"full"`.
        seed: the number that everything random derives from.
        device: where everything runs that a network touches.
        threads: processor threads that torch uses.
        size: side of the critters' pictures in pixels.
        backbone: the network to train, for `wsolbook.backbones.build(..., weights="critters")`.
        seeds: one training each; what is claimed of a trained network must hold for all of them.
        steps: optimizer steps of each training, whatever its epochs say; None lets the epochs decide.
    """

    profile: Profile
    seed: int
    device: torch.device
    threads: int
    size: int
    backbone: str
    seeds: tuple[int, ...]
    steps: int | None = None

    def config(self, **settings: Any) -> TrainConfig:
        """Return a `TrainConfig` with these settings, this device and seed, and `steps` if there are any.

        Raises:
            TypeError: on a setting that `TrainConfig` does not have.
        """
        from wsolbook.training.config import TrainConfig

        place: Any = self.device.type if self.device.type in ("cpu", "cuda") else "auto"
        settings |= {"steps": self.steps} if self.steps else {}
        return TrainConfig(**{"device": place, "seed": self.seed, **settings})

    def result(self, name: str) -> dict[str, Any]:
        """Return `results/NAME.json`; under `real`, train and measure that recipe now, for each of `seeds`.

        Raises:
            ValueError: when there is no such result or recipe, or its pictures and weights are missing.
        """
        if self.profile != "real":
            return results.load(name)
        from wsolbook.recipes import named, seeds

        recipe = (replace(named(name), steps=self.steps) if self.steps else named(name)).resolved()
        recipe.check()
        command = ["wsolbook", "reproduce", name, "--seeds", *map(str, self.seeds)]
        with tempfile.TemporaryDirectory() as runs:
            return seeds.reproduce(name, recipe, self.seeds, Path(runs), command)


_quiet = False


def setup(profile: Literal["auto", "book", "real", "full"] = "auto", seed: int | None = None) -> Setup:
    """Choose profile, device, seeds and figure style for a notebook.

    The first cell of a chapter calls it, and everything that a profile may change is then read from what it
    returns:

        here = wsolbook.setup()

        train_set = critters.Critters(n=1500, size=here.size, split="train")
        test_set = critters.Critters(n=400, size=here.size, split="test")

        def trained(seed):
            torch.manual_seed(seed)
            model = build(here.backbone, classes=8, weights="critters").to(here.device)
            train(model, train_set, here.config(epochs=2, batch_size=32), seed=seed)
            return model

        models = [trained(seed) for seed in here.seeds]
        model = models[0]  # that of the figures
        x = test_set.batch(range(400)).images.to(here.device)

        check("accuracy", [accuracy(m) for m in models], at_least=0.7)
        record = here.result("cam-cub10")  # stored numbers, or those of now where the profile is `real`

    Heat maps go to metrics and figures by `.cpu()`. Sizes of maps are read from them, never written down.
    Environment variables: `WSOLBOOK_PROFILE`, `WSOLBOOK_SEED`, and `WSOLBOOK_STEPS`, which gives every
    training that many steps, to see a chapter run and not to believe its numbers.

    Args:
        profile: `"book"`: CPU, critters of 64 pixels, the network `tiny`, one seed, no progress bars.
            `"real"`: the same critters on a GPU where there is one, and what a chapter says of photographs is
            computed anew. `"full"`: critters of 128 pixels, the larger `tiny_resnet` and three seeds, on a
            GPU where there is one. `"auto"`: that of the environment, else `"book"`.
        seed: seeds Python, NumPy and torch; None takes that of the environment, else 0.

    Raises:
        ValueError: on an unknown profile, or a seed or number of steps that is none, naming it.
    """
    global _quiet
    name = os.environ.get("WSOLBOOK_PROFILE", "book") if profile == "auto" else profile
    if name not in get_args(Profile):
        raise ValueError(f"profile must be one of {', '.join(get_args(Profile))}, got {name!r}")
    chosen: Profile = name  # type: ignore[assignment]
    seed = (_number("WSOLBOOK_SEED") or 0) if seed is None else seed
    if seed not in SEEDS:
        raise ValueError(f"seed must be in 0 to {SEEDS[-1]}, got {seed}")
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  libraries that still read the global state
    torch.manual_seed(seed)
    repeatable_products()
    round_products(False)
    _quiet = chosen == "book"
    if chosen == "book":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    from wsolbook.show.figures import use_style

    use_style()
    full = chosen == "full"
    here = Setup(
        profile=chosen,
        seed=seed,
        device=torch.device("cpu") if chosen == "book" else best_device(),
        threads=torch.get_num_threads(),
        size=128 if full else 64,
        backbone="tiny_resnet" if full else "tiny",
        seeds=tuple(range(seed, seed + (3 if full else 1))),
        steps=_number("WSOLBOOK_STEPS"),
    )
    if not _quiet or "google.colab" in sys.modules:  # whose output is not stored
        print(_what_to_expect(here))
    return here


def _what_to_expect(here: Setup) -> str:
    """Say where a chapter will run and how long it takes."""
    more = {
        "book": "",
        "real": ", and as long as the recipes train whose results it shows",
        "full": f", times {len(here.seeds) * (here.size // 64) ** 2} and more there; a GPU is meant for it",
    }[here.profile]
    card = here.device.type == "cuda" and torch.cuda.is_available()
    name = torch.cuda.get_device_name(here.device) if card else here.device.type
    better = best_device().type
    hint = f"; WSOLBOOK_PROFILE=full would use {better}" if better != here.device.type else ""
    return f"wsolbook: profile {here.profile} on {name}; a chapter takes a minute on two cores{more}{hint}"


def best_device() -> torch.device:
    """Return the accelerator of this machine, or the CPU."""
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    return torch.device("cpu")


def repeatable_products() -> None:
    """Let cuBLAS add up in one order where that is asked for later; it has to know as it starts."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def device_named(name: str) -> torch.device:
    """Return a device of this machine; `"auto"` is `best_device`.

    Raises:
        ValueError: when there is none of that name.
    """
    best = best_device()
    if name == "auto":
        return best
    kind, _, number = name.partition(":")
    count = torch.accelerator.device_count() if kind == best.type != "cpu" else int(kind == "cpu")
    if not count or (number and not (number.isdecimal() and int(number) < count)):
        there = "auto or cpu" if best.type == "cpu" else f"auto, cpu or {best.type}"
        raise ValueError(f"there is no device {name!r} on this machine; choose {there}")
    return torch.device(name)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar; without one in the `book` profile, where output is stored."""
    yield from tqdm(items, desc=what, total=total, disable=_quiet or None, leave=False)


def _number(variable: str) -> int | None:
    """Read a whole number from the environment; None where it is not set."""
    text = os.environ.get(variable)
    if not text:
        return None
    if not text.isdecimal():
        raise ValueError(f"{variable} must be a whole number, got {text!r}")
    return int(text)
