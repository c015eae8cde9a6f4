"""AffinityNet: Ahn and Kwak, "Learning Pixel-level Semantic Affinity ...", CVPR 2018.

A CAM network says of some pixels surely what they are. From pairs of such pixels near each other a second
network learns whether two pixels belong together, whatever they are. At test the class maps of the first walk
at random over the picture, with steps that the affinities of the second make likely.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, elu

from wsolbook.backbones import Classifier, Trunk, build_trunk, require_known, start, tapped
from wsolbook.backbones import build as build_cam
from wsolbook.cam.network import evaluating
from wsolbook.data.transforms import IGNORE
from wsolbook.maps import normalize, resize
from wsolbook.refine.affinity import affinities, offsets, pairs, partners
from wsolbook.refine.pseudo_labels import to_grid
from wsolbook.refine.random_walk import random_walk
from wsolbook.types import Batch, Network, Supervision

FLOOR = 1e-5  # inside both logarithms and under both counts
# Stages that are read. VGG-16 and ResNet-38 as in the paper; others ours: their last three.
TAPS = {
    "vgg16_psa": ("conv4", "conv5", "fc7"),
    "resnet38": ("conv4", "conv5", "conv6"),
    "mobilenet_v2": ("bottleneck3", "bottleneck5", "conv2"),
}
GROUPS = (8, 16, 32)  # of the normalization that follows each tap of VGG-16, which has none of its own


def build(
    backbone: str = "tiny",
    classes: int = 8,
    *,
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    dilation: bool = True,
    teacher: Mapping[str, Any] | None = None,
    widths: Sequence[int] = (64, 128, 256),
    radius: int = 5,
    reduce: Literal["mean", "sum"] = "mean",
    border: Literal["complete", "official"] = "complete",
    beta: float = 8.0,
    steps: int = 256,
) -> AffinityNet:
    """Build an AffinityNet and, inside it, the CAM network whose maps it refines.

    The networks of the paper are `backbone="vgg16_psa"` and `"resnet38"`.

    Args:
        backbone: as in `wsolbook.backbones.build`.
        classes: number of logits, which are those of the CAM network.
        output_stride: as in `wsolbook.backbones.build_trunk`.
        weights: as in `wsolbook.backbones.start`; for the trunk that learns affinities.
        dilation: as in `wsolbook.backbones.build_trunk`.
        teacher: settings of the CAM network, as of `wsolbook.backbones.build`; None for the same backbone at
            the same stride. Its parameters are random until `load` or the caller fills them, and never learn.
        widths: channels that each tap is reduced to; these are the official code's, the paper draws 128, 256
            and 512.
        radius: pairs of cells are nearer than this.
        reduce: the distance of two cells is the mean over channels, as in the official code, or the sum, as
            the paper writes it.
        border: which pairs teach, as in `wsolbook.refine.affinity.pairs`.
        beta: power of the affinities in the walk.
        steps: of the walk.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    same = {"backbone": backbone, "output_stride": output_stride, "dilation": dilation}
    settings["teacher"] = dict(same if teacher is None else teacher) | {"classes": classes}
    settings["widths"] = list(widths)  # as JSON holds them
    require_known("reduce", reduce, ("mean", "sum"))
    require_known("border", border, ("complete", "official"))
    offsets(radius)  # refuses what is out of range
    if len(widths) != 3 or min(widths) < 1:
        raise ValueError(f"widths must be three numbers of at least 1, got {tuple(widths)}")
    if beta <= 0 or steps < 0:
        raise ValueError(f"beta must be positive and steps not negative, got {beta} and {steps}")
    trunk = build_trunk(backbone, output_stride=output_stride, dilation=dilation)
    if backbone == "vgg16_psa":
        fc6 = trunk.get_submodule("fc6")
        assert isinstance(fc6, nn.Conv2d)
        fc6.padding = fc6.dilation = (4, 4)
    taps = TAPS.get(backbone, tuple(trunk.taps)[-3:])
    model = AffinityNet(trunk, taps, build_cam(**settings["teacher"]), settings)
    model.fresh = frozenset(name for name in start(model, trunk, weights) if not name.startswith("norms."))
    return model


