"""What a second process brings: pictures a second of the training loop over one process and several.

Each case runs in processes of its own, in turn with the others, several rounds; the first steps are left
out. Pictures are noise that lies in memory, so that reading does not count. Beside wall-clock time stands
processor time, over all processes, which other programs on the machine hardly touch: it grows by what the
processes do for each other.

    python benchmarks/scaling.py --device cpu --out results/scaling-cpu.json
    python benchmarks/scaling.py --backbone resnet50 --size 224 --precision bf16 --processes 1 8
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from timing import origin  # of this folder

from wsolbook import results
from wsolbook.backbones import build
from wsolbook.files import write_json
from wsolbook.results import provenance
from wsolbook.training import Optim, TrainConfig, train
from wsolbook.types import Batch

WARM = 5
CLASSES = 8


@dataclass(frozen=True)
class Options:
    """Measure the training loop over one process and several.

    Attributes:
        backbone: a name of `wsolbook.backbones.BACKBONES`.
        size: side of the pictures in pixels.
        batch: pictures a step; several processes are measured with this and with as many times more.
        processes: how many, one after the other.
        steps: steps that count.
        rounds: how often each case is measured.
        device: as in `TrainConfig`.
        precision: as in `TrainConfig`.
        out: file of the results.
        worker: folder that a process writes its times to; set by this program alone.
    """

    backbone: str = "tiny"
    size: int = 64
    batch: int = 64
    processes: tuple[int, ...] = (1, 2)
    steps: int = 20
    rounds: int = 5
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    out: Path | None = None
    worker: Path | None = None


class Noise:
    """Pictures that cost nothing to read."""

    classes = tuple(map(str, range(CLASSES)))

    def __init__(self, n: int, size: int) -> None:
        self.images = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index, epoch=None) -> Batch:
        """Return the pictures `index`."""
        places = torch.tensor(list(index))
        return Batch(self.images[places], torch.eye(CLASSES)[places % CLASSES], places)


def work(options: Options) -> None:
    """Train in this process and write the seconds of its steps."""
    model = build(options.backbone, classes=CLASSES)
    config = TrainConfig(
        steps=WARM + options.steps + 1, batch_size=options.batch, optim=Optim(lr=0.01),
        device=options.device, precision=options.precision,
    )  # fmt: skip
    marks: list[tuple[float, float]] = []
    loss = model.loss

    def timed(batch):
        marks.append((time.perf_counter(), time.process_time()))
        return loss(batch)

    model.loss = timed  # type: ignore[method-assign]
    train(model, Noise(options.batch, options.size), config)
    wall, processor = (marks[-1][k] - marks[WARM][k] for k in (0, 1))
    rank = os.environ.get("RANK", "0")
    write_json(options.worker / f"{rank}.json", {"wall": wall, "processor": processor})
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def launch(options: Options, world: int, batch: int) -> tuple[float, float]:
    """Return pictures a second and processor milliseconds a picture, over all processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = os.environ | {"OMP_NUM_THREADS": "1"}
    if world > 1:
        shared |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
        shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if options.device == "cpu":
        shared |= {"ACCELERATE_USE_CPU": "true"}
    with tempfile.TemporaryDirectory() as folder:
        settings = asdict(options) | {"batch": batch, "worker": folder}
        workers = [
            subprocess.Popen(
                [sys.executable, __file__, *_arguments(settings)],
                env=shared | ({"RANK": str(r), "LOCAL_RANK": str(r)} if world > 1 else {}),
            )
            for r in range(world)
        ]
        if any([worker.wait() for worker in workers]):
            raise SystemExit("a process failed")
        times = [json.loads(p.read_text(encoding="utf-8")) for p in Path(folder).glob("*.json")]
    images = batch * options.steps
    slowest = max(t["wall"] for t in times)
    return images / slowest, 1000 * sum(t["processor"] for t in times) / images


def _arguments(settings: dict) -> list[str]:
    kept = ("backbone", "size", "batch", "steps", "device", "precision", "worker")
    return [part for name in kept for part in (f"--{name}", str(settings[name]))]


def main(options: Options) -> None:
    """Measure every case in turn, print and write what was found."""
    cases = sorted({(p, b) for p in options.processes for b in (options.batch, options.batch * p)})
    found: dict[tuple[int, int], list[tuple[float, float]]] = {case: [] for case in cases}
    started = time.perf_counter()
    load = os.getloadavg()[0]
    for _ in range(options.rounds):
        for case in cases:
            found[case].append(launch(options, *case))
    rows = [
        {
            "processes": world,
            "batch": batch,
            "images_per_second": [round(rate, 1) for rate, _ in values],
            "processor_ms_per_image": [round(spent, 3) for _, spent in values],
        }
        for (world, batch), values in found.items()
    ]
    middle = [
        [statistics.median(row[k]) for k in ("images_per_second", "processor_ms_per_image")] for row in rows
    ]
    table = [
        (f"{row['processes']} x {row['batch'] // row['processes']}", f"{rate:.1f}", f"{spent:.2f}")
        for row, (rate, spent) in zip(rows, middle, strict=True)
    ]
    print(results.table(("processes x pictures", "pictures/s", "processor ms/picture"), table))
    if options.out is None:
        return
    model = build(options.backbone, classes=CLASSES)
    write_json(options.out, {
        "name": options.out.stem,
        "cases": rows,
        "backbone": options.backbone,
        "size": options.size,
        "precision": options.precision,
        "gradient_bytes": sum(4 * p.numel() for p in model.parameters() if p.requires_grad),
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "provenance": origin(started, {
            **provenance("cpu" if options.device == "cpu" or not torch.cuda.is_available() else "cuda"),
            "threads": int(os.environ.get("OMP_NUM_THREADS", 1)),
        }),
    })  # fmt: skip


if __name__ == "__main__":
    chosen = tyro.cli(Options, description=__doc__)
    work(chosen) if chosen.worker else main(chosen)
