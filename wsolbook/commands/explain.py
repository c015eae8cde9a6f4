"""`wsolbook explain`: what a network saw in a photograph, and where."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from PIL import Image
from torch import Tensor

from wsolbook.backbones.pretrained import Pretrained, find_class, load_pretrained
from wsolbook.cam.photograph import (
    EXPLAINERS,
    SHARE,
    Explanation,
    explain_photo,
    method_for,
    probabilities,
    takes_layer,
)
from wsolbook.data.photos import Photo, find_photos, read_photo
from wsolbook.files import atomic, write_json
from wsolbook.profiles import best_device, progress
from wsolbook.show.comparison import Panel, Section, thumbnail, write_comparison
from wsolbook.show.photographs import draw, draw_photo


@dataclass(frozen=True)
class Explain:
    """Show what a network saw in photographs, and where.

    For each photo, method and class three files are written: the map over the photo with its box (.png), the
    raw map as the method computed it (.npy), and class, score, box and settings (.json).

    Attributes:
        photos: files and folders.
        model: a classification network of torchvision; not needed for weights that wsolbook trained.
        weights: .safetensors or .pth file; without it, ImageNet weights are downloaded.
        method: one or several of cam, grad-cam, grad-cam++, layer-cam, xgrad-cam, hires-cam, score-cam,
            guided-grad-cam, guided-backprop, deconvnet, backprop, occlusion, and maps, which are those of a
            method of this book; by default maps for a network that has them, otherwise cam.
        classes: "auto" for the best class, "top3" for the best three, and names or numbers.
        out: a .png file for a single map, otherwise a folder.
        report: one page, .html, that compares the methods side by side.
        layer: dotted name of the layer whose maps are weighted; by default the last one.
        names: text file with one class name a line.
        output_stride: 16 or 8 for a finer map from the same weights, where the network can.
        padding: "tf-same" for weights that TensorFlow trained.
        device: "auto" takes the accelerator of this machine where there is one.
    """

    photos: tyro.conf.Positional[tuple[Path, ...]]
    model: str | None = None
    weights: Path | None = None
    method: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("auto",)
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("explained")
    report: Path | None = None
    layer: str | None = None
    names: Path | None = None
    output_stride: int | None = None
    padding: Literal["symmetric", "tf-same"] = "symmetric"
    device: str = "auto"


def explain(options: Explain) -> int:
    """Run `wsolbook explain`; return 1 when some of several photos could not be read.

    Raises:
        ValueError: on a wrong option, or when the only photo cannot be used.
        OSError: when a file cannot be read or written.
    """
    photos = find_photos(options.photos)
    _check(options, len(photos))
    names = options.names.read_text(encoding="utf-8").splitlines() if options.names else None
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
    trained.network.to(best_device() if options.device == "auto" else torch.device(options.device))
    sections: list[Section] = []
    failed: list[str] = []
    for path, stem in zip(progress(photos, "explain", len(photos)), _stems(photos), strict=True):
        try:
            photo = read_photo(path, trained.crop)
        except (OSError, ValueError) as error:
            if len(photos) == 1:
                raise
            failed.append(str(error))
            continue
        scores = probabilities(trained, photo)
        classes = _indices(options.classes, trained.names, scores)
        found = explain_photo(trained, photo, scores, classes, methods, options.layer)
        print(_summary(photo, scores, trained.names))
        pictures = [draw(photo, each) for each in found]
        for each, picture in zip(found, pictures, strict=True):
            _write(_target(options.out, stem, trained.names[each.wanted], each.method), picture, each,
                   _facts(photo, trained, options, each))  # fmt: skip
        if options.report:
            sections.append(_section(photo, scores, found, pictures, trained.names))
    if options.report:
        source = options.weights.name if options.weights else "ImageNet weights"
        subtitle = (
            f"{trained.name}, {source}; boxes around the largest region above {SHARE:.0%} of the maximum"
        )
        write_comparison(options.report, "What the network saw", subtitle, sections)
    for message in failed:
        print(f"wsolbook: {message}", file=sys.stderr)
    if failed:
        print(f"wsolbook: {len(failed)} of {len(photos)} photos could not be read", file=sys.stderr)
    return int(bool(failed))


def _check(options: Explain, photos: int) -> None:
    for method in options.method:
        if method not in EXPLAINERS:
            raise ValueError(f"unknown method {method!r}; choose from {', '.join(EXPLAINERS)}")
    if not (photos and options.classes):
        raise ValueError("name at least one photo and one class")
    if options.out.suffix not in ("", ".png"):
        raise ValueError(f"{options.out} must be a folder, or end in .png for a single map")
    several = photos > 1 or len(options.method) > 1 or len(options.classes) > 1
    if options.out.suffix and (several or re.fullmatch(r"top\d+", options.classes[0])):
        raise ValueError(f"{options.out} is one picture, but several maps are asked for; name a folder")
    if options.report and options.report.suffix != ".html":
        raise ValueError(f"report {options.report} must end in .html")
    for target in (options.out, options.report):
        if target:
            _require_writable(target)


def _require_writable(target: Path) -> None:
    place = target if not target.suffix else target.parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise NotADirectoryError(f"cannot write {target}: {place} is a file, not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write {target}: no permission to write into {place}")


def _indices(wanted: Sequence[str], names: Sequence[str], scores: Tensor) -> list[int]:
    """Return the classes asked for by name or number, or as the best of this photo."""
    best = scores.argsort(descending=True, stable=True).tolist()
    chosen: list[int] = []
    for each in wanted:
        top = re.fullmatch(r"top(\d+)", "top1" if each == "auto" else each)
        chosen += best[: int(top[1])] if top else [find_class(each, names)]
    return list(dict.fromkeys(chosen))


def _stems(photos: Sequence[Path]) -> list[str]:
    """Return a name for each photo; those that share one are numbered."""
    counts, seen = Counter(photo.stem for photo in photos), Counter[str]()
    stems = []
    for photo in photos:
        seen[photo.stem] += 1
        stems.append(f"{photo.stem}-{seen[photo.stem]}" if counts[photo.stem] > 1 else photo.stem)
    return stems


def _target(out: Path, stem: str, name: str, method: str) -> Path:
    readable = re.sub(r"\W+", "_", name).strip("_")
    return out if out.suffix else out / f"{stem}-{readable}-{method}.png"


def _summary(photo: Photo, scores: Tensor, names: Sequence[str]) -> str:
    values, classes = scores.topk(min(5, len(scores)))
    lines = [f"{photo.path}  {photo.size[0]}x{photo.size[1]}"]
    lines += [f"  {v:6.1%}  {names[c]} ({c})" for v, c in zip(values.tolist(), classes.tolist(), strict=True)]
    return "\n".join(lines)


def _facts(photo: Photo, trained: Pretrained, options: Explain, found: Explanation) -> dict[str, object]:
    facts = {key: value for key, value in asdict(found).items() if key not in ("values", "view", "wanted")}
    return {
        "photo": str(photo.path),
        "photo_size": photo.size,
        "crop": photo.region,
        "model": trained.name,
        "weights": str(options.weights or "imagenet"),
        "class": found.wanted,
        "class_name": trained.names[found.wanted],
        **facts,
    }


def _write(target: Path, picture: Image.Image, found: Explanation, facts: dict[str, object]) -> None:
    with atomic(target) as temporary:
        picture.save(temporary)
    with atomic(target.with_suffix(".npy")) as temporary:
        np.save(temporary, found.values.numpy())
    write_json(target.with_suffix(".json"), facts)


def _section(
    photo: Photo,
    scores: Tensor,
    found: Sequence[Explanation],
    pictures: Sequence[Image.Image],
    names: Sequence[str],
) -> Section:
    values, classes = scores.topk(min(5, len(scores)))
    top = [(names[c], float(v)) for v, c in zip(values, classes, strict=True)]
    panels = [
        Panel(each.method, f"{names[each.wanted]}, {each.score:.1%}", thumbnail(picture))
        for each, picture in zip(found, pictures, strict=True)
    ]
    return Section(photo.path.name, thumbnail(draw_photo(photo)), top, panels)
