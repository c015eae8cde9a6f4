"""`wsolbook maps`: the localization maps of a whole data set, one file a picture, on one device or many."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn
from tqdm.auto import tqdm

from wsolbook.commands.samples import WriteOptions, shard
from wsolbook.data.sampling import evaluation_batches
from wsolbook.evaluation.picture import Prediction
from wsolbook.evaluation.saved import file_names, write_maps
from wsolbook.evaluation.sources import FromNetwork
from wsolbook.memory import within_memory
from wsolbook.precision import Precision
from wsolbook.training.config import ConfigError, too_small
from wsolbook.types import Localizer, Samples


@dataclass(frozen=True, kw_only=True)
class WriteMaps(WriteOptions):
    """Write the localization maps of a data set, one .npz a picture: `maps` (k, h, w) and `classes` (k,).

    Processes of one launcher share the pictures, and so do machines with `--shard 3/8`. A picture whose
    file is there is left out, so the same command goes on where it was stopped. `wsolbook evaluate` reads
    the folder.

    Attributes:
        classes: the maps of which classes: those the labels name, or the best guesses.
        top: number of guesses.
        size: side of the square that pictures are warped to; 0 leaves pictures as they are.
        dtype: float16 keeps raw maps; uint8 scales each by min-max to 0 to 255.
        precision: number format of the network, as for training.
    """

    weights: Path
    classes: Literal["labels", "top"] = "labels"
    top: int = 5
    size: int = 224
    dtype: Literal["float16", "uint8"] = "float16"
    precision: Precision = "fp32"

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        return super().problems() + too_small(self, top=1, size=0)


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
    options.claim("maps")
    best = options.classes == "top"
    source = FromNetwork(
        model, options.top if best else 0, not best, scales=options.scales, flip=options.flip, order=order,
        precision=options.precision,
    )  # fmt: skip
    names = file_names(data)
    todo = [i for i in range(part, len(data), parts) if not (options.out / f"{names[i]}.npz").is_file()]
    size = options.at_once(options.batch_size, "warp" if options.size else "original")

    def save(place: int, said: Prediction) -> None:
        write_maps(options.out, names[place], said.values, said.classes, options.dtype)

    batches = evaluation_batches(data, size, index=todo, workers=options.workers, device=source.device)
    saving: Iterator[None] = iter(())  # the batch before, while the network looks at the next
    bar = tqdm(total=len(todo), desc="maps", unit=" pictures", disable=None)
    with bar, ThreadPoolExecutor() as pool:
        for batch in batches:
            found = within_memory(source, batch)
            list(saving)
            saving = pool.map(save, batch.index.tolist(), found)
            bar.update(len(batch))
        list(saving)
    return len(todo)
