"""What every method does with the user's network: unwrap it, run it in evaluation mode, name its layers."""

from __future__ import annotations

import difflib
import re
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

PASSIVE = ("torch.nn.modules.pooling", "torch.nn.modules.dropout")  # a map behind these is a lesser copy


def unwrap(model: nn.Module) -> nn.Module:
    """Return the user's own network inside `torch.compile`, DDP and DataParallel wrappers."""
    while isinstance(model, DistributedDataParallel | DataParallel) or hasattr(model, "_orig_mod"):
        inner = model._orig_mod if hasattr(model, "_orig_mod") else model.module
        assert isinstance(inner, nn.Module)
        model = inner
    return model


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switch every module to evaluation mode, and back to the flag each one had."""
    training = [module for module in network.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def eager() -> Any:
    """Run compiled networks uncompiled inside the block, so that hooks see what really happens."""
    compiled = "torch._dynamo" in sys.modules  # importing it takes seconds, and is needed to compile
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


def forward(network: nn.Module, images: Tensor) -> Any:
    """Return the output of the network.

    Raises:
        TypeError: when the images are not floating point.
        ValueError: when they are no batch of pictures or volumes, or have the wrong number of channels.
    """
    shape = tuple(images.shape)
    if not images.is_floating_point():
        raise TypeError(f"images must be floating point (see transforms.to_network), got {images.dtype}")
    if images.ndim not in (4, 5):
        raise ValueError(f"images must have shape (n, channels, height, width), got {shape}")
    try:
        return network(images)
    except RuntimeError as error:
        convolutions = (m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Conv3d))
        first = next(convolutions, None)
        if first is not None and first.in_channels != shape[1]:
            raise ValueError(
                f"the network reads {first.in_channels} channels, images of shape {shape} have {shape[1]}"
            ) from error
        raise


def locate(network: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """Return dotted name and module of a layer that is given as either.

    Raises:
        ValueError: when the network has no such layer; the message offers similar names.
    """
    modules = dict(network.named_modules())
    if isinstance(layer, nn.Module):
        for name, module in modules.items():
            if module is layer:
                return name, module
        raise ValueError(f"the layer {type(layer).__name__} is no part of this {type(network).__name__}")
    name = layer if layer in modules else re.sub(r"^((module|_orig_mod)\.)+", "", layer)
    if not name or name not in modules:
        similar = difflib.get_close_matches(name, modules, n=3) or [n for n, _ in network.named_children()]
        raise ValueError(
            f"{type(network).__name__} has no layer {layer!r}; did you mean {' or '.join(similar)}?"
        )
    return name, modules[name]


@dataclass
class Output:
    """One tensor that a module returned: the outermost module that returned this very tensor names it."""

    name: str
    tensor: weakref.ref[Tensor]
    shape: tuple[int, ...]
    passive: bool
    attended: bool = False


@contextmanager
def outputs(network: nn.Module) -> Iterator[list[Output]]:
    """List the tensors that modules return inside the block, in order, without keeping them alive."""
    seen: list[Output] = []

    def note(name: str, module: nn.Module, output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        if seen and seen[-1].tensor() is output:  # an enclosing module, or an in-place one
            seen[-1].name = name
        else:
            passive = type(module).__module__ in PASSIVE
            seen.append(Output(name, weakref.ref(output), tuple(output.shape), passive))

    def read(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if seen and inputs:
            seen[-1].attended = seen[-1].attended or seen[-1].tensor() is inputs[0]

    attention = [module for module in network.modules() if "attention" in type(module).__name__.lower()]
    handles = [module.register_forward_pre_hook(read) for module in attention]
    handles += [
        module.register_forward_hook(lambda module, _, output, name=name: note(name, module, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def last_map(seen: list[Output]) -> str:
    """Return the name of the last map that still has positions and is no pooled copy of an earlier one.

    Raises:
        ValueError: when no layer returns a map.
    """
    for output in reversed(seen):
        if len(output.shape) > 3 and prod(output.shape[2:]) > 1 and not output.passive:
            return output.name
    raise ValueError(
        'no layer returns a map (n, channels, height, width); for a transformer pass reshape="tokens"'
    )


def last_tokens(seen: list[Output]) -> str:
    """Return the name of the layer whose output the last attention reads.

    What comes later will not do: a class token reads the others for the last time there, so the
    gradient of the scores with respect to the other tokens of any later layer is zero.

    Raises:
        ValueError: when no attention module reads the output of a layer.
    """
    for output in reversed(seen):
        if output.attended:
            return output.name
    raise ValueError("no layer feeds an attention module: name the layer whose tokens to explain")


def name_of(tensor: Tensor, seen: list[Output]) -> str:
    """Return the name of the module that returned `tensor`, or the last one with an output of its shape."""
    for output in reversed(seen):
        if output.tensor() is tensor:
            return output.name
    return next((output.name for output in reversed(seen) if output.shape == tuple(tensor.shape)), "")
