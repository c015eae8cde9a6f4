"""CAM on critters: the experiment of chapter 2 and its ablations, each in about a minute on two cores."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from wsolbook.data import critters
from wsolbook.data.sampling import evaluation_batches
from wsolbook.evaluation.measure import device_of, measure
from wsolbook.maps import normalize, resize
from wsolbook.metrics import best_threshold, part_coverage
from wsolbook.recipes.recipe import Recipe
from wsolbook.training.optim import Optim
from wsolbook.training.schedule import Schedule


@dataclass(frozen=True)
class CrittersOptions:
    """Which critters are drawn.

    Attributes:
        n: training pictures.
        held_out: pictures to evaluate on; they share no scene with the training pictures.
        preset: the world, a key of `wsolbook.data.critters.PRESETS`.
        size: side of the pictures in pixels.
    """

    n: int = 2048
    held_out: int = 500
    preset: str = "single"
    size: int = 64


@dataclass(frozen=True)
class CamCritters(Recipe):
    """Tiny-GAP on the synthetic world, from weights of other species as the paper starts from ImageNet.

    Attributes:
        head: what stands before the linear layer, global average or maximum pooling.
        output_stride: 8 gives 8x8 maps of pictures of 64 pixels, 4 gives 16x16, 16 gives 4x4.
    """

    paper: ClassVar[str] = "ours; method of Zhou et al., CVPR 2016"
    target: ClassVar[dict[str, float]] = {"top-1": 95.0}

    data: CrittersOptions = CrittersOptions()
    backbone: str = "tiny"
    weights: str | None = "critters"
    head: Literal["gap", "gmp"] = "gap"
    output_stride: int = 8
    epochs: int = 3
    batch_size: int = 64
    optim: Optim = Optim(lr=0.02, momentum=0.9, weight_decay=5e-4)
    schedule: Schedule = Schedule("cosine")

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = super().problems()
        if self.data.n < 1 or self.data.held_out < 1:
            found.append("data.n and data.held_out must be at least 1")
        if self.data.size < 16:
            found.append(f"data.size must be at least 16, got {self.data.size}")
        if self.data.preset not in critters.PRESETS:
            found.append(
                f"data.preset must be one of {', '.join(critters.PRESETS)}, got {self.data.preset!r}"
            )
        return found

    def model(self) -> Any:
        """Build the network."""
        from wsolbook.backbones import build

        loss: Literal["sigmoid", "softmax"] = "sigmoid" if self.multi_label else "softmax"
        classes = len(critters.world(self.data.preset).names)
        return build(
            self.backbone, classes=classes, head=self.head, output_stride=self.output_stride,
            weights=self.weights_from, loss=loss,
        )  # fmt: skip

    def training_data(self) -> critters.Critters:
        """Draw the training pictures."""
        return critters.Critters(self.data.n, self.data.preset, self.data.size, self.seed, "train")

    def evaluate(self, model: Any) -> dict[str, float]:
        """Measure a network on held-out pictures, the same for every seed of the training."""
        data = held_out(self.data)
        found = measure(model, data, multi_label=self.multi_label)
        return found if self.multi_label else found | coverage(model, data)

    @property
    def multi_label(self) -> bool:
        """Whether a picture may show several species."""
        return critters.world(self.data.preset).objects[1] > 1


@dataclass(frozen=True)
class CamCrittersGmp(CamCritters):
    """Ablation: global maximum pooling in place of the average (Zhou et al. 2016, section 3.2)."""

    head: Literal["gap", "gmp"] = "gmp"


@dataclass(frozen=True)
class CamCrittersFine(CamCritters):
    """Ablation: maps of twice the resolution; the last pooling is left out and what follows it dilated."""

    output_stride: int = 4


@dataclass(frozen=True)
class CamCrittersCoarse(CamCritters):
    """Ablation: maps of half the resolution; one more pooling before the last convolution."""

    output_stride: int = 16


@torch.no_grad()
def coverage(model: Any, data: critters.Critters) -> dict[str, float]:
    """Return the share of each part above the best threshold of the set, in percent."""
    device = device_of(model)
    raw = torch.cat(
        [
            model.maps(b.images.to(device), b.labels.argmax(1, keepdim=True).to(device))[:, 0].cpu()
            for b in evaluation_batches(data, 100)
        ]
    )
    maps = normalize(resize(raw.float(), data.masks.shape[-1]))
    shares = part_coverage(maps, data.parts, best_threshold(maps, data.masks))
    return {part: 100 * share for part, share in shares.items()}


@functools.lru_cache(maxsize=1)
def held_out(data: CrittersOptions) -> critters.Critters:
    """Draw the pictures of the evaluation."""
    return critters.Critters(data.held_out, data.preset, data.size, 0, "val")
