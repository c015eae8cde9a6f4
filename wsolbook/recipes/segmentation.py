"""Segmentation networks that learn from pseudo labels: DeepLab, SEC, and the whole staircase to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from wsolbook import methods
from wsolbook.evaluation import Tally
from wsolbook.evaluation.labels import Label, Segmented
from wsolbook.evaluation.sources import device_of
from wsolbook.recipes.affinity import AFFINITY, ON_MULTI, ON_VOC, ON_VOC632, SCALES, Affinity
from wsolbook.recipes.cam import CAFFE, CAM
from wsolbook.recipes.on import VOC_632, OnVoc
from wsolbook.recipes.recipe import Columns
from wsolbook.recipes.taught import Preset, Taught
from wsolbook.refine.crf import PRESETS
from wsolbook.refine.pseudo_labels import Cues
from wsolbook.segmentation.deeplab import DeepLab
from wsolbook.training.optim import Optim
from wsolbook.training.schedule import Schedule
from wsolbook.types import Localizer, Network


@dataclass(frozen=True)
class Segmenter(Taught):
    """Base of both: measured by its own label maps, without and with a CRF.

    Attributes:
        rates: how far the last convolutions are spread, where the backbone has no head of its own.
        test_scales: factors of the size over which probabilities are averaged at test.
        test_flip: also over mirrored pictures.
        test_crf: constants of the dense CRF at test.
    """

    stages: ClassVar[tuple[str, ...]] = ("mIoU", "mIoU with CRF")
    switches: ClassVar[frozenset[str]] = Taught.switches | {"test_scales", "test_flip", "test_crf", "before"}
    at_test: ClassVar[frozenset[str]] = frozenset({"test_scales", "test_flip", "test_crf"})

    rates: tuple[int, ...] = (6, 12, 18, 24)
    test_scales: tuple[float, ...] = (1.0,)
    test_flip: bool = False
    test_crf: Preset = "deeplab-v1"

    def each(self, model: Localizer) -> list[Tally[Any]]:
        """Count the label maps that the network gives."""
        assert isinstance(model, DeepLab)
        constants = None if self.test_crf == "none" else PRESETS[self.test_crf].scaled(self.crf_scale)
        kinds = [Segmented(model, self.test_scales, self.test_flip, crf) for crf in (None, constants)]
        stages = zip(kinds, Segmenter.stages, strict=True)
        return [tally for kind, stage in stages for tally in self.count(kind, [stage])]


@dataclass(frozen=True)
class Deeplab(Segmenter):
    """A DeepLab that learns from label maps, or fully supervised, from the truth.

    Attributes:
        scales: further factors of the size at which a training batch is seen.
        truth: learn from true masks.
        stairs: also measure the label maps of the networks before.
    """

    method: ClassVar[str] = "deeplab"
    switches: ClassVar[frozenset[str]] = Segmenter.switches | {"stairs"}

    scales: tuple[float, ...] = ()
    truth: bool = False
    stairs: bool = False

    @property
    def learns_from_truth(self) -> bool:
        """Whether no label maps are needed."""
        return self.truth

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the numbers, those of the networks before first."""
        return (*(self._below.metrics if self._below else ()), *super().metrics)

    @property
    def _below(self) -> Affinity | None:
        """The recipe whose label maps are measured too."""
        return self.before if self.stairs and not self.truth and isinstance(self.before, Affinity) else None

    def each(self, model: Localizer) -> list[Tally[Any]]:
        """Count the label maps of each stage, the network's own last."""
        first: list[Tally[Any]] = []
        if self._below:
            network = methods.load(self._network_file).to(device_of(model)).eval()
            first = self._below.each(network)
        return [*first, *super().each(model)]

    def blind(self) -> list[Tally[Any]]:
        """Count the label maps that guess the center, once for each stage."""
        first = self._below.blind() if self._below else []
        return [*first, *super().blind()]


@dataclass(frozen=True)
class Sec(Segmenter):
    """A SEC that learns from cues, labels and edges.

    Attributes:
        cue: share of its maximum above which a map says the class.
        no_cue: largest share of all maps that says background.
        foreground: decay of the rank weights of a class that is present.
        background: that of background.
    """

    method: ClassVar[str] = "sec"
    switches: ClassVar[frozenset[str]] = Segmenter.switches | {"cue", "no_cue"}

    cue: float = 0.2
    no_cue: float = 0.05
    foreground: float = 0.996
    background: float = 0.999

    def label(self, network: Network | None = None) -> Label:
        """Return how maps become cues."""
        return Cues(self.cue, self.no_cue)


TRUTH: Columns = {"full supervision": {"truth": True}}

