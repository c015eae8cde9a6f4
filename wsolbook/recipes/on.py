"""What a method is trained and measured on: the pictures, their two views and the metrics, for any paper."""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from wsolbook.data import critters
from wsolbook.data.augment import AUGMENTATIONS
from wsolbook.data.sets import open_split
from wsolbook.data.voc import CLASSES
from wsolbook.evaluation import Center, FromNetwork, Tally, evaluate, paired_bootstraps
from wsolbook.evaluation.proxies import Barriers, Proxies, Saved
from wsolbook.evaluation.saved import file_names
from wsolbook.evaluation.tasks import Boxes, Classification, MultiLabel, Parts, Pixels, Seeds, Task
from wsolbook.metrics import SeedIoU
from wsolbook.types import Localizer, Samples

RESAMPLES = 1000  # of the test pictures, for an interval


@dataclass(frozen=True)
class On(ABC):
    """A data set as a recipe uses it; its fields are the options `--data.*` of the command line.

    Attributes:
        name: as the commands call it.
        saliency: also count proxy ground truth, with the saliency of `"barriers"`, or of a folder of files.
    """

    name: ClassVar[str]

    saliency: str | None = None

    @property
    def multi_label(self) -> bool:
        """Whether a picture may show several classes."""
        return False

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    def tasks(self) -> list[Task[Any]]:
        """Return what is counted in one pass over the test pictures, classification first."""
        classes = MultiLabel(len(self.classes)) if self.multi_label else Classification()
        return [classes, Boxes(), Boxes(contours="largest")]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the numbers that `evaluate` returns."""
        names = (name for task in self.tasks() for name in task.compared or (task.headline,))
        return (*names, *([Proxies.headline] if self.saliency else []))

    def proxies(self, data: Samples) -> list[Task[Any]]:
        """Return what counts proxy ground truth of some pictures, if a saliency is given."""
        if self.saliency is None:
            return []
        folder = Path(os.path.expandvars(self.saliency))
        source = Barriers(data) if self.saliency == "barriers" else Saved(folder, file_names(data))
        return [Proxies(len(self.classes), source)]

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        if self.saliency in (None, "barriers") or os.path.isdir(os.path.expandvars(str(self.saliency))):
            return []
        return [f"data.saliency must be barriers or a folder, got {self.saliency!r}"]

    @abstractmethod
    def training(self, seed: int) -> Samples:
        """Open or draw the training pictures."""

    @abstractmethod
    def testing(self) -> Samples:
        """Open or draw the pictures to evaluate on, the same for every seed."""

    def each(self, model: Localizer, workers: int | None = None) -> list[Tally[Any]]:
        """Count the test pictures by each task, and keep the counts of each picture."""
        data = self.testing()
        return count(model, data, [*self.tasks(), *self.proxies(data)], workers)

    def center(self) -> list[Tally[Any]]:
        """Count the map that guesses the center of every picture."""
        return [tally for tally in self.each(Center(len(self.classes))) if not tally.task.logits]


class NamedSeeds(Seeds):
    """Maps as segmentation seeds, at the background score that is best for this very set."""

    headline = "seed mIoU"
    compared = (headline, "background score")

    def values(self, metric: SeedIoU) -> dict[str, float]:
        """Return the mean IoU of the classes, and the background score."""
        best = metric.compute()
        return {"seed mIoU": best["miou"], "background score": best["score"]}


@dataclass(frozen=True)
class OnCritters(On):
    """Our synthetic world.

    Attributes:
        n: training pictures.
        held_out: pictures to evaluate on; they share no scene with the training pictures.
        preset: the world, a key of `wsolbook.data.critters.PRESETS`.
        size: side of the pictures in pixels.
        body_cue: probability that an animal wears its own species' body.
    """

    name: ClassVar[str] = "critters"

    n: int = 2048
    held_out: int = 500
    preset: str = "single"
    size: int = 64
    body_cue: float = critters.World.body_cue

    @property
    def multi_label(self) -> bool:
        """Whether a picture may show several species."""
        return self.preset in critters.PRESETS and critters.world(self.preset).objects[1] > 1

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the species."""
        return critters.world(self.preset).names

    def tasks(self) -> list[Task[Any]]:
        """With pixels, and the share of each part that a map covers; of several animals, seeds instead.

        Where proxies are counted, it is both.
        """
        seeds: list[Task[Any]] = [NamedSeeds(len(self.classes))] if self.multi_label else []
        parts: list[Task[Any]] = [Parts()] if self.saliency or not seeds else []
        return [*super().tasks(), Pixels(), *seeds, *parts]

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = super().problems()
        if self.n < 1 or self.held_out < 1:
            found.append("data.n and data.held_out must be at least 1")
        if self.size < 16:
            found.append(f"data.size must be at least 16, got {self.size}")
        if self.preset not in critters.PRESETS:
            found.append(f"data.preset must be one of {', '.join(critters.PRESETS)}, got {self.preset!r}")
        if not 0 <= self.body_cue <= 1:
            found.append(f"data.body_cue must be between 0 and 1, got {self.body_cue}")
        return found

    def knobs(self) -> dict[str, Any]:
        """Return the attributes of the world that are set here."""
        return {"body_cue": self.body_cue}

    def training(self, seed: int) -> critters.Critters:
        """Draw the training pictures."""
        return critters.Critters(self.n, self.preset, self.size, seed, "train", **self.knobs())

    def testing(self) -> critters.Critters:
        """Draw the held-out pictures."""
        return _held_out(self.held_out, self.preset, self.size, **self.knobs())


