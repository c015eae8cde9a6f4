"""Grad-CAM (Selvaraju et al., ICCV 2017): the gradient as the weight of each channel, for any network."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsolbook.cam.classes import Classes, Score
from wsolbook.cam.heads import HeadWatch
from wsolbook.cam.network import eager, evaluating, forward, last_map, last_tokens, name_of, outputs, unwrap
from wsolbook.cam.record import Reshape, Tape, record
from wsolbook.types import Maps


def grad_cam(
    model: nn.Module,
    images: Float[Tensor, "n _ *space"],
    classes: Classes | Score = None,
    layer: str | nn.Module | None = None,
    *,
    reshape: Reshape = None,
    counterfactual: bool = False,
    differentiable: bool = False,
) -> Maps:
    """Compute Grad-CAM maps at the price of one forward pass, for one class of each image or for many.

    The network runs in evaluation mode; its flags, hooks and gradients are left as they were. With
    `differentiable=True` it runs in the mode it is in, because that is what training means.

    Args:
        model: the network.
        images: network input: pictures, or volumes `(n, channels, depth, height, width)`.
        classes: None for the class with the highest logit, one class for all images, `(n,)`, `(n, k)`, or a
            function that turns whatever the network returns into scores `(n,)` or `(n, k)`.
        layer: dotted name or module. None takes `default_layer`, which costs a forward pass of one image
            when a network is seen for the first time.
        reshape: `"tokens"` for transformers; see `record`.
        counterfactual: explain the negated score: evidence whose removal would raise it (section 3.4).
        differentiable: keep the graph through activations and weights.

    Returns:
        Maps `ReLU(sum_k alpha_k A^k)` with `alpha_k` the mean of the gradient of the score over the positions
        of channel k (Selvaraju et al. 2017, equations 1 and 2), unscaled, at the resolution of the layer.

    Raises:
        TypeError: when the images are not floating point or the classes not integers.
        ValueError: when layer, classes or images do not fit the network, or a map is not finite.
    """
    tape, output = trace(model, images, layer, reshape, differentiable)
    return tape.grad_cam(output, classes, counterfactual=counterfactual)


def trace(
    model: nn.Module,
    images: Tensor,
    layer: str | nn.Module | None,
    reshape: Reshape,
    differentiable: bool = False,
) -> tuple[Tape, Any]:
    """Run the network once and return the tape of its layer together with its output."""
    network = unwrap(model)
    mode = nullcontext() if differentiable else evaluating(network)
    with mode:
        if layer is None:
            layer = default_layer(network, images, reshape)
        with record(network, layer, reshape=reshape, differentiable=differentiable) as tape:
            output = forward(network, images.clone() if images.is_inference() else images)
    return tape, output


_known: WeakKeyDictionary[nn.Module, dict[bool, str]] = WeakKeyDictionary()


def default_layer(model: nn.Module, images: Tensor, reshape: Reshape = None) -> str:
    """Return the layer that `grad_cam` explains when none is given.

    It is the one whose map global pooling reads before the linear layers: `layer4` of a ResNet. Without
    global pooling it is the last one whose output still has more than one position and is no pooled copy of
    an earlier map: `features.29`, the last ReLU, of VGG-16. With `reshape` it is the normalization that feeds
    the last attention.
    """
    network, tokens = unwrap(model), reshape is not None
    names = _known.setdefault(network, {})
    if tokens not in names:
        with torch.no_grad(), evaluating(network), eager(), outputs(network) as seen, HeadWatch() as head:
            forward(network, images[:1])
            if tokens:
                names[tokens] = last_tokens(seen)
            else:
                names[tokens] = (
                    name_of(head.map, seen) if head.linears and head.map is not None else last_map(seen)
                )
    return names[tokens]
