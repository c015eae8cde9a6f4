"""`wsolbook maps`: the localization maps of a whole data set, one file a picture, on one device or many."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn
from tqdm.auto import tqdm

from wsolbook.commands.samples import SamplesOptions
from wsolbook.data.sampling import load
from wsolbook.distributed import launched
from wsolbook.evaluation.classes import read_pairs
from wsolbook.evaluation.picture import Prediction
from wsolbook.evaluation.saved import file_names, write_maps
from wsolbook.evaluation.sources import FromNetwork
from wsolbook.files import read_json, write_json
from wsolbook.memory import within_memory
from wsolbook.precision import Precision
from wsolbook.training.config import ConfigError, plain
from wsolbook.types import Localizer, Samples


@dataclass(frozen=True, kw_only=True)
class WriteMaps(SamplesOptions):
    """Write the localization maps of a data set, one .npz a picture: `maps` (k, h, w) and `classes` (k,).

    Processes of one launcher share the pictures, and so do machines with `--shard 3/8`. A picture whose
    file is there is left out, so the same command goes on where it was stopped. `wsolbook evaluate` reads
    the folder.

    Attributes:
        weights: a network file, as `wsolbook train` leaves it in its run folder (model.safetensors).
        out: folder to write to.
        model: the architecture, where the network file does not say.
        classes: the maps of which classes: those the labels name, or the best guesses.
        top: number of guesses.
        size: side of the square that pictures are warped to; 0 leaves pictures as they are.
        scales: factors of the size; the maps are averaged over them.
        flip: also average over mirrored pictures.
        dtype: float16 keeps raw maps; uint8 scales each by min-max to 0 to 255.
        precision: number format of the network, as for training.
        batch_size: pictures at once; 1 where they are left as they are.
        workers: processes that read ahead; by default as many as help on the device.
        shard: part and number of parts, as 3/8; by default what the launcher says.
    """

    weights: Path
    out: Path
    model: str | None = None
    classes: Literal["labels", "top"] = "labels"
    top: int = 5
    size: int = 224
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    dtype: Literal["float16", "uint8"] = "float16"
    precision: Precision = "fp32"
    batch_size: int = 32
    workers: int | None = None
    shard: str = ""

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = [
            f"{name} must be at least {least}, got {getattr(self, name)}"
            for name, least in (("top", 1), ("size", 0), ("batch_size", 1), ("workers", 0), ("number", 1))
            if getattr(self, name) is not None and getattr(self, name) < least
        ]
        if not self.weights.is_file():
            found.append(f"weights file {self.weights} does not exist")
        if not self.scales or min(self.scales) <= 0:
            found.append(f"scales must be positive and at least one, got {self.scales}")
        try:
            shard(self.shard)
        except ValueError as error:
            found.append(str(error))
        return found


def maps(options: WriteMaps) -> int:
    """Write the maps that are missing and say how many there were."""
    if problems := options.problems():
        raise ConfigError(problems)
    view: dict[str, Any] = {"size": options.size} if options.size else {"view": "original"}
    data = options.open(options.split, **view)
    network, order = options.network(data, options.model, options.weights)
    print(f"{write(network, data, options, order)} of {len(data)} pictures written to {options.out}")
    return 0


def write(
    model: Localizer | nn.Module, data: Samples, options: WriteMaps, order: tuple[int, ...] | None = None
) -> int:
    """Write this process's share of the maps that are missing and return how many pictures that were.

    Raises:
        ValueError: when the folder holds maps that were made with other options.
        OSError: when a picture cannot be read or a file cannot be written; what is there is whole.
    """
    part, parts = shard(options.shard)
    claim(options, options.out, "maps", options.weights)
    best = options.classes == "top"
    source = FromNetwork(
        model, options.top if best else 0, not best, scales=options.scales, flip=options.flip, order=order,
        precision=options.precision,
    )  # fmt: skip
    names = file_names(data)
    todo = [i for i in range(part, len(data), parts) if not (options.out / f"{names[i]}.npz").is_file()]
    size = options.at_once(options.batch_size, "warp" if options.size else "original")
    keys = [(None, tuple(todo[i : i + size])) for i in range(0, len(todo), size)]

    def save(place: int, said: Prediction) -> None:
        write_maps(options.out, names[place], said.values, said.classes, options.dtype)

    saving: Iterator[None] = iter(())  # the batch before, while the network looks at the next
    bar = tqdm(total=len(todo), desc="maps", unit=" pictures", disable=None)
    with bar, ThreadPoolExecutor() as pool:
        for batch in load(data, keys, options.workers, device=source.device):
            found = within_memory(source, batch)
            list(saving)
            saving = pool.map(save, batch.index.tolist(), found)
            bar.update(len(batch))
        list(saving)
    return len(todo)


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


def claim(options: SamplesOptions, folder: Path, note: str, weights: Path | None) -> None:
    """Note in the folder what its files are, so that two kinds cannot mix.

    Raises:
        ValueError: when it holds files of other options; naming those.
    """
    free = ("out", "root", "batch_size", "workers", "shard")
    about = {k: v for k, v in plain(options).items() if k not in free}
    about |= {"weights": weights.name if weights else None, "match": read_pairs(options.match)}
    path = folder / f"{note}.json"
    if path.is_file() and (before := read_json(path, "choose another folder")) != about:
        changed = ", ".join(k for k in about if before.get(k) != about[k])
        raise ValueError(f"{folder} holds {note} of other options ({changed}); choose another folder")
    write_json(path, about)
