"""What a recipe is: the settings of a training, and where network, data and metrics come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from wsolbook.backbones import BACKBONES
from wsolbook.data.augment import AUGMENTATIONS
from wsolbook.evaluation.measure import Center
from wsolbook.training.config import TrainConfig
from wsolbook.types import Samples


@dataclass(frozen=True)
class Recipe(TrainConfig):
    """Base of the recipes; every field of `TrainConfig` is one of theirs.

    Attributes:
        backbone: a name of `wsolbook.backbones.BACKBONES`.
        weights: where pre-trained parameters come from: `"imagenet"` (downloaded), `"critters"` (shipped, for
            the tiny networks), a file, whose name may hold environment variables, or None.
    """

    backbone: str = "tiny"
    weights: str | None = None

    paper: ClassVar[str] = ""
    # The paper's numbers, under our metrics' names where they measure the same thing.
    target: ClassVar[dict[str, float]] = {}

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be, and for each file that is missing."""
        found = super().problems()
        if self.backbone not in BACKBONES:
            found.append(f"backbone must be one of {', '.join(BACKBONES)}, got {self.backbone!r}")
        if self.weights not in (None, "imagenet", "critters") and not Path(str(self.weights_from)).is_file():
            found.append(f"weights file {self.weights} does not exist")
        return found

    @property
    def weights_from(self) -> str | None:
        """What `build` takes as weights."""
        return os.path.expandvars(self.weights) if self.weights else None

    def resolved(self) -> Recipe:
        """Return the recipe with its switches turned into settings."""
        return self

    def model(self) -> Any:
        """Build the network."""
        raise NotImplementedError

    def training_data(self) -> Samples:
        """Open the training pictures."""
        raise NotImplementedError

    def evaluate(self, model: Any) -> dict[str, float]:
        """Measure a network on pictures it was not trained on, in percent."""
        raise NotImplementedError

    def baseline(self) -> dict[str, float]:
        """Measure the map that guesses the center; classification is left out."""
        found = self.evaluate(Center(len(self.training_data().classes)))
        return {metric: value for metric, value in found.items() if metric not in ("top-1", "mAP")}


@dataclass(frozen=True)
class PictureOptions:
    """Where pictures are and how the network sees them.

    Attributes:
        root: folder of the data set; may name environment variables.
        size: side of the training crop in pixels.
        augment: a key of `wsolbook.data.augment.AUGMENTATIONS`.
        on_error: `"raise"` stops at a picture that cannot be read, `"skip"` leaves it out and says so.
    """

    root: str
    size: int = 224
    augment: str = "wsol"
    on_error: Literal["raise", "skip"] = "raise"

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = []
        if not os.path.isdir(os.path.expandvars(self.root)):
            found.append(f"data.root {self.root} is not a folder")
        if self.size < 32:
            found.append(f"data.size must be at least 32, got {self.size}")
        if self.augment not in AUGMENTATIONS:
            found.append(f"data.augment must be one of {', '.join(AUGMENTATIONS)}, got {self.augment!r}")
        return found
