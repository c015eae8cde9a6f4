"""DeepLab: Chen, Papandreou, Kokkinos, Murphy and Yuille, LargeFOV (ICLR 2015) and version 2 (PAMI 2018).

A classifier whose later strides are taken away and whose last convolutions are spread, so that it scores each
cell of a fine grid and still sees far. The scores are resized to the picture, and a dense CRF brings them to
its edges.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from wsolbook.backbones import Trunk, build_trunk, start
from wsolbook.backbones.vgg import fc6_fc7
from wsolbook.cam.network import evaluating
from wsolbook.data.transforms import IGNORE, to_bytes
from wsolbook.maps import multi_scale, of_classes, resize
from wsolbook.refine.crf import Constants, dense_crf
from wsolbook.types import Batch, Network, Supervision


def build(
    backbone: str = "tiny",
    classes: int = 8,
    *,
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    dilation: bool = True,
    rates: Sequence[int] = (6, 12, 18, 24),
    scales: Sequence[float] = (),
    truth: bool = False,
) -> DeepLab:
    """Build a DeepLab.

    `backbone="vgg16_largefov"` is LargeFOV, `"resnet101"` at output stride 8 version 2, and `"resnet38"` has
    the two convolutions of Wu et al.; other backbones get the last layers of version 2.

    Args:
        backbone: as in `wsolbook.backbones.build`.
        classes: number of classes; background is one more.
        output_stride: as in `wsolbook.backbones.build_trunk`.
        weights: as in `wsolbook.backbones.start`; for the trunk.
        dilation: as in `wsolbook.backbones.build_trunk`.
        rates: how far the last convolutions of version 2 are spread; small pictures need smaller ones.
        scales: further factors of the size at which a training batch is seen, each with a loss of its own,
            and one of the largest scores of all; 0.5 and 0.75 in version 2.
        truth: learn from true masks instead of made label maps: full supervision.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    settings |= {"rates": list(rates), "scales": list(scales)}  # as JSON holds them
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    if not rates or min(rates) < 1:
        raise ValueError(f"rates must be at least 1, and one or more, got {tuple(rates)}")
    if scales and min(scales) <= 0:
        raise ValueError(f"scales must be positive, got {tuple(scales)}")
    trunk = build_trunk(backbone, output_stride=output_stride, dilation=dilation)
    model = DeepLab(trunk, settings)
    model.fresh = start(model, trunk, weights)
    return model


