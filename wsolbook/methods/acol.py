"""ACoL: Zhang, Wei, Feng, Yang and Huang, "Adversarial Complementary Learning", CVPR 2018.

Two classifiers share a trunk. Where the class map of the first is high, the features that the second gets are
erased, so that it must tell the class from what the first passed over. The localization map is the maximum of
both maps.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from wsolbook.backbones import Trunk, build_trunk, require_known, require_least, start
from wsolbook.cam.network import evaluating
from wsolbook.maps import normalize, of_classes, stretch
from wsolbook.types import Batch, Network


@dataclass(frozen=True)
class Branches:
    """What both classifiers see of one class of each image.

    Attributes:
        first: class map of the first, unscaled.
        erased: where the second gets no features.
        second: class map of the second, unscaled.
    """

    first: Float[Tensor, "n u v"]
    erased: Bool[Tensor, "n u v"]
    second: Float[Tensor, "n u v"]


def build(
    backbone: str = "tiny",
    classes: int = 8,
    *,
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    dilation: bool = True,
    threshold: float = 0.6,
    fusion: Literal["max", "first", "second"] = "max",
    width: int | None = None,
    class_layer: Literal["xavier", "zero"] = "xavier",
) -> Acol:
    """Build an ACoL.

    The network of the paper is `backbone="vgg16_largefov", dilation=False`.

    Args:
        backbone: as in `wsolbook.backbones.build`, like `classes`.
        classes: number of logits.
        output_stride: as in `wsolbook.backbones.build_trunk`.
        weights: as in `wsolbook.backbones.start`; for the trunk.
        dilation: as in `wsolbook.backbones.build_trunk`.
        threshold: erase where the class map of the first, scaled by min-max, is at least this; 0.6 in the
            released scripts.
        fusion: the localization map is the maximum of both maps, as in the paper, or that of one classifier;
            all scaled by min-max, each on its own.
        width: feature maps in each classifier; None for 1,024, as in the paper, but no more than twice those
            of the trunk.
        class_layer: how the last layers begin: `"xavier"`, as in the released code, or at zero.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    require_known("fusion", fusion, ("max", "first", "second"))
    require_known("class_layer", class_layer, ("xavier", "zero"))
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1, got {threshold}")
    require_least(1, classes=classes, width=width)
    trunk = build_trunk(backbone, output_stride=output_stride, dilation=dilation)
    model = Acol(trunk, settings)
    model.fresh = start(model, trunk, weights)
    return model


class Acol(Network):
    """Two classifiers on one trunk.

    Attributes:
        features: the trunk.
        first: features to class maps `(n, c, u, v)`.
        second: the same, from what the first leaves.
    """

    method = "acol"

    def __init__(self, trunk: Trunk, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings = settings
        self.features = trunk
        width = settings["width"] or min(1024, 2 * trunk.channels)
        self.first, self.second = (
            _classifier(trunk.channels, width, settings["classes"], settings["class_layer"]) for _ in range(2)
        )

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits, which are those of the first classifier."""
        return self.first(self._pooled(images)).mean((-2, -1))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the loss of the first classifier and that of the second, without what the first looks at.

        Raises:
            ValueError: when an image has not exactly one class.
        """
        classes = batch.one_class()
        features = self._pooled(batch.images)
        maps = self.first(features)
        left = features * ~self._erased(of_classes(maps, classes))[:, None]
        return {
            "classification": cross_entropy(maps.mean((-2, -1)), classes),
            "erased": cross_entropy(self.second(left).mean((-2, -1)), classes),
        }

    def branches(self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"]) -> Branches:
        """Return what both classifiers see of a class, in evaluation mode.

        The second works on what is left without *this* class, whatever the label is.
        """
        with evaluating(self), torch.no_grad():
            features = self._pooled(images)
            return self._branches(features, self.first(features), classes)

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the localization map of each requested class: both maps, scaled and fused.

        The second classifier runs again for each class, so that no map knows of the label.
        """
        columns = classes[:, None] if classes.ndim == 1 else classes
        with evaluating(self), torch.no_grad():
            features = self._pooled(images)
            every = self.first(features)
            both = [self._branches(features, every, column) for column in columns.unbind(1)]
        sides = [[each.first for each in both], [each.second for each in both]]
        first, second = normalize(torch.stack([torch.stack(side, 1) for side in sides]))
        fused = {"first": first, "second": second, "max": torch.maximum(first, second)}[
            self.settings["fusion"]
        ]
        return fused[:, 0] if classes.ndim == 1 else fused

    def _pooled(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k u v"]:
        return avg_pool2d(self.features(images), 3, stride=1, padding=1)

    def _erased(self, maps: Float[Tensor, "n u v"]) -> Bool[Tensor, "n u v"]:
        """Tell where a class map is high; of a map without contrast, nowhere."""
        return stretch(maps.detach()) >= self.settings["threshold"]

    def _branches(
        self, features: Float[Tensor, "n k u v"], maps: Float[Tensor, "n c u v"], classes: Int[Tensor, "n"]
    ) -> Branches:
        first = of_classes(maps, classes)
        erased = self._erased(first)
        return Branches(first, erased, of_classes(self.second(features * ~erased[:, None]), classes))


def _classifier(inputs: int, width: int, classes: int, class_layer: str) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, classes, 1),
    )
    for layer in layers[::2]:
        nn.init.xavier_uniform_(layer.get_parameter("weight"))
        nn.init.zeros_(layer.get_parameter("bias"))
    if class_layer == "zero":
        nn.init.zeros_(layers[-1].get_parameter("weight"))
    return layers
