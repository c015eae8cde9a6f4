"""Boxes without boxes: how to cut the maps of chapter 11, and where to lay them, on birds of CUB-200-2011.

Networks with ImageNet weights, which were not trained on these birds, explain what they name first. A box is
that of the largest region above a threshold of the map, scaled by min-max. Its overlap with the truth is
averaged over the test pictures: for the best threshold of all, for one that a few boxes choose, for Otsu's of
each map, and for a fifth of the range; for maps that are enlarged as usual and for maps that are aligned.
And what becomes of the rocket of the chapter when a strip of its picture is painted over: the rocket, or the
sky where the map is brightest. Writes `results/own-boxes.json`.

    WSOLBOOK_REAL=/where/they/are python benchmarks/own_boxes.py
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import skimage
import torch
import tyro
from skimage.filters import threshold_otsu
from torch import Tensor, nn

from wsolbook import results
from wsolbook.alignment import align, grid_of
from wsolbook.backbones.pretrained import load_pretrained
from wsolbook.cam import grad_cam
from wsolbook.data.cub import CUB
from wsolbook.data.photos import read_photo
from wsolbook.evaluation import center_gaussian
from wsolbook.files import write_json
from wsolbook.maps import normalize, resize
from wsolbook.metrics import box_above, box_iou
from wsolbook.results import provenance
from wsolbook.types import Batch

REAL = Path(os.environ.get("WSOLBOOK_REAL", "real"))
NETWORKS: dict[str, tuple[str, str, Any, str]] = {
    "MobileNetV2": ("mobilenet_v2", "mobilenet_v2_symmetric", "symmetric", "features"),
    "MobileNetV2, TensorFlow": ("mobilenet_v2", "mobilenet_v2", "tf-same", "features"),
    "SqueezeNet": ("squeezenet1_1", "squeezenet1_1", "symmetric", "features.12"),
}
LEVELS = torch.arange(20) / 20
STRIPS = {  # columns of the network's view of the rocket, each 28 pixels wide
    "the rocket": (100, 128),
    "the brightest column, resized": (162, 190),
    "the brightest column, aligned": (146, 174),
}


@dataclass(frozen=True)
class Options:
    """Measure.

    Attributes:
        pictures: at most so many.
        few: how many boxes choose a threshold.
        draws: how often they are drawn anew.
        out: the file.
    """

    pictures: int = 243
    few: int = 10
    draws: int = 1000
    out: Path = results.folder() / "own-boxes.json"


def overlaps(heat: Tensor, boxes: list[Tensor], levels: Tensor) -> Tensor:
    """Return the overlap `(n, t)` of the box of each map at each of its levels `(n, t)` with the truth."""
    return torch.stack(
        [
            box_iou(torch.stack([box_above(m, float(t)) for t in row]), truth).amax(1)
            for m, truth, row in zip(heat, boxes, levels, strict=True)
        ]
    )


def measured(heat: Tensor, boxes: list[Tensor], options: Options) -> dict[str, Any]:
    """Return mean overlap and share of hits at 0.5, in percent, for each way to choose the threshold."""
    found = overlaps(heat, boxes, LEVELS.expand(len(heat), -1))
    draw = torch.Generator().manual_seed(0)
    few = [torch.randperm(len(heat), generator=draw)[: options.few] for _ in range(options.draws)]
    by_few = found.mean(0)[[int(found[some].mean(0).argmax()) for some in few]]
    each = overlaps(heat, boxes, torch.tensor([[threshold_otsu(m.numpy())] for m in heat]))
    return {
        "best": 100 * float(found.mean(0).max()),
        "at": float(LEVELS[found.mean(0).argmax()]),
        "few boxes": 100 * float(by_few.mean()),
        "few boxes, worst in twenty": 100 * float(by_few.quantile(0.05)),
        "Otsu": 100 * float(each.mean()),
        "a fifth": 100 * float(found.mean(0)[4]),
        "hits": 100 * float((found >= 0.5).double().mean(0).max()),
    }


def painted_over(network: nn.Module) -> dict[str, float]:
    """Return the probability of what the rocket is taken for, whole and without each strip.

    A strip is painted with the column of pixels to its left.
    """
    view = read_photo(Path(skimage.__file__).with_name("data") / "rocket.jpg").view
    with torch.no_grad():
        whole, wanted = network(view).softmax(1).max(1)
        found = {"nothing": float(whole)}
        for name, (start, end) in STRIPS.items():
            painted = view.clone()
            painted[..., start:end] = view[..., start - 1 : start]
            found[name] = float(network(painted).softmax(1)[0, wanted])
    return found


def main(options: Options) -> None:
    """Measure, print and write."""
    torch.set_num_threads(1)
    where, start = provenance(), time.perf_counter()
    data = CUB(REAL / "data" / "CUB_200_2011", "test")
    batch: Batch = data.batch(range(min(options.pictures, len(data))))
    assert batch.boxes is not None
    networks: dict[str, Any] = {}
    painted: dict[str, dict[str, float]] = {}
    for name, (model, weights, padding, layer) in NETWORKS.items():
        pretrained = load_pretrained(model, REAL / "weights" / f"{weights}.safetensors", padding=padding)
        network = pretrained.network.to(memory_format=torch.channels_last)
        raw = torch.cat([grad_cam(network, x, layer=layer).values[:, 0] for x in batch.images.split(8)])
        size, cells = batch.images.shape[-1], (raw.shape[-2], raw.shape[-1])
        grid = grid_of(network, layer, batch.images[:1], cells)
        networks[name] = {
            "cells": cells,
            "first cell": grid.start,
            "plain": measured(normalize(resize(raw, size)), batch.boxes, options),
            "aligned": measured(normalize(align(raw, grid, size)), batch.boxes, options),
        }
        painted[name] = painted_over(network)
        print(name, networks[name], painted[name], flush=True)
    blind = center_gaussian(batch.images.shape[-1]).float().expand(len(batch), -1, -1)
    networks["center"] = {"plain": measured(blind, batch.boxes, options)}
    about = {
        "command": " ".join(["python benchmarks/own_boxes.py", *sys.argv[1:]]),
        "seeds": [0],
        "seconds": round(time.perf_counter() - start),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    found = {"networks": networks, "painted over": painted, "pictures": len(batch), "few": options.few}
    write_json(options.out, found | {"provenance": about | where})


if __name__ == "__main__":
    main(tyro.cli(Options))
