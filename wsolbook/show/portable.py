"""A network as the laboratory reads it: batch normalization folded, kernels as integers, one small file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor, nn

from wsolbook.backbones import Classifier
from wsolbook.data.transforms import MEAN, STD
from wsolbook.types import Network

SHIPPED = Path(__file__).with_name("networks")
KERNELS = 340_000  # bytes: a file is to have 350 kB, with all else
BRANCHES: dict[str, tuple[str, ...]] = {  # what the maps of each method need beside the trunk
    "cam": ("linear",),
    "spg": ("a3",),
    "acol": ("first", "second"),
    "seenet": ("s_a", "s_b"),
}
PLAIN: dict[str, dict[str, Any]] = {  # settings of methods that the page's arithmetic takes for granted
    "acol": {"fusion": "max"},
    "seenet": {
        "fusion": "max", "mirror": False, "scaled": "map", "sign_flip": True, "test_size": None,
        "test_thresholds": "training",
    },
}  # fmt: skip


def portable(
    model: nn.Module, names: tuple[str, ...], about: Mapping[str, Any] | None = None, bits: int = 8
) -> bytes:
    """Return a network on the trunk `tiny` as a safetensors file.

    Kernels become integers with a scale for each output channel: of 8 bits, but of 16 in the first layers,
    where errors would grow, as far as the file stays small.

    Args:
        model: a classifier, an SPG, an ACoL or a SeeNet whose trunk is 3x3 convolutions, each with its batch
            normalization, and 2x2 pools.
        names: of the classes.
        about: where the network comes from; kept in the header.
        bits: 16 for all kernels, however large the file.

    Raises:
        TypeError: when it is another kind of network.
        ValueError: when there is not one name a class, or the maps follow settings that the page does not.
    """
    method = "cam" if isinstance(model, Classifier) else getattr(model, "method", "")
    kind = getattr(getattr(model, "features", None), "name", "")
    if not (isinstance(model, Network) and method in BRANCHES and kind == "tiny"):
        known = "classifiers, SPG, ACoL and SeeNet on the trunk tiny"
        raise TypeError(f"the laboratory runs {known}, got {type(model).__name__}")
    if len(names) != model.settings["classes"]:
        raise ValueError(f"{len(names)} names given for {model.settings['classes']} classes")
    for key, value in PLAIN.get(method, {}).items():
        if model.settings[key] != value:
            raise ValueError(f"the laboratory runs {method} with {key}={value!r} only")
    tensors: dict[str, Tensor] = {}
    trunk, ends = model.get_submodule("features"), list(_branches(model, BRANCHES[method]))
    widths = _bits([trunk, *(body for _, body, _ in ends)], bits)
    layers = _layers(trunk, "layer", tensors, widths)
    branches = []
    for name, body, last in ends:
        branches.append({"name": name, "layers": _layers(body, f"{name}.layer", tensors, widths)})
        tensors[f"{name}.weight"] = last.get_parameter("weight").flatten(1)
        tensors[f"{name}.bias"] = last.get_parameter("bias")
    pool = getattr(model, "pool", "gap")
    network = {"names": names, "method": method, "pool": pool, "mean": MEAN, "std": STD}
    network |= {key: model.settings[key] for key in ("threshold", "low", "high") if key in model.settings}
    header = {"layers": layers, "branches": branches, "network": network, "about": about or {}}
    return save(
        {key: value.detach().cpu().contiguous() for key, value in tensors.items()},
        {k: json.dumps(v) for k, v in header.items()},
    )


def _branches(model: Network, names: tuple[str, ...]) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Yield what follows the trunk: a name, convolutions, and the layer whose outputs are the class maps."""
    for name in names:
        part = model.get_submodule(name)
        if name == "a3":
            yield name, part, model.get_submodule("a4")
        elif isinstance(part, nn.Sequential):
            yield name, part[:-1], part[-1]
        else:
            yield name, nn.Identity(), part


def _bits(parts: Sequence[nn.Module], least: int) -> dict[nn.Module, int]:
    """Return of how many bits the kernel of each convolution is."""
    kernels = {m: m.weight.numel() for part in parts for m in part.modules() if isinstance(m, nn.Conv2d)}
    room = KERNELS - sum(kernels.values())
    found: dict[nn.Module, int] = {}
    for convolution, size in kernels.items():
        found[convolution] = 16 if size <= room else least
        room -= size if size <= room else 0
    return found


def _layers(
    body: nn.Module, prefix: str, tensors: dict[str, Tensor], bits: Mapping[nn.Module, int]
) -> list[dict[str, Any]]:
    """Return what the page is to do, and put the numbers for it among the tensors."""
    found: list[dict[str, Any]] = []
    steps = [m for m in body.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d)]
    for step, following in zip(steps, [*steps, None][1:], strict=True):
        if isinstance(step, nn.MaxPool2d):
            found.append({"kind": "pool"})
        elif isinstance(step, nn.Conv2d):
            name = f"{prefix}{len(found)}"
            if isinstance(following, nn.BatchNorm2d):
                kernel, bias = folded(step, following)
            else:
                kernel, bias = step.weight.detach(), step.get_parameter("bias")
            whole, scale = integers(kernel, bits[step])
            tensors |= {f"{name}.kernel": whole, f"{name}.scale": scale, f"{name}.bias": bias}
            size = {"inputs": step.in_channels, "outputs": step.out_channels, "spread": step.dilation[0]}
            found.append({"kind": "convolution", "name": name} | size)
    return found


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
