"""Speed of `wsolbook explain` on a folder, as a ratio to the plain forward pass measured in the same rounds.

    python benchmarks/explain.py [--network mobilenet_v2] [--photos 64] [--size 500 375] [--rounds 3]

Three take turns: the forward pass over photographs that lie in memory as network input; reading each and then
running the network; and explain, with all it writes. Besides the time of the clock, which a busy machine
stretches, the processor time of the thread that runs the network is told: nothing else holds the network up
where a processor is free to read and write.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torch import Tensor

from wsolbook.backbones.pretrained import Pretrained, imagenet_names
from wsolbook.cam.photograph import Explainer
from wsolbook.commands.explain import SHOWN, Explain, many
from wsolbook.data.photos import read_photo


def photographs(folder: Path, count: int, size: Sequence[int]) -> list[Path]:
    """Write JPEGs that cost what photographs cost: blurred noise under noise."""
    generator, paths = torch.Generator().manual_seed(0), []
    for i in range(count):
        coarse = torch.randint(0, 256, (12, 16, 3), dtype=torch.uint8, generator=generator)
        smooth = Image.fromarray(coarse.numpy()).resize(tuple(size), Image.Resampling.BICUBIC)
        grain = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8, generator=generator)
        paths.append(folder / f"{i:05}.jpg")
        Image.blend(smooth, Image.fromarray(grain.numpy()), 0.1).save(paths[-1], quality=90)
    return paths


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """Return seconds by the clock, and of this thread's processor time."""
    start, own = time.perf_counter(), time.thread_time()
    with contextlib.redirect_stdout(io.StringIO()):
        call()
    return time.perf_counter() - start, time.thread_time() - own


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=(500, 375), help="width and height in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(0)
    network = torchvision.models.get_model(options.network, weights=None).eval()
    trained = Pretrained(options.network, network, imagenet_names())
    with tempfile.TemporaryDirectory() as place:
        paths = photographs(Path(place), options.photos, options.size)
        views = torch.cat([read_photo(path).view for path in paths])
        turn = iter(range(10**6))

        @torch.inference_mode()
        def seen(pictures: Tensor) -> None:
            for part in pictures.split(options.batch):
                network(part)

        def one_after_the_other() -> None:
            for i in range(0, len(paths), options.batch):
                seen(torch.cat([read_photo(path, shown=SHOWN).view for path in paths[i : i + options.batch]]))

        def explained() -> None:
            out = Path(place, f"out{next(turn)}")
            settings = Explain(tuple(paths), out=out, batch_size=options.batch, workers=options.workers)
            many(paths, Explainer(trained, ["cam"], ["auto"]), settings)

        calls = {
            "forward": lambda: seen(views),
            "read, then forward": one_after_the_other,
            "explain": explained,
        }
        found = [{name: measured(call) for name, call in calls.items()} for _ in range(options.rounds + 1)][
            1:
        ]
    print(f"{options.network}, batches of {options.batch}, {torch.get_num_threads()} threads of torch")
    for name in calls:
        clock = [each[name][0] for each in found]
        speed, free = (
            statistics.median(each["forward"][k] / each[name][k] for each in found) for k in (0, 1)
        )
        pace = options.photos / statistics.median(clock)
        print(f"  {name:20} {pace:6.1f} photographs/s; of the forward pass {speed:.2f}, thread {free:.2f}")


if __name__ == "__main__":
    main()
