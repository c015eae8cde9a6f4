"""Class activation mapping (Zhou et al., CVPR 2016): the linear layer, applied before the pooling."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsolbook.cam.classes import Classes, choose
from wsolbook.cam.layers import name_of, watch
from wsolbook.cam.network import names_of, quantized, unwrap
from wsolbook.maps import require_finite
from wsolbook.types import Maps


def cam(model: nn.Module, images: Float[Tensor, "n _ *space"], classes: Classes = None) -> Maps:
    """Compute the class activation maps of a network that ends in global pooling and one linear layer.

    The head is found by watching one forward pass, in evaluation mode and without a graph, so any such
    network works without surgery: `Classifier`, and torchvision's ResNet, GoogLeNet, Inception, DenseNet,
    MobileNetV2, EfficientNet, SqueezeNet, Swin and others. Flags and hooks of the network are left as
    they were.

    Args:
        model: the network.
        images: network input.
        classes: None for the class with the highest logit, one class for all images, `(n,)`, `(n, k)`, names
            where the network has `names`, or `"top3"` for the best three.

    Returns:
        Raw maps `M_c = sum_k w_k^c f_k` of Zhou et al. 2016, equation 2, unscaled and signed. With average
        pooling their mean over space plus the bias of the class is its logit; with max pooling
        (GMP) that holds for no map, but the definition is the same.

    Raises:
        TypeError: when the images are not floating point or the classes not integers.
        ValueError: when the head is of another kind, a class does not exist, the images do not fit, or a
            map is not finite; the message says what and where.
    """
    network = unwrap(model)
    logits, seen, head = watch(network, images)
    if reason := head.why_not(logits):
        raise ValueError(
            quantized(network)
            or f"cam needs global pooling followed by one linear layer; "
            f"{type(network).__name__} {reason}; use grad_cam"
        )
    assert head.map is not None
    chosen = choose(classes, logits, names_of(network))
    with torch.no_grad():
        values = weighted_sum(head.weight()[chosen], head.map)
    layer = name_of(head.map, seen)
    require_finite(values, head.map, layer)
    return Maps(values, logits, chosen, layer)


def weighted_sum(weights: Float[Tensor, "n k K"], maps: Float[Tensor, "n K *space"]) -> Tensor:
    """Return `sum_K weights * maps` as `(n, k, *space)`, in float32 at least also under autocast."""
    with torch.autocast(maps.device.type, enabled=False):
        precise = torch.promote_types(maps.dtype, torch.float32)
        return (weights.to(precise) @ maps.flatten(2).to(precise)).unflatten(2, maps.shape[2:])