class AffinityNet(Network):
    """A network that tells which cells belong together, and the CAM network whose maps walk there.

    Attributes:
        features: the trunk.
        taps: the stages that are read; those of a finer grid are averaged to the last one's.
        reductions: one 1x1 convolution for each.
        norms: what follows each.
        mix: the 1x1 convolution over all of them.
        teacher: the CAM network; it does not learn.
    """

    method = "affinity"
    supervision = Supervision(masks=None, made=True)

    def __init__(
        self, trunk: Trunk, taps: tuple[str, ...], teacher: Classifier, settings: dict[str, Any]
    ) -> None:
        super().__init__()
        self.settings, self.taps, self.features = settings, taps, trunk
        widths = settings["widths"]
        self.reductions = nn.ModuleList(
            nn.Conv2d(trunk.taps[tap].channels, width, 1, bias=False)
            for tap, width in zip(taps, widths, strict=True)
        )
        normalized = any(isinstance(layer, nn.BatchNorm2d) for layer in trunk.modules())
        self.norms = nn.ModuleList(
            nn.Identity() if normalized else nn.GroupNorm(groups, width)
            for groups, width in zip(GROUPS, widths, strict=True)
        )
        self.mix = nn.Conv2d(sum(widths), sum(widths), 1, bias=False)
        for layer in self.reductions:
            nn.init.kaiming_normal_(layer.get_parameter("weight"))
        nn.init.xavier_uniform_(self.mix.weight, gain=4)
        self.teacher = teacher.requires_grad_(False)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits of the CAM network."""
        return self.teacher(images)

    def embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c u v"]:
        """Return the features whose distances are compared: f_aff in the paper."""
        found = tapped(self.features, images, set(self.taps))
        grid = _size(found[self.taps[-1]])
        reduced = []
        for tap, reduction, norm in zip(self.taps, self.reductions, self.norms, strict=True):
            maps = found[tap] if _size(found[tap]) == grid else adaptive_avg_pool2d(found[tap], grid)
            reduced.append(elu(norm(reduction(maps))))
        return elu(self.mix(torch.cat(reduced, 1)))

    def affinities(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n m u v"]:
        """Return the affinities of the cells of each picture, in evaluation mode (see `refine.affinity`)."""
        with evaluating(self), torch.no_grad():
            return self._affinities(images)

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the losses of the pairs that are both background, of one class, and different.

        Raises:
            ValueError: when the batch has no label maps, or the grid is too small for a pair.
        """
        if batch.masks is None or batch.host.masks is None:
            raise ValueError("AffinityNet learns from label maps; the batch has none")
        found = self._affinities(batch.images)
        labels = to_grid(batch.masks, _size(found), batch.host.masks.unique().tolist())
        kinds = pair_labels(labels, self.settings["radius"], self.settings["border"])
        return pair_losses(found, *kinds)

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the class activation map of each requested class after the walk, on the grid."""
        columns = classes[:, None] if classes.ndim == 1 else classes
        with evaluating(self), torch.no_grad():
            found = self._affinities(images)
            seen = normalize(resize(self.teacher.maps(images, columns), _size(found)), "max")
            s = self.settings
            walked = random_walk(seen, found, s["beta"], s["steps"], s["radius"])
        return walked[:, 0] if classes.ndim == 1 else walked

    def _affinities(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n m u v"]:
        return affinities(self.embed(images), self.settings["radius"], self.settings["reduce"])


def pair_labels(
    labels: UInt8[Tensor, "n h w"], radius: int = 5, border: Literal["complete", "official"] = "complete"
) -> tuple[Bool[Tensor, "n m h w"], Bool[Tensor, "n m h w"], Bool[Tensor, "n m h w"]]:
    """Say which pairs of cells are both background, which of one class, which of different labels.

    A pair with a cell of label 255 is none of them. The order of pairs is that of `refine.affinity`.

    Args:
        labels: of the cells.
        radius: pairs are nearer than this.
        border: as in `wsolbook.refine.affinity.pairs`.

    Raises:
        ValueError: when the grid is too small for a pair.
    """
    inside = pairs(labels.shape[1], labels.shape[2], radius, border, labels.device)
    here, there = labels[:, None], partners(labels, radius, IGNORE)
    known = inside & (here != IGNORE) & (there != IGNORE)
    same = known & (here == there)
    return same & (here == 0), same & (here > 0), known & (here != there)


def pair_losses(
    found: Float[Tensor, "n m h w"],
    background: Bool[Tensor, "n m h w"],
    foreground: Bool[Tensor, "n m h w"],
    different: Bool[Tensor, "n m h w"],
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms of the loss: a quarter for each kind that belongs together, half for the other.

    Each kind is a mean over its pairs in the batch, and 0 where there are none (equation 7; the paper's is
    four times as much).
    """
    together, apart = -torch.log(found + FLOOR), -torch.log(1 + FLOOR - found)

    def mean(values: Tensor, where: Tensor) -> Tensor:
        return (values * where).sum() / (where.sum() + FLOOR)

    return {
        "background": mean(together, background) / 4,
        "foreground": mean(together, foreground) / 4,
        "different": mean(apart, different) / 2,
    }


def _size(maps: Float[Tensor, "*n h w"]) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]