@functools.lru_cache(maxsize=1)
def _held_out(n: int, preset: str, size: int, **knobs: Any) -> critters.Critters:
    return critters.Critters(n, preset, size, 0, "val", **knobs)


@dataclass(frozen=True)
class OnPictures(On):
    """Pictures in a folder.

    Attributes:
        root: folder of the data set; may name environment variables.
        size: side of the training crop in pixels.
        test_size: side of the test pictures that are compared in the 224 frame; above 224 their boxes are
            truncated twice, each by less than a pixel.
        augment: a key of `wsolbook.data.augment.AUGMENTATIONS`.
        on_error: `"raise"` stops at a picture that cannot be read, `"skip"` leaves it out and says so.
        train: list of training pictures.
        test: list of pictures to evaluate on.
    """

    root: str = ""
    size: int = 224
    test_size: int = 224
    augment: str = "wsol"
    on_error: Literal["raise", "skip"] = "raise"
    train: str = "train"
    test: str = "test"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.testing().classes

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = super().problems()
        if not os.path.isdir(os.path.expandvars(self.root)):
            found.append(f"data.root {self.root} is not a folder")
        for name, side in (("size", self.size), ("test_size", self.test_size)):
            if side < 32:
                found.append(f"data.{name} must be at least 32, got {side}")
        if self.augment not in AUGMENTATIONS:
            found.append(f"data.augment must be one of {', '.join(AUGMENTATIONS)}, got {self.augment!r}")
        return found

    def open(self, split: str, **options: Any) -> Samples:
        """Open a list of pictures."""
        root = Path(os.path.expandvars(self.root))
        return open_split(self.name, root, split, on_error=self.on_error, **options)

    def training(self, seed: int) -> Samples:
        """Open the training pictures."""
        return self.open(self.train, seed=seed, size=self.size, augment=self.augment)

    def testing(self) -> Samples:
        """Open the test pictures."""
        return self.open(self.test, size=self.test_size)


@dataclass(frozen=True)
class OnVoc(OnPictures):
    """PASCAL VOC 2012, several classes a picture: the seeds of weakly supervised segmentation.

    Attributes:
        masks: folder with the masks of training pictures, for a method that sees some; None: as the list has.
    """

    name: ClassVar[str] = "voc2012"

    root: str = "$WSOLBOOK_REAL/data/VOC2012"
    size: int = 448
    augment: str = "affinity-cam"
    train: str = "trainaug"
    test: str = "train"
    masks: Literal["SegmentationClass", "SegmentationClassAug"] | None = None

    @property
    def multi_label(self) -> bool:
        """Whether a picture may show several classes."""
        return True

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the 20 classes."""
        return CLASSES

    def tasks(self) -> list[Task[Any]]:
        """With pixels, and the maps as segmentation seeds."""
        return [*super().tasks(), Pixels(), NamedSeeds(len(CLASSES))]

    def training(self, seed: int) -> Samples:
        """Open the training pictures."""
        return self.open(self.train, seed=seed, size=self.size, augment=self.augment, masks=self.masks)

    def each(self, model: Localizer, workers: int | None = None) -> list[Tally[Any]]:
        """Count classification and boxes in the 224 frame, seeds at the size of each picture."""
        *framed, seeds = self.tasks()
        data = self.open(self.test, view="original")
        return [
            *count(model, self.testing(), framed, workers),
            *count(model, data, [seeds, *self.proxies(data)], workers, batch_size=1),
        ]


@dataclass(frozen=True)
class OnCub(OnPictures):
    """CUB-200-2011: 200 kinds of birds, one bird a picture, with its box."""

    name: ClassVar[str] = "cub"

    root: str = "$WSOLBOOK_REAL/data/CUB_200_2011"


@dataclass(frozen=True)
class OnIlsvrc(OnPictures):
    """ILSVRC 2012: 1,000 classes, one a picture; 50,000 validation pictures have boxes."""

    name: ClassVar[str] = "ilsvrc2012"

    root: str = "$WSOLBOOK_REAL/data/ILSVRC"
    test: str = "val"


def count(
    model: Localizer, data: Samples, tasks: list[Task[Any]], workers: int | None, batch_size: int = 32
) -> list[Tally[Any]]:
    """Count the pictures of a data set once by all tasks."""
    source = FromNetwork(model, logits=any(task.logits for task in tasks))
    return evaluate(source, data, tasks, batch_size=batch_size, workers=workers, keep=True)


def leads(ours: list[Tally[Any]], others: list[Tally[Any]]) -> dict[str, list[float]]:
    """Return, as 95 % intervals over the pictures, how far some numbers of ours lie above those of others.

    Args:
        ours: from `On.each`.
        others: of the same pictures; what only one of both has counted is left out.
    """
    found: dict[str, list[float]] = {}
    theirs = {tally.task.headline: tally for tally in others if tally.keep}
    for tally in ours:
        if other := theirs.get(tally.task.headline):
            intervals = paired_bootstraps(tally.each, other.each, tally.task.scores, RESAMPLES)
            found |= {name: [interval.low, interval.high] for name, interval in intervals.items()}
    return found


def scores(tallies: list[Tally[Any]]) -> dict[str, float]:
    """Return the numbers that runs are compared by."""
    return {k: v for tally in tallies for k, v in tally.task.scores(tally.total).items()}


# What fits on two cores. The small copy of CUB has ten kinds of birds: another folder, the same data set.
VOC_632 = OnVoc(size=224, augment="wsol", train="train", test="val")  # 311 and 321 pictures
CUB_10 = OnCub()  # 300 and 243 pictures
