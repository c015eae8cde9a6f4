"""Time of loading pictures, as ratios to plain torchvision doing the same steps, measured in the same rounds.

    python benchmarks/data.py                      # JPEGs it draws itself: 96x96, 224x224, 500x375
    python benchmarks/data.py --rounds 9 --out data.json

Contenders take turns on one thread, each round starting with another one; what counts is processor time, so
that a busy machine disturbs little; a ratio is the median over rounds. "torchvision io" decodes with
torchvision.io.decode_image, "torchvision folder" is ImageFolder with its own loader; both then warp to 256,
crop 224, mirror, scale and normalize with transforms v2, one picture after the other, as their users do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from wsolbook.data.folder import Folder
from wsolbook.data.images import read_image
from wsolbook.data.transforms import MEAN, STD

SIZES = ((96, 96), (224, 224), (500, 375))
Call = Callable[[], object]


def draw(folder: Path, size: tuple[int, int], count: int) -> None:
    """Write JPEGs with about the detail of photographs: smooth noise at several scales."""
    random = np.random.default_rng(0)
    for i in range(count):
        layers = [
            np.asarray(
                Image.fromarray(random.integers(0, 255, (n, n, 3), dtype=np.uint8)).resize(size), dtype=float
            )
            for n in (4, 16, 64)
        ]
        mixed = np.average(layers, axis=0, weights=[4, 2, 1]).astype(np.uint8)
        (folder / f"{i % 4}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mixed).save(folder / f"{i % 4}" / f"{i}.jpg", quality=90)


def contenders(folder: Path) -> dict[str, Call]:
    steps = [v2.Resize((256, 256)), v2.RandomCrop(224), v2.RandomHorizontalFlip()]
    last = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    from_tensor, from_pillow = v2.Compose(steps + last), v2.Compose([v2.ToImage(), *steps, *last])
    ours = Folder(folder)
    theirs = ImageFolder(folder, from_pillow)
    paths = [str(ours.path(i)) for i in range(len(ours))]
    return {
        "torchvision io": lambda: torch.stack(
            [from_tensor(decode_image(path, mode=ImageReadMode.RGB)) for path in paths]
        ),
        "torchvision folder": lambda: torch.stack([theirs[i][0] for i in range(len(paths))]),
        "wsolbook": lambda: ours.batch(range(len(paths)), epoch=0),
        "decode: torchvision io": lambda: [decode_image(path, mode=ImageReadMode.RGB) for path in paths],
        "decode: wsolbook": lambda: [read_image(path) for path in paths],
    }


def measure(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        calls[name]()
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            calls[name]()
            times[name].append(time.process_time() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=64, help="pictures")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder), size, options.count)
            times = measure(contenders(Path(folder)), options.rounds)
        row = {
            "ms a picture": {
                k: round(1000 * statistics.median(v) / options.count, 3) for k, v in times.items()
            }
        }
        for name in ("torchvision io", "torchvision folder"):
            ratios = [a / b for a, b in zip(times["wsolbook"], times[name], strict=True)]
            row[f"wsolbook / {name}"] = round(statistics.median(ratios), 3)
        ratios = [
            a / b for a, b in zip(times["decode: wsolbook"], times["decode: torchvision io"], strict=True)
        ]
        row["decoding alone"] = round(statistics.median(ratios), 3)
        figures[f"{size[0]}x{size[1]}"] = row
        print(f"{size[0]}x{size[1]}", json.dumps(row))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
