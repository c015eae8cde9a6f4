"""What the training loop costs beside the training itself, and how long a checkpoint takes.

Steps are measured in processor time, in one run and in turn, so that other programs count as little as
possible; the checkpoint in wall-clock time.

    python benchmarks/training.py
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torchvision.models import vgg16

from wsolbook import profiles
from wsolbook.backbones import build
from wsolbook.data import critters
from wsolbook.training import Optim, TrainConfig, save_checkpoint, train

ROUNDS, STEPS, BATCH = 7, 12, 64


def bare(data: critters.Critters, steps: int) -> float:
    """Return seconds of forward, backward and step, on batches that are ready."""
    model = build("tiny", classes=len(data.classes)).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, fused=True)
    batches = [data.batch(range(i * BATCH, (i + 1) * BATCH), 0) for i in range(steps)]
    started = time.process_time()
    for batch in batches:
        loss = model.loss(batch)["classification"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.process_time() - started


def ours(data: critters.Critters, steps: int, run: Path | None) -> float:
    """Return seconds of the same steps in `train`, reading and augmenting included, set-up left out."""
    model = build("tiny", classes=len(data.classes))
    config = TrainConfig(steps=steps, batch_size=BATCH, optim=Optim(lr=0.05), device="cpu")
    started: list[float] = []
    loss = model.loss

    def first(batch):
        if not started:
            started.append(time.process_time())
        return loss(batch)

    model.loss = first  # type: ignore[method-assign]
    train(model, data, config, run=run)
    return time.process_time() - started[0]


def loop_overhead() -> None:
    """Print the time of the loop as a multiple of the bare steps."""
    data = critters.Critters(STEPS * BATCH)
    bare(data, 2), ours(data, 2, None)
    ratios = []
    for _ in range(ROUNDS):  # bare before and after, so that neither side is always the second
        before = bare(data, STEPS)
        loop = ours(data, STEPS, None)
        ratios.append(2 * loop / (before + bare(data, STEPS)))
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(
        f"loop / bare steps, tiny, batch {BATCH}, {torch.get_num_threads()} threads: "
        f"median {middle:.3f} (lowest {low:.3f}, highest {high:.3f} of {ROUNDS}); budget 1.05"
    )


def reading() -> None:
    """Print how long a batch of critters takes to read, as a share of a step."""
    data = critters.Critters(STEPS * BATCH)
    step = bare(data, STEPS) / STEPS
    started = time.process_time()
    for i in range(STEPS):
        data.batch(range(i * BATCH, (i + 1) * BATCH), 0)
    read = (time.process_time() - started) / STEPS
    print(f"reading a batch: {1000 * read:.1f} ms, {100 * read / step:.1f} % of a bare step")


def checkpoint() -> None:
    """Print seconds to write VGG-16 with its momentum, safely on the disk."""
    model = vgg16(weights=None)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    optimizer.step()
    state = {"config": {}, "digest": "", "step": 1}
    state |= {"model": dict(model.state_dict()), "optimizer": optimizer.state_dict()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step-00000001.pt"
        times = []
        for _ in range(3):
            started = time.perf_counter()
            save_checkpoint(path, state)
            times.append(time.perf_counter() - started)
        plain = _plain_write(Path(folder) / "plain", path.stat().st_size)
        size = path.stat().st_size / 2**20
    print(
        f"checkpoint of VGG-16 with momentum, {size:.0f} MiB: {statistics.median(times):.2f} s "
        f"(plain write and fsync of as many bytes {plain:.2f} s); budget 3 s"
    )


def _plain_write(path: Path, size: int) -> float:
    block = bytes(2**24)
    started = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - started


if __name__ == "__main__":
    profiles.setup("book")
    loop_overhead()
    reading()
    checkpoint()
