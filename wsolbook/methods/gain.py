"""GAIN: Li, Wu, Peng, Ernst and Fu, "Tell Me Where to Look: Guided Attention Inference Network", CVPR 2018.

The network sees a picture twice. In the first stream it classifies the picture, and Grad-CAM, kept inside the
graph, tells where the evidence for each class of it is. That is erased, and the second stream, the same
network, is asked again: a class that it still finds was not covered by the attention, and costs. GAIN_ext
also holds the attention against the masks of a few training pictures.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import adaptive_avg_pool2d

from wsolbook.backbones import Classifier, assemble, require_known, require_least
from wsolbook.backbones.classifier import Loss, Pool
from wsolbook.backbones.freeze import Statistics, keep_statistics
from wsolbook.backbones.trunk import Trunk
from wsolbook.backbones.vgg import fully_connected
from wsolbook.cam.cam import weighted_sum
from wsolbook.cam.grad_cam import channel_weights, grad_cam
from wsolbook.cam.record import Differentiable, record
from wsolbook.data.transforms import IGNORE
from wsolbook.distributed import rank_and_world
from wsolbook.maps import Normalization, resize, size_of, stretch
from wsolbook.types import Batch, Supervision

FLAT = 1e-7  # a map that differs from flat by no more has nothing to say


@dataclass(frozen=True)
class Attention:
    """What the first stream sees: one map for each of the p pairs of a picture and a class that it shows.

    Attributes:
        logits: class scores of the pictures.
        image: position of each pair's picture in the batch.
        classes: class of each pair.
        maps: Grad-CAM maps, unscaled.
        counted: False where a map is empty or flat: there is nothing to erase, so mining leaves the pair out.
    """

    logits: Float[Tensor, "n c"]
    image: Int[Tensor, " p"]
    classes: Int[Tensor, " p"]
    maps: Float[Tensor, "p u v"]
    counted: Bool[Tensor, " p"]


@dataclass(frozen=True)
class Erased:
    """What the second stream sees and says, for the same pairs.

    Attributes:
        attention: the maps at the size of the pictures, scaled into [0, 1] each on its own.
        mask: `T(attention)`, in (0, 1): how much of each pixel goes.
        images: the pictures without what was attended to.
        scores: of the pair's class on them; a loss term where the pair is counted.
    """

    attention: Float[Tensor, "p h w"]
    mask: Float[Tensor, "p h w"]
    images: Float[Tensor, "p 3 h w"]
    scores: Float[Tensor, " p"]


def build(
    backbone: str = "tiny",
    classes: int = 8,
    *,
    head: Pool | Literal["fc"] = "gap",
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    loss: Loss = "softmax",
    dropout: float = 0.0,
    dilation: bool = True,
    alpha: float = 1.0,
    masks: int | None = 0,
    pixel_weight: float = 10.0,
    center: float = 0.5,
    slope: float = 10.0,
    scale: Normalization = "min-max",
    score: Literal["probability", "logit"] = "probability",
    through_weights: bool = False,
    through_mask: bool = True,
    through_network: bool = True,
    masked_norms: Statistics = "frozen",
    warmup: int = 0,
    reduction: Literal["mean", "sum"] = "mean",
    checkpoint: bool = False,
) -> Gain:
    """Build a GAIN, or with `masks` a GAIN_ext.

    Where the paper leaves a choice open, the default is ours and its reason is given.

    Args:
        backbone: as in `wsolbook.backbones.build`, like the next four.
        classes: as there.
        head: as there, or `"fc"`: the fully connected layers of VGG-16, as in the paper, with `dropout` 0.5.
        output_stride: as there.
        weights: as there; a file of as many classes, CAM's too, gives its linear layer as well.
        loss: `"softmax"` for one class an image, `"sigmoid"` (the paper's) for several.
        dropout: as in `wsolbook.backbones.build`, like `dilation`.
        dilation: as there.
        alpha: weight of the mining loss; 1 in the paper, and 0 leaves the second stream out.
        masks: number of training images whose masks are seen; None for all, 0 for GAIN without extension.
        pixel_weight: weight of the loss of GAIN_ext; 10 in the paper.
        center: attention at which half of a pixel is erased. Not in the paper; the middle of the scale.
        slope: steepness there. Not in the paper; 10 leaves 0.7 % at either end of the scale.
        scale: how a map comes into [0, 1] before it is a mask or held against one, by `maps.normalize`. Not
            in the paper; raw maps have no scale that a center could refer to.
        score: the mining loss is a mean of probabilities or of logits ("prediction score" in the paper).
            Logits have no lower bound: one class can run to minus infinity.
        through_weights: let both losses reach the network through the weights of the channels too, by second
            derivatives. The paper's ports take them as constants.
        through_mask: let the mining loss move the attention: its first route to the parameters.
        through_network: let it train the second stream to deny the class: its second route.
        masked_norms: batch normalization in the second stream by `"frozen"` statistics, so that no picture
            depends on how others were erased, or by those of the `"batch"`. Neither changes what is stored.
        warmup: training images to be seen before mining begins, for the attention of an untrained network is
            noise; none in the paper.
        reduction: the pixel loss of a map is the mean over its cells, so that `pixel_weight` means the same
            at every resolution, or their sum. Not in the paper.
        checkpoint: compute the trunk again for the backward pass: less memory, a third more time; not without
            `through_network`.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    require_known("scale", scale, ("min-max", "max"))
    require_known("score", score, ("probability", "logit"))
    require_known("masked_norms", masked_norms, ("frozen", "batch"))
    require_known("reduction", reduction, ("mean", "sum"))
    soft_mask(torch.zeros(1, 1), center, slope)  # refuses what is out of range
    if checkpoint and not through_network:
        raise ValueError("checkpoint repeats a pass with its parameters, which through_network=False forbids")
    require_least(0, alpha=alpha, masks=masks, pixel_weight=pixel_weight, warmup=warmup)
    return assemble(Gain, settings, weights)


class Gain(Classifier):
    """A classifier that learns where to look.

    Attributes:
        seen: training images so far, kept with the parameters so that a warm-up goes on where it was
            stopped; only where there is one.
    """

    method = "gain"
    heads = (*Classifier.heads, "fc")
    seen: Tensor

    def __init__(self, trunk: Trunk, settings: dict[str, Any]) -> None:
        super().__init__(trunk, settings)
        self.supervision = Supervision(settings["masks"])
        self.features.checkpointed = settings["checkpoint"]
        if self.pool == "fc":
            self.classifier = fully_connected(settings["classes"], settings["dropout"])
            del self.linear
        if settings["warmup"]:
            self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits."""
        return self.classifier(self.features(images)) if self.pool == "fc" else super().forward(images)

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the classification loss, the mining loss and, of GAIN_ext, the pixel loss, weighted.

        All are means over the images of the batch. An image counts the mean over its classes; 0 in mining
        where it has none (section 3.1), and in the pixel loss where it has no mask (section 3.2).

        Raises:
            ValueError: when an image of a softmax network has no label.
        """
        labels = batch.host.labels
        if self.settings["loss"] == "softmax" and not bool(labels.any(1).all()):
            raise ValueError(f"image {int(batch.index[~labels.any(1)][0])} has no label")
        extended = self.supervision.masks != 0
        mines = self.settings["alpha"] > 0 and not self._warms_up(len(batch))
        has_masks = extended and batch.masks is not None
        zero = batch.images.new_zeros(())
        terms = {"classification": zero, "mining": zero} | ({"pixels": zero} if extended else {})
        if not (mines or has_masks):
            return terms | super().loss(batch)
        seen = self.attend(batch.images, labels)
        terms["classification"] = self.classification(seen.logits, batch.labels)
        share = 1 / (batch.labels.count_nonzero(1)[seen.image] * len(batch))
        if mines and len(seen.image):
            scores = self.erase(batch.images, seen).scores
            terms["mining"] = self.settings["alpha"] * (share * seen.counted * scores).sum()
        if has_masks:
            terms["pixels"] = self.settings["pixel_weight"] * (share * self._pixel_error(seen, batch)).sum()
        return terms

    def attend(self, images: Float[Tensor, "n 3 h w"], labels: Float[Tensor, "n c"]) -> Attention:
        """Run the first stream: logits, and the Grad-CAM map of each class of each image (equations 1, 2)."""
        # The pass back for the weights goes through the head alone, and into no `.grad`.
        how: Differentiable = True if self.settings["through_weights"] else "maps"
        with record(self, self.features, differentiable=how) as tape:
            logits = self(images)
        labels = labels.cpu()
        most = int(labels.count_nonzero(1).max().clamp(min=1))
        asked = labels.topk(most).indices
        places = (asked, *labels.gather(1, asked).nonzero(as_tuple=True))
        classes, image, place = (each.to(images.device, non_blocking=True) for each in places)
        weights = channel_weights(tape, logits, logits.gather(1, classes), classes)
        maps = weighted_sum(weights, tape.activation).relu()
        maps = maps[image, place]
        contrast = maps.detach().amax((-2, -1))
        if self.settings["scale"] == "min-max":
            contrast -= maps.detach().amin((-2, -1))
        counted = (contrast > FLAT) & contrast.isfinite()
        return Attention(logits, image, classes[image, place], maps, counted)

    def erase(self, images: Float[Tensor, "n 3 h w"], seen: Attention) -> Erased:
        """Run the second stream: each image without what is attended to for one of its classes (equation 3).

        What goes turns into 0, which in network input is the mean color of the data.
        """
        maps = seen.maps if self.settings["through_mask"] else seen.maps.detach()
        size = size_of(images)
        attention = self._scaled(resize(maps, size), seen.counted)
        mask = soft_mask(attention, self.settings["center"], self.settings["slope"])
        erased = images[seen.image] * (1 - mask[:, None])
        cut = not self.settings["through_network"]
        constants = {name: p.detach() for name, p in self.named_parameters() if cut}
        with keep_statistics(self, self.settings["masked_norms"]):
            logits = functional_call(self, constants, (erased,))
        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.settings["score"] == "probability":
            scores = scores.sigmoid() if self.settings["loss"] == "sigmoid" else scores.softmax(1)
        return Erased(attention, mask, erased, scores.gather(1, seen.classes[:, None])[:, 0])

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the attention of each requested class, which is its Grad-CAM map."""
        values = grad_cam(self, images, classes, self.features).values
        return values[:, 0] if classes.ndim == 1 else values

    def _scaled(self, maps: Float[Tensor, "p h w"], counted: Bool[Tensor, " p"]) -> Float[Tensor, "p h w"]:
        return stretch(torch.where(counted[:, None, None], maps, 0), self.settings["scale"])

    def _pixel_error(self, seen: Attention, batch: Batch) -> Float[Tensor, " p"]:
        """Return `(A - H)^2` of each pair over the cells of its map; H is the share of a cell that is object.

        Pixels marked 255 are left out. 0 where no mask shows the class, which may have been cropped away.
        """
        assert batch.masks is not None
        masks, cells = batch.masks[seen.image][:, None], size_of(seen.maps)
        known = adaptive_avg_pool2d((masks != IGNORE).float(), cells)[:, 0]
        objects = adaptive_avg_pool2d((masks == 1 + seen.classes[:, None, None, None]).float(), cells)[:, 0]
        target = objects / torch.where(known > 0, known, 1)
        total = (known * (self._scaled(seen.maps, seen.counted) - target) ** 2).sum((-2, -1))
        if self.settings["reduction"] == "mean":
            total = total / known.sum((-2, -1)).clamp(min=1e-6)
        return torch.where(objects.sum((-2, -1)) > 0, total, 0)

    def _warms_up(self, images: int) -> bool:
        """Tell whether mining has to wait, and count the images of a training step over all processes."""
        if self.settings["warmup"] == 0:
            return False
        waits = int(self.seen) < self.settings["warmup"]
        self.seen += images * rank_and_world()[1] * self.training
        return waits


def soft_mask(
    maps: Float[Tensor, "*n h w"], center: float = 0.5, slope: float = 10.0
) -> Float[Tensor, "*n h w"]:
    """Return `T(A) = 1 / (1 + exp(-slope (A - center)))`, a step that lets gradients pass (equation 4).

    Args:
        maps: attention scaled into [0, 1].
        center: attention at which T is 0.5, in [0, 1].
        slope: steepness, above 0; at 10 and center 0.5 T runs from 0.0067 to 0.9933.

    Raises:
        ValueError: when center or slope is out of range.
    """
    if not 0 <= center <= 1:
        raise ValueError(f"center must be in [0, 1], the range of scaled maps, got {center}")
    if not slope > 0:
        raise ValueError(f"slope must be above 0, got {slope}")
    return torch.sigmoid(slope * (maps - center))
