"""`wsolbook maps`: the localization maps of a whole data set, one file a picture, on one device or many."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from wsolbook.data.sampling import load
from wsolbook.evaluation.saved import file_names
from wsolbook.files import atomic, write_json
from wsolbook.maps import multi_scale, normalize
from wsolbook.profiles import best_device
from wsolbook.training.config import ConfigError
from wsolbook.types import Samples

Localize = Callable[[Float[Tensor, "n 3 h w"], Int[Tensor, "n k"]], Float[Tensor, "n k u v"]]


@dataclass(frozen=True)
class Maps:
    """Write the localization maps of a data set, one .npz a picture: `maps` (k, h, w) and `classes` (k,).

    Processes of one launcher share the pictures, and so do machines with `--shard 3/8`. A picture whose
    file is there is left out, so the same command goes on where it was stopped. `wsolbook evaluate` reads
    the folder.

    Attributes:
        weights: a network file, as `wsolbook train` leaves it in its run folder (model.safetensors).
        out: folder to write to.
        model: the architecture, where the network file does not say.
        data: which data set.
        root: its folder.
        split: which list.
        number: how many critters.
        preset: which world of critters.
        seed: of the critters.
        classes: the maps of which classes: those the labels name, or the best guesses.
        top: number of guesses.
        size: side of the square that pictures are warped to; 0 leaves pictures as they are.
        scales: factors of the size; the maps are averaged over them.
        flip: also average over mirrored pictures.
        dtype: float16 keeps raw maps; uint8 scales each by min-max to 0 to 255.
        batch_size: pictures at once; 1 where they are left as they are.
        workers: processes that read ahead.
        shard: part and number of parts, as 3/8; by default what the launcher says.
    """

    weights: Path
    out: Path
    model: str | None = None
    data: Literal["critters", "voc2012", "cub", "ilsvrc2012", "folder"] = "critters"
    root: Path = Path("data")
    split: str = "val"
    number: int = 1000
    preset: str = "single"
    seed: int = 0
    classes: Literal["labels", "top"] = "labels"
    top: int = 5
    size: int = 224
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    dtype: Literal["float16", "uint8"] = "float16"
    batch_size: int = 32
    workers: int = 0
    shard: str = ""

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = [
            f"{name} must be at least {least}, got {getattr(self, name)}"
            for name, least in (("top", 1), ("size", 0), ("batch_size", 1), ("workers", 0), ("number", 1))
            if getattr(self, name) < least
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


def maps(options: Maps) -> int:
    """Write the maps that are missing and say how many there were."""
    if problems := options.problems():
        raise ConfigError(problems)
    device = best_device()
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    from wsolbook.backbones.pretrained import load_pretrained

    network = load_pretrained(options.model, options.weights).network.to(device).eval()
    data = open_data(options)
    print(f"{write(network, data, options)} of {len(data)} pictures written to {options.out}")
    return 0


@torch.no_grad()
def write(network: Any, data: Samples, options: Maps) -> int:
    """Write this process's share of the maps and return how many pictures that were.

    Raises:
        ValueError: when the folder holds maps that were made with other options.
        OSError: when a picture cannot be read or a file cannot be written; what is there is whole.
    """
    part, parts = shard(options.shard)
    _claim(options)
    names = file_names(data)
    todo = [i for i in range(part, len(data), parts) if not (options.out / f"{names[i]}.npz").is_file()]
    size = options.batch_size if options.size or options.data == "critters" else 1
    index = [tuple(todo[i : i + size]) for i in range(0, len(todo), size)]
    device = next(network.parameters()).device
    with tqdm(total=len(todo), desc="maps", unit=" pictures", disable=None) as bar:
        for batch in load(data, [(None, i) for i in index], options.workers):
            found = compute(network, batch.images.to(device), batch.labels.to(device), options)
            for place, (values, classes) in zip(batch.index.tolist(), found, strict=True):
                save(options.out / f"{names[place]}.npz", values, classes, options.dtype)
            bar.update(len(batch))
    return len(todo)


def compute(
    network: Any, images: Float[Tensor, "n 3 h w"], labels: Float[Tensor, "n c"], options: Maps
) -> Iterator[tuple[Float[Tensor, "k h w"], Int[Tensor, " k"]]]:
    """Yield the maps of each picture and the classes they are of."""
    if options.classes == "top":
        classes = network(images).topk(min(options.top, labels.shape[1])).indices
        counts = torch.full((len(images),), classes.shape[1])
    else:
        counts = labels.sum(1).long()
        classes = labels.argsort(dim=1, descending=True, stable=True)[:, : max(int(counts.max()), 1)]
    localize = localizer(network)
    if options.scales == (1.0,) and not options.flip:
        values = localize(images, classes)
    else:
        values = multi_scale(lambda seen: localize(seen, classes), images, options.scales, options.flip)
    for row, count in enumerate(counts.tolist()):
        yield values[row, :count], classes[row, :count]


def localizer(network: Any) -> Localize:
    """Return the method's own maps, or class activation maps of a network that has none."""
    if hasattr(network, "maps"):
        return network.maps
    from wsolbook.cam import cam

    return lambda images, classes: cam(network, images, classes).values


def save(path: Path, values: Float[Tensor, "k h w"], classes: Int[Tensor, " k"], dtype: str) -> None:
    """Write the maps of one picture, whole or not at all."""
    values = values.float().cpu()
    array = values.numpy().astype(np.float16) if dtype == "float16" else _bytes(values)
    with atomic(path) as temporary:
        np.savez(temporary, maps=array, classes=classes.cpu().numpy())


def open_data(options: Maps) -> Samples:
    """Open the data set that the options name, in its evaluation view."""
    if options.data == "critters":
        from wsolbook.data.critters import Critters

        return Critters(options.number, options.preset, seed=options.seed, split=options.split)
    from wsolbook.data.sets import open_split

    view: dict[str, Any] = {"size": options.size} if options.size else {"view": "original"}
    return open_split(options.data, options.root, options.split, **view)


def shard(text: str) -> tuple[int, int]:
    """Return which part this process does, counted from 0, and of how many.

    Raises:
        ValueError: when `text` is neither empty nor like "3/8".
    """
    if not text:
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise ValueError(f"shard must look like 3/8, got {text!r}")
    return int(part) - 1, int(parts)


def _claim(options: Maps) -> None:
    """Note in the folder what its maps are, so that two kinds of maps cannot mix."""
    free = ("out", "root", "batch_size", "workers", "shard")
    about = {k: v for k, v in asdict(options).items() if k not in free}
    about |= {"weights": options.weights.name, "scales": list(options.scales)}
    note = options.out / "maps.json"
    if note.is_file() and (before := json.loads(note.read_text(encoding="utf-8"))) != about:
        changed = ", ".join(k for k in about if before.get(k) != about[k])
        raise ValueError(f"{options.out} holds maps of other options ({changed}); choose another folder")
    write_json(note, about)


def _bytes(values: Float[Tensor, "k h w"]) -> np.ndarray:
    return (normalize(values) * 255).round().to(torch.uint8).numpy()
