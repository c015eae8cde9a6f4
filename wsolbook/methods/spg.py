"""SPG: Zhang et al., "Self-produced Guidance for Weakly-supervised Object Localization", ECCV 2018.

A classifier's class map says of some pixels that they are object, of some that they are background, and
leaves the rest open. What it says teaches a mask at an earlier layer, B2; what that says teaches B1, earlier
still; and both together teach C, at the end. All masks share the trunk, which so learns from pixels that
nobody labeled. At test the class map alone is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from wsolbook.backbones import Trunk, build_trunk, require_known, require_least, start, tapped
from wsolbook.cam.network import evaluating
from wsolbook.data.transforms import IGNORE
from wsolbook.maps import of_classes, resize, size_of, stretch
from wsolbook.types import Batch, Network

Variant = Literal["full", "plain", "no-cascade", "unshared", "no-c"]
VARIANTS = ("full", "plain", "no-cascade", "unshared", "no-c")
# Stages that B1, B2 and A3 read. Inception-v3 as released, VGG-16 as Choe et al. (2020), others ours.
TAPS = {
    "inception_v3": ("mixed_5", "mixed_6d", "mixed_6e"),
    "vgg16": ("conv4", "conv5", "conv5"),
    "mobilenet_v2": ("bottleneck5", "conv2", "conv2"),
}


@dataclass(frozen=True)
class Guidance:
    """What the branches say of one class of each image, and what they are taught, at the size of the images.

    Attributes:
        attention: class map, up-sampled and scaled into [0, 1].
        b2: probability of object that B2 gives.
        b1: the same of B1.
        c: the same of C; None where the variant has none.
        for_b2: what B2 is taught: 0 background, 1 object, 255 nothing.
        for_b1: the same for B1.
        for_c: the same for C; None where the variant has none.
    """

    attention: Float[Tensor, "n h w"]
    b2: Float[Tensor, "n h w"]
    b1: Float[Tensor, "n h w"]
    c: Float[Tensor, "n h w"] | None
    for_b2: UInt8[Tensor, "n h w"]
    for_b1: UInt8[Tensor, "n h w"]
    for_c: UInt8[Tensor, "n h w"] | None


def build(
    backbone: str = "tiny",
    classes: int = 8,
    *,
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    dilation: bool = True,
    variant: Variant = "full",
    b2: Sequence[float] = (0.05, 0.7),
    b1: Sequence[float] = (0.05, 0.5),
    c: Sequence[float] = (0.1, 0.7),
    fallback: bool = True,
    b2_tap: Literal["6d", "6e"] = "6d",
    dropout: float = 0.0,
    width: int | None = None,
) -> Spg:
    """Build an SPG.

    The network of the paper is `backbone="inception_v3"`, whose own output stride is 8.

    Args:
        backbone: as in `wsolbook.backbones.build`, like `classes`.
        classes: number of logits.
        output_stride: as in `wsolbook.backbones.build_trunk`.
        weights: as in `wsolbook.backbones.start`; for the trunk.
        dilation: as in `wsolbook.backbones.build_trunk`.
        variant: `"full"`, or an ablation of the paper: no masks at all (`"plain"`), B1 taught by the class
            map too, with the thresholds of B2 (`"no-cascade"`), last layers of B1 and B2 of their own
            (`"unshared"`), without C (`"no-c"`).
        b2: below the first value of the class map is background for B2, above the second object. As in the
            released code; elsewhere one reads (0.1, 0.7).
        b1: the same of B2's mask, for B1.
        c: the same of the mean of both masks, for C.
        fallback: of an image with hardly a pixel above the second value, take what is above 0.7 times its
            maximum, as the released code does.
        b2_tap: on Inception-v3 B2 reads Mixed_6d, as in the released code, or Mixed_6e, as in the figure.
        dropout: before A3, in it and before A4. 0.5 in the released code, where the PyTorch of its day left
            it off.
        width: feature maps of A3, twice those of B and C. None for 1,024, as in the paper, or for those of
            the trunk where it has fewer than 768.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    settings |= {"b2": list(b2), "b1": list(b1), "c": list(c)}  # as JSON holds them
    require_known("variant", variant, VARIANTS)
    require_known("b2_tap", b2_tap, ("6d", "6e"))
    for low, high in (b2, b1, c):
        ternary_mask(torch.zeros(1, 1, 1), low, high)  # refuses what is out of range
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    require_least(1, classes=classes)
    require_least(2, width=width)
    trunk = build_trunk(backbone, output_stride=output_stride, dilation=dilation)
    first, last = list(trunk.taps)[-2:]
    taps = TAPS.get(trunk.name, (first, last, last))
    if b2_tap == "6e":
        taps = (taps[0], taps[2], taps[2])
    trunk = trunk.upto(taps[2])
    model = Spg(trunk, taps, settings)
    model.fresh = start(model, trunk, weights)
    return model


