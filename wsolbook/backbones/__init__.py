"""Networks by name: trunks for every method, and the classifier of CAM, one pooling and one linear layer."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from torchvision import models

from wsolbook.backbones.classifier import Classifier, Loss, Pool
from wsolbook.backbones.inception import googlenet, inception_v3
from wsolbook.backbones.mobile import mobilenet_v2, squeezenet1_1
from wsolbook.backbones.resnet import resnet, resnet38
from wsolbook.backbones.strides import use_same_padding
from wsolbook.backbones.tiny import tiny, tiny_resnet
from wsolbook.backbones.trunk import Tap, Trunk, tapped
from wsolbook.backbones.vgg import alexnet, vgg16, vgg16_largefov, vgg16_psa
from wsolbook.backbones.weights import SHIPPED, read_state, start

__all__ = [
    "BACKBONES",
    "SHIPPED",
    "Backbone",
    "Classifier",
    "Padding",
    "Tap",
    "Trunk",
    "assemble",
    "build",
    "build_trunk",
    "read_state",
    "require_known",
    "require_least",
    "start",
    "tapped",
]

Padding = Literal["symmetric", "tf-same"]
C = TypeVar("C", bound=Classifier)


class Backbone(NamedTuple):
    """How a trunk is built, and at which output strides, its own first.

    Attributes:
        trunk: makes one, of an output stride and of `dilation` and `cam_classes` as in `build_trunk`.
        strides: pixels of the image for one position of the map.
    """

    trunk: Callable[[int, bool, int | None], Trunk]
    strides: tuple[int, ...]


BACKBONES = {
    "tiny": Backbone(tiny, (8, 4, 16)),
    "tiny_resnet": Backbone(tiny_resnet, (8, 4, 16)),
    "vgg16": Backbone(vgg16, (16, 8)),
    "vgg16_largefov": Backbone(vgg16_largefov, (8,)),
    "vgg16_psa": Backbone(vgg16_psa, (8,)),
    "alexnet": Backbone(alexnet, (16,)),
    "resnet18": Backbone(partial(resnet, models.resnet18), (32, 16, 8)),
    "resnet50": Backbone(partial(resnet, models.resnet50), (32, 16, 8)),
    "resnet101": Backbone(partial(resnet, models.resnet101), (32, 16, 8)),
    "resnet38": Backbone(resnet38, (8,)),
    "googlenet": Backbone(googlenet, (16, 32)),
    "inception_v3": Backbone(inception_v3, (8, 16, 32)),
    "mobilenet_v2": Backbone(mobilenet_v2, (32, 16, 8)),
    "squeezenet1_1": Backbone(squeezenet1_1, (16, 8)),
}


def build(
    backbone: str,
    *,
    classes: int = 1000,
    head: Pool = "gap",
    output_stride: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    loss: Loss = "softmax",
    dropout: float = 0.0,
    padding: Padding = "symmetric",
    dilation: bool = True,
) -> Classifier:
    """Build a classifier by name.

    Args:
        backbone: a key of `BACKBONES`.
        classes: number of logits.
        head: global average pooling or global maximum pooling before the linear layer.
        output_stride: as in `build_trunk`.
        weights: as in `start`; None starts from random numbers.
        loss: `"softmax"` for one class an image, `"sigmoid"` for several.
        dropout: probability of dropping a pooled feature in training.
        padding: as in `build_trunk`.
        dilation: as in `build_trunk`.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    settings = {name: value for name, value in locals().items() if name != "weights"}
    return assemble(Classifier, settings, weights)


def assemble(kind: type[C], settings: dict[str, Any], weights: str | os.PathLike[str] | None) -> C:
    """Build a classifier of a kind of its own, whose settings are at least those of `build`.

    Raises:
        ValueError: as `build`.
        OSError: as `build`.
    """
    head, backbone = settings["head"], settings["backbone"]
    require_known("head", head, kind.heads)
    require_known("loss", settings["loss"], get_args(Loss))
    require_least(1, classes=settings["classes"])
    if not 0 <= settings["dropout"] < 1:
        raise ValueError(f"dropout must be in [0, 1), got {settings['dropout']}")
    if head == "fc" and backbone != "vgg16":
        raise ValueError(f"head 'fc' is that of vgg16; {backbone} has gap or gmp")
    trunk = build_trunk(
        backbone,
        output_stride=settings["output_stride"],
        padding=settings.get("padding", "symmetric"),
        dilation=settings["dilation"],
        cam_classes=None if head == "fc" else settings["classes"],
    )
    model = kind(trunk, settings)
    model.fresh = start(model, trunk, weights)
    return model


def build_trunk(
    backbone: str,
    *,
    output_stride: int | None = None,
    padding: Padding = "symmetric",
    dilation: bool = True,
    cam_classes: int | None = None,
) -> Trunk:
    """Build a trunk by name, with random parameters.

    Args:
        backbone: a key of `BACKBONES`.
        output_stride: one of the backbone's `strides`; None is its own.
        padding: `"tf-same"` pads strided convolutions right and below, as TensorFlow does, for weights
            that were trained so.
        dilation: where `output_stride` takes a stride away, spread the later convolutions instead, so that
            pre-trained parameters keep their meaning.
        cam_classes: classes of the CAM classifier that it is for, whose additional convolutions then form a
            last stage `cam` where the network has such; None leaves them out.

    Raises:
        ValueError: on an unknown name or value; naming it.
    """
    require_known("backbone", backbone, BACKBONES)
    require_known("padding", padding, get_args(Padding))
    known = BACKBONES[backbone]
    stride = known.strides[0] if output_stride is None else output_stride
    if stride not in known.strides:
        raise ValueError(f"{backbone} has output stride {' or '.join(map(str, known.strides))}, not {stride}")
    trunk = known.trunk(stride, dilation, cam_classes)
    if padding == "tf-same":
        use_same_padding(trunk)
    return trunk


def require_known(what: str, value: str, known: Collection[str]) -> None:
    """Raise a ValueError that lists what there is when `value` is not among it."""
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; choose one of {', '.join(known)}")


def require_least(least: int, **values: int | float | None) -> None:
    """Raise a ValueError that names the first of some values below `least`; None is no value."""
    for name, value in values.items():
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
