"""Time and memory of a training step of GAIN, as ratios to its parts and to a plain classifier.

A step is a loss and its backward pass. For n pictures that show p pairs of a picture and a class,

    plain    forward and backward of n pictures                                         1
    GAIN     plain, the same for p erased pictures, and once back through the head      1 + p / n

if time is in plain steps and the head costs nothing. That is 2 for one class a picture, in time and in what
is kept for the backward pass. The erased stream also goes back to its first layer's input, which a plain step
does not; where batch normalization is frozen it need not measure the batch. Under `through_weights` the head
is differentiated twice. Checkpoints of the trunk, then in all contenders, run each forward pass a second
time, a third of a step, and keep of each stream the ends of the stages, and one stage at a time whole.

    python benchmarks/gain.py --out results/gain-step.json   # tiny at 64 pixels, MobileNetV2, VGG-16 at 224
    python benchmarks/gain.py --networks tiny --bf16 --checkpoint

Contenders take turns in one process; a ratio is the median over rounds of processor time, so that other
programs count as little as possible, or of time on the GPU. Memory is the peak of one step above the resting
process, each in a process of its own.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import torch
import tyro
from cam import peak  # of this folder
from timing import origin, times
from torch import Tensor

from wsolbook import results
from wsolbook.backbones.freeze import keep_statistics
from wsolbook.files import write_json
from wsolbook.methods import METHODS
from wsolbook.methods.gain import Gain
from wsolbook.types import Batch

NETWORKS = {  # side of the pictures, settings
    "tiny": (64, {}),
    "mobilenet_v2": (224, {"output_stride": 16}),
    "vgg16": (224, {}),
    "vgg16, fc": (224, {"head": "fc"}),
}
CLASSES = 8


@dataclass(frozen=True)
class Options:
    """Measure a step.

    Attributes:
        networks: of `NETWORKS`.
        batch: pictures.
        labels: classes that each picture shows.
        rounds: of which the median is taken.
        through_weights: also differentiate the weights of the channels.
        bf16: forward passes under autocast.
        checkpoint: compute the trunk again for the backward pass.
        threads: of torch.
        device: where.
        memory: measure it too.
        out: file of the results.
        peak_of: print the peak of one contender alone.
    """

    networks: tuple[str, ...] = ("tiny", "mobilenet_v2", "vgg16")
    batch: int = 8
    labels: int = 1
    rounds: int = 7
    through_weights: bool = False
    bf16: bool = False
    checkpoint: bool = False
    threads: int = 2
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    memory: bool = True
    out: Path | None = None
    peak_of: str = ""


class Steps:
    """The steps to compare, on one network with random weights; each is forward and backward."""

    def __init__(self, name: str, options: Options, side: int = 0) -> None:
        size, settings = NETWORKS[name]
        backbone = name.partition(",")[0]
        torch.manual_seed(0)
        self.options = options
        net = METHODS["gain"](
            backbone, CLASSES, loss="sigmoid", through_weights=options.through_weights,
            checkpoint=options.checkpoint, **settings,
        )  # fmt: skip
        assert isinstance(net, Gain)
        self.net = net.to(options.device).train()
        labels = torch.zeros(options.batch, CLASSES, device=options.device)
        labels[:, : options.labels] = 1
        images = torch.randn(options.batch, 3, side or size, side or size, device=options.device)
        self.batch = Batch(images, labels, torch.arange(options.batch))
        # What the second stream gets: a picture for each pair, through which gradients go further back.
        self.erased = images.repeat_interleave(options.labels, 0).requires_grad_()

    @cached_property
    def features(self) -> Tensor:
        """Maps that the head begins with."""
        with torch.no_grad():
            return self.net.features(self.batch.images).requires_grad_()

    def _backward(self, loss: Tensor) -> None:
        loss.backward()
        self.net.zero_grad(set_to_none=True)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.options.device, torch.bfloat16, enabled=self.options.bf16)

    def plain(self) -> None:
        """Train the classifier alone."""
        with self._autocast():
            loss = super(Gain, self.net).loss(self.batch)["classification"]
        self._backward(loss)

    def gain(self) -> None:
        """Train both streams."""
        with self._autocast():
            loss = torch.stack([*self.net.loss(self.batch).values()]).sum()
        self._backward(loss)

    def second(self) -> None:
        """Run as many pictures as there are pairs, with gradients down to their pixels."""
        with self._autocast(), keep_statistics(self.net, "frozen"):
            loss = self.net(self.erased).sigmoid().sum()
        self._backward(loss)

    def head(self) -> None:
        """Run the head back to its maps, and forward, which is in `plain` too: a little too much."""
        with self._autocast():
            pooled = self.features.mean((-2, -1))
            logits = self.net.classifier(self.features) if self.net.pool == "fc" else self.net.linear(pooled)
        twice = self.options.through_weights
        for score in logits[:, : self.options.labels].sum(0):
            (found,) = torch.autograd.grad(score, self.features, retain_graph=True, create_graph=twice)
            if twice:
                self._backward(found.square().sum())


PARTS = ("plain", "second", "head")


def keep_freed_memory() -> None:
    """Keep the C library from giving memory back after each step and fetching it anew, page by page.

    It does so above some 60 MiB, which a step of GAIN reaches before its parts do: 7 % of the tiny network's.
    """
    if sys.platform == "linux":
        for threshold in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL(None).mallopt(threshold, 2**30)


def peak_in_a_process_of_its_own(name: str, what: str, options: Options) -> float:
    """Return MiB."""
    switches = ("bf16", "checkpoint", "through_weights")
    flags = [f"--{'' if getattr(options, k) else 'no-'}{k.replace('_', '-')}" for k in switches]
    numbers = [f"--{k}={getattr(options, k)}" for k in ("batch", "labels", "threads", "device")]
    command = [sys.executable, __file__, "--networks", name, "--peak-of", what, *flags, *numbers]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 2**20


def measured(name: str, options: Options) -> dict[str, float]:
    """Return the row of a network."""
    steps = Steps(name, options)
    found = times({what: getattr(steps, what) for what in ("gain", *PARTS)}, options.rounds, options.device)
    parts = [sum(each) for each in zip(*(found[what] for what in PARTS), strict=True)]
    to_plain, to_parts = (
        median(a / b for a, b in zip(found["gain"], other, strict=True)) for other in (found["plain"], parts)
    )
    row = {
        "ms a picture": round(1000 * median(found["gain"]) / options.batch, 1),
        "plain steps": round(to_plain, 3),
        "expected": 1.0 + options.labels,
        "steps of its parts": round(to_parts, 3),
    }
    if options.memory:
        row |= {
            what: round(peak_in_a_process_of_its_own(name, of, options))
            for what, of in (("MiB", "gain"), ("plain MiB", "plain"))
        }
    return row


def main(options: Options) -> None:
    """Measure, print, and write what was found."""
    torch.set_num_threads(options.threads)
    if options.peak_of:
        name = options.networks[0]
        getattr(Steps(name, options, side=32), options.peak_of)()  # loads what is loaded once
        print(peak(getattr(Steps(name, options), options.peak_of), options.device))
        return
    keep_freed_memory()
    about, started = results.provenance(options.device), time.perf_counter()
    rows = {name: measured(name, options) for name in options.networks}
    header = list(next(iter(rows.values())))
    print(results.table(["network", *header], [[name, *row.values()] for name, row in rows.items()]))
    if options.out is None:
        return
    write_json(options.out, {
        "name": options.out.stem,
        "networks": rows,
        "batch": options.batch,
        "provenance": origin(started, about),
    })  # fmt: skip


if __name__ == "__main__":
    main(tyro.cli(Options))
