"""Whether the world of critters can tell localizers apart: CAM against maps that never look, over seeds.

The world is set on CAM alone, so that it leads the blind center as it does on ImageNet, leaves headroom below
what a map of 8 x 8 cells can express, and ignores bodies that alone would tell the species in about half of
the pictures. Writes `results/world.json`.

    python benchmarks/world.py [--object-scale 0.3 0.75] [--body-cue 0.5]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from wsolbook import results
from wsolbook.backbones import build
from wsolbook.data.critters import PRESETS, Critters, render
from wsolbook.evaluation import center_gaussian, frame_boxes, frame_maps, frame_masks
from wsolbook.files import atomic
from wsolbook.maps import normalize, resize
from wsolbook.metrics import BoxAccuracy, PixelAP
from wsolbook.metrics.segmentation import SeedIoU
from wsolbook.results import provenance
from wsolbook.training import Optim, Schedule, TrainConfig, train


@dataclass(frozen=True)
class World:
    """Measure the presets `single` and `multi`.

    Attributes:
        seeds: of training pictures, initialization and order; the held-out pictures are the same for all.
        object_scale, multi_scale: length of the animals in picture widths in `single` and in `multi`.
        body_cue: how often an animal wears its own species' body.
        n, held_out: training and held-out pictures.
        epochs: of each training.
        out: the file.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    object_scale: tuple[float, float] = PRESETS["single"].object_scale
    multi_scale: tuple[float, float] = PRESETS["multi"].object_scale
    body_cue: float = PRESETS["single"].body_cue
    n: int = 2048
    held_out: int = 500
    epochs: int = 3
    out: Path = results.folder() / "world.json"


Localize = Callable[[int, Tensor], Tensor]  # index of a picture and its classes -> one map for each


def headless(data: Critters) -> Critters:
    """Return the same pictures without heads; labels stay."""
    drawn = render([scene.without("head") for scene in data.scenes])
    data.images = (drawn.images * 255).round().to(torch.uint8)
    return data


def trained(data: Critters, seed: int, epochs: int) -> Any:
    """Train a tiny network as the recipe `cam-critters` does."""
    torch.manual_seed(seed)
    several = int(data.labels.sum(1).max()) > 1
    model = build(
        "tiny", classes=len(data.classes), weights="critters", loss="sigmoid" if several else "softmax"
    )
    train(
        model,
        data,
        TrainConfig(
            epochs=epochs,
            batch_size=64,
            seed=seed,
            evaluate_every=0,
            optim=Optim(lr=0.02, momentum=0.9, weight_decay=5e-4),
            schedule=Schedule("cosine"),
        ),
    )
    return model.eval()


@torch.no_grad()
def top_1(model: Any, data: Critters) -> float:
    """Return the share of pictures whose species comes first, in percent."""
    batch = data.batch(range(len(data)))
    return 100 * float((model(batch.images).argmax(1) == batch.labels.argmax(1)).double().mean())


def score(localize: Localize, data: Critters) -> dict[str, float]:
    """Return MaxBoxAccV2, PxAP and the best mIoU of seeds, with the threshold chosen on these pictures."""
    boxes, pixels, seeds = BoxAccuracy(), PixelAP(), SeedIoU(len(data.classes) + 1)
    size = data.masks.shape[-1]
    for i, (mask, label) in enumerate(zip(data.masks, data.labels, strict=True)):
        classes = label.nonzero()[:, 0]
        raw = localize(i, classes).float()
        maps = frame_maps(raw)
        mine = [data.boxes[i][data.box_classes[i] == c] for c in classes]
        boxes.update(maps, [frame_boxes(corners, (size, size)) for corners in mine])
        pixels.update(maps, frame_masks(torch.stack([mask * (mask == c + 1) for c in classes])))
        seeds.update(normalize(resize(raw, size), "max"), classes + 1, mask)
    return {"V2": boxes.compute()["v2"], "PxAP": pixels.compute(), "mIoU": seeds.compute()["miou"]}


def blind(data: Critters) -> dict[str, dict[str, float]]:
    """Score what needs no network: the center, all of the picture, and the truth on the network's grid."""
    size = data.masks.shape[-1]
    center = center_gaussian(size).float()

    def truth(i: int, classes: Tensor) -> Tensor:
        masks = torch.stack([(data.masks[i] == c + 1).float() for c in classes])
        return adaptive_avg_pool2d(masks[None], size // 8)[0]

    return {
        "center": score(lambda _, classes: center.expand(len(classes), -1, -1), data),
        "all of it": score(lambda _, classes: torch.ones(len(classes), size, size), data),
        "true mask at 8x8": score(truth, data),
    }


def cam(model: Any, data: Critters) -> dict[str, float]:
    """Score a network's class activation maps of the classes that are there."""

    @torch.no_grad()
    def maps(i: int, classes: Tensor) -> Tensor:
        return model.maps(data.batch([i]).images, classes[None])[0]

    return score(maps, data)


def main(options: World) -> None:
    """Train, measure, print and write."""
    o, began = options, time.perf_counter()
    worlds = {
        "single": {"object_scale": o.object_scale, "body_cue": o.body_cue},
        "multi": {"object_scale": o.multi_scale, "body_cue": o.body_cue},
    }
    about = provenance() | {
        "command": " ".join(["python", "benchmarks/world.py", *sys.argv[1:]]),
        "seeds": o.seeds,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    found: dict[str, Any] = {"pictures": {"trained": o.n, "evaluated": o.held_out}, "epochs": o.epochs}
    for preset, knobs in worlds.items():
        held_out = Critters(o.held_out, preset, seed=0, split="val", **knobs)
        rows: dict[str, Any] = {"CAM": []}
        for seed in o.seeds:
            data = Critters(o.n, preset, seed=seed, split="train", **knobs)
            model = trained(data, seed, o.epochs)
            row = cam(model, held_out)
            if preset == "single":
                row["top-1"] = top_1(model, held_out)
                without = headless(Critters(o.held_out, preset, seed=0, split="val", **knobs))
                row["top-1, headless"] = top_1(model, without)
                row["top-1, trained headless"] = top_1(trained(headless(data), seed, o.epochs), without)
            rows["CAM"].append(shown(f"{preset}, seed {seed}", row))
        rows |= {name: shown(f"{preset}, {name}", row) for name, row in blind(held_out).items()}
        found[preset] = knobs | rows
    found["provenance"] = about | {"seconds": round(time.perf_counter() - began)}
    with atomic(o.out) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def shown(name: str, row: dict[str, float]) -> dict[str, float]:
    """Print a row and return it, to two digits."""
    row = {metric: round(value, 2) for metric, value in row.items()}
    print(name, row, flush=True)
    return row


if __name__ == "__main__":
    main(tyro.cli(World))
