"""Which method when: the cost and the faithfulness of the maps of chapter 11, on photographs and on critters.

A network with ImageNet weights explains what it names first in labeled photographs of `$WSOLBOOK_REAL` and in
three pictures of scikit-image: deletion and insertion (Petsiuk et al. 2018), forward passes, time and memory
of a call, and the coarse maps of the three pictures. The network of chapter 2, three seeds, is asked on
critters whether the map agrees with the removal of parts, and with the map of another class.

    export WSOLBOOK_REAL=/where/they/are MALLOC_MMAP_THRESHOLD_=65536  # freed memory is returned at once
    python benchmarks/own.py mobilenet_v2  # or squeezenet1_1, or critters

Each writes `results/own-WHAT.json`.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import skimage
import torch
import tyro
from cam import peak  # of this folder
from candidates import Method, methods_of, of
from grad_cam import trained
from timing import seconds
from torch import Tensor, nn

from wsolbook import cam
from wsolbook.backbones.pretrained import Pretrained, load_pretrained
from wsolbook.data import critters
from wsolbook.data.photos import find_photos, read_photo
from wsolbook.data.transforms import to_network
from wsolbook.files import write_json
from wsolbook.maps import normalize, resize
from wsolbook.metrics import part_evidence, part_importance, rank_agreement
from wsolbook.results import provenance
from wsolbook.types import Maps

REAL = Path(os.environ.get("WSOLBOOK_REAL", "real"))
PICTURES = {  # of scikit-image, free for any use
    "cat": "chelsea.png",
    "espresso": "coffee.png",
    "rocket": "rocket.jpg",
}
NETWORKS = {  # weights, the layer that is explained, and one at an earlier stage
    "mobilenet_v2": ("mobilenet_v2_symmetric", "features", "features.13"),
    "squeezenet1_1": ("squeezenet1_1", "features.12", "features.7"),
}


DEAR = ("Ablation-CAM", "Score-CAM", "occlusion")  # judged on fewer pictures


@dataclass(frozen=True)
class Options:
    """Measure the methods.

    Attributes:
        what: a network, for photographs, or critters.
        seeds: of the networks of the critters.
        critters: held-out critters to ask.
        photos: at most so many photographs, besides those of scikit-image.
        steps: of deletion and insertion.
        few: photographs for the methods that are dear.
        rounds: of timing.
        out: folder of the file.
    """

    what: tyro.conf.Positional[Literal["mobilenet_v2", "squeezenet1_1", "critters"]]
    seeds: tuple[int, ...] = (0, 1, 2)
    critters: int = 100
    photos: int = 17
    steps: int = 5
    few: int = 8
    rounds: int = 3
    out: Path = Path("results")


# --- what they cost


def asked(name: str) -> dict[str, Method]:
    """Return the methods that a network is asked: all but Score-CAM where that runs it 1,282 times."""
    methods = methods_of(*NETWORKS[name][1:])
    return {m: call for m, call in methods.items() if (name, m) != ("mobilenet_v2", "Score-CAM")}


@contextmanager
def counted(model: nn.Module) -> Iterator[list[float]]:
    """Count the pictures that go through a network inside the block, in units of its usual size."""
    seen: list[float] = []
    hook = model.register_forward_pre_hook(
        lambda _, args: seen.append(len(args[0]) * args[0].shape[-1] ** 2 / 224**2)
    )
    try:
        yield seen
    finally:
        hook.remove()


def network(name: str) -> Pretrained:
    """Load a network with ImageNet weights, in the memory format that this processor likes."""
    found = load_pretrained(name, REAL / "weights" / f"{NETWORKS[name][0]}.safetensors")
    found.network.to(memory_format=torch.channels_last)
    return found


def plain(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Run the network and nothing else."""
    with torch.no_grad():
        return model(x)


def costs(name: str, model: nn.Module, x: Tensor, rounds: int) -> dict[str, dict[str, float | None]]:
    """Return forwards, time and memory of each method as ratios to a plain forward pass.

    Up to four forward passes on eight pictures; beyond that on one, once, and without memory.
    """
    found: dict[str, dict[str, float | None]] = {}
    cam.default_layer(model, x[:1])  # what is done once for a network
    some = x, torch.arange(len(x))
    plain(model, *some)
    rest = peak(partial(plain, model, *some), "cpu")
    for method, call in asked(name).items():
        with counted(model) as seen:
            once = seconds(partial(call, model, x[:1], torch.arange(1)), "cpu")
        dear = sum(seen) > 4
        if dear:
            ratios = [once / seconds(partial(plain, model, x[:1], torch.arange(1)), "cpu")]
        else:
            with counted(model) as seen:  # again: what is done once is done
                call(model, x[:1], torch.arange(1))
            ratios = []
            for _ in range(rounds):
                alone = seconds(partial(plain, model, *some), "cpu")
                ratios.append(seconds(partial(call, model, *some), "cpu") / alone)
        used = None if dear else peak(partial(call, model, *some), "cpu") / rest
        found[method] = {"forwards": sum(seen), "time": median(ratios), "memory": used}
        print(name, method, found[method], flush=True)
    return found


# --- how faithful they are


