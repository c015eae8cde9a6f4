"""Adversarial erasing (AE-PSL): Wei et al., CVPR 2017, step by step on pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from wsolbook.methods import erasing
from wsolbook.recipes.cam import BESIDE_CAM, CAM
from wsolbook.recipes.on import OnCritters
from wsolbook.recipes.recipe import Columns, Recipe, like
from wsolbook.training.loop import Resume, train
from wsolbook.training.run import History
from wsolbook.types import Network, Samples


@dataclass(frozen=True)
class Erasing(Recipe):
    """Classifiers that are trained one after another, each without what the ones before it found.

    Every round has the epochs of the recipe, and begins with its weights.

    Attributes:
        dropout: before the linear layers.
        rounds: number of classifiers.
        shown: how many of them make the maps; None for all that are kept.
        threshold: mined is what has a map above this share.
        share_of: of the pixels of the picture, or of the maximum of the map.
        stop: a round whose loss ends above so many times that of the first is dropped, and
            nothing follows; None goes on.
    """

    method: ClassVar[str] = "erasing"
    switches: ClassVar[frozenset[str]] = frozenset({"stop"})
    at_test: ClassVar[frozenset[str]] = frozenset({"shown"})

    dropout: float = 0.0
    rounds: int = 3
    shown: int | None = None
    threshold: float = 0.8
    share_of: Literal["pixels", "maximum"] = "pixels"
    stop: float | None = 2.5

    def settings(self) -> dict[str, Any]:
        """Return the settings of the network."""
        return super().settings() | {"loss": "sigmoid" if self.data.multi_label else "softmax"}

    def fit(
        self,
        model: Network,
        data: Samples,
        *,
        run: Path,
        evaluate: Callable[[Network], dict[str, float]],
        resume: Resume = "never",
    ) -> History:
        """Train round after round, each in a folder of its own, and measure what is kept in the end."""
        assert isinstance(model, erasing.Erasing)
        for done in range(1, self.rounds + 1):
            with learning(model, done - 1):
                history = train(model, data, self, run=run / f"round-{done}", resume=resume)
            if self.stop and not erasing.succeeds(model.losses[:done].tolist(), self.stop):
                break
            model.kept.fill_(done)
        history.evaluations.append({"step": history.step, **evaluate(model)})
        return history


@contextmanager
def learning(model: erasing.Erasing, i: int) -> Iterator[None]:
    """Let one classifier learn for the length of a block: several devices wait for what gets no gradient."""
    others = [p for j, one in enumerate(model.classifiers) if j != i for p in one.parameters()]
    still = [p.requires_grad_(False) for p in others if p.requires_grad]
    try:
        yield
    finally:
        for parameter in still:
            parameter.requires_grad_(True)


def after(*rounds: int) -> Columns:
    """Return what the maps of the first so many rounds are worth, of the same training."""
    return {f"{n} round{'s' * (n > 1)}": {"shown": n} for n in rounds}


# The networks, pictures and steps of CAM, once a round. The share that is mined is the paper's, not searched.
# The paper's own numbers are of a segmentation network, DeepLab-LargeFOV, trained on the mined regions.
ERASING: dict[str, Erasing] = {
    # Never stopped: to see what a round too many does.
    "erasing-critters": like(
        Erasing,
        CAM["cam-critters"],
        **BESIDE_CAM,
        data=OnCritters(n=1024, held_out=300),
        epochs=4,
        rounds=4,
        stop=None,
        evaluate_every=0,
        columns=after(1, 2, 3),
    ),
    # A rate of its own, as a mean over sigmoids asks for.
    "erasing-multi": like(
        Erasing,
        CAM["cam-critters"],
        source="ours",
        target={"mAP": 95.0},
        data=OnCritters(n=1024, held_out=300, preset="multi"),
        epochs=4,
        optim=replace(CAM["cam-critters"].optim, lr=0.1),
        evaluate_every=0,
        columns=after(1, 2),
    ),
    "erasing-voc632": like(Erasing, CAM["cam-voc632"], rounds=2, columns=after(1)),
}
