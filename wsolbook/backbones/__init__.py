"""Classifiers that can localize: fully convolutional, one pooling, one linear layer, ready for CAM."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from torchvision import models

from wsolbook.backbones.classifier import Classifier, Loss, Pool
from wsolbook.backbones.inception import googlenet, inception_v3
from wsolbook.backbones.mobile import mobilenet_v2, squeezenet1_1
from wsolbook.backbones.resnet import resnet
from wsolbook.backbones.tiny import tiny, tiny_resnet
from wsolbook.backbones.trunk import Trunk, use_same_padding
from wsolbook.backbones.vgg import alexnet, vgg16
from wsolbook.backbones.weights import imagenet_state, read_state, rename, transfer, whole_network

__all__ = ["BACKBONES", "SHIPPED", "Classifier", "Padding", "build", "read_state"]

Padding = Literal["symmetric", "tf-same"]

BACKBONES: dict[str, Callable[..., Trunk]] = {
    "tiny": tiny,
    "tiny_resnet": tiny_resnet,
    "vgg16": vgg16,
    "alexnet": alexnet,
    "resnet18": partial(resnet, models.resnet18),
    "resnet50": partial(resnet, models.resnet50),
    "resnet101": partial(resnet, models.resnet101),
    "googlenet": googlenet,
    "inception_v3": inception_v3,
    "mobilenet_v2": mobilenet_v2,
    "squeezenet1_1": squeezenet1_1,
}

SHIPPED = Path(__file__).parent.parent / "weights"


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
        output_stride: pixels of the image for one position of the map; each network says which it has.
        weights: `"imagenet"` downloads torchvision's; `"critters"` are those shipped for the tiny networks; a
            path to `.safetensors` or `.pth` has torchvision's parameter names or was written by
            `methods.save`; None starts from random numbers. The linear layer is taken over as well when the
            network ends in its own and the number of classes is the same.
        loss: `"softmax"` for one class an image, `"sigmoid"` for several.
        dropout: probability of dropping a pooled feature in training.
        padding: `"tf-same"` pads strided convolutions right and below, as TensorFlow does, for weights
            that were trained so.
        dilation: where `output_stride` takes a stride away, spread the later convolutions instead, so that
            pre-trained parameters keep their meaning.

    Raises:
        ValueError: on an unknown name or value, or when the weights do not fit; naming it.
        OSError: when the weights cannot be read or downloaded.
    """
    _require_known("backbone", backbone, tuple(BACKBONES))
    _require_known("head", head, get_args(Pool))
    _require_known("loss", loss, get_args(Loss))
    _require_known("padding", padding, get_args(Padding))
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    trunk = BACKBONES[backbone](classes, output_stride, dilation)
    if padding == "tf-same":
        use_same_padding(trunk.features)
    model = Classifier(
        trunk,
        {
            "backbone": backbone,
            "classes": classes,
            "head": head,
            "output_stride": output_stride,
            "loss": loss,
            "dropout": dropout,
            "padding": padding,
            "dilation": dilation,
        },
    )
    if weights is not None:
        _start_from(model, trunk, weights)
    return model


def _start_from(model: Classifier, trunk: Trunk, weights: str | os.PathLike[str]) -> None:
    name = model.settings["backbone"]
    is_tiny = name.startswith("tiny")
    if weights == "imagenet":
        if is_tiny:
            raise ValueError(f'{name} has no ImageNet weights; pass weights="critters", a path or None')
        transfer(model, rename(imagenet_state(name), trunk.keys), "the ImageNet file", trunk.new_keys)
        return
    if weights == "critters" and not is_tiny:
        raise ValueError(f'{name} has no critters weights; pass weights="imagenet", a path or None')
    path = SHIPPED / f"{name}.safetensors" if weights == "critters" else Path(weights)
    state, header = read_state(path)
    if not whole_network(header):  # then the names of parameters are torchvision's
        state = rename(state, trunk.keys)
    transfer(model, state, f"weights file {path}", trunk.new_keys)


def _require_known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"unknown {what} {value!r}; choose one of {', '.join(known)}")
