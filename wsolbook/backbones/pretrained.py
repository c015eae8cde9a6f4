"""Trained classifiers by name, with the names of their classes: ours, torchvision's, or from a file."""

from __future__ import annotations

import difflib
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision import models

from wsolbook import backbones
from wsolbook.backbones.weights import fill, imagenet_state, whole_network

# Backbones that end in their own pooling and linear layer, at the stride of torchvision's network.
WHOLE = {
    "resnet18": 32,
    "resnet50": 32,
    "resnet101": 32,
    "mobilenet_v2": 32,
    "googlenet": 32,
    "inception_v3": 32,
    "squeezenet1_1": 16,
}


@dataclass(frozen=True)
class Pretrained:
    """A trained classifier in evaluation mode.

    Attributes:
        name: of the architecture.
        network: images to logits.
        names: what its classes are called.
        crop: side of the pictures it was trained on, in pixels.
        sigmoid: whether classes are scored one by one, not against each other.
    """

    name: str
    network: nn.Module
    names: tuple[str, ...]
    crop: int = 224
    sigmoid: bool = False


def load_pretrained(
    name: str | None = None,
    weights: str | os.PathLike[str] | None = None,
    *,
    output_stride: int | None = None,
    padding: backbones.Padding = "symmetric",
    names: Sequence[str] | None = None,
) -> Pretrained:
    """Load a trained classifier.

    Args:
        name: a backbone that ends in its own linear layer (a key of `WHOLE`), or any other classification
            network of torchvision. None reads it from the file that `wsolbook.methods.save` wrote.
        weights: a path; None downloads torchvision's ImageNet parameters.
        output_stride: of a network in `WHOLE`: a finer map from the same parameters.
        padding: of a network in `WHOLE`: `"tf-same"` for parameters trained by TensorFlow.
        names: what the classes are called, in order.

    Raises:
        ValueError: on an unknown name, parameters that do not fit, or as many names as there are not classes.
        OSError: when the file cannot be read, or ImageNet parameters not be downloaded.
    """
    state, header = backbones.read_state(weights) if weights is not None else ({}, {})
    chosen = output_stride is not None or padding != "symmetric"
    if whole_network(header):
        if chosen:
            raise ValueError(f"weights file {weights} says output stride and padding itself; leave them out")
        return _ours(name, str(weights), state, header, names)
    if name is None:
        raise ValueError("say which network it is, for example --model resnet50")
    if name not in models.list_models(module=models):
        known = backbones.BACKBONES.keys() | set(models.list_models(module=models))
        similar = difflib.get_close_matches(name, known, n=3) or sorted(WHOLE)
        hint = "its own file, as weights" if name in backbones.BACKBONES else " or ".join(similar)
        raise ValueError(f"unknown model {name!r}; pass {hint}")
    classes = _classes_of(name, state)
    source = weights if weights is not None else "imagenet"
    network: nn.Module
    if name in WHOLE:
        stride = WHOLE[name] if output_stride is None else output_stride
        network = backbones.build(
            name, classes=classes, output_stride=stride, padding=padding, weights=source
        )
    else:
        if chosen:
            raise ValueError(f"output stride and padding can be chosen for {', '.join(WHOLE)}, not {name}")
        network = _torchvision(name, classes, state, source)
    return Pretrained(name, network.eval(), _named(names, classes), 299 if name == "inception_v3" else 224)


def imagenet_names() -> tuple[str, ...]:
    """Return the names of the 1,000 classes of ImageNet, which torchvision carries."""
    return tuple(models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


def _ours(
    name: str | None,
    path: str,
    state: Mapping[str, Tensor],
    header: Mapping[str, str],
    names: Sequence[str] | None,
) -> Pretrained:
    from wsolbook import methods  # a room above this one: a file may hold the network of any of them

    network = methods.rebuild(path, state, header).eval()
    settings = network.settings
    own = settings.get("backbone", network.method)
    if name not in (None, own):
        raise ValueError(f"weights file {path} holds {own}, not {name}")
    crop = 64 if own.startswith("tiny") else 224
    names = _named(names or network.names or None, settings["classes"])
    return Pretrained(own, network, names, crop, settings.get("loss") == "sigmoid")


def _torchvision(
    name: str, classes: int, state: dict[str, Tensor], source: str | os.PathLike[str]
) -> nn.Module:
    if source == "imagenet":
        state = imagenet_state(name)
    network = models.get_model(name, num_classes=classes)
    versioned = OrderedDict(state)
    versioned._metadata = {"": {"version": network._version}}  # type: ignore[attr-defined]  # MNASNet asks
    fill(network, versioned, source, name)
    return network


def _classes_of(name: str, state: dict[str, Tensor]) -> int:
    """Return the rows of the last layer of a network in a file; 1,000 if it is not there."""
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    try:
        with torch.device("meta"):
            network = models.get_model(name, **options)
    except NotImplementedError:  # RegNet computes its widths by tensors, which needs their values
        network = models.get_model(name, **options)
    last = [layer for layer, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][
        -1
    ]
    return len(state[f"{last}.weight"]) if f"{last}.weight" in state else 1000


def _named(names: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    if names is None:
        return imagenet_names() if classes == 1000 else tuple(f"class {i}" for i in range(classes))
    if len(names) != classes:
        raise ValueError(f"{len(names)} names were given for {classes} classes")
    return tuple(names)
