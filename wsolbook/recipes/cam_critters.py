"""CAM on critters: the experiment of chapter 2, in under a minute on two cores."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from wsolbook.data import critters
from wsolbook.recipes.measure import measure
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
    """Tiny-GAP on the synthetic world, from random weights."""

    paper: ClassVar[str] = "ours; method of Zhou et al., CVPR 2016"
    target: ClassVar[dict[str, float]] = {"top-1": 95.0}

    data: CrittersOptions = CrittersOptions()
    backbone: str = "tiny"
    epochs: int = 6
    batch_size: int = 64
    optim: Optim = Optim(lr=0.05, momentum=0.9, weight_decay=5e-4)
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
        return build(self.backbone, classes=classes, weights=self.weights_from, loss=loss)

    def training_data(self) -> critters.Critters:
        """Draw the training pictures."""
        return critters.Critters(self.data.n, self.data.preset, self.data.size, self.seed, "train")

    def evaluate(self, model: Any) -> dict[str, float]:
        """Measure a network on held-out pictures, the same for every seed of the training."""
        return measure(model, held_out(self.data), multi_label=self.multi_label)

    @property
    def multi_label(self) -> bool:
        """Whether a picture may show several species."""
        return critters.world(self.data.preset).objects[1] > 1


@functools.lru_cache(maxsize=1)
def held_out(data: CrittersOptions) -> critters.Critters:
    """Draw the pictures of the evaluation."""
    return critters.Critters(data.held_out, data.preset, data.size, 0, "val")
