"""How fast the world of critters is drawn, beside decoding JPEG files of the same size.

    python benchmarks/critters.py [--size 64] [--threads 1] [--busy 2]

`--busy` starts so many other processes that only compute, and shows what is left of the speed beside them.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
import tyro
from PIL import Image

from wsolbook.data.critters import PRESETS, Scenes, sample

ROUNDS, PICTURES = 5, 256


@dataclass(frozen=True)
class Speed:
    """Compare pictures a second.

    Attributes:
        size: side of the pictures in pixels.
        threads: that draw; decoding takes one.
        busy: other processes on the cores.
    """

    size: int = 64
    threads: int = 1
    busy: int = 0


def decode(files: list[bytes]) -> None:
    """Decode files to arrays."""
    for file in files:
        np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def encode(drawn: Scenes) -> list[bytes]:
    """Return pictures as JPEG files."""
    files = []
    for picture in (drawn.images * 255).byte().permute(0, 2, 3, 1).numpy():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def spin() -> None:
    """Keep one core busy."""
    while True:
        sum(range(100_000))


def main(options: Speed) -> None:
    """Draw and decode in turn, so that a disturbance of the machine hits all alike."""
    o = options
    torch.set_num_threads(o.threads)
    print(
        f"{PICTURES} pictures of {o.size} px with masks, parts and boxes on {o.threads} threads,"
        f" {o.busy} other processes, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    files = encode(sample(PICTURES, size=o.size))
    tasks = {name: (lambda name=name: sample(PICTURES, name, o.size)) for name in PRESETS}
    tasks["JPEG, one thread"] = lambda: decode(files)
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    processor: dict[str, list[float]] = {name: [] for name in tasks}
    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(o.busy)]
    for other in others:
        other.start()
    for _ in range(ROUNDS):
        for name, task in tasks.items():
            start, used = time.perf_counter(), time.process_time()
            task()
            wall[name].append(PICTURES / (time.perf_counter() - start))
            processor[name].append((time.process_time() - used) / PICTURES)
    for other in others:
        other.kill()
    jpeg = statistics.median(processor["JPEG, one thread"])
    for name, rates in wall.items():
        own = statistics.median(processor[name])
        print(
            f"{name:17} {min(rates):6.0f} / {statistics.median(rates):6.0f} / {max(rates):6.0f} pictures a"
            f" second (min/median/max), {1e6 * own:5.0f} us of processor time, {own / jpeg:4.2f} JPEGs"
        )


if __name__ == "__main__":
    main(tyro.cli(Speed))
