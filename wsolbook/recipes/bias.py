"""Boats on water: does a network know the animal, or the place where it always stands?

GAIN (Li et al., CVPR 2018, section 4.3) trains on boats, which come with water, and asks for boats without
water and for water without boats. Here it is ducks, and the same duck can be asked for on water and off it.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count as counting
from itertools import islice
from typing import Any, Literal

from wsolbook.data import critters
from wsolbook.data.sampling import with_masks
from wsolbook.evaluation import Tally
from wsolbook.evaluation.picture import Prediction, Truth
from wsolbook.evaluation.tasks import MultiLabel, Task
from wsolbook.maps import resize
from wsolbook.metrics import AREAS, EvidenceShare, MeanShare
from wsolbook.recipes.on import OnCritters, count
from wsolbook.types import Localizer

((SPECIES, HOME),) = critters.world("biased").context
ELSEWHERE = tuple(name for name in critters.BACKGROUNDS if name != HOME)


@dataclass(frozen=True)
class OnBiased(OnCritters):
    """A world in which one species comes with one background; `held_out` is also the size of each probe.

    A sigmoid a species, so that "no duck" is an answer, though each picture shows one animal.

    Attributes:
        context_bias: probability that a picture keeps to it: ducks on water, and nobody else.
        probes: the split that the probes are drawn from; those of "val" are there to choose settings by.
    """

    preset: str = "biased"
    context_bias: float = 1.0
    probes: Literal["val", "test"] = "test"

    @property
    def multi_label(self) -> bool:
        """Whether each species is a question of its own."""
        return True

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = super().problems()
        if not 0 <= self.context_bias <= 1:
            found.append(f"data.context_bias must be between 0 and 1, got {self.context_bias}")
        if self.saliency:
            found.append(f"data.saliency is not for the biased world, got {self.saliency!r}")
        if self.preset != "biased":
            found.append(f"data.preset must be biased, got {self.preset!r}")
        return found

    def knobs(self) -> dict[str, Any]:
        """Return the attributes of the world that are set here."""
        return super().knobs() | {"context_bias": self.context_bias}

    def tasks(self) -> list[Task[Any]]:
        """Return the four rows of table 4, and where attention lies on ducks like those of training."""
        return [MultiLabel(len(self.classes)), *self._like_training(), *self._flipped()]

    def _like_training(self) -> list[Task[Any]]:
        return [Calls(f"{SPECIES} like training", shown=True), Attention()]

    def _flipped(self) -> list[Task[Any]]:
        return [
            Calls(f"{SPECIES} without {HOME}", shown=True),
            Calls(f"{HOME} without {SPECIES}", shown=False),
            Calls("overall"),  # the mean of both, as they are equally many
        ]

    def each(self, model: Localizer, workers: int | None = None) -> list[Tally[Any]]:
        """Count held-out pictures, ducks like those of training, and the two probes."""
        like, flipped = probes(self.held_out, self.size, self.context_bias, self.probes, self.body_cue)
        return [
            *count(model, self.testing(), self.tasks()[:1], workers),
            *count(model, like, self._like_training(), workers),
            *count(model, flipped, self._flipped(), workers),
        ]

    def masks_for(self, ducks: int, seed: int) -> int:
        """Return how many training pictures must show their mask until so many ducks are among them.

        Raises:
            ValueError: when there are fewer ducks.
        """
        scenes = critters.scenes(self.n, self.preset, seed, critters.SPLITS["train"], **self.knobs())
        there = [i for i, scene in enumerate(scenes) if scene.critters[0].species == SPECIES]
        if not 0 <= ducks <= len(there):
            raise ValueError(f"ducks must be between 0 and {len(there)}, got {ducks}")

        def shown(masks: int) -> int:
            chosen = with_masks(self.n, masks, seed)
            return sum(i in chosen for i in there)

        return bisect_left(range(self.n + 1), ducks, key=shown)


@functools.lru_cache(maxsize=1)
def probes(
    n: int, size: int, context_bias: float, split: str, body_cue: float = critters.World.body_cue
) -> tuple[critters.Critters, critters.Critters]:
    """Draw `n` ducks of a split; then these on the other backgrounds, and `n` other animals on water."""
    knobs = {"context_bias": context_bias, "body_cue": body_cue}
    ducks = _drawn(n, knobs, split, lambda scene: scene.critters[0].species == SPECIES)
    others = _drawn(n, knobs, split, lambda scene: scene.critters[0].species != SPECIES)
    moved = [scene.on(ELSEWHERE[i % len(ELSEWHERE)]) for i, scene in enumerate(ducks)]
    flipped = [*moved, *(scene.on(HOME) for scene in others)]
    return critters.Critters.of(ducks, size), critters.Critters.of(flipped, size)


def _drawn(
    n: int, knobs: dict[str, Any], split: str, keep: Callable[[critters.Scene], bool]
) -> list[critters.Scene]:
    """Return the first scenes of a kind in a split."""
    starts = counting(critters.SPLITS[split], 512)
    drawn = (critters.scenes(512, "biased", 0, start, **knobs) for start in starts)
    return list(islice((scene for some in drawn for scene in some if keep(scene)), n))


class Calls(Task[MeanShare]):
    """Whether a sigmoid says rightly, at 0.5, if a duck is in the picture.

    Args:
        headline: name of the share of right answers.
        shown: count only pictures that show a duck, or only those that do not; None counts all.
    """

    empty = MeanShare
    logits = True

    def __init__(self, headline: str, shown: bool | None = None) -> None:
        self.headline, self.shown = headline, shown
        self.label = critters.world("biased").names.index(SPECIES)

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, MeanShare]]:
        """Yield the share of one picture."""
        assert said.logits is not None
        there = self.label in truth.labels.tolist()
        if self.shown in (None, there):
            metric = self.empty()
            metric.update((said.logits[[self.label]] > 0).eq(there).float())
            yield None, metric

    def values(self, metric: MeanShare) -> dict[str, float]:
        """Return the mean."""
        return {self.headline: metric.compute()}


class Attention(Task[EvidenceShare]):
    """Shares of the positive evidence for the label that lie on each part and on background."""

    empty = EvidenceShare
    headline = f"attention on {AREAS[-1]}"
    compared = tuple(f"attention on {area}" for area in AREAS)

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, EvidenceShare]]:
        """Yield the shares of one picture."""
        metric = self.empty()
        metric.update(resize(said.of(truth.labels), truth.size), truth.require_parts()[None])
        yield None, metric

    def values(self, metric: EvidenceShare) -> dict[str, float]:
        """Return the means."""
        return dict(zip(self.compared, metric.compute().values(), strict=True))
