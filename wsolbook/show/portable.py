"""A network as the laboratory reads it: batch normalization folded, kernels as integers, one small file."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, unfold

from wsolbook.backbones import Classifier
from wsolbook.data.critters import Critters
from wsolbook.data.transforms import MEAN, STD
from wsolbook.types import Network

SHIPPED = Path(__file__).with_name("networks")
KERNELS = 340_000  # bytes: a file is to have 350 kB, with all else
CALIBRATION, DAMPING = 64, 0.01  # pictures on which rounding is to change little; share of their mean power
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
    model = copy.deepcopy(model).cpu().eval()
    trunk, ends = model.get_submodule("features"), list(_branches(model, BRANCHES[method]))
    widths = _bits([trunk, *(body for _, body, _ in ends)], bits)
    tensors: dict[str, Tensor] = {}
    seen = Critters(CALIBRATION, split="train").batch(range(CALIBRATION)).images
    layers, features = _layers(trunk, "layer", tensors, widths, seen)
    if method == "acol":
        features = avg_pool2d(features, 3, stride=1, padding=1)
    branches = []
    for name, body, last in ends:
        steps, _ = _layers(body, f"{name}.layer", tensors, widths, features)
        branches.append({"name": name, "layers": steps})
        tensors[f"{name}.weight"] = last.get_parameter("weight").flatten(1)
        tensors[f"{name}.bias"] = last.get_parameter("bias")
    pool = getattr(model, "pool", "gap")
    network = {"names": names, "method": method, "pool": pool, "mean": MEAN, "std": STD}
    network |= {key: model.settings[key] for key in ("threshold", "low", "high") if key in model.settings}
    header = {"layers": layers, "branches": branches, "network": network, "about": about or {}}
    return save(
        {key: value.detach().contiguous() for key, value in tensors.items()},
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
    body: nn.Module, prefix: str, tensors: dict[str, Tensor], bits: Mapping[nn.Module, int], seen: Tensor
) -> tuple[list[dict[str, Any]], Tensor]:
    """Return what the page is to do, and what it makes of `seen`; put its numbers among the tensors."""
    found: list[dict[str, Any]] = []
    steps = [m for m in body.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d)]
    for step, following in zip(steps, [*steps, None][1:], strict=True):
        if isinstance(step, nn.MaxPool2d):
            seen = step(seen)
            found.append({"kind": "pool"})
        elif isinstance(step, nn.Conv2d):
            name, spread = f"{prefix}{len(found)}", step.dilation[0]
            if isinstance(following, nn.BatchNorm2d):
                kernel, bias = folded(step, following)
            else:
                kernel, bias = step.weight.detach(), step.get_parameter("bias").detach()
            whole, scale = integers(kernel, bits[step], seen, spread)
            kernel = whole * scale[:, None, None, None]
            seen = conv2d(seen, kernel, bias, padding=spread, dilation=spread).relu()
            tensors |= {f"{name}.kernel": whole, f"{name}.scale": scale, f"{name}.bias": bias}
            size = {"inputs": step.in_channels, "outputs": step.out_channels, "spread": spread}
            found.append({"kind": "convolution", "name": name} | size)
    return found, seen


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


def integers(
    kernel: Float[Tensor, "o i 3 3"], bits: int, seen: Float[Tensor, "n i h w"], spread: int = 1
) -> tuple[Tensor, Float[Tensor, " o"]]:
    """Return a kernel as integers of 8 or 16 bits, and the scale of each output channel.

    What 8 bits take from a weight is made up by the weights after it, such that what the kernel makes of the
    features `seen` changes least (Frantar et al., "GPTQ", ICLR 2023); `spread` is its dilation.
    """
    largest = 2 ** (bits - 1) - 1
    scale = (kernel.abs().amax((1, 2, 3)) / largest).clamp(min=1e-12)
    exact = (kernel / scale[:, None, None, None]).flatten(1).double()
    if bits == 16:
        return exact.round().view_as(kernel).to(torch.int16), scale
    windows = unfold(seen, 3, dilation=spread, padding=spread).transpose(0, 1).flatten(1).double()
    moments = windows @ windows.T
    moments += (DAMPING * moments.diagonal().mean()).clamp(min=1e-12) * torch.eye(len(moments))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    factor = torch.linalg.cholesky(inverse, upper=True)
    whole = torch.zeros_like(exact)
    for k in range(exact.shape[1]):
        whole[:, k] = exact[:, k].round().clamp(-largest, largest)
        exact[:, k:] -= ((exact[:, k] - whole[:, k]) / factor[k, k])[:, None] * factor[k, k:]
    return whole.view_as(kernel).to(torch.int8), scale
