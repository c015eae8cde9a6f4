"""Grad-CAM (Selvaraju et al., ICCV 2017): the gradient as the weight of each channel, for any network."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsolbook.cam.cam import weighted_sum
from wsolbook.cam.classes import Classes, Score
from wsolbook.cam.layers import default_layer
from wsolbook.cam.network import evaluating, forward, unwrap
from wsolbook.cam.record import Reshape, Tape, record, require_same_shape
from wsolbook.maps import require_finite
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
        classes: None for the class with the highest logit, one class for all images, `(n,)`, `(n, k)`, names
            where the network has `names`, `"top3"` for the best three, or a function that turns whatever the
            network returns into scores `(n,)` or `(n, k)`.
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
    tape, output = run(model, images, layer, reshape, differentiable)
    return grad_cam_of(tape, output, classes, counterfactual=counterfactual)


def grad_cam_of(
    tape: Tape, output: Any, classes: Classes | Score = None, *, counterfactual: bool = False
) -> Maps:
    """Compute Grad-CAM from a recorded pass; of `record(..., differentiable=True)`, for use inside a loss.

    Args:
        tape: from `record`.
        output: what the network returned inside the block.
        classes: as in `grad_cam`.
        counterfactual: as in `grad_cam`.

    Raises:
        ValueError: when the scores do not depend on the layer, or a map is not finite.
    """
    scores, chosen = tape.score(output, classes)
    with tape.arithmetic():
        weights = channel_weights(tape, output, scores, None if callable(classes) else chosen)
        if counterfactual:
            weights = -weights
        signed = weighted_sum(weights, tape.activation)
        return rectified(tape, signed, output, scores, chosen)


def channel_weights(
    tape: Tape, output: Any, scores: Float[Tensor, "n k"], classes: Tensor | None
) -> Float[Tensor, "n k K"]:
    """Return the mean gradient of the scores over each channel (equation 1), in float32 at least.

    Where only global pooling and a linear layer follow, it is known without differentiating: the class
    weights divided by the number of positions.

    Args:
        tape: from `record`.
        output: what the network returned inside the block.
        scores: to be differentiated.
        classes: whose logits the scores are, `(n, k)`; None if they are something else.
    """
    activation = tape.activation
    precise = torch.promote_types(activation.dtype, torch.float32)
    linear = tape.class_weights(output)
    if linear is not None and classes is not None:
        linear = linear if tape.differentiable is True else linear.detach()
        return linear[classes].to(precise) / activation.shape[2:].numel()
    return tape.gradients(scores).flatten(3).mean(3, dtype=precise)


def rectified(tape: Tape, signed: Tensor, output: Any, scores: Tensor, classes: Tensor) -> Maps:
    """Keep what speaks for the class (the ReLU of equation 2), beside the network's logits.

    Raises:
        ValueError: when a map is not finite.
    """
    require_finite(signed, tape.activation, tape.layer)
    logits = output if isinstance(output, Tensor) else scores
    return Maps(signed.relu(), logits if tape.differentiable else logits.detach(), classes, tape.layer)


def run(
    model: nn.Module,
    images: Tensor,
    layer: str | nn.Module | None,
    reshape: Reshape,
    differentiable: bool = False,
) -> tuple[Tape, Any]:
    """Run the network once and return the tape of its layer together with its output."""
    network = unwrap(model)
    with nullcontext() if differentiable else evaluating(network):
        layer = default_layer(network, images, reshape) if layer is None else layer
        with record(network, layer, reshape=reshape, differentiable=differentiable) as tape:
            output = forward(network, images)
    if reshape == "tokens":
        require_same_shape(tape, images)
    return tape, output
