"""CAM on PASCAL VOC 2012, several classes an image: the seeds of weakly supervised segmentation."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from wsolbook.backbones.freeze import freeze_layers, freeze_norms
from wsolbook.data.voc import CLASSES, VOC
from wsolbook.evaluation.measure import measure, measure_seeds
from wsolbook.recipes.recipe import PictureOptions, Recipe
from wsolbook.training.optim import Optim
from wsolbook.training.schedule import Schedule
from wsolbook.types import Samples


@dataclass(frozen=True)
class VocOptions(PictureOptions):
    """Which pictures of VOC 2012.

    Attributes:
        train: list of training pictures.
        test: list of pictures to evaluate on, with masks.
    """

    root: str = "$WSOLBOOK_REAL/data/VOC2012"
    size: int = 448
    augment: str = "affinity-cam"
    train: str = "trainaug"
    test: str = "train"


@dataclass(frozen=True)
class CamVoc(Recipe):
    """VGG-16 with sigmoid outputs: the classification stage of Ahn and Kwak, CVPR 2018, released code.

    15 epochs, batch 16, crop 448, poly 0.9, rate 0.1 for VGG (x10 new layers, x2 biases without decay).

    Attributes:
        momentum_slip: the released optimizer passes the weight decay where momentum belongs, so it runs with
            momentum 5e-4. That is why rate 0.1 is stable; with `--no-momentum-slip` use about a tenth of it.
        output_stride: pixels of the picture for one position of the map; 8 drops pool4 and dilates conv5.
    """

    paper: ClassVar[str] = "Ahn and Kwak, CVPR 2018 (CAM stage)"
    target: ClassVar[dict[str, float]] = {"seed mIoU": 48.0}  # table 1, VOC train, ResNet-38

    data: VocOptions = VocOptions()
    backbone: str = "vgg16"
    weights: str | None = "imagenet"
    output_stride: int | None = 8
    epochs: int = 15
    batch_size: int = 16
    optim: Optim = Optim(lr=0.1, momentum=0.9, new_layers=10.0, biases=2.0, decay_biases=False)
    schedule: Schedule = Schedule("poly", power=0.9)
    momentum_slip: bool = True
    evaluate_every: int = 5
    best: str = "seed mIoU"

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        return super().problems() + self.data.problems()

    def resolved(self) -> CamVoc:
        """Return the recipe with its switches turned into settings."""
        if not self.momentum_slip:
            return self
        return replace(self, optim=replace(self.optim, momentum=self.optim.weight_decay))

    def model(self) -> Any:
        """Build the network."""
        from wsolbook.backbones import build

        return build(
            self.backbone, classes=len(CLASSES), output_stride=self.output_stride, weights=self.weights_from,
            loss="sigmoid", dropout=0.5,
        )  # fmt: skip

    def training_data(self) -> Samples:
        """Open the training pictures."""
        return self.pictures(self.data.train, size=self.data.size, augment=self.data.augment)

    def pictures(self, split: str, **options: Any) -> Any:
        """Open a list of pictures."""
        root = os.path.expandvars(self.data.root)
        return VOC(root, split, seed=self.seed, on_error=self.data.on_error, **options)

    def evaluate(self, model: Any) -> dict[str, float]:
        """Measure a network: classification and boxes in the 224 frame, seeds at the size of each picture."""
        found = measure(model, self.pictures(self.data.test), multi_label=True, workers=self.workers)
        return found | measure_seeds(model, self.pictures(self.data.test, view="original"))


@dataclass(frozen=True)
class CamVoc632(CamVoc):
    """The same question on 632 pictures with MobileNetV2, in minutes on two cores; settings are ours.

    Attributes:
        frozen: first parts of the network that do not learn.
    """

    paper: ClassVar[str] = "ours, on 311 training and 321 validation pictures of VOC 2012"
    # A linear head on the frozen network, trained on 435 pictures by the one who collected them.
    target: ClassVar[dict[str, float]] = {"mAP": 83.1, "seed mIoU": 33.2}

    data: VocOptions = VocOptions(size=224, augment="wsol", train="train", test="val")
    backbone: str = "mobilenet_v2"
    weights: str | None = "$WSOLBOOK_REAL/weights/mobilenet_v2_symmetric.safetensors"
    output_stride: int | None = 16  # 14x14 maps of 224 pixels, as in the CAM paper
    epochs: int = 8
    optim: Optim = Optim(
        lr=0.02, momentum=0.9, weight_decay=1e-4, new_layers=10.0, biases=2.0, decay_biases=False
    )  # ten times the rate of cam-cub10, since this loss is a mean over 20 classes
    schedule: Schedule = Schedule("cosine")
    momentum_slip: bool = False
    evaluate_every: int = 0
    best: str = ""
    frozen: int = 14

    def model(self) -> Any:
        """Build the network; its normalization and first layers keep what they learned on ImageNet."""
        model = super().model()
        freeze_layers(model.features, self.frozen)
        freeze_norms(model)
        return model
