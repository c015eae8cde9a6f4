"""Relatives of Grad-CAM: the same recorded pass, another rule from activation and gradients to the map."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from wsolbook.cam.cam import weighted_sum
from wsolbook.cam.classes import Classes, Score, score
from wsolbook.cam.grad_cam import rectified, run
from wsolbook.cam.network import eager, evaluating, forward, names_of, unwrap
from wsolbook.cam.record import Reshape
from wsolbook.types import Maps

Images = Float[Tensor, "n _ *space"]
Layer = str | nn.Module | None
Rule = Callable[[Float[Tensor, "n 1 K p"], Float[Tensor, "n k K p"]], Float[Tensor, "n k p"]]


def by_rule(rule: Rule) -> Callable[..., Maps]:
    """Make a method of a rule from activation and gradients, positions flattened, to signed maps."""

    def method(
        model: nn.Module,
        images: Images,
        classes: Classes | Score = None,
        layer: Layer = None,
        *,
        reshape: Reshape = None,
    ) -> Maps:
        tape, output = run(model, images, layer, reshape)
        scores, chosen = tape.score(output, classes)
        with tape.arithmetic():
            activation, gradients = tape.activation, tape.gradients(scores)
            precise = torch.promote_types(activation.dtype, torch.float32)
            flat = rule(activation.flatten(2)[:, None].to(precise), gradients.flatten(3).to(precise))
            return rectified(tape, flat.unflatten(2, activation.shape[2:]), output, scores, chosen)

    method.__name__ = method.__qualname__ = rule.__name__
    method.__doc__ = f"{inspect.getdoc(rule)}\n\nArguments, result and errors are those of `grad_cam`."
    return method


@by_rule
def hires_cam(activation: Tensor, gradients: Tensor) -> Tensor:
    """Compute HiRes-CAM (Draelos and Carin 2020): `ReLU(sum_k G^k A^k)`, the gradient not averaged.

    On a network that ends in global average pooling and a linear layer it is Grad-CAM.
    """
    return (gradients * activation).sum(2)


@by_rule
def layer_cam(activation: Tensor, gradients: Tensor) -> Tensor:
    """Compute LayerCAM (Jiang et al. 2021): `ReLU(sum_k ReLU(G^k) A^k)`, meant for early layers too."""
    return (gradients.relu() * activation).sum(2)


@by_rule
def xgrad_cam(activation: Tensor, gradients: Tensor) -> Tensor:
    """Compute XGrad-CAM (Fu et al. 2020, equation 8): channel weights `sum G^k A^k / sum A^k`.

    A channel whose activations sum to zero gets weight zero.
    """
    total = activation.sum(3, keepdim=True)
    weights = (gradients * activation).sum(3, keepdim=True) / torch.where(total == 0, torch.inf, total)
    return (weights * activation).sum(2)


@by_rule
def grad_cam_plus_plus(activation: Tensor, gradients: Tensor) -> Tensor:
    """Compute Grad-CAM++ (Chattopadhay et al. 2018, equations 14 and 19).

    The score is the exponential of the logit, so the higher derivatives are powers of the gradient G:
    `alpha = G^2 / (2 G^2 + sum A G^3) = 1 / (2 + sum A G)`, and `w_k = sum alpha ReLU(G)`. The common factor
    `exp(logit)` of the weights scales a map as a whole; it would overflow, so it is left out.
    """
    below = 2 + activation.sum(3, keepdim=True) * gradients
    weights = (gradients.relu() / torch.where(below == 0, torch.inf, below)).sum(3, keepdim=True)
    return (weights * activation).sum(2)


def score_cam(
    model: nn.Module,
    images: Images,
    classes: Classes | Score = None,
    layer: Layer = None,
    *,
    reshape: Reshape = None,
    batch_size: int = 32,
) -> Maps:
    """Compute Score-CAM (Wang et al. 2020, algorithm 1): weights from masked forward passes, no gradient.

    Each channel, resized and scaled into [0, 1], masks the image; the rise of the score over that of an
    all-zero image, softmaxed over channels, is its weight. It costs a forward pass for each of the K
    channels; `batch_size` masked images share one. All else is as in `grad_cam`.
    """
    network = unwrap(model)
    with torch.no_grad(), evaluating(network), eager():
        tape, output = run(network, images, layer, reshape)
        scores, chosen = score(classes, output, names_of(network))
        wanted = classes if callable(classes) else chosen

        def scored(pictures: Tensor, image: int) -> Tensor:
            which = wanted if callable(wanted) else wanted[image].expand(len(pictures), -1)
            return score(which, forward(network, pictures))[0]

        weights = []
        for i, (picture, channels) in enumerate(zip(images, tape.activation, strict=True)):
            rises = [
                scored(picture * _masks(part, picture.shape[1:]), i) for part in channels.split(batch_size)
            ]
            weights.append((torch.cat(rises) - scored(torch.zeros_like(picture)[None], i)).softmax(0).T)
        signed = weighted_sum(torch.stack(weights), tape.activation)
        return rectified(tape, signed, output, scores, chosen)


def _masks(channels: Float[Tensor, "K *space"], size: torch.Size) -> Float[Tensor, "K 1 *size"]:
    """Resize each channel to the image and scale it into [0, 1]; a constant one masks everything."""
    mode = "bilinear" if len(size) == 2 else "trilinear"
    large = F.interpolate(channels[:, None], size=size, mode=mode, align_corners=False)
    lifted = large - large.flatten(1).amin(1).view(-1, 1, *[1] * len(size))
    peak = lifted.flatten(1).amax(1).view(-1, 1, *[1] * len(size))
    return lifted / torch.where(peak == 0, 1, peak)
