"""Recipes whose network learns from label maps that a network before it makes.

AffinityNet learns from a CAM network, and DeepLab from an AffinityNet. Whoever trains the last trains those
before it first, into the same folder; what is there already is not made again.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from tyro.conf import Suppress

from wsolbook import methods
from wsolbook.data.made import taught_by
from wsolbook.distributed import add_up, joined, own_device, rank_and_world
from wsolbook.evaluation import Tally, evaluate
from wsolbook.evaluation.labels import Label, PseudoLabels, write_label_maps
from wsolbook.evaluation.picture import Prediction, Truth
from wsolbook.evaluation.saved import file_names
from wsolbook.evaluation.sources import Center, Source
from wsolbook.evaluation.tasks import LabelMaps
from wsolbook.files import read_json, write_json
from wsolbook.metrics import ConfusionMatrix
from wsolbook.recipes.on import OnPictures
from wsolbook.recipes.recipe import Recipe
from wsolbook.refine.crf import PRESETS, Constants
from wsolbook.refine.pseudo_labels import Labeling
from wsolbook.training.config import differences, plain
from wsolbook.types import Localizer, Network, Samples

Preset = Literal["none", "psa", "sec", "irn", "deeplab-v1", "deeplab-v2"]


class NamedLabelMaps(LabelMaps):
    """Mean IoU of the label maps of one stage and what is lacking to 100, under its name.

    Of the label maps of a picture it counts the one at `place`.
    """

    def __init__(self, classes: int, headline: str, place: int) -> None:
        super().__init__(classes)
        self.headline, self.place = headline, place
        self.compared = stage_metrics(headline)

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, ConfusionMatrix]]:
        """Yield what one picture counts."""
        return super().count(truth, replace(said, values=said.values[self.place, None]))

    def values(self, metric: ConfusionMatrix) -> dict[str, float]:
        """Return means over the classes: IoU, false positives and false negatives."""
        return dict(zip(self.compared, super().values(metric).values(), strict=True))


def stage_metrics(headline: str) -> tuple[str, ...]:
    """Return the names of the numbers of a stage, from that of its mean IoU."""
    return tuple(headline.replace("mIoU", name) for name in ("mIoU", "mFP", "mFN"))


@dataclass(frozen=True)
class Taught(Recipe, ABC):
    """Base of the recipes that learn from made label maps.

    Attributes:
        before: recipe of the network that makes the label maps, trained first on the same pictures.
        network: instead, a file of that network, whose name may hold environment variables.
        labels: folder of the label maps of the training pictures, as `wsolbook pseudo-labels` writes it;
            empty where they are made first.
        alphas: power of the background score in them, or two.
        power: of the maps; 0.5 for VGG-16 in the code of AffinityNet.
        crf: constants of the dense CRF that they end with.
        crf_scale: size of the pictures, as a multiple of the 500 pixels for which the constants are.
        map_scales: factors of the size at which the maps are seen.
        map_flip: whether they are seen mirrored too.
    """

    stages: ClassVar[tuple[str, ...]]
    switches: ClassVar[frozenset[str]] = frozenset(
        ("before", "network", "labels", "alphas", "power", "crf", "crf_scale", "map_scales", "map_flip")
    )

    before: Suppress[Recipe | None] = None
    network: str = ""
    labels: str = ""
    alphas: tuple[float, ...] = (16.0,)
    power: float = 1.0
    crf: Preset = "psa"
    crf_scale: float = 1.0
    map_scales: tuple[float, ...] = (1.0,)
    map_flip: bool = False

    @property
    def learns_from_truth(self) -> bool:
        """Whether no label maps are needed."""
        return False

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be, and for each file that is missing."""
        found = super().problems()
        if self.network and not self._network_file.is_file():
            found.append(f"network file {self.network} does not exist")
        if self.labels and not Path(os.path.expandvars(self.labels)).is_dir():
            found.append(f"labels {self.labels} is not a folder")
        if self._first and not (self.network or self.learns_from_truth):
            found += [f"of the network before: {problem}" for problem in self._first.problems()]
        if not (self.network or self.before or self.learns_from_truth):
            found.append("network must name the file of a trained network, which makes the label maps")
        if not self.map_scales or min(self.map_scales) <= 0:
            found.append(f"map_scales must be positive and at least one, got {self.map_scales}")
        try:
            self.label()
        except ValueError as error:
            found.append(str(error))
        return found

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the numbers that `evaluate` returns: three for each stage that makes label maps."""
        return tuple(name for stage in self.stages for name in stage_metrics(stage))

    @property
    def constants(self) -> Constants | None:
        """Constants of the CRF at the size of the pictures."""
        return None if self.crf == "none" else PRESETS[self.crf].scaled(self.crf_scale)

    def label(self, network: Network | None = None) -> Label:
        """Return how the maps of the network before become labels; how they walk, it says itself."""
        walk = {} if network is None else network.settings
        own = {name: walk[name] for name in ("beta", "steps", "radius") if name in walk}
        return Labeling(self.alphas, self.constants, self.power, **own)

    def teacher(self, network: Network) -> Source:
        """Return what gives the label maps."""
        return PseudoLabels(self.label(network), network, scales=self.map_scales, flip=self.map_flip)

    def prepared(self, folder: Path) -> Taught:
        """Train the network before and make the label maps, where they are not there yet.

        A stopped training goes on, and label maps that are written stay.

        Args:
            folder: for both.

        Raises:
            ValueError: when the folder holds those of other settings.
            Stopped: after a signal.
        """
        if self.learns_from_truth:
            return self
        if not (self.network and self.labels):
            self._claim(folder)
        file = self._network_file
        if not self.network and self.before is not None:
            file = folder / f"{self.before.method}.safetensors"
            if not file.is_file():
                self._train_before(folder, file)
        made = Path(os.path.expandvars(self.labels)) if self.labels else folder / f"labels-{self.method}"
        if not self.labels:
            data, size = self._original("train")
            device = own_device() if self.device == "auto" else torch.device(self.device)
            source = self.teacher(methods.load(file).to(device).eval())
            files = [made / f"{name}.png" for name in file_names(data)]
            with joined():
                write_label_maps(source, data, files, rank_and_world(), size, self.workers)
                add_up([0])  # all processes wait for the others' files
        return replace(self, network=str(file), labels=str(made))

    def shows(self, data: Samples) -> Samples:
        """Return the training pictures with the label maps in place of masks."""
        if self.learns_from_truth:
            return data
        folder = Path(os.path.expandvars(self.labels))
        return taught_by(data, [folder / f"{name}.png" for name in file_names(data)])

    def blind(self) -> list[Tally[Any]]:
        """Count the label maps that guess the center of every picture, once for each stage."""
        label, stages = Labeling((1.0,)), len(self.stages)
        center = Center(len(self.data.classes))
        return self.count(
            PseudoLabels(lambda *asked: label(*asked).expand(stages, -1, -1), center), self.stages
        )

    @abstractmethod
    def each(self, model: Localizer) -> list[Tally[Any]]:
        """Count the label maps of each stage."""

    def count(self, source: Source, stages: Sequence[str]) -> list[Tally[Any]]:
        """Count the test pictures at their own size by the label maps of a source, one for each stage."""
        classes = len(self.data.classes)
        data, size = self._original("test")
        tasks = [NamedLabelMaps(classes, stage, place) for place, stage in enumerate(stages)]
        return evaluate(source, data, tasks, batch_size=size, workers=self.workers, keep=True)

    @property
    def _network_file(self) -> Path:
        return Path(os.path.expandvars(self.network))

    def _original(self, which: Literal["train", "test"]) -> tuple[Samples, int]:
        """Open pictures at their own size, and tell how many fit into a batch."""
        if isinstance(self.data, OnPictures):
            return self.data.open(getattr(self.data, which), view="original"), 1
        return (self.data.training(self.seed) if which == "train" else self.data.testing()), 16

    @property
    def _first(self) -> Recipe | None:
        """The recipe before, on the pictures and the device of this one."""
        if self.before is None:
            return None
        data, own = self.before.data, self.data
        if isinstance(data, OnPictures) and isinstance(own, OnPictures):
            own = replace(data, root=own.root, on_error=own.on_error)  # with the crops of the recipe before
        return replace(self.before, seed=self.seed, device=self.device, workers=self.workers, data=own)

    def _claim(self, folder: Path) -> None:
        """Note in the folder what decides the network before and the label maps, which may not change."""
        config, note = plain(self), folder / f"{self.method}.json"
        about = {name: config[name] for name in (*sorted(Taught.switches), "data", "seed")}
        if note.is_file() and (changed := differences(read_json(note, "remove the folder"), about)):
            raise ValueError(f"{folder} was made with other settings ({'; '.join(changed)}); remove it")
        write_json(note, about)

    def _train_before(self, folder: Path, file: Path) -> None:
        """Train the network before and write its file."""
        assert self._first is not None
        first = self._first.resolved().prepared(folder)
        torch.manual_seed(first.seed)
        model, pictures = first.model(), first.shows(first.data.training(first.seed))
        model.names = tuple(pictures.classes)
        # A number is measured only where it decides which checkpoint is kept.
        measure = first.evaluate if first.best else lambda _: {}
        first.fit(model, pictures, run=folder / first.method, evaluate=measure, resume="auto")
        if rank_and_world()[0] == 0:
            methods.save(model, file)
        add_up([0])  # all processes wait for the file
