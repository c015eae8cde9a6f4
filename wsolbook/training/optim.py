"""Optimizers with the papers' parameter groups: new layers and biases learn faster, biases do not decay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn


@dataclass(frozen=True)
class Optim:
    """An optimizer and how it treats groups of parameters.

    Attributes:
        name: `"sgd"`, `"adam"` or `"adamw"`.
        lr: base learning rate.
        momentum: of SGD; Adam keeps its usual (0.9, 0.999).
        nesterov: Nesterov's form of the momentum.
        weight_decay: L2 penalty of the weights (decoupled for `"adamw"`).
        new_layers: factor on `lr` for layers without pre-trained weights, `model.new_parameters()`.
        biases: factor on `lr` for biases (2 in Caffe's recipes).
        decay_biases: whether biases decay too (no in Caffe's recipes).
        clip: largest norm of the gradient; 0 leaves it alone.
    """

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    new_layers: float = 1.0
    biases: float = 1.0
    decay_biases: bool = True
    clip: float = 0.0

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = [
            f"optim.{name} must be positive, got {getattr(self, name)}"
            for name in ("lr", "new_layers", "biases")
            if getattr(self, name) <= 0
        ]
        found += [
            f"optim.{name} must not be negative, got {getattr(self, name)}"
            for name in ("weight_decay", "clip")
            if getattr(self, name) < 0
        ]
        if not 0 <= self.momentum < 1:
            found.append(f"optim.momentum must be in [0, 1), got {self.momentum}")
        if self.nesterov and (self.name != "sgd" or self.momentum == 0):
            found.append("optim.nesterov needs sgd with momentum")
        return found


def parameter_groups(model: nn.Module, optim: Optim) -> list[dict[str, Any]]:
    """Sort the trainable parameters into pre-trained and new, weights and biases.

    A group holds `params`, `names`, `weight_decay`, and `scale`, its factor on the learning rate.
    """
    new = {id(p) for p in getattr(model, "new_parameters", tuple)()}
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_new, is_bias = id(parameter) in new, name.endswith("bias")
        group = groups.setdefault(
            (is_new, is_bias),
            {
                "group": ("new " if is_new else "") + ("biases" if is_bias else "weights"),
                "params": [],
                "names": [],
                "scale": (optim.new_layers if is_new else 1.0) * (optim.biases if is_bias else 1.0),
                "weight_decay": optim.weight_decay if optim.decay_biases or not is_bias else 0.0,
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def build_optimizer(groups: list[dict[str, Any]], optim: Optim) -> torch.optim.Optimizer:
    """Return the optimizer over `groups`, in its fused form where the device has one."""
    settings = [{"lr": optim.lr * g["scale"]} | {k: v for k, v in g.items() if k != "names"} for g in groups]
    fused = all(p.device.type in ("cpu", "cuda") for g in groups for p in g["params"])
    match optim.name:
        case "sgd":
            return torch.optim.SGD(
                settings, optim.lr, momentum=optim.momentum, nesterov=optim.nesterov, fused=fused
            )
        case "adam":
            return torch.optim.Adam(settings, optim.lr, fused=fused)
        case _:
            return torch.optim.AdamW(settings, optim.lr, fused=fused)


class Average:
    """Exponential moving average of the parameters; buffers follow the network."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = [p for p in model.parameters() if p.requires_grad]
        self.values = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the parameters by `1 - decay`."""
        torch._foreach_lerp_(self.values, [p.detach() for p in self.live], 1 - self.decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the parameters of the network and their average."""
        for live, value in zip(self.live, self.values, strict=True):
            kept = live.clone()
            live.copy_(value)
            value.copy_(kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the network for the length of a block."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
