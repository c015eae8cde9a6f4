"""CAM on ILSVRC 2012: the experiment of the paper, with the constants of its released solver."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

from wsolbook.data.ilsvrc import ILSVRC
from wsolbook.evaluation.measure import measure
from wsolbook.recipes.recipe import PictureOptions, Recipe
from wsolbook.training.optim import Optim
from wsolbook.training.schedule import Schedule
from wsolbook.types import Samples


@dataclass(frozen=True)
class CamIlsvrc(Recipe):
    """GoogLeNet-GAP of Zhou et al., CVPR 2016.

    Released solver: SGD, momentum 0.9, weight decay 5e-4, rate 1e-3, x0.1 every 40,000 steps, 160,000 steps
    of 64 images. Biases learn at twice the rate without decay; new layers get no factor. Pictures warped to
    256, crop 224, mirrored. The released GoogLeNet stopped at 120,000 steps, VGG-16 at 90,000; which
    checkpoint made the tables is not known. Ours differs in the preprocessing: RGB by the statistics of
    ImageNet instead of BGR minus mean.

    Attributes:
        output_stride: 16 cuts after inception_4e and adds a convolution, as the paper does.
        dropout: the released VGG-16 has 0.5 before the linear layer, GoogLeNet none.
    """

    paper: ClassVar[str] = "Zhou et al., CVPR 2016; boxes as measured by Choe et al., CVPR 2020"
    # Table 1: 35.0 % top-1 classification error. MaxBoxAccV2 is of Inception; VGG-16 60.0, ResNet-50 63.7.
    target: ClassVar[dict[str, float]] = {"top-1": 65.0, "MaxBoxAccV2": 63.4}

    data: PictureOptions = PictureOptions("$WSOLBOOK_REAL/data/ILSVRC")
    backbone: str = "googlenet"
    weights: str | None = "imagenet"
    output_stride: int | None = 16
    dropout: float = 0.0
    steps: int | None = 160_000
    batch_size: int = 64
    optim: Optim = Optim(lr=1e-3, momentum=0.9, weight_decay=5e-4, biases=2.0, decay_biases=False)
    schedule: Schedule = Schedule("step", milestones=(40_000, 80_000, 120_000), gamma=0.1, unit="steps")
    workers: int = 8

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = super().problems() + self.data.problems()
        return found if 0 <= self.dropout < 1 else [*found, f"dropout must be in [0, 1), got {self.dropout}"]

    def model(self) -> Any:
        """Build the network."""
        from wsolbook.backbones import build

        return build(
            self.backbone, classes=len(self.pictures("val").classes), output_stride=self.output_stride,
            weights=self.weights_from, dropout=self.dropout,
        )  # fmt: skip

    def training_data(self) -> Samples:
        """Open the training pictures."""
        return self.pictures("train", size=self.data.size, augment=self.data.augment)

    def pictures(self, split: str, **options: Any) -> Any:
        """Open a list of pictures."""
        root = os.path.expandvars(self.data.root)
        return ILSVRC(root, split, seed=self.seed, on_error=self.data.on_error, **options)

    def evaluate(self, model: Any) -> dict[str, float]:
        """Measure a network on the 50,000 validation pictures, in the 224 frame."""
        return measure(model, self.pictures("val"), workers=self.workers)
