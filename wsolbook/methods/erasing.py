"""Adversarial erasing (AE-PSL): Wei et al., "Object Region Mining with Adversarial Erasing", CVPR 2017.

A classifier is trained, and what its class activation maps find is painted over in its pictures. A second one
is trained on these and has to find something else, and so on, until there is nothing left to learn from.
Together their maps cover more of the object than the first alone; one step too many covers the background.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import conv2d

from wsolbook import backbones
from wsolbook.backbones.classifier import Loss
from wsolbook.cam.network import evaluating
from wsolbook.maps import resize, size_of, stretch
from wsolbook.types import Batch, Network


@dataclass(frozen=True)
class Look:
    """What one classifier sees and finds: a map for each of the p pairs of a picture and a class it shows.

    Attributes:
        images: without what the classifiers before it have mined.
        image: position of each pair's picture in the batch.
        classes: class of each pair.
        maps: class activation maps at the size of the pictures, negative evidence cut, in [0, 1].
        mined: what is painted over before the next one looks.
    """

    images: Float[Tensor, "n 3 h w"]
    image: Int[Tensor, " p"]
    classes: Int[Tensor, " p"]
    maps: Float[Tensor, "p h w"]
    mined: Bool[Tensor, "p h w"]


def build(
    backbone: str = "tiny",
    classes: int = 8,
    *,
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    loss: Loss = "sigmoid",
    dropout: float = 0.0,
    dilation: bool = True,
    rounds: int = 3,
    shown: int | None = None,
    threshold: float = 0.8,
    share_of: Literal["pixels", "maximum"] = "pixels",
) -> Erasing:
    """Build the classifiers of step-wise erasing, one a round.

    Args:
        backbone: as in `wsolbook.backbones.build`, like the next six.
        classes: as there.
        output_stride: as there.
        weights: as there; every round begins with them, for which the paper is not clear.
        loss: as there; the paper's is the squared error of the labels.
        dropout: as there.
        dilation: as there.
        rounds: number of classifiers, one a step of the paper.
        shown: how many of them make the maps; None for all that were trained and kept.
        threshold: mined is what has a map above this share. The paper takes the "top 20 %".
        share_of: of the `"pixels"` of the picture, or of the `"maximum"` of the map, by which CAM cuts its
            boxes at 0.2; one can read the paper either way.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    backbones.require_known("share_of", share_of, ("pixels", "maximum"))
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1, got {threshold}")
    backbones.require_least(1, rounds=rounds, shown=shown)
    plain = {
        key: value
        for key, value in settings.items()
        if key not in ("rounds", "shown", "threshold", "share_of")
    }
    return Erasing([backbones.build(**plain, weights=weights) for _ in range(rounds)], settings)


