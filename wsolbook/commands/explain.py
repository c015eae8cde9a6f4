"""`wsolbook explain`: what a network saw in photographs, and where; one of them, or a folder of many."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
import tyro

from wsolbook.backbones.pretrained import load_pretrained
from wsolbook.cam.classes import best
from wsolbook.cam.photograph import EXPLAINERS, SHARE, Explainer, method_for, takes_layer
from wsolbook.data.images import SUFFIXES
from wsolbook.data.photos import find_photos, read_photo
from wsolbook.files import atomic, read_text, write_json
from wsolbook.precision import round_products
from wsolbook.profiles import device_named, progress
from wsolbook.show.collection import JOURNAL, Collection, facts, write_photo
from wsolbook.show.photographs import draw

SHOWN = 360  # longest side in pixels of the pictures in a folder
T = TypeVar("T")


@dataclass(frozen=True)
class Explain:
    """Show what a network saw in photographs, and where.

    The folder gets a contact sheet (index.html) and, for each method, raw maps (.npz), masks (.png), drawings
    (.jpg) and boxes in COCO's format (boxes.json). The same command goes on where it was stopped: photographs
    that are done are left out. A single map can go to a .png file, with .npz and .json beside it.

    Attributes:
        photos: files, folders, and lists: .txt with a path a line.
        model: a classification network of torchvision; not needed for weights that wsolbook trained.
        weights: .safetensors or .pth file; without it, ImageNet weights are downloaded.
        method: one or several of cam, grad-cam, grad-cam++, layer-cam, xgrad-cam, hires-cam, score-cam,
            guided-grad-cam, guided-backprop, deconvnet, backprop, occlusion, and maps, which are those of a
            method of this book; by default maps for a network that has them, otherwise cam.
        classes: "auto" for the best class, "top3" for the best three, and names or numbers.
        out: a folder, or a .png file for a single map.
        layer: dotted name of the layer whose maps are weighted; by default the last one.
        names: text file with one class name a line.
        output_stride: 16 or 8 for a finer map from the same weights, where the network can.
        padding: "tf-same" for weights that TensorFlow trained.
        device: "auto" takes the accelerator of this machine where there is one.
        batch_size: photographs in a forward pass.
        workers: threads that read and write while the network runs.
    """

    photos: tyro.conf.Positional[tuple[str, ...]]
    model: str | None = None
    weights: Path | None = None
    method: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("auto",)
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("explained")
    layer: str | None = None
    names: Path | None = None
    output_stride: int | None = None
    padding: Literal["symmetric", "tf-same"] = "symmetric"
    device: str = "auto"
    batch_size: int = 16
    workers: int = min(8, os.cpu_count() or 1)


def explain(options: Explain) -> int:
    """Run `wsolbook explain`; return 1 when some of several photos could not be read.

    Raises:
        ValueError: on a wrong option, or when the only photo cannot be used.
        OSError: when a file cannot be read or written.
    """
    photos = find_photos(options.photos, skip=JOURNAL)
    _check(options, photos)
    names = read_text(options.names).rstrip().splitlines() if options.names else None
    trained = load_pretrained(
        options.model,
        options.weights,
        output_stride=options.output_stride,
        padding=options.padding,
        names=names,
    )
    methods = options.method or (method_for(trained.network),)
    if options.layer and not any(map(takes_layer, methods)):
        raise ValueError(f"{' and '.join(methods)} does not let one choose a layer; leave out --layer")
    trained.network.to(device_named(options.device))
    round_products(False)
    explainer = Explainer(trained, methods, options.classes, options.layer)
    if _is_picture(options.out):
        return one(photos[0], explainer, options)
    return many(photos, explainer, options)


def one(path: Path, explainer: Explainer, options: Explain) -> int:
    """Explain one photograph into one picture, and print the best classes."""
    photo, names = read_photo(path, explainer.trained.crop), explainer.trained.names
    (seen,) = explainer(photo.view)
    (found,) = seen.explanations(photo)
    with atomic(options.out) as temporary:
        draw(photo, found).save(temporary)
    with atomic(options.out.with_suffix(".npz")) as temporary:
        np.savez(temporary, maps=found.values[None].numpy(), classes=np.array([found.wanted]))
    about = {"photo": str(path), "photo_size": photo.size, "crop": photo.region}
    write_json(options.out.with_suffix(".json"), about | _settings(explainer, options) | facts(found, names))
    print(f"{path}  {photo.size[0]}x{photo.size[1]}")
    for name, score in seen.top(names):
        print(f"  {score:6.1%}  {name}")
    return 0


def many(photos: Sequence[Path], explainer: Explainer, options: Explain) -> int:
    """Explain photographs into a folder: some are read and some written while the network sees others."""
    trained, failed = explainer.trained, []
    read = partial(read_photo, crop=trained.crop, shown=SHOWN)
    with (
        Collection(options.out, _settings(explainer, options)) as collection,
        ThreadPoolExecutor(options.workers) as pool,
    ):
        todo = collection.todo(photos)
        reading = progress(ahead(pool, read, todo, options.batch_size), "explain", len(todo))
        writing: list[Future[Any]] = []
        while group := list(islice(reading, options.batch_size)):
            readable = []
            for path, photo in group:
                try:
                    readable.append((todo[path], photo.result()))
                except (OSError, ValueError) as error:
                    if len(photos) == 1:
                        raise
                    failed.append(str(error))
            if not readable:
                continue
            seen = explainer(torch.cat([photo.view for _, photo in readable]))
            collection.add(record.result() for record in writing)
            writing = [
                pool.submit(write_photo, options.out, name, photo, each, trained.names)
                for (name, photo), each in zip(readable, seen, strict=True)
            ]
        collection.add(record.result() for record in writing)
        source = options.weights.name if options.weights else "ImageNet weights"
        subtitle = (
            f"{trained.name}, {source}; boxes around the largest region above {SHARE:.0%} of the maximum"
        )
        collection.finish("What the network saw", subtitle, trained.names)
    print(
        f"explained {len(todo) - len(failed)} photographs, {len(photos) - len(todo)} were done: "
        f"open {options.out / 'index.html'}"
    )
    for message in failed:
        print(f"wsolbook: {message}", file=sys.stderr)
    if failed:
        print(f"wsolbook: {len(failed)} of {len(photos)} photos could not be read", file=sys.stderr)
    return int(bool(failed))


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[Path], T], items: Iterable[Path], depth: int
) -> Iterator[tuple[Path, Future[T]]]:
    """Yield each item with its result to come, in order; at most `depth` of those not yet taken exist."""
    waiting: deque[tuple[Path, Future[T]]] = deque()
    for item in items:
        if len(waiting) == depth:
            yield waiting.popleft()
        waiting.append((item, pool.submit(function, item)))
    yield from waiting


def _check(options: Explain, photos: Sequence[Path]) -> None:
    for method in options.method:
        if method not in EXPLAINERS:
            raise ValueError(f"unknown method {method!r}; choose from {', '.join(EXPLAINERS)}")
    if not (photos and options.classes):
        raise ValueError("name at least one photo and one class")
    for name, value in (("batch-size", options.batch_size), ("workers", options.workers)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    device_named(options.device)
    if options.out.suffix.lower() in SUFFIXES and options.out.suffix.lower() != ".png":
        raise ValueError(f"{options.out} must be a folder, or end in .png for a single map")
    several = len(photos) > 1 or len(options.method) > 1 or len(options.classes) > 1
    if _is_picture(options.out) and (several or best(options.classes[0]) > 1):
        raise ValueError(f"{options.out} is one picture, but several maps are asked for; name a folder")
    if options.out.exists() and any(options.out.samefile(photo) for photo in photos if os.path.exists(photo)):
        raise ValueError(f"{options.out} is the photograph itself; name another file")
    _require_writable(options.out)


def _is_picture(out: Path) -> bool:
    """Tell whether the output is one picture, not a folder, which may have a dot in its name."""
    return out.suffix.lower() == ".png" and not out.is_dir()


def _require_writable(target: Path) -> None:
    place = target.parent if _is_picture(target) else target
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(f"cannot write {target}: {place} is a file, not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write {target}: no permission to write into {place}")


def _settings(explainer: Explainer, options: Explain) -> dict[str, Any]:
    """Return what a map depends on besides the photograph."""
    trained, digest = explainer.trained, ""
    if options.weights:
        with options.weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return {
        "model": trained.name,
        "weights": str(options.weights or "imagenet"),
        "digest": digest,
        "names": hashlib.sha256("\n".join(trained.names).encode()).hexdigest()[:16],
        "method": list(explainer.methods),
        "classes": list(options.classes),
        "layer": options.layer,
        "output_stride": options.output_stride,
        "padding": options.padding,
    }
