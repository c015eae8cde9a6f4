"""AffinityNet: Ahn and Kwak, "Learning Pixel-level Semantic Affinity ...", CVPR 2018."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from wsolbook import methods
from wsolbook.evaluation import Tally
from wsolbook.evaluation.labels import PseudoLabels
from wsolbook.recipes.cam import CAFFE, CAM
from wsolbook.recipes.on import CUB_10, VOC_632, OnCritters, OnVoc
from wsolbook.recipes.recipe import Recipe, like
from wsolbook.recipes.taught import Taught
from wsolbook.refine.pseudo_labels import Labeling
from wsolbook.training.optim import Optim
from wsolbook.training.schedule import Schedule
from wsolbook.types import Localizer, Network


@dataclass(frozen=True)
class Affinity(Taught):
    """A network that learns which pixels belong together, from a CAM network's labels under two backgrounds.

    Attributes:
        widths: channels that each tap is reduced to.
        radius: pairs of cells are nearer than this.
        reduce: the distance of two cells is the mean over channels, or their sum.
        border: which pairs teach.
        beta: power of the affinities in the walk.
        walk_steps: of the walk.
        alpha: power of the background score in the labels that are measured.
    """

    method: ClassVar[str] = "affinity"
    stages: ClassVar[tuple[str, ...]] = ("CAM mIoU", "CAM + CRF mIoU", "walk mIoU", "walk + CRF mIoU")
    switches: ClassVar[frozenset[str]] = Taught.switches | {"walk_steps", "alpha"}
    at_test: ClassVar[frozenset[str]] = frozenset({"beta", "walk_steps", "alpha"})

    alphas: tuple[float, ...] = (4.0, 32.0)
    widths: tuple[int, int, int] = (64, 128, 256)
    radius: int = 5
    reduce: Literal["mean", "sum"] = "mean"
    border: Literal["complete", "official"] = "official"
    beta: float = 8.0
    walk_steps: int = 256
    alpha: float = 16.0

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = super().problems()
        if self.alpha <= 0:
            found.append(f"alpha must be positive, got {self.alpha}")
        return found

    def settings(self) -> dict[str, Any]:
        """Return the settings of the network, and of the CAM network inside it."""
        teacher: dict[str, Any] | None = None
        if self.network:
            teacher = methods.load(self._network_file).settings
        elif self.before is not None:
            teacher = {"backbone": self.before.backbone, **self.before.settings()}
        return super().settings() | {"steps": self.walk_steps, "teacher": teacher}

    def model(self) -> Network:
        """Build the network around the trained CAM network."""
        model = super().model()
        if self.network:
            model.get_submodule("teacher").load_state_dict(methods.load(self._network_file).state_dict())
        return model

    def each(self, model: Localizer) -> list[Tally[Any]]:
        """Count the label maps of the CAM network and those after the walk, each without and with a CRF."""
        kinds = [
            Labeling((self.alpha,), crf, self.power, self.beta, self.walk_steps, self.radius)
            for crf in (None, self.constants)
        ]

        def label(maps: Tensor, classes: Tensor, picture: Tensor, affinities: Tensor | None) -> Tensor:
            near = (None, affinities)
            return torch.stack([kind(maps, classes, picture, walk) for walk in near for kind in kinds])

        source = PseudoLabels(label, model, scales=self.map_scales, flip=self.map_flip)
        return self.count(source, self.stages)


@dataclass(frozen=True)
class AffinityOnBoxes(Affinity):
    """The same where test pictures have boxes and no masks: measured by its maps after the walk."""

    metrics = Recipe.metrics
    blind = Recipe.blind
    each = Recipe.each


PAPER = "Ahn and Kwak, CVPR 2018"
SCALES = (1.0, 0.5, 1.5, 2.0)  # at which the class maps are seen, mirrored too

# Released scripts: 8 epochs of trainaug, batch 8, crops of 448 at the picture's own scale. Their optimizer
# passes the weight decay where momentum belongs, so it runs with momentum 5e-4: so rate 0.1 is stable. Both
# networks begin from ImageNet with new fc6 and fc7, for which Ahn and Kwak have weights.
ON_VOC = Affinity(
    source=f"{PAPER}, released code, VOC train",
    target={"CAM mIoU": 48.9, "walk mIoU": 59.6},
    before=replace(CAM["cam-voc"], backbone="vgg16_psa", frozen=9),
    data=OnVoc(augment="affinity-net"),
    backbone="vgg16_psa",
    weights="imagenet",
    frozen=9,  # conv1 and conv2
    epochs=8,
    batch_size=8,
    optim=Optim(
        lr=0.1, momentum=5e-4, weight_decay=5e-4, new_layers=10.0, biases=CAFFE.biases, decay_biases=False
    ),
    schedule=Schedule("poly", power=0.9),
    power=0.5,
    map_scales=SCALES,
    map_flip=True,
    evaluate_every=0,
)
RESNET38 = "$WSOLBOOK_REAL/weights/resnet38.safetensors"
# Of users of the released code: a rate of 0.01, and not 0.1, trains this network.
RESNET38_TOO: dict[str, Any] = {
    "backbone": "resnet38",
    "weights": RESNET38,
    "frozen": 4,  # conv1a and b2
    "frozen_norms": True,
}

# What two cores can do with photographs: the end of MobileNetV2, on a grid of 28x28. The power is from 103
# training pictures that were held out, mIoU after the walk at alpha 16, after 27.5 of CAM; at alpha 8 and 32
# the order is nearly the same. The paper's power floods the picture: these affinities are learned in minutes.
#
#     power        8      16      32
#      4 steps  28.5    27.9    27.5
#     16 steps  28.3    28.5    27.5
#     64 steps  22.9    29.1    27.7
#    256 steps  13.7    29.1       -
#
# A CRF harms there, whatever the alpha, CAM without and with it, and walk:
#
#     alpha    CAM  + CRF    walk  + CRF
#        16   27.5   26.6    29.1   24.3
#        32   27.1   26.1    29.3   25.0
#        64   26.3   25.4    29.3   25.2
#       128   25.5   24.4    29.2   25.3
ON_VOC632 = Affinity(
    source="ours, on 311 training and 321 validation pictures of VOC 2012",
    target={"CAM mIoU": 33.2},  # of a linear head, by the one who collected the pictures, as seeds
    before=CAM["cam-voc632"],
    data=VOC_632,
    backbone="mobilenet_v2",
    weights=CAM["cam-voc632"].weights,
    frozen=14,
    frozen_norms=True,
    border="complete",
    beta=16.0,
    epochs=8,
    batch_size=16,
    optim=replace(CAFFE, lr=0.01, weight_decay=1e-4, new_layers=10.0),
    schedule=Schedule("poly", power=0.9),
    map_flip=True,
    evaluate_every=0,
)

# Critters of 128 pixels on a grid of 32x32; the CRF is scaled like the pictures. The rest is from a small
# search on pictures of another seed, 20 to 60 labeled ones that are reported nowhere.
#
# CAM: 64 steps of 32 at 0.05 end at a mAP of 91.7, 24 steps of 64 at 0.1 at 86.6.
#
# Labels that teach AffinityNet, after the CRF, by the two alphas: the share of the pixels that is known, and
# how many of these and of those called an animal are wrong. The two must straddle what labels best, which
# is 4.
#
#             1, 16   2, 16   4, 16
#     known      77      81      87 %
#     wrong     6.5     7.8    11.0 %
#     animal    8.3    16.5    30.1 %
#
# Optimizer, on the pictures of chapter 08: by SGD at 0.05 affinities after 36 steps of 8 were those of random
# layers, 0.40 within an animal and 0.33 across a border. After 144 steps of 4 they were 0.54 and 0.37 at 0.1
# with new layers at 20 times that, and by Adam, the paper's, at 0.003, 0.54 and 0.35.
#
# Walk with affinities of 384 steps, mIoU at alpha 4 and 16, after 39.8 and 39.0 of CAM; walk and CRF have
# 49.0 and 46.7 with power 8 and 16 steps, the CRF alone 47.0 and 43.0.
#
#     power          4             8            16
#      4 steps 41.5, 42.1    41.3, 41.6    40.8, 41.0
#     16 steps 41.1, 41.3    41.5, 42.0    41.2, 41.6
#     64 steps 39.4, 39.5    41.3, 41.7    41.6, 42.0
MULTI = OnCritters(n=512, held_out=200, preset="multi", size=128)
ON_MULTI = Affinity(
    source="ours",
    target={"walk mIoU": 59.6},  # of the paper on VOC train
    before=replace(
        CAM["cam-critters"],
        data=MULTI,
        epochs=4,
        batch_size=32,
        optim=replace(CAM["cam-critters"].optim, lr=0.05),
        evaluate_every=0,
    ),
    data=MULTI,
    weights="critters",
    output_stride=4,
    alphas=(2.0, 32.0),
    widths=(8, 16, 32),
    border="complete",
    walk_steps=16,
    alpha=4.0,
    epochs=3,
    batch_size=4,
    optim=Optim("adam", lr=0.003, weight_decay=5e-4),
    schedule=Schedule("poly", power=0.9),
    crf_scale=128 / 500,
    evaluate_every=0,
)

AFFINITY: dict[str, Affinity] = {
    "psa-voc-vgg16": ON_VOC,
    "psa-voc-resnet38": replace(
        ON_VOC,
        target={"CAM mIoU": 47.7, "walk mIoU": 61.0},
        before=replace(CAM["cam-voc"], optim=replace(CAM["cam-voc"].optim, lr=0.01), **RESNET38_TOO),
        optim=replace(ON_VOC.optim, lr=0.01),
        power=1.0,
        **RESNET38_TOO,
    ),
    "affinity-voc632": replace(ON_VOC632, columns={"paper's power": {"beta": 8.0}}),
    # On a grid of 28x28 a step costs more than four of CAM, on 14x14: as many steps, each of a quarter of
    # the pictures. The power is VOC's. Without a step of the walk the maps are CAM's, resized to its grid; a
    # blind walk takes all cells in reach for alike, and is a blur.
    "affinity-cub10": like(
        AffinityOnBoxes,
        ON_VOC632,
        source=CAM["cam-cub10"].source,
        target=CAM["cam-cub10"].target,
        before=CAM["cam-cub10"],
        data=CUB_10,
        epochs=2,
        batch_size=4,
        columns={"no walk": {"walk_steps": 0}}
        | {f"blind walk, {t} steps": {"beta": 1e-6, "walk_steps": t} for t in (4, 16, 64)},
    ),
}
