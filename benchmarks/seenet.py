"""Time of a training step of SeeNet, as a ratio to its parts, and of its masks.

A step is a loss and its backward pass. Its parts are forward and backward of the trunk and of three heads,
each on features of its own; on top come the attention, its zones, and C-ReLU twice, with its gradient.

    python benchmarks/seenet.py --out results/seenet-step.json  # tiny at 64, MobileNetV2 and VGG-16 at 224
    python benchmarks/seenet.py --networks tiny --rounds 21

Contenders take turns in one process; a ratio is the median over rounds of processor time, so that other
programs count as little as possible, or of time on the GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
import tyro
from gain import keep_freed_memory  # of this folder
from timing import origin, times
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from wsolbook import results
from wsolbook.files import write_json
from wsolbook.methods import METHODS
from wsolbook.methods.seenet import Seenet, attention, zones
from wsolbook.types import Batch

NETWORKS = {  # side and number of the pictures, settings
    "tiny": (64, 32, {}),
    "mobilenet_v2": (224, 4, {"output_stride": 16, "width": 256}),
    "vgg16": (224, 2, {}),
}
CLASSES = 20


@dataclass(frozen=True)
class Options:
    """Measure a step and the masks.

    Attributes:
        networks: of `NETWORKS`.
        rounds: of which the median is taken.
        threads: of torch.
        device: where.
        out: a file for the numbers.
    """

    networks: tuple[str, ...] = ("tiny", "mobilenet_v2", "vgg16")
    rounds: int = 7
    threads: int = 2
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    out: Path | None = None


class Steps:
    """The step and its parts, on one network with random weights; each is forward and backward."""

    def __init__(self, name: str, options: Options) -> None:
        size, batch, settings = NETWORKS[name]
        torch.manual_seed(0)
        net = METHODS["seenet"](name, CLASSES, initial="xavier", **settings)
        assert isinstance(net, Seenet)
        self.net = net.to(options.device).train()
        labels = torch.zeros(batch, CLASSES, device=options.device)
        labels[:, :2] = 1
        images = torch.randn(batch, 3, size, size, device=options.device)
        self.batch = Batch(images, labels, torch.arange(batch))
        with torch.no_grad():
            self.features = self.net.features(images)
        self.upstream = torch.randn_like(self.features)

    def _finish(self, result: Tensor, upstream: Tensor | None = None) -> None:
        result.backward(upstream)
        self.net.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Train all branches."""
        self._finish(torch.stack([*self.net.loss(self.batch).values()]).sum())

    def trunk(self) -> None:
        """Train the trunk by some gradient."""
        self._finish(self.net.features(self.batch.images), self.upstream)

    def heads(self) -> None:
        """Train three heads, each with gradients down to its features."""
        for head in (self.net.s_a, self.net.s_b, self.net.s_c):
            assert head is not None
            logits = head(self.features.detach().requires_grad_()).mean((-2, -1))
            self._finish(binary_cross_entropy_with_logits(logits, self.batch.labels))


def masks(side: int, device: str) -> Callable[[], None]:
    """Return what cuts the zones of 16 images with 20 labels each."""
    maps, labels = torch.randn(16, 20, side, side, device=device), torch.ones(16, 20, device=device)

    def cut() -> None:
        zones(attention(maps, labels), 0.05, 0.7)

    return cut


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    about, started = results.provenance(options.device), time.perf_counter()
    networks, cut = {}, {}
    print("| network | ms a picture | trunk | three heads | steps of its parts |")
    print("|" + "---|" * 5)
    for name in options.networks:
        steps = Steps(name, options)
        found = times(
            {"step": steps.step, "trunk": steps.trunk, "heads": steps.heads}, options.rounds, options.device
        )
        ratio = median(
            s / (t + h) for s, t, h in zip(found["step"], found["trunk"], found["heads"], strict=True)
        )
        ms = {what: 1000 * median(taken) / len(steps.batch) for what, taken in found.items()}
        networks[name] = {"ms a picture": ms, "steps of its parts": ratio}
        print(f"| {name} | {ms['step']:.1f} | {ms['trunk']:.1f} | {ms['heads']:.1f} | {ratio:.2f} |")
    print("\n| zones of 16 images x 20 classes | ms |\n|---|---|")
    for side in (8, 14, 28):
        cut[f"{side} x {side}"] = 1000 * median(
            times({"zones": masks(side, options.device)}, options.rounds, options.device)["zones"]
        )
        print(f"| {side} x {side} | {cut[f'{side} x {side}']:.2f} |")
    if options.out:
        write_json(options.out, {
            "name": options.out.stem,
            "networks": networks,
            "zones, ms": cut,
            "provenance": origin(started, about),
        })  # fmt: skip


if __name__ == "__main__":
    main(tyro.cli(Options))
