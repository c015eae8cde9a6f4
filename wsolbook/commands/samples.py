"""How commands are told which pictures of a data set to look at, and by which network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from wsolbook.data.sets import Name, open_split
from wsolbook.distributed import own_device
from wsolbook.evaluation.classes import match_classes, read_pairs
from wsolbook.profiles import SEEDS
from wsolbook.types import Samples


@dataclass(frozen=True, kw_only=True)
class SamplesOptions:
    """Which pictures, and which classes of a network they show.

    Attributes:
        data: which data set.
        root: its folder.
        split: which list.
        number: how many critters.
        preset: which world of critters.
        seed: of the critters.
        match: what the network calls classes of the data set, where names differ: pairs such as cat=tabby,
            names or numbers of the network, or a text file with one a line.
    """

    data: Literal["critters"] | Name = "critters"
    root: Path = Path("data")
    split: str = "val"
    number: int = 1000
    preset: str = "single"
    seed: int = 0
    match: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be."""
        if self.seed not in SEEDS:
            raise ValueError(f"seed must be in 0 to {SEEDS[-1]}, got {self.seed}")
        if self.number < 1:
            raise ValueError(f"number must be at least 1, got {self.number}")

    def open(self, split: str, **view: Any) -> Samples:
        """Open a list of the data set in its evaluation view; critters have only one."""
        if self.data == "critters":
            from wsolbook.data.critters import Critters

            return Critters(self.number, self.preset, seed=self.seed, split=split)
        return open_split(self.data, self.root, split, **view)

    def network(
        self, samples: Samples, model: str | None, weights: Path
    ) -> tuple[nn.Module, tuple[int, ...]]:
        """Return a network on the device of this process, and its number of each class of the samples.

        Raises:
            ValueError: when the file does not fit, or a class of the samples is none of the network's.
            OSError: when the file cannot be read.
        """
        from wsolbook.backbones.pretrained import load_pretrained

        trained = load_pretrained(model, weights)
        named = bool(getattr(trained.network, "names", ()))
        order = match_classes(samples.classes, trained.names, named, read_pairs(self.match))
        return trained.network.to(own_device()), order

    def at_once(self, wanted: int, view: str) -> int:
        """Return how many pictures fit into a batch: one, where their sizes differ."""
        return 1 if view == "original" and self.data != "critters" else wanted