class Spg(Network):
    """A classifier and up to three masks on one trunk.

    Attributes:
        features: the trunk: stem, A1 and A2.
        taps: the stages that B1, B2 and A3 read.
        a3: two convolutions.
        a4: class maps, whose means are the logits.
        b1: first layer of B1; with `b2` and `tails` only where there are masks.
        b2: first layer of B2.
        tails: the rest of B, one for both or, unshared, B1's and B2's.
        c: the mask at the end, where the variant has it.
    """

    method = "spg"

    def __init__(self, trunk: Trunk, taps: tuple[str, str, str], settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings, self.taps, self.features = settings, taps, trunk
        variant, drop = settings["variant"], nn.Dropout(settings["dropout"])
        wide = settings["width"] or (1024 if trunk.channels >= 768 else trunk.channels)
        narrow = wide // 2
        self.a3 = nn.Sequential(
            drop, _convolution(trunk.channels, wide), drop, _convolution(wide, wide), drop
        )
        self.a4 = nn.Conv2d(wide, settings["classes"], 1)
        if variant != "plain":
            self.b1, self.b2 = (_convolution(trunk.taps[tap].channels, narrow) for tap in taps[:2])
            self.tails = nn.ModuleList(
                nn.Sequential(_convolution(narrow, narrow), nn.Conv2d(narrow, 1, 1))
                for _ in range(2 if variant == "unshared" else 1)
            )
        if variant not in ("plain", "no-c"):
            self.c = nn.Sequential(_convolution(wide, narrow), nn.Conv2d(narrow, 1, 1))
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Conv2d) and not name.startswith("features."):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return the logits."""
        return self._class_maps(images).mean((-2, -1))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Return the classification loss and that of each mask, over the pixels on which its teacher is sure.

        Raises:
            ValueError: when an image has not exactly one class.
        """
        classes = batch.one_class()
        if self.settings["variant"] == "plain":
            return {"classification": cross_entropy(self(batch.images), classes)}
        logits, _, masks, taught = self._guide(batch.images, classes)
        return {"classification": cross_entropy(logits, classes)} | {
            name: guided_loss(mask, taught[name]) for name, mask in masks.items()
        }

    def guidance(self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"]) -> Guidance:
        """Return what the branches say of a class, and what they would be taught, in evaluation mode.

        Raises:
            ValueError: when the variant has no masks.
        """
        if self.settings["variant"] == "plain":
            raise ValueError("SPG-plain has no masks and no guidance")
        with evaluating(self), torch.no_grad():
            _, attention, masks, taught = self._guide(images, classes)
        said = {name: mask.sigmoid() for name, mask in masks.items()}
        return Guidance(
            attention, said["b2"], said["b1"], said.get("c"), taught["b2"], taught["b1"], taught.get("c")
        )

    def maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"] | Int[Tensor, "n k"]
    ) -> Float[Tensor, "n u v"] | Float[Tensor, "n k u v"]:
        """Return the class map of A4 of each requested class, whose mean is its logit."""
        with evaluating(self), torch.no_grad():
            return of_classes(self._class_maps(images), classes)

    def _class_maps(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c u v"]:
        return self.a4(self.a3(self.features(images)))

    def _guide(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n"]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Return logits, and, as large as the images, attention, logits of the masks and what these learn."""
        size = size_of(images)
        found = tapped(self.features, images, set(self.taps))
        a3 = self.a3(found[self.taps[2]])
        class_maps = self.a4(a3)
        masks = {
            "b2": resize(self.tails[-1](self.b2(found[self.taps[1]]))[:, 0], size),
            "b1": resize(self.tails[0](self.b1(found[self.taps[0]]))[:, 0], size),
        }
        if self.settings["variant"] != "no-c":
            masks["c"] = resize(self.c(a3)[:, 0], size)
        attention, taught = self.teach(of_classes(class_maps, classes), masks)
        return class_maps.mean((-2, -1)), attention, masks, taught

    @torch.no_grad()
    def teach(
        self, class_maps: Float[Tensor, "n u v"], masks: Mapping[str, Float[Tensor, "n h w"]]
    ) -> tuple[Float[Tensor, "n h w"], dict[str, UInt8[Tensor, "n h w"]]]:
        """Return the attention, and what each branch is to learn, of class maps and logits of the masks."""
        # First to the size of the image, then scaled or squashed: the other order gives other values.
        attention = stretch(resize(class_maps, size_of(masks["b2"])))
        # A class map without contrast says nothing; resizing one would leave rounding errors to scale.
        flat = (class_maps.amax((-2, -1)) == class_maps.amin((-2, -1)))[:, None, None]
        taught = {"b2": self._taught(attention, "b2") | IGNORE * flat.to(torch.uint8)}
        b2 = masks["b2"].sigmoid()
        cascade = self.settings["variant"] != "no-cascade"
        taught["b1"] = self._taught(b2, "b1") if cascade else taught["b2"]
        if "c" in masks:
            taught["c"] = self._taught((masks["b1"].sigmoid() + b2) / 2, "c")
        return attention, taught

    def _taught(self, maps: Float[Tensor, "n h w"], branch: str) -> UInt8[Tensor, "n h w"]:
        low, high = self.settings[branch]
        return ternary_mask(maps, low, high, fallback=self.settings["fallback"])


def ternary_mask(
    maps: Float[Tensor, "n h w"], low: float, high: float, *, fallback: bool = False
) -> UInt8[Tensor, "n h w"]:
    """Return 0 below `low`, 1 above `high` and 255, ignored, between them and at both (equation 1).

    Args:
        maps: values in [0, 1].
        low: in (0, 1).
        high: in (low, 1).
        fallback: where fewer than 30 of 224 x 224 pixels of a map, or that share of another size, are above
            `high`, 1 is what is above 0.7 times the map's maximum, and not below `low`.

    Raises:
        ValueError: unless 0 < low < high < 1.
    """
    if not 0 < low < high < 1:
        raise ValueError(f"thresholds must be in (0, 1), the first below the second, got {low} and {high}")
    above: float | Tensor = high
    if fallback:
        found = (maps > high).view(torch.uint8).sum((-2, -1), keepdim=True, dtype=torch.int32)
        few = found < 30 * maps[0].numel() / 224**2
        above = torch.where(few, 0.7 * maps.amax((-2, -1), keepdim=True), high)
    on, off = maps > above, maps < low
    # In bytes, where 0 less 1 is 255: a tenth of the time of filling in under a mask.
    return (on & ~off).view(torch.uint8) - (~(on | off)).view(torch.uint8)


def guided_loss(logits: Float[Tensor, "n h w"], mask: UInt8[Tensor, "n h w"]) -> Float[Tensor, ""]:
    """Return the binary cross-entropy over all pixels of the batch that are not 255; 0 without any."""
    known = mask != IGNORE
    total = binary_cross_entropy_with_logits(
        logits, (mask == 1).to(logits), known.to(logits), reduction="sum"
    )
    return total / known.sum().clamp(min=1)


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True))
