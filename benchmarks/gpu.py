"""What a GPU makes of the networks: training, maps, label maps and chapters.

    python benchmarks/gpu.py --out results/gpu-t4.json
    python benchmarks/gpu.py --chapters           # without the chapters, which take most of the time

Training is the loop of the book over pictures that lie in memory as bytes, against bare steps over tensors
that are on the card already. The peak of a number format is what one large matrix product reaches on the
card, in the same run. Grad-CAM counts in plain forward passes; walk and CRF are of one picture of VOC's size.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from timing import origin, seconds, times  # of this folder
from torch.utils.flop_counter import FlopCounterMode

from wsolbook import cam, results
from wsolbook.backbones import Classifier, build
from wsolbook.files import write_json
from wsolbook.precision import Precision, chosen, computing
from wsolbook.refine.affinity import affinities
from wsolbook.refine.crf import dense_crf
from wsolbook.refine.random_walk import random_walk
from wsolbook.training import Optim, TrainConfig, train
from wsolbook.types import Batch

ROOT = Path(__file__).parents[1]
TEXT = ROOT / "notebooks" / "text"
CARD = torch.device("cuda")
WARM, CLASSES, LABELS = 3, 20, 21


@dataclass(frozen=True)
class Options:
    """Measure what a GPU makes of the networks.

    Attributes:
        backbones: names of `wsolbook.backbones.BACKBONES`.
        precisions: number formats, as in `TrainConfig`.
        size: side of the training pictures in pixels.
        batch: pictures a step.
        steps: that count.
        rounds: how often the rest is measured.
        product: side of the matrices whose product is the peak.
        picture: height and width of the picture that is labeled.
        chapters: which run under the profile `full`.
        out: file of the results.
    """

    backbones: tuple[str, ...] = ("vgg16", "resnet50", "inception_v3", "resnet38")
    precisions: tuple[Precision, ...] = ("fp32", "tf32", "auto")
    size: int = 224
    batch: int = 32
    steps: int = 20
    rounds: int = 5
    product: int = 8192
    picture: tuple[int, int] = (375, 500)
    chapters: tuple[str, ...] = tuple(sorted(path.stem for path in TEXT.glob("[0-9]*.py")))
    out: Path | None = None


class Bytes:
    """Pictures of noise in memory, as a data set of decoded photographs has them."""

    classes = tuple(map(str, range(CLASSES)))

    def __init__(self, n: int, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pictures = torch.randint(256, (n, 3, size, size), generator=generator, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, index, epoch=None) -> Batch:
        """Return the pictures `index`."""
        places = torch.tensor(list(index))
        return Batch(self.pictures[places], torch.eye(CLASSES)[places % CLASSES], places)


def ours(net: Classifier, data: Bytes, precision: Precision, options: Options) -> float:
    """Return the seconds of a step of the training loop, reading included."""
    marks, loss = [], net.loss

    def timed(batch: Batch):
        marks.append(time.perf_counter())
        return loss(batch)

    net.loss = timed  # type: ignore[method-assign]
    steps = WARM + options.steps + 1
    config = TrainConfig(
        steps=steps, batch_size=options.batch, optim=Optim(lr=1e-4), device="cuda", precision=precision,
        tune_kernels=True, channels_last=True,
    )  # fmt: skip
    train(net, data, config)
    net.loss = loss  # type: ignore[method-assign]
    return (marks[-1] - marks[WARM]) / options.steps


def bare(net: Classifier, data: Bytes, precision: Precision, options: Options) -> float:
    """Return the seconds of forward, backward and update on a batch that is there."""
    net.train().to(CARD, memory_format=torch.channels_last)
    batch = data.batch(range(options.batch)).to(CARD, torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), 1e-4, momentum=0.9, weight_decay=5e-4, fused=True)
    scaler = torch.amp.GradScaler("cuda", enabled=chosen(precision, CARD) == "fp16")
    _ = batch.images

    def step() -> None:
        with computing(precision, CARD):
            loss = net.loss(batch)["classification"]
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    for _ in range(WARM):
        step()
    return seconds(lambda: [step() for _ in range(options.steps)], "cuda") / options.steps


def operations(net: Classifier, size: int) -> int:
    """Return the floating-point operations of a training step of one picture."""
    batch = Bytes(2, size).batch(range(2)).to(next(net.parameters()).device)
    with FlopCounterMode(display=False) as counter:
        net.train().loss(batch)["classification"].backward()
    net.zero_grad()
    return counter.get_total_flops() // len(batch)


def peak(precision: Precision, options: Options) -> float:
    """Return the operations a second of one large matrix product."""
    matrix = torch.ones(options.product, options.product, device=CARD)
    with computing(precision, CARD):
        taken = times({"product": lambda: matrix @ matrix}, options.rounds, "cuda")["product"]
    return 2 * options.product**3 / min(taken)


def training(backbone: str, precision: Precision, options: Options) -> dict[str, object]:
    """Return one line of the table of training."""
    net, data = build(backbone, classes=CLASSES).to(CARD), Bytes(4 * options.batch, options.size)
    work = options.batch * operations(net, options.size)
    torch.cuda.reset_peak_memory_stats()
    loop = ours(net, data, precision, options)
    memory = torch.cuda.max_memory_allocated()
    return {
        "backbone": backbone,
        "precision": chosen(precision, CARD),
        "images_per_second": round(options.batch / loop, 1),
        "of_bare_steps": round(bare(net, data, precision, options) / loop, 3),
        "share_of_peak": round(work / loop / peak(precision, options), 3),
        "memory_mib": memory >> 20,
    }


def maps(backbone: str, options: Options) -> float:
    """Return what Grad-CAM takes, in plain forward passes of the same pictures."""
    net = build(backbone, classes=CLASSES).eval().to(CARD)
    images = Bytes(options.batch, options.size).batch(range(options.batch)).to(CARD).images

    def forward() -> None:
        with torch.no_grad():
            net(images)

    contenders = {"forward": forward, "grad-cam": lambda: cam.grad_cam(net, images, 0)}
    with computing("fp32", CARD):
        found = {name: median(taken) for name, taken in times(contenders, options.rounds, "cuda").items()}
    return round(found["grad-cam"] / found["forward"], 2)


def label_maps(options: Options) -> dict[str, float]:
    """Return the milliseconds of the random walk, on a grid of stride 8, and of the CRF."""
    height, width = options.picture
    grid = (-(-height // 8), -(-width // 8))
    near = affinities(torch.randn(1, 8, *grid, device=CARD))
    scores, soft = (
        torch.rand(1, LABELS, *grid, device=CARD),
        torch.rand(1, LABELS, height, width, device=CARD),
    )
    image = torch.randint(256, (1, 3, height, width), dtype=torch.uint8).to(CARD)
    contenders = {"walk": lambda: random_walk(scores, near), "crf": lambda: dense_crf(soft, image)}
    found = times(contenders, options.rounds, "cuda")
    return {name: round(1000 * median(taken), 2) for name, taken in found.items()}


def chapter(name: str) -> float:
    """Return the seconds of a chapter under the profile `full`."""
    started = time.perf_counter()
    play = [sys.executable, str(ROOT / "scripts" / "play.py"), str(TEXT / f"{name}.py")]
    subprocess.run(play, env=os.environ | {"WSOLBOOK_PROFILE": "full"}, check=True, capture_output=True)
    return round(time.perf_counter() - started, 1)


def main(options: Options) -> None:
    about, started = results.provenance(CARD), time.perf_counter()
    rows = [training(b, p, options) for b in options.backbones for p in options.precisions]
    print(results.table(list(rows[0]), [list(row.values()) for row in rows]))
    record = {
        "training": {b: {r["precision"]: r for r in rows if r["backbone"] == b} for b in options.backbones},
        "grad_cam_in_forwards": {b: maps(b, options) for b in options.backbones},
        "milliseconds": label_maps(options),
        "seconds_of_chapters": {name: chapter(name) for name in options.chapters},
    }
    for name, value in list(record.items())[1:]:
        print(f"{name}: {value}")
    if options.out:
        height, width = options.picture
        settings = {"size": options.size, "batch": options.batch, "picture": f"{height} x {width}"}
        named = {"name": options.out.stem, **settings, **record}
        write_json(options.out, named | {"provenance": origin(started, about)})


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
