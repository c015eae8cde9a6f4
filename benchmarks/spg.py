"""A training step of SPG against its convolutions alone, and what its targets cost.

A step is a loss and its backward pass. Its convolutions are run one by one, forward and back, on random input
of the shapes that they meet in the step; only the first one of the network need not go back to its input.
What is left is batch normalization, rectifiers, pooling, up-sampling, losses, and the targets: from class
maps and logits to what each branch is taught.

    python benchmarks/spg.py                          # Inception-v3, crop 321, batch 2, two threads
    python benchmarks/spg.py --backbone tiny --size 64 --batch 64

Contenders take turns in one process; a ratio is the median over rounds of processor time, so that other
programs count as little as possible, or of time on the GPU.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from gain import keep_freed_memory  # of this folder
from timing import origin, seconds, times
from torch import Tensor, nn

from wsolbook import results
from wsolbook.files import write_json
from wsolbook.methods import METHODS
from wsolbook.methods.spg import Spg, ternary_mask
from wsolbook.types import Batch

CLASSES = 200


@dataclass(frozen=True)
class Options:
    """Measure a step.

    Attributes:
        backbone: of the network.
        size: side of the pictures.
        batch: pictures.
        rounds: of which the median is taken.
        threads: of torch.
        device: where.
        out: a file for the numbers.
    """

    backbone: str = "inception_v3"
    size: int = 321
    batch: int = 2
    rounds: int = 7
    threads: int = 2
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    out: Path | None = None


class Contenders:
    """A step and its parts, on one network with random weights."""

    def __init__(self, o: Options) -> None:
        torch.manual_seed(0)
        net = METHODS["spg"](backbone=o.backbone, classes=CLASSES)
        assert isinstance(net, Spg)
        self.net = net.to(o.device).train()
        labels = torch.eye(CLASSES, device=o.device)[: o.batch]
        images = torch.randn(o.batch, 3, o.size, o.size, device=o.device)
        self.batch = Batch(images, labels, torch.arange(o.batch))
        self.layers = self._met()
        side = -(-o.size // 8)
        self.class_maps = torch.randn(o.batch, side, side, device=o.device)
        self.masks = {
            name: torch.randn(o.batch, o.size, o.size, device=o.device) for name in ("b2", "b1", "c")
        }
        self.ready = torch.rand(32, o.size, o.size, device=o.device)

    def _met(self) -> list[tuple[nn.Conv2d, Tensor]]:
        """Return every convolution of a step, with random input like its own."""
        met: list[tuple[nn.Conv2d, Tensor]] = []

        def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(layer, nn.Conv2d)
            met.append((layer, torch.randn_like(inputs[0]).requires_grad_(inputs[0].requires_grad)))

        hooks = [m.register_forward_pre_hook(keep) for m in self.net.modules() if isinstance(m, nn.Conv2d)]
        self.net.loss(self.batch)
        for hook in hooks:
            hook.remove()
        return met

    def step(self) -> None:
        """Train."""
        torch.stack([*self.net.loss(self.batch).values()]).sum().backward()
        self.net.zero_grad(set_to_none=True)

    def convolutions(self) -> None:
        """Run each of them forward and back, from a gradient that is there."""
        for layer, images in self.layers:
            found = layer(images)
            found.backward(found.detach())
            images.grad = None
        self.net.zero_grad(set_to_none=True)

    def targets(self) -> None:
        """Make what all branches are taught."""
        self.net.teach(self.class_maps, self.masks)

    def one_target(self) -> None:
        """Make one target for 32 pictures, from maps that are there."""
        ternary_mask(self.ready, 0.05, 0.7, fallback=True)


def main(o: Options) -> None:
    """Measure, print, and write what was found."""
    torch.set_num_threads(o.threads)
    keep_freed_memory()
    about, started = results.provenance(o.device), time.perf_counter()
    contenders = Contenders(o)
    names = ("step", "convolutions", "targets", "one_target")
    found = times({name: getattr(contenders, name) for name in names}, o.rounds, o.device)
    wall = min(seconds(contenders.one_target, o.device) for _ in range(o.rounds))

    def ratio(of: str, to: str) -> float:
        return median(a / b for a, b in zip(found[of], found[to], strict=True))

    row = {
        "ms of a step": round(1000 * median(found["step"]), 1),
        "step / convolutions": round(ratio("step", "convolutions"), 3),
        "targets / step": round(ratio("targets", "step"), 4),
        "ms of one target, 32 pictures": round(1000 * median(found["one_target"]), 1),
        "ms on the clock": round(1000 * wall, 1),
    }
    print(results.table(list(row), [list(row.values())]))
    if o.out is None:
        return
    write_json(o.out, {
        "name": o.out.stem,
        "backbone": o.backbone,
        "size": o.size,
        "batch": o.batch,
        **row,
        "provenance": origin(started, about),
    })  # fmt: skip


if __name__ == "__main__":
    main(tyro.cli(Options))