class DeepLab(Network):
    """A network that scores each cell of a grid for background and every class.

    Attributes:
        features: the trunk.
        head: its maps to scores.
        aligned: whether the first and last cells lie on the border pixels, as padded strides leave them, or
            cells are blocks of pixels, as 2x2 pools do.
    """

    method = "deeplab"

    def __init__(self, trunk: Trunk, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings, self.features = settings, trunk
        self.head = _head(trunk, 1 + settings["classes"], settings["backbone"], settings.get("rates", ()))
        self.aligned = not trunk.name.startswith("tiny")
        self.supervision = Supervision(masks=None, made=not settings.get("truth", False))

    def scores(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n l u v"]:
        """Return the score of background and of each class in each cell."""
        return self.head(self.features(images))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the log-odds of each class where it is most probable."""
        return torch.logit(self.scores(images).softmax(1)[:, 1:].amax((2, 3)), 1e-6)

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the cross-entropy over the cells whose label is known, at each scale.

        Raises:
            ValueError: when the batch has no label maps.
        """
        scores = [self.scores(batch.images)]
        size, grid = batch.images.shape[-2:], scores[0].shape[-2:]
        for scale in self.settings["scales"]:
            smaller = (round(size[0] * scale), round(size[1] * scale))
            scores.append(self.scores(resize(batch.images, smaller)))
        terms = {"segmentation": self._entropy(scores[0], batch)}
        if len(scores) > 1:
            named = zip(self.settings["scales"], scores[1:], strict=True)
            terms |= {f"at {scale}": self._entropy(each, batch) for scale, each in named}
            highest = torch.stack([self._resized(each, (grid[0], grid[1])) for each in scores]).amax(0)
            terms["highest"] = self._entropy(highest, batch)
        return terms

    def probabilities(
        self, images: Float[Tensor, "n 3 h w"], scales: Sequence[float] = (1.0,), flip: bool = False
    ) -> Float[Tensor, "n l h w"]:
        """Return the probabilities at each pixel, averaged over scales and mirrored pictures."""

        def one(seen: Float[Tensor, "n 3 u v"]) -> Float[Tensor, "n l u v"]:
            return self._resized(self.scores(seen), (seen.shape[-2], seen.shape[-1])).softmax(1)

        with evaluating(self), torch.no_grad():
            return multi_scale(one, images, scales, flip)

    def segment(
        self,
        images: Float[Tensor, "n 3 h w"],
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        crf: Constants | None = None,
    ) -> UInt8[Tensor, "n h w"]:
        """Return the label of each pixel: 0 background, class + 1.

        Args:
            images: the batch.
            scales: as in `probabilities`, like `flip`.
            flip: as there.
            crf: constants of a dense CRF at the size of the pictures; None for no CRF.
        """
        found = self.probabilities(images, scales, flip)
        if crf is not None:
            found = dense_crf(found, to_bytes(images), crf)
        return found.argmax(1).to(torch.uint8)

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the probability of each requested class in each cell."""
        with evaluating(self), torch.no_grad():
            return of_classes(self.scores(images).softmax(1), classes + 1)

    def labels(self, batch: Batch, size: tuple[int, int]) -> UInt8[Tensor, "n u v"]:
        """Return the label at the middle of each cell of a grid.

        Raises:
            ValueError: when the batch has no label maps.
        """
        if batch.masks is None:
            raise ValueError(f"{self.method} learns from label maps; the batch has none")
        rows, columns = (
            _centers(side, cells, self.aligned, batch.masks.device)
            for side, cells in zip(batch.masks.shape[-2:], size, strict=True)
        )
        return batch.masks[:, rows[:, None], columns]

    def _entropy(self, scores: Float[Tensor, "n l u v"], batch: Batch) -> Float[Tensor, ""]:
        labels = self.labels(batch, (scores.shape[-2], scores.shape[-1])).long()
        total = cross_entropy(scores, labels, ignore_index=IGNORE, reduction="sum")
        return total / (labels != IGNORE).sum().clamp(min=1)

    def _resized(self, maps: Float[Tensor, "n l u v"], size: tuple[int, int]) -> Float[Tensor, "n l h w"]:
        return interpolate(maps, size, mode="bilinear", align_corners=self.aligned)


def _head(trunk: Trunk, labels: int, backbone: str, rates: Sequence[int]) -> nn.Module:
    """Return the layers after the trunk: those of LargeFOV, of Wu et al., or of version 2."""
    head: nn.Module
    if backbone == "vgg16_largefov":
        layers = fc6_fc7(12, nn.Dropout).values()
        head = nn.Sequential(nn.AvgPool2d(3, 1, 1), *layers, nn.Dropout(0.5), nn.Conv2d(1024, labels, 1))
        last = list(head.children())[-1:]
    elif backbone == "resnet38":
        head = nn.Sequential(
            _spread(trunk.channels, 512, 12), nn.ReLU(inplace=True), _spread(512, labels, 12)
        )
        last = list(head.children())[::2]
    else:
        head = Pyramid(trunk.channels, labels, rates)
        last = list(head.branches)
    for layer in last:
        nn.init.normal_(layer.get_parameter("weight"), std=0.01)
        nn.init.zeros_(layer.get_parameter("bias"))
    return head


class Pyramid(nn.Module):
    """The sum of convolutions that are spread differently: what is near a cell and what is far, at once."""

    def __init__(self, inputs: int, labels: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_spread(inputs, labels, rate) for rate in rates)

    def forward(self, maps: Float[Tensor, "n c u v"]) -> Float[Tensor, "n l u v"]:
        """Return the scores."""
        return torch.stack([branch(maps) for branch in self.branches]).sum(0)


def _spread(inputs: int, outputs: int, rate: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate)


def _centers(side: int, cells: int, aligned: bool, device: torch.device) -> Int[Tensor, " u"]:
    """Return the pixel at the middle of each cell."""
    if aligned:
        middle = torch.linspace(0, side - 1, cells, dtype=torch.float64).round()
    else:
        middle = (torch.arange(cells) + 0.5) * side / cells
    return middle.long().to(device, non_blocking=True)
