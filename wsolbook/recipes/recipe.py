"""What a recipe is: a paper's network and schedule, on a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tyro.conf import Suppress

from wsolbook import methods
from wsolbook.backbones import BACKBONES
from wsolbook.backbones.freeze import freeze_layers, freeze_norms
from wsolbook.backbones.trunk import Trunk
from wsolbook.evaluation import Tally
from wsolbook.recipes.on import On, OnCritters, scores
from wsolbook.training.config import TrainConfig
from wsolbook.training.loop import Resume, train
from wsolbook.training.run import History
from wsolbook.types import Localizer, Network, Samples

Columns = Mapping[str, Mapping[str, Any] | TrainConfig]


@dataclass(frozen=True)
class Recipe(TrainConfig):
    """Base of the papers: a paper names its `method`, and adds its own settings to those of every training.

    Attributes:
        method: a key of `wsolbook.methods.METHODS`.
        one_label: whether the method takes one class a picture.
        switches: own fields that are not arguments of the method's build function.
        at_test: own fields that change the maps of a trained network, and not its training.
        source: where the settings and the target are from.
        target: numbers of the source in percent, under our metrics' names where they measure the same thing.
        data: what the method is trained and measured on.
        columns: what `wsolbook reproduce` trains beside it on the same pictures from the same start: a name
            and the settings that differ, or the recipe of another method.
        backbone: a name of `wsolbook.backbones.BACKBONES`.
        weights: where pre-trained parameters come from: `"imagenet"` (downloaded), `"critters"` (shipped, for
            the tiny networks), a file, whose name may hold environment variables, or None. A network that
            `wsolbook train` left is gone on with as a whole where method and settings are the same.
        frozen: first parts of the network that do not learn.
        frozen_norms: batch normalization stays as pre-training left it.
        output_stride: pixels of the picture for one position of the map; None is the network's own.
        dilation: what follows a stride that was taken away is dilated.
    """

    method: ClassVar[str]
    one_label: ClassVar[bool] = False
    switches: ClassVar[frozenset[str]] = frozenset()
    at_test: ClassVar[frozenset[str]] = frozenset()

    source: Suppress[str] = ""
    target: Suppress[Mapping[str, float]] = field(default_factory=dict)
    columns: Suppress[Columns] = field(default_factory=dict)
    data: On = OnCritters()
    backbone: str = "tiny"
    weights: str | None = None
    frozen: int = 0
    frozen_norms: bool = False
    output_stride: int | None = 8
    dilation: bool = True

    def column(self, name: str) -> Recipe:
        """Return what a column trains, with the seed of this recipe."""
        given = self.columns[name]
        if isinstance(given, Recipe):
            return replace(given, seed=self.seed).resolved()
        assert isinstance(given, Mapping)
        return replace(self, **given)

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be, and for each file that is missing."""
        found = super().problems() + self.data.problems()
        if self.best and self.best not in self.metrics:
            found.append(f"best must be one of {', '.join(self.metrics)}, got {self.best!r}")
        if self.backbone not in BACKBONES:
            found.append(f"backbone must be one of {', '.join(BACKBONES)}, got {self.backbone!r}")
        if self.weights not in (None, "imagenet", "critters") and not Path(str(self.weights_from)).is_file():
            found.append(f"weights file {self.weights} does not exist")
        if self.frozen < 0:
            found.append(f"frozen must be at least 0, got {self.frozen}")
        if self.one_label and self.data.multi_label:
            found.append(f"{self.method} takes one class a picture, {self.data.name} may show several")
        return found

    @property
    def weights_from(self) -> str | None:
        """What `build` takes as weights."""
        return os.path.expandvars(self.weights) if self.weights else None

    def resolved(self) -> Recipe:
        """Return the recipe with its switches turned into settings."""
        return self

    def settings(self) -> dict[str, Any]:
        """Return what the method's build function takes besides backbone, classes and weights."""
        left_out = {field.name for field in fields(Recipe)} - {"output_stride", "dilation"} | self.switches
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}

    def model(self) -> Network:
        """Build the network for the classes of the data, with what does not learn."""
        model = methods.start(
            self.method, self.weights_from, backbone=self.backbone, classes=len(self.data.classes),
            **self.settings(),
        )  # fmt: skip
        for trunk in model.modules():
            if isinstance(trunk, Trunk):
                freeze_layers(trunk, self.frozen)
        if self.frozen_norms:
            freeze_norms(model)
        return model

    def prepared(self, folder: Path) -> Recipe:
        """Return the recipe when what it needs from networks before it is in `folder`; most need nothing."""
        return self

    def training_data(self) -> Samples:
        """Open or draw the training pictures."""
        return self.shows(self.data.training(self.seed))

    def shows(self, data: Samples) -> Samples:
        """Return the training pictures as this method sees them."""
        return data

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the numbers that `evaluate` returns."""
        return self.data.metrics

    def blind(self) -> list[Tally[Any]]:
        """Count what guesses the center of every picture."""
        return self.data.center()

    def each(self, model: Localizer) -> list[Tally[Any]]:
        """Count pictures that a network was not trained on, and keep the counts of each."""
        return self.data.each(model, self.workers)

    def fit(
        self,
        model: Network,
        data: Samples,
        *,
        run: Path,
        evaluate: Callable[[Network], dict[str, float]],
        resume: Resume = "never",
    ) -> History:
        """Train a network that `model` built; what these arguments do is said by `training.loop.train`."""
        return train(model, data, self, run=run, evaluate=evaluate, resume=resume)

    def evaluate(self, model: Localizer) -> dict[str, float]:
        """Measure a network on pictures it was not trained on, in percent."""
        return scores(self.each(model))


R = TypeVar("R", bound=Recipe)


def like(kind: type[R], other: Recipe, **changes: Any) -> R:
    """Return the network, pictures and budget of another method's recipe, to be trained as `kind`."""
    own = {field.name for field in fields(kind)}
    shared = {field.name: getattr(other, field.name) for field in fields(other) if field.name in own}
    return kind(**shared | changes)
