"""SeeNet: Hou, Jiang, Wei and Cheng, "Self-Erasing Network for Integral Object Attention", NeurIPS 2018.

The class maps of a first branch, S_A, cut each image in three zones: the core of the object, background, and
what may be either. A second, S_B, sees the features without the core and with the sign of the background
turned; a third, S_C, sees the background alone and must find no class there. The localization map is the
maximum of the maps of S_A and S_B; S_C is for training only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from wsolbook.backbones import Trunk, build_trunk, require_known, require_least, start
from wsolbook.cam.network import evaluating
from wsolbook.maps import normalize, of_classes, resize, size_of, stretch
from wsolbook.types import Batch, Network

FUSIONS = ("max", "first", "second")
RELEASED = (0.0, 0.8)  # thresholds of the released test graph: no attention is below 0, so no sign is turned


@dataclass(frozen=True)
class Branches:
    """What the branches get and say, given the labels of each image.

    Attributes:
        first: class maps of S_A, unscaled.
        attention: of all labels of an image together, in [0, 1].
        zones: by what the features are multiplied for S_B.
        background: the same for S_C: 1 on background, 0 elsewhere.
        second: class maps of S_B; None without it.
        third: class maps of S_C; None without it.
    """

    first: Float[Tensor, "n c u v"]
    attention: Float[Tensor, "n u v"]
    zones: Float[Tensor, "n u v"]
    background: Float[Tensor, "n u v"]
    second: Float[Tensor, "n c u v"] | None
    third: Float[Tensor, "n c u v"] | None


def build(
    backbone: str = "tiny",
    classes: int = 8,
    *,
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    dilation: bool = True,
    low: float = 0.05,
    high: float = 0.7,
    background: float | None = None,
    s_b: bool = True,
    s_c: bool = True,
    sign_flip: bool = True,
    shared: bool = False,
    skip_empty: bool = False,
    convolutions: int = 2,
    width: int | None = None,
    dropout: float = 0.5,
    initial: Literal["gaussian", "xavier"] = "gaussian",
    reduction: Literal["mean", "sum"] = "mean",
    fusion: Literal["max", "first", "second"] = "max",
    mirror: bool = True,
    test_thresholds: Literal["training", "released"] = "training",
    test_size: int | None = None,
    scaled: Literal["image", "map"] = "image",
) -> Seenet:
    """Build a SeeNet.

    The network of the paper is `backbone="vgg16"`. Without sign flip and S_C it erases as ACoL does, with the
    branches, the losses and the fusion of SeeNet.

    Args:
        backbone: as in `wsolbook.backbones.build`, like `classes`.
        classes: number of logits.
        output_stride: as in `wsolbook.backbones.build_trunk`.
        weights: as in `wsolbook.backbones.start`; for the trunk.
        dilation: as in `wsolbook.backbones.build_trunk`.
        low: attention below is background.
        high: attention above is the core.
        background: attention below is background to S_C; None for the middle of `low` and `high`, as in the
            paper. Elsewhere one reads `low`.
        s_b: with the second branch.
        s_c: with the third.
        sign_flip: S_B gets the background with its sign turned; otherwise as it is.
        shared: S_B and S_C are one branch. The names in the released graph hint at it, nothing says so.
        skip_empty: an image whose labels have no positive attention, early in training, teaches S_B and S_C
            nothing. In the paper such an image is all background.
        convolutions: 3x3 convolutions in each branch: 2 in the released graph, 3 in the text.
        width: feature maps in each branch; None for 512, as in the paper, but no more than the trunk has.
        dropout: in S_A, before its last layer.
        initial: new layers begin as Gaussians of width 0.01, as Caffe's, or by Xavier.
        reduction: of the loss over the classes; the paper does not say.
        fusion: the localization map is the maximum of the maps of both branches, as in the paper, or one of
            them.
        mirror: and the maximum with what the mirrored image gives, as in the paper.
        test_thresholds: at test cut at `low` and `high`, or where the released test graph does, 0 and 0.8.
        test_size: side to which images are resized at test, 256 in the released notebook; None leaves them.
        scaled: maps are divided by their maximum after they were resized to the `"image"`, as in the released
            notebook, or as they are, on their own grid (`"map"`), which is faster.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    for name, value, known in (
        ("initial", initial, ("gaussian", "xavier")),
        ("reduction", reduction, ("mean", "sum")),
        ("fusion", fusion, FUSIONS),
        ("test_thresholds", test_thresholds, ("training", "released")),
        ("scaled", scaled, ("image", "map")),
    ):
        require_known(name, value, known)
    zones(torch.zeros(1, 1), low, high)  # refuses what is out of range
    if background is not None and not 0 < background <= 1:
        raise ValueError(f"background must be in (0, 1], got {background}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    require_least(1, classes=classes, convolutions=convolutions, width=width, test_size=test_size)
    if fusion == "second" and not s_b:
        raise ValueError("fusion 'second' needs s_b")
    if shared and not (s_b and s_c):
        raise ValueError("shared needs s_b and s_c")
    trunk = build_trunk(backbone, output_stride=output_stride, dilation=dilation)
    model = Seenet(trunk, settings)
    model.fresh = start(model, trunk, weights)
    return model


class CReLU(nn.Module):
    """Conditionally sign-flipped ReLU: `max(x, 0)` times a mask of -1, 0 and 1, for all channels (section 3).

    Its gradient is the mask where `x` is positive and 0 elsewhere; none reaches the mask.
    """

    def forward(self, x: Float[Tensor, "n k u v"], mask: Float[Tensor, "n u v"]) -> Float[Tensor, "n k u v"]:
        """Return the rectified features, each cell times the mask of its image there."""
        return x.relu() * mask.detach()[:, None].to(x)


class Seenet(Network):
    """Up to three branches on one trunk.

    Attributes:
        features: the trunk.
        s_a: features to class maps `(n, c, u, v)`, whose means are the logits.
        s_b: the same, from features without the core and with the sign of the background turned.
        s_c: the same, from the background alone.
        crelu: what both of these get their features by.
    """

    method = "seenet"

    def __init__(self, trunk: Trunk, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings, self.features, self.crelu = settings, trunk, CReLU()
        self.s_a = _branch(trunk.channels, settings, settings["dropout"])
        self.s_b = _branch(trunk.channels, settings) if settings["s_b"] else None
        self.s_c = _branch(trunk.channels, settings) if settings["s_c"] and not settings["shared"] else None

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits, which are those of S_A."""
        return self.s_a(self.features(images)).mean((-2, -1))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the loss of each branch: S_A and S_B learn the labels, S_C that there is no class.

        Raises:
            ValueError: when an image has no class; naming it.
        """
        batch.require_classes()
        seen = self._branches(batch.images, batch.labels)
        counted = torch.ones_like(batch.labels[:, 0])
        terms = {"classification": self._cross_entropy(seen.first, batch.labels, counted)}
        if self.settings["skip_empty"]:
            counted = (seen.attention.amax((-2, -1)) > 0).to(counted)
        if seen.second is not None:
            terms["s_b"] = self._cross_entropy(seen.second, batch.labels, counted)
        if seen.third is not None:
            terms["s_c"] = self._cross_entropy(seen.third, torch.zeros_like(batch.labels), counted)
        return terms

    def branches(self, images: Float[Tensor, "n 3 h w"], labels: Float[Tensor, "n c"]) -> Branches:
        """Return what the branches get and say in training, in evaluation mode."""
        with evaluating(self), torch.no_grad():
            return self._branches(images, labels)

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the localization map of each requested class, the maximum of all that are fused, in [0, 1].

        The zones are those of each class alone: no map knows what else was asked for.
        """
        columns = classes[:, None] if classes.ndim == 1 else classes
        size, side = size_of(images), self.settings["test_size"]
        with evaluating(self), torch.no_grad():
            seen = images if side is None else resize(images, side, "bicubic")
            found = self._to_fuse(seen, columns)
            if self.settings["mirror"]:
                found += [maps.flip(-1) for maps in self._to_fuse(seen.flip(-1), columns)]
            every = torch.stack(found).float()
            if self.settings["scaled"] == "image":
                every = resize(every, size, "bicubic")
            fused = normalize(every, "max").amax(0)
        return fused[:, 0] if classes.ndim == 1 else fused

    def _branches(self, images: Float[Tensor, "n 3 h w"], labels: Float[Tensor, "n c"]) -> Branches:
        low, high = self.settings["low"], self.settings["high"]
        features = self.features(images)
        first = self.s_a(features)
        seen = attention(first.detach(), labels)
        ternary = self._zones(seen, low, high)
        edge = self.settings["background"]
        background = (seen < ((low + high) / 2 if edge is None else edge)).to(seen)
        third = self.s_b if self.settings["shared"] else self.s_c
        return Branches(
            first, seen, ternary, background,
            self.s_b(self.crelu(features, ternary)) if self.s_b is not None else None,
            third(self.crelu(features, background)) if third is not None else None,
        )  # fmt: skip

    def _zones(self, maps: Float[Tensor, "*n u v"], low: float, high: float) -> Float[Tensor, "*n u v"]:
        found = zones(maps, low, high)
        return found if self.settings["sign_flip"] else found.abs()

    def _cross_entropy(
        self, maps: Float[Tensor, "n c u v"], labels: Float[Tensor, "n c"], counted: Float[Tensor, "n"]
    ) -> Float[Tensor, ""]:
        """Return the sigmoid loss of the means of class maps, a mean over the images of the batch."""
        each = binary_cross_entropy_with_logits(maps.mean((-2, -1)), labels, reduction="none")
        over_classes = each.sum(1) if self.settings["reduction"] == "sum" else each.mean(1)
        return (over_classes * counted).mean()

    def _to_fuse(
        self, images: Float[Tensor, "n 3 h w"], columns: Int[Tensor, "n k"]
    ) -> list[Float[Tensor, "n k u v"]]:
        """Return the maps of S_A and of S_B, as far as they are wanted, unscaled."""
        low, high = self.settings["low"], self.settings["high"]
        if self.settings["test_thresholds"] == "released":
            low, high = RELEASED
        features = self.features(images)
        first = of_classes(self.s_a(features), columns)
        if self.s_b is None or self.settings["fusion"] == "first":
            return [first]
        masks = self._zones(stretch(first.float().relu()), low, high)
        second = [
            of_classes(self.s_b(self.crelu(features, mask)), column)
            for mask, column in zip(masks.unbind(1), columns.unbind(1), strict=True)
        ]
        return [*([first] if self.settings["fusion"] == "max" else []), torch.stack(second, 1)]


def attention(maps: Float[Tensor, "n c u v"], labels: Float[Tensor, "n c"]) -> Float[Tensor, "n u v"]:
    """Return one map an image, in [0, 1]: the maximum of its labels' positive maps, each scaled by min-max.

    A map without contrast above 0 is 0 everywhere.
    """
    return (stretch(maps.float().relu()) * (labels > 0)[:, :, None, None]).amax(1)


def zones(maps: Float[Tensor, "*n u v"], low: float, high: float) -> Float[Tensor, "*n u v"]:
    """Return 0 above `high`, the core; -1 below `low`, background; 1 between them and at both (section 3.2).

    Args:
        maps: attention in [0, 1].
        low: in [0, 1).
        high: in (low, 1].

    Raises:
        ValueError: unless 0 <= low < high <= 1.
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"thresholds must be in [0, 1], low below high, got {low} and {high}")
    return (maps <= high).to(maps) - 2 * (maps < low).to(maps)


def _branch(inputs: int, settings: dict[str, Any], dropout: float = 0.0) -> nn.Sequential:
    width = settings["width"] or min(512, inputs)
    layers: list[nn.Module] = []
    for _ in range(settings["convolutions"]):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
        inputs = width
    last = nn.Conv2d(width, settings["classes"], 1)
    branch = nn.Sequential(*layers, nn.Dropout(dropout), last)
    for layer in branch:
        if isinstance(layer, nn.Conv2d):
            if settings["initial"] == "gaussian":
                nn.init.normal_(layer.weight, std=0.01)
            else:
                nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.get_parameter("bias"))
    return branch