def judged(
    model: nn.Module, x: Tensor, classes: Tensor, methods: dict[str, tuple[Method, int]], steps: int
) -> dict[str, dict[str, Any]]:
    """Return areas under deletion and insertion, and the lead over Grad-CAM with its 95 % interval.

    Each method comes with the number of pictures that it is asked about. Maps that are equal are judged once.
    """
    seen: dict[str, Tensor] = {}
    scores: dict[str, tuple[Tensor, Tensor]] = {}
    for name, (method, n) in methods.items():
        parts = zip(x[:n].split(8), classes[:n].split(8), strict=True)
        seen[name] = torch.cat([method(model, *part).detach() for part in parts])
        twin = next((other for other in scores if equal(seen[other], seen[name])), "")
        scores[name] = scores[twin] if twin else areas(model, x[:n], classes[:n], seen[name], steps)
        print(name, [round(float(score.mean()), 4) for score in scores[name]], twin, flush=True)
    base = scores["Grad-CAM"][1] - scores["Grad-CAM"][0]
    found = {}
    for name, (deleted, inserted) in scores.items():
        lead = inserted - deleted - base[: len(deleted)]
        margin = 1.96 * float(lead.std()) / math.sqrt(len(lead))
        found[name] = {
            "pictures": len(deleted),
            "deletion": float(deleted.mean()),
            "insertion": float(inserted.mean()),
            "lead": float(lead.mean()),
            "interval": [float(lead.mean()) - margin, float(lead.mean()) + margin],
        }
    return found


def equal(a: Tensor, b: Tensor) -> bool:
    """Say whether maps are the same up to their scale and what is below zero."""
    return a.shape == b.shape and torch.allclose(normalize(a, "max"), normalize(b, "max"), atol=1e-3)


def areas(model: nn.Module, x: Tensor, classes: Tensor, maps: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return the areas under the curves of deletion and insertion, one number a picture."""
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    for image, wanted, values in zip(x.split(8), classes.split(8), maps.split(8), strict=True):
        shown = Maps(values[:, None], torch.empty(0), wanted[:, None])
        for change, under in zip((cam.deletion, cam.insertion), found, strict=True):
            under.append(cam.area(change(model, image, shown, steps))[:, 0])
    return torch.cat(found[0]), torch.cat(found[1])


def by_parts(seed: int, number: int) -> dict[str, dict[str, float]]:
    """Return what each map of critters agrees with: removed parts, and the map of another class."""
    data = critters.Critters(number, split="val")
    model, size = trained(seed), data.images.shape[-1]
    test = data.batch(range(number))
    x, true = test.images, test.labels.argmax(1)
    without = {
        part: to_network(critters.render([s.without(part) for s in data.scenes], size).images)
        for part in critters.PARTS
    }
    falls = torch.stack(list(part_importance(model, x, without, true).values()), 1)
    found = {}
    for name, method in methods_of("features", "features.stage3").items():
        mine, other = (method(model, x, classes).detach() for classes in (true, (true + 4) % 8))
        evidence = part_evidence(resize(mine, size), data.parts)
        cells = [resize(m, size // 8).flatten(1) for m in (mine, other)]
        found[name] = {
            "removed parts": float(rank_agreement(evidence, falls).nanmean()),
            "another class": float(rank_agreement(*cells).nanmean()),
        }
        print(seed, name, found[name], flush=True)
    return found


def kept_maps(trained_network: Pretrained, x: Tensor, layer: str, early: str) -> dict[str, Any]:
    """Return what the chapter draws over the pictures of scikit-image: names, and coarse raw maps."""
    model = trained_network.network
    with torch.no_grad():
        probability, classes = model(x).softmax(1).max(1)
    drawn = {
        "Grad-CAM": of(cam.grad_cam, layer),
        "LayerCAM, earlier": of(cam.layer_cam, early),
        "Grad-CAM, earlier": of(cam.grad_cam, early),
    }
    maps = {name: method(model, x, classes).detach() for name, method in drawn.items()}
    return {
        picture: {
            "class": trained_network.names[int(classes[i])],
            "probability": round(float(probability[i]), 3),
            "maps": {name: rounded(values[i]) for name, values in maps.items()},
        }
        for i, picture in enumerate(PICTURES)
    }


def rounded(values: Tensor) -> list[list[float]]:
    """Return a map scaled by its maximum, to three digits."""
    return [[round(v, 3) for v in row] for row in normalize(values[None], "max")[0].tolist()]


def on_photographs(name: str, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a row for each method, and what the chapter draws, of one network."""
    ours, (_, layer, early) = network(name), NETWORKS[name]
    free = Path(skimage.__file__).with_name("data")
    photos = [free / file for file in PICTURES.values()]
    photos += find_photos((REAL / "data" / "photos" / "images",))[: options.photos]
    x = torch.cat([read_photo(path).view for path in photos])
    with torch.no_grad():
        classes = ours.network(x).argmax(1)
    rows = costs(name, ours.network, x[:8], options.rounds)
    methods = {m: (call, options.few if m in DEAR else len(x)) for m, call in asked(name).items()}
    found = judged(ours.network, x, classes, methods, options.steps)
    return {m: rows[m] | found[m] for m in methods}, kept_maps(ours, x[: len(PICTURES)], layer, early)


def on_critters(options: Options) -> dict[str, Any]:
    """Return what each map agrees with, a number for each seed."""
    seeds = [by_parts(seed, options.critters) for seed in options.seeds]
    return {
        name: {question: [one[name][question] for one in seeds] for question in of_first}
        for name, of_first in seeds[0].items()
    }


def main(options: Options) -> None:
    """Measure, print and write."""
    torch.set_num_threads(1)
    where, start = provenance(), time.perf_counter()
    if options.what == "critters":
        found: dict[str, Any] = {"pictures": options.critters, "methods": on_critters(options)}
    else:
        rows, drawn = on_photographs(options.what, options)
        found = {"pictures": len(PICTURES) + options.photos, "methods": rows, "drawn": drawn}
    about = {
        "command": " ".join(["python benchmarks/own.py", *sys.argv[1:]]),
        "seeds": list(options.seeds),
        "seconds": round(time.perf_counter() - start),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    write_json(options.out / f"own-{options.what}.json", found | {"provenance": about | where})


if __name__ == "__main__":
    main(tyro.cli(Options))
