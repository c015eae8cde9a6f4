"""Networks and pictures that several tests share."""

from __future__ import annotations

import torch
from torch import nn

from wsolbook.types import Batch


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch norm statistics and every layer values that would show a misplaced parameter."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
            with torch.no_grad():
                layer.weight.uniform_(0.5, 1.5, generator=generator)
                layer.bias.normal_(0, 0.2, generator=generator)
    return network.eval()


def pictures(size: int, n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1))


def batch(labels: list[list[float]], size: int = 64) -> Batch:
    return Batch(
        pictures(size, len(labels)), torch.tensor(labels, dtype=torch.float32), torch.arange(len(labels))
    )


def touched(net: nn.Module, term: torch.Tensor) -> set[str]:
    """Return the parts of the network that a loss term moves."""
    names, parameters = zip(*net.named_parameters(), strict=True)
    found = torch.autograd.grad(term, parameters, allow_unused=True, retain_graph=True)
    return {
        name.partition(".")[0]
        for name, g in zip(names, found, strict=True)
        if g is not None and g.abs().max() > 0
    }


def features_before(network: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """Run a torchvision network and return what one of its layers was given."""
    seen = []
    hook = network.get_submodule(layer).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(images)
    hook.remove()
    return seen[0]
