"""GAIN: Li, Wu, Peng, Ernst, Fu, "Tell Me Where to Look: Guided Attention Inference Network", CVPR 2018."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from wsolbook.recipes.bias import OnBiased
from wsolbook.recipes.cam import BESIDE_CAM, CAM
from wsolbook.recipes.on import OnCritters, OnVoc
from wsolbook.recipes.recipe import Columns, Recipe, like
from wsolbook.training.config import too_small
from wsolbook.training.optim import Optim
from wsolbook.training.schedule import Schedule


@dataclass(frozen=True)
class Gain(Recipe):
    """A classifier that learns where to look; with masks, GAIN_ext.

    Attributes:
        dropout: before the linear layer.
        alpha: weight of the mining loss; 0 trains a plain classifier, whose maps are Grad-CAM.
        masks: number of training pictures whose masks are seen, drawn at random.
        ducks: on the biased world, masks of all species are drawn until so many are of ducks; with 0 it is
            `masks` that counts.
        pixel_weight: weight of the pixel loss.
        center: attention at which half of a pixel is erased.
        slope: steepness there.
        scale: how a map comes into [0, 1].
        score: what of the erased picture is made small.
        through_weights: losses of the maps reach the network through the weights of the channels too.
        through_mask: the mining loss moves the attention.
        through_network: the mining loss trains the second stream to deny the class.
        masked_norms: statistics of batch normalization in the second stream.
        warmup: training pictures seen before mining begins.
        reduction: the pixel loss of a map is a mean over its cells or their sum.
    """

    method: ClassVar[str] = "gain"
    switches: ClassVar[frozenset[str]] = frozenset({"ducks"})

    dropout: float = 0.0
    alpha: float = 1.0
    masks: int = 0
    ducks: int = 0
    pixel_weight: float = 10.0
    center: float = 0.5
    slope: float = 10.0
    scale: Literal["min-max", "max"] = "min-max"
    score: Literal["probability", "logit"] = "probability"
    through_weights: bool = False
    through_mask: bool = True
    through_network: bool = True
    masked_norms: Literal["frozen", "batch"] = "frozen"
    warmup: int = 0
    reduction: Literal["mean", "sum"] = "mean"

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = super().problems()
        found += too_small(self, alpha=0, masks=0, ducks=0, pixel_weight=0, warmup=0)
        if not 0 <= self.dropout < 1:
            found.append(f"dropout must be in [0, 1), got {self.dropout}")
        if not 0 <= self.center <= 1:
            found.append(f"center must be in [0, 1], got {self.center}")
        if self.slope <= 0:
            found.append(f"slope must be positive, got {self.slope}")
        if self.ducks and not isinstance(self.data, OnBiased):
            found.append(f"ducks needs the biased world, not {self.data.name}")
        return found

    def settings(self) -> dict[str, Any]:
        """Return the settings of the network."""
        found = super().settings()
        if self.ducks and isinstance(self.data, OnBiased):
            found["masks"] = self.data.masks_for(self.ducks, self.seed)
        return found | {"loss": "sigmoid" if self.data.multi_label else "softmax"}


GRAD_CAM: Columns = {"Grad-CAM": {"alpha": 0.0}}
PAPER = "Li et al., CVPR 2018"

# In the budget of CAM. Center and slope, which the paper leaves open, were chosen with its alpha 1, by PxAP
# on 300 other pictures and another seed. Grad-CAM has 54.8 there; 52.7 is the best of 0.5 and 10 (44.2),
# 0.25 and 10 (51.5), 0.25 and 30, 0.1 and 30 (50.7). Twice the epochs: 43.9; 46.0 with 0.5 and 10.
ON_CRITTERS = like(
    Gain,
    CAM["cam-critters"],
    **BESIDE_CAM,
    center=0.25,
    slope=30.0,
    columns={**GRAD_CAM, "mask route alone": {"through_network": False}},
    evaluate_every=0,
)

# A sigmoid a species: the classification loss is a mean over 8 of them, so the rate is five times CAM's,
# and both other losses weigh a tenth of what they do in the paper. Searched by the overall accuracy on the
# first 200 or 300 of the probes from `val`, with training seed 7; plain 60.5. Alpha 0.1: 71.2, 0.3: 69.2.
# At center 0.5 and slope 10, alpha 0.1: 72.2, 1: 52.2 (rate 0.02: 50.0), where few ducks are found, 3: none.
# Weight of the pixel loss with the masks of 78 ducks, 1: 85.2, 10: 73.7 (rate 0.02: 77.0), 100: 50.0, where
# no duck is found; 10 was doubted after seeds 0 and 1 had run with it, on 500 probes from `val`. What is
# reported has seen none of this: probes from `test`, and `--seeds 10 11 12`.
SIGMOIDS = replace(ON_CRITTERS, alpha=0.1, pixel_weight=1.0, optim=replace(ON_CRITTERS.optim, lr=0.1))

# Ducks on water.
ON_BIASED = replace(
    SIGMOIDS,
    source=f"{PAPER}, table 4, column GAIN: boats, trained on VOC 2012, 50 pictures a row",
    target={"duck like training": 90, "duck without water": 48, "water without duck": 62, "overall": 55},
    data=OnBiased(),
    # Their GAIN_ext saw the masks of 200, 400 or 1,464 pictures of all 20 classes; the table counts the boats
    # among them. Ours too are drawn over all species, until so many are of ducks.
    columns={**GRAD_CAM, **{f"{ducks} masks": {"ducks": ducks} for ducks in (9, 23, 78)}},
)
# What each loss does alone, and the paper's weight of mining.
ALONE: Columns = {"78 masks, no mining": {"ducks": 78, "alpha": 0.0}, "alpha 1": {"alpha": 1.0}}

# Section 4.1: batch 1, rate 1e-5, 35 epochs, alpha 1, weight 10 of the pixel loss. Momentum, weight decay,
# size and augmentation are not given: the usual ones, and 224 pixels for maps of 14x14. The paper keeps the
# fully connected layers of VGG; ours is pooled, so a channel has one weight for all pictures. Its numbers
# are of a segmentation network (SEC) trained on these maps and the background of a saliency network.
ON_VOC = Gain(
    source=f"{PAPER}, table 1",
    target={"mIoU of SEC, val": 55.3, "mIoU of SEC, test": 56.8},
    data=OnVoc(size=224, augment="wsol"),
    backbone="vgg16",
    weights="imagenet",
    output_stride=16,
    epochs=35,
    batch_size=1,
    optim=Optim(lr=1e-5, momentum=0.9, weight_decay=5e-4),
    schedule=Schedule("constant"),
    evaluate_every=5,
    best="seed mIoU",
)

GAIN: dict[str, Gain] = {
    "gain-critters": ON_CRITTERS,
    "gain-multi": replace(
        SIGMOIDS, source="ours", target={"mAP": 95.0}, data=OnCritters(preset="multi"), columns=GRAD_CAM
    ),
    "gain-biased": replace(ON_BIASED, columns={**ON_BIASED.columns, **ALONE}),
    "gain-biased-95": replace(ON_BIASED, data=OnBiased(context_bias=0.95)),
    "gain_ext-biased": replace(
        ON_BIASED,
        source=f"{PAPER}, table 4, last column: boats, trained on VOC 2012, 50 pictures a row",
        target={"duck like training": 94, "duck without water": 84, "water without duck": 84, "overall": 84},
        ducks=78,
        columns={},
    ),
    # One thing at a time that the paper leaves open, its constant, and each route of the mining loss alone.
    "gain-choices": replace(
        ON_CRITTERS,
        data=OnCritters(n=1024, held_out=300),
        columns={
            **GRAD_CAM,
            "alpha 0.3": {"alpha": 0.3},
            "center 0.5": {"center": 0.5},
            "center 0.5, slope 10": {"center": 0.5, "slope": 10.0},
            "scale max": {"scale": "max"},
            "logit": {"score": "logit"},
            "through weights": {"through_weights": True},
            "mask route alone": {"through_network": False},
            "mask route alone, center 0.5, slope 10": {
                "through_network": False,
                "center": 0.5,
                "slope": 10.0,
            },
            "network route alone": {"through_mask": False},
            "batch norms": {"masked_norms": "batch"},
            "warm-up": {"warmup": 1024},
        },
    ),
    "gain-voc": ON_VOC,
    # 200, 400, 900 or 1,464 masks: `--masks`. The paper's are of the train list, ours of trainaug.
    "gain_ext-voc": replace(
        ON_VOC,
        source=f"{PAPER}, tables 1 and 3; 58.3, 59.4 and 60.2 with 200, 400 and 900 masks",
        target={"mIoU of SEC, val": 60.5, "mIoU of SEC, test": 62.1},
        data=OnVoc(size=224, augment="wsol", masks="SegmentationClassAug"),
        masks=1464,
    ),
    # Center and slope as on critters. The plain networks are in cam-voc632 and cam-cub10: the same start,
    # pictures and steps. With alpha 0.1, as for the sigmoids above, one seed had mAP 58.4 on the reported
    # pictures, where CAM has 76.4. So it was looked at again on 103 of the 311 training pictures, half the
    # epochs on the other 208, training seed 7: mAP 60.8 and seed mIoU 22.2 with 0.01; 61.4 and 22.6 with 0.
    # Nothing between 0.01 and 0.1 was tried.
    "gain-voc632": like(Gain, CAM["cam-voc632"], alpha=0.01, center=0.25, slope=30.0),
    "gain-cub10": like(Gain, CAM["cam-cub10"], center=0.25, slope=30.0),
}
