"""How fast the world of critters is drawn, beside decoding JPEG files of the same size.

python benchmarks/critters.py [size] [threads]
"""

from __future__ import annotations

import io
import statistics
import sys
import time

import numpy as np
import torch
from PIL import Image

from wsolbook.data.critters import PRESETS, Scenes, sample

ROUNDS, PICTURES = 5, 256


def decode(files: list[bytes]) -> None:
    for file in files:
        np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def encode(drawn: Scenes) -> list[bytes]:
    files = []
    for picture in (drawn.images * 255).byte().permute(0, 2, 3, 1).numpy():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
    print(f"{PICTURES} pictures of {size} px with masks, parts and boxes, {torch.get_num_threads()} threads")
    files = encode(sample(PICTURES, size=size))
    tasks = {name: (lambda name=name: sample(PICTURES, name, size)) for name in PRESETS}
    rates: dict[str, list[float]] = {name: [] for name in [*tasks, "JPEG, one thread"]}
    for _ in range(ROUNDS):  # alternate, so that a disturbance of the machine hits all alike
        for name, task in [*tasks.items(), ("JPEG, one thread", lambda: decode(files))]:
            start = time.perf_counter()
            task()
            rates[name].append(PICTURES / (time.perf_counter() - start))
    jpeg = statistics.median(rates["JPEG, one thread"])
    for name, values in rates.items():
        middle = statistics.median(values)
        print(
            f"{name:18} {min(values):7.0f} / {middle:7.0f} / {max(values):7.0f} pictures a second"
            f" (min/median/max), {jpeg / middle:5.2f} times the time of a JPEG"
        )


if __name__ == "__main__":
    main()
