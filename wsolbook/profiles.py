"""One switch for where a chapter runs: a laptop, real pictures, or the scale of the papers."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from tqdm.auto import tqdm

Profile = Literal["book", "real", "full"]
T = TypeVar("T")


@dataclass(frozen=True)
class Setup:
    """What `setup` chose.

    Attributes:
        profile: `"book"`, `"real"` or `"full"`.
        seed: the number that everything random derives from.
        device: where networks run.
        threads: processor threads that torch uses.
    """

    profile: Profile
    seed: int
    device: torch.device
    threads: int


_quiet = False


def setup(profile: Literal["auto", "book", "real", "full"] = "auto", seed: int = 0) -> Setup:
    """Choose profile, device, seeds and figure style for a notebook.

    Args:
        profile: `"book"`: CPU, synthetic pictures, tiny networks, no progress bars. `"real"`: real pictures
            and ImageNet weights, on a GPU where there is one. `"full"`: the paper's network and data set.
            `"auto"` reads the environment variable `WSOLBOOK_PROFILE` and falls back to `"book"`.
        seed: seeds Python, NumPy and torch.

    Raises:
        ValueError: on an unknown profile, naming it.
    """
    global _quiet
    name = os.environ.get("WSOLBOOK_PROFILE", "book") if profile == "auto" else profile
    if name not in get_args(Profile):
        raise ValueError(f"profile must be one of {', '.join(get_args(Profile))}, got {name!r}")
    chosen: Profile = name  # type: ignore[assignment]
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  libraries that still read the global state
    torch.manual_seed(seed)
    _quiet = chosen == "book"
    if chosen == "book":
        device = torch.device("cpu")
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    else:
        device = best_device()
    from wsolbook.show.figures import use_style

    use_style()
    return Setup(chosen, seed, device, torch.get_num_threads())


def best_device() -> torch.device:
    """Return the accelerator of this machine, or the CPU."""
    if torch.accelerator.is_available():
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    return torch.device("cpu")


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar; without one in the `book` profile, where output is stored."""
    yield from tqdm(items, desc=what, total=total, disable=_quiet or None, leave=False)
