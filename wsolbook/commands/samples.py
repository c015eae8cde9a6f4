"""How commands are told which pictures to look at, by which network, and where to leave a file of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from wsolbook.data.sets import Name, open_split
from wsolbook.distributed import launched, own_device
from wsolbook.evaluation.classes import match_classes, read_pairs
from wsolbook.files import read_json, write_json
from wsolbook.profiles import SEEDS
from wsolbook.training.config import plain, too_small
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


@dataclass(frozen=True, kw_only=True)
class WriteOptions(SamplesOptions):
    """Where the files go, one a picture, who writes them, and how the maps are made that they hold.

    Attributes:
        out: folder to write to.
        weights: a network file, as `wsolbook train` leaves it in its run folder (model.safetensors).
        model: the architecture, where the network file does not say.
        scales: factors of the size; the maps are averaged over them.
        flip: also average over mirrored pictures.
        batch_size: pictures at once; one where their sizes differ.
        workers: processes that read ahead; by default as many as help on the device.
        shard: part and number of parts, as 3/8; by default what the launcher says.
    """

    out: Path
    weights: Path | None
    model: str | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    batch_size: int = 32
    workers: int | None = None
    shard: str = ""

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = too_small(self, batch_size=1, workers=0)
        if self.weights is not None and not self.weights.is_file():
            found.append(f"weights file {self.weights} does not exist")
        if not self.scales or min(self.scales) <= 0:
            found.append(f"scales must be positive and at least one, got {self.scales}")
        try:
            shard(self.shard)
        except ValueError as error:
            found.append(str(error))
        return found

    def claim(self, what: str) -> None:
        """Note in the folder what its files are, so that two kinds cannot mix.

        Raises:
            ValueError: when it holds files of other options; naming those.
        """
        free = ("out", "root", "batch_size", "workers", "shard")
        about = {k: v for k, v in plain(self).items() if k not in free}
        about |= {"weights": self.weights.name if self.weights else None, "match": read_pairs(self.match)}
        path = self.out / f"{what}.json"
        if path.is_file() and (before := read_json(path, "choose another folder")) != about:
            changed = ", ".join(k for k in about if before.get(k) != about[k])
            raise ValueError(f"{self.out} holds {what} of other options ({changed}); choose another folder")
        write_json(path, about)


def shard(text: str) -> tuple[int, int]:
    """Return which part this process does, counted from 0, and of how many.

    Raises:
        ValueError: when `text` is neither empty nor like "3/8".
    """
    if not text:
        return launched()
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ValueError(f"shard must look like 3/8, got {text!r}")
    return int(part) - 1, int(parts)