# LargeFOV as public ports train it on VOC, from the labels of AffinityNet after a CRF; without it a user got
# 55. Ahn and Kwak used the released Caffe model with its own solver. `--truth --data.masks
# SegmentationClassAug` is full supervision: 62.3 in a port, 67.6 with CRF.
ON_VOC_TOO = Deeplab(
    source="Ahn and Kwak, CVPR 2018, table 4: LargeFOV, VOC val",
    target={"mIoU with CRF": 58.4},
    before=ON_VOC,
    data=OnVoc(size=321, augment="deeplab", test="val"),
    backbone="vgg16_largefov",
    weights="imagenet",
    steps=20_000,
    batch_size=10,
    optim=replace(CAFFE, lr=1e-3, new_layers=10.0),
    schedule=Schedule("poly", power=0.9),
    power=ON_VOC.power,
    map_scales=SCALES,
    map_flip=True,
    evaluate_every=0,
)

SEGMENTATION: dict[str, Deeplab | Sec] = {
    "deeplab-voc": ON_VOC_TOO,
    # Version 2 as its port trains it, which begins from COCO, ours from ImageNet.
    "deeplab-voc-resnet101": replace(
        ON_VOC_TOO,
        source="SeeNet, NeurIPS 2018, table 2: the same network on other pseudo labels, VOC val",
        target={"mIoU": 62.6, "mIoU with CRF": 63.1},
        data=OnVoc(size=321, augment="segmentation", test="val"),
        backbone="resnet101",
        frozen_norms=True,
        scales=(0.5, 0.75),
        optim=replace(CAFFE, lr=2.5e-4, new_layers=10.0),
        test_scales=(0.5, 0.75, 1.0, 1.25, 1.5),
        test_flip=True,
        test_crf="deeplab-v2",
    ),
    "deeplab-voc-resnet38": replace(
        ON_VOC_TOO,
        source="Ahn and Kwak, CVPR 2018, table 4: ResNet-38, VOC val",
        target={"mIoU with CRF": 61.7},
        before=AFFINITY["psa-voc-resnet38"],
        power=AFFINITY["psa-voc-resnet38"].power,
        data=OnVoc(size=321, augment="segmentation", test="val"),
        backbone="resnet38",
        weights=AFFINITY["psa-voc-resnet38"].weights,
        frozen_norms=True,
    ),
    "deeplab-voc632": Deeplab(
        source="ours, on 311 training and 321 validation pictures of VOC 2012",
        target={"mIoU": 33.2},  # of a linear head, by the one who collected the pictures, as seeds
        before=ON_VOC632,
        data=replace(VOC_632, augment="segmentation"),
        backbone="mobilenet_v2",
        weights=ON_VOC632.weights,
        frozen=14,
        frozen_norms=True,
        rates=(3, 6, 9, 12),  # on 28x28 cells, half of 41x41 and more
        epochs=8,  # the budget of cam-voc632
        batch_size=16,
        # Fully supervised, on 103 held-out training pictures: 30.0, and 3.4, an empty picture's, at 2e-3.
        optim=replace(CAFFE, lr=5e-4, weight_decay=1e-4, new_layers=10.0),
        schedule=Schedule("poly", power=0.9),
        channels_last=True,  # here a step takes 0.6 of its time by it
        crf="none",  # which harms these labels, by the table of ON_VOC632
        map_flip=True,
        columns=TRUTH,
        evaluate_every=0,
    ),
    # CAM, walk, CRF, DeepLab, and how far the truth would have brought it. Rate and batch by the same search,
    # mIoU without and with CRF after 6 epochs on labels at alpha 16: batches of 32 at 0.02 end at 42.5 and
    # 47.0, at 0.1 at 11.9, and batches of 8 at 0.01 at 43.9 and 49.4, in hardly more time.
    "affinity-multi": Deeplab(
        source="Ahn and Kwak, CVPR 2018, table 1, and table 4: LargeFOV, VOC val",
        target={"CAM mIoU": 48.0, "walk mIoU": 58.1, "walk + CRF mIoU": 59.7, "mIoU with CRF": 58.4},
        before=ON_MULTI,
        alphas=(ON_MULTI.alpha,),
        data=ON_MULTI.data,
        weights="critters",
        output_stride=4,
        rates=(1, 2, 4, 6),
        epochs=6,
        batch_size=8,
        optim=Optim(lr=0.01, momentum=0.9, weight_decay=5e-4),
        schedule=Schedule("poly", power=0.9),
        crf_scale=ON_MULTI.crf_scale,
        stairs=True,
        columns=TRUTH,
        evaluate_every=0,
    ),
    # 8,000 steps of 15 pictures warped to 321 pixels and not mirrored, rate x0.1 every 2,000 steps.
    "sec-voc": Sec(
        source="Kolesnikov and Lampert, ECCV 2016, VOC val; without CRF by Li et al., CVPR 2018",
        target={"mIoU": 44.8, "mIoU with CRF": 50.7},
        before=CAM["cam-voc"],
        data=OnVoc(size=321, augment="none", test="val"),
        backbone="vgg16_largefov",
        weights="imagenet",
        steps=8000,
        batch_size=15,
        optim=replace(CAFFE, lr=1e-3, new_layers=10.0),
        schedule=Schedule("step", milestones=(2000, 4000, 6000), gamma=0.1, unit="steps"),
        test_crf="sec",
        evaluate_every=0,
    ),
}