class Erasing(Network):
    """Classifiers that follow one another.

    Attributes:
        classifiers: one a round.
        kept: how many of them were trained and kept; the next one is the one that learns.
        losses: what each one's loss was in the end, a running mean over some ten steps.
    """

    method = "erasing"
    kept: Tensor
    losses: Tensor

    def __init__(self, classifiers: Sequence[backbones.Classifier], settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings
        self.classifiers = nn.ModuleList(classifiers)
        self.fresh = frozenset(
            f"classifiers.{i}.{name}" for i, one in enumerate(classifiers) for name in one.fresh
        )
        self.register_buffer("kept", torch.zeros((), dtype=torch.long))
        self._read: tuple[Tensor, int, int] | None = None
        self.register_buffer("losses", torch.zeros(len(classifiers)))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits of the first classifier, which sees whole pictures."""
        return self.classifier(0)(images)

    @property
    def done(self) -> int:
        """How many are kept, read only where that may have changed: reading waits for a device."""
        now = self.kept._version
        if self._read is None or self._read[0] is not self.kept or self._read[1] != now:
            self._read = self.kept, now, int(self.kept)
        return self._read[2]

    def classifier(self, i: int) -> backbones.Classifier:
        """Return the one of a round, counted from 0."""
        found = self.classifiers[i]
        assert isinstance(found, backbones.Classifier)
        return found

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the loss of the classifier that learns, without what those before it mine of all labels.

        Raises:
            ValueError: when there is none left to learn, or an image of a softmax network has no label.
        """
        done, images = self.done, batch.images
        if done == len(self.classifiers):
            raise ValueError(f"all {done} rounds are trained")
        if done:
            images = paint_over(self.looks(images, batch.host.labels, done)[-1])
        classifier = self.classifier(done)
        found = classifier.classification(classifier(images), batch.labels)
        if self.training:
            before, now = self.losses[done].clone(), found.detach()
            self.losses[done] = torch.where(before > 0, before.lerp(now, 0.1), now)
        return {"classification": found}

    def looks(
        self, images: Float[Tensor, "n 3 h w"], labels: Float[Tensor, "n c"], rounds: int | None = None
    ) -> list[Look]:
        """Return what the first `rounds` classifiers see and find, in evaluation mode; None for all kept.

        What they find of all labels of a picture is painted over together (algorithm 1).
        """
        places = labels.cpu().nonzero(as_tuple=True)
        image, classes = (each.to(images.device, non_blocking=True) for each in places)
        return self._looks(images, image, classes, self.done if rounds is None else rounds)

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n h w"] | Float[Tensor, "n k h w"]:
        """Return, for each requested class, the maximum over the maps of all rounds.

        Only that class is painted over on the way, so that no map depends on what else is asked or labeled.
        """
        rounds = min(self.settings["shown"] or len(self.classifiers), max(self.done, 1))
        image, first = torch.arange(len(images), device=images.device), self._class_maps(0, images)
        fused = [
            torch.stack([look.maps for look in self._looks(images, image, column, rounds, first)]).amax(0)
            for column in (classes[:, None] if classes.ndim == 1 else classes).unbind(1)
        ]
        return fused[0] if classes.ndim == 1 else torch.stack(fused, 1)

    def _looks(
        self,
        images: Float[Tensor, "n 3 h w"],
        image: Int[Tensor, " p"],
        classes: Int[Tensor, " p"],
        rounds: int,
        first: Float[Tensor, "n c u v"] | None = None,
    ) -> list[Look]:
        """Return the looks of some pairs; `first` are the class maps of the first round, where known."""
        found: list[Look] = []
        size = size_of(images)
        for i in range(rounds):
            every = self._class_maps(i, images) if i or first is None else first
            maps = stretch(resize(every[image, classes], size), "max")
            found.append(Look(images, image, classes, maps, self._high(maps)))
            images = paint_over(found[-1])
        return found

    def _class_maps(self, i: int, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c u v"]:
        classifier = self.classifier(i)
        with evaluating(classifier), torch.no_grad():
            return conv2d(classifier.features(images), classifier.linear.weight[:, :, None, None])

    def _high(self, maps: Float[Tensor, "p h w"]) -> Bool[Tensor, "p h w"]:
        if self.settings["share_of"] == "maximum":
            return maps > self.settings["threshold"]
        below = math.ceil(self.settings["threshold"] * maps.shape[-2] * maps.shape[-1])
        return maps > maps.flatten(1).kthvalue(below, 1).values[:, None, None]


def paint_over(look: Look) -> Float[Tensor, "n 3 h w"]:
    """Return the pictures of a look without what it mined: 0 there, which is the mean color of the data."""
    gone = torch.zeros_like(look.images[:, 0]).index_add_(0, look.image, look.mined.to(look.images))
    return look.images * (gone == 0)[:, None]


def succeeds(losses: Sequence[float], ratio: float) -> bool:
    """Tell whether the last round still learned: its loss is at most `ratio` times that of the first.

    The paper goes on "while the training of classification is success". In its figure the losses of four
    steps end near 0.05, 0.09, 0.10 and 0.16, and it keeps three: a ratio between 2.0 and 3.2.
    """
    return losses[-1] <= ratio * losses[0]
