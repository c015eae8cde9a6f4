"""A network as the laboratory reads it: batch normalization folded, kernels as integers, one small file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor, nn

from wsolbook.backbones import Classifier
from wsolbook.data.transforms import MEAN, STD

SHIPPED = Path(__file__).with_name("networks")
LARGE = 20_000  # kernels of so many numbers take 8 bits; in smaller ones, which come first, errors would grow


def portable(
    model: nn.Module, names: tuple[str, ...], about: Mapping[str, Any] | None = None, bits: int = 8
) -> bytes:
    """Return a network of the kind `tiny` as a safetensors file.

    Kernels become integers with a scale for each output channel: large ones of `bits` bits, others of 16.

    Args:
        model: a classifier whose trunk is 3x3 convolutions, each with its batch normalization, and 2x2 pools.
        names: of the classes.
        about: where the network comes from; kept in the header.
        bits: 8 or 16.

    Raises:
        TypeError: when it is another kind of network.
        ValueError: when there is not one name a class.
    """
    if not (isinstance(model, Classifier) and model.features.name == "tiny"):
        raise TypeError(f"the laboratory runs classifiers on the trunk tiny, got {type(model).__name__}")
    if len(names) != model.linear.out_features:
        raise ValueError(f"{len(names)} names given for {model.linear.out_features} classes")
    tensors: dict[str, Tensor] = {}
    layers: list[dict[str, Any]] = []
    steps = [m for m in model.features.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d)]
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(step, nn.MaxPool2d):
            layers.append({"kind": "pool"})
        elif isinstance(step, nn.Conv2d):
            assert isinstance(following, nn.BatchNorm2d)
            name = f"layer{len(layers)}"
            kernel, bias = folded(step, following)
            whole, scale = integers(kernel, bits if kernel.numel() >= LARGE else 16)
            tensors |= {f"{name}.kernel": whole, f"{name}.scale": scale, f"{name}.bias": bias}
            size = {"inputs": step.in_channels, "outputs": step.out_channels, "spread": step.dilation[0]}
            layers.append({"kind": "convolution", "name": name} | size)
    tensors |= {f"head.{key}": value.detach().float() for key, value in model.linear.state_dict().items()}
    network = {"names": names, "pool": model.pool, "mean": MEAN, "std": STD}
    header = {"layers": layers, "network": network, "about": about or {}}
    return save(
        {key: value.cpu().contiguous() for key, value in tensors.items()},
        {k: json.dumps(v) for k, v in header.items()},
    )


def folded(
    convolution: nn.Conv2d, norm: nn.BatchNorm2d
) -> tuple[Float[Tensor, "o i 3 3"], Float[Tensor, " o"]]:
    """Return kernel and bias of a convolution that does what it and its normalization did in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    return convolution.weight.detach() * factor[
        :, None, None, None
    ], norm.bias.detach() - norm.running_mean * factor


def integers(kernel: Float[Tensor, "o i 3 3"], bits: int) -> tuple[Tensor, Float[Tensor, " o"]]:
    """Return a kernel as integers of 8 or 16 bits, and the scale of each output channel.

    What rounding takes from a weight is given to the next one, its neighbor in the window. Feature maps are
    positive and smooth, so that most of the error cancels.
    """
    largest = 2 ** (bits - 1) - 1
    scale = (kernel.abs().amax((1, 2, 3)) / largest).clamp(min=1e-12)
    exact = (kernel / scale[:, None, None, None]).flatten(1)
    whole, left = torch.zeros_like(exact), torch.zeros(len(exact))
    for k, column in enumerate(exact.unbind(1)):
        whole[:, k] = (column + left).round().clamp(-largest, largest)
        left = column + left - whole[:, k]
    return whole.view_as(kernel).to(torch.int8 if bits == 8 else torch.int16), scale
