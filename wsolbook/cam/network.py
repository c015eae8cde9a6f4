"""What every method does with the user's network: unwrap it, have it to itself, run it in evaluation mode."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

_guard = Lock()  # of the two below
_locks: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
_stances: list[Any] = []  # one for each block of `eager` that is open, in any thread

INSIDE_COMPILE = "torch.compile is around a method of wsolbook: compile the network alone, and pass that"


def unwrap(model: nn.Module) -> nn.Module:
    """Return the user's own network inside `torch.compile`, DDP and DataParallel wrappers.

    Raises:
        ValueError: when `torch.compile` is at work around the call.
    """
    if torch.compiler.is_compiling():
        raise ValueError(INSIDE_COMPILE)
    while isinstance(model, DistributedDataParallel | DataParallel) or hasattr(model, "_orig_mod"):
        inner = model._orig_mod if hasattr(model, "_orig_mod") else model.module
        assert isinstance(inner, nn.Module)
        model = inner
    return model


@contextmanager
def alone(network: nn.Module) -> Iterator[None]:
    """Keep the methods of other threads off this network inside the block; they wait.

    Hooks and flags belong to a network, not to a thread. Plain calls of the network are not held up, and see
    the flags of whoever explains it.
    """
    with _guard:
        lock = _locks.setdefault(network, RLock())
    with lock:
        yield


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switch every module to evaluation mode, alone with the network, and back to the flag each one had."""
    with alone(network):
        training = [module for module in network.modules() if getattr(module, "training", False)]
        try:
            for module in training:
                module.training = False
            yield
        finally:
            for module in training:
                module.training = True


@contextmanager
def eager() -> Iterator[None]:
    """Run compiled networks uncompiled inside the block, so that hooks see what really happens.

    The compiler's stance is one for all threads: the first to come sets it, the last to leave restores it.
    """
    if "torch._dynamo" not in sys.modules:  # importing it takes seconds, and is needed to compile
        yield
        return
    with _guard:
        try:
            _stances.append(_stances[0] if _stances else torch.compiler.set_stance("force_eager"))
        except RuntimeError:
            raise ValueError(INSIDE_COMPILE) from None
    try:
        yield
    finally:
        with _guard:
            stance = _stances.pop()
            if not _stances:
                stance.__exit__(None, None, None)


def require_images(images: Any) -> None:
    """Raise an error when images are no batch that a network can read.

    Raises:
        TypeError: when they are no tensor, or not floating point.
        ValueError: when they are no batch of pictures or volumes, or an empty one.
    """
    if not isinstance(images, Tensor):
        use = "torch.stack" if isinstance(images, list | tuple) else "torch.from_numpy"
        raise TypeError(
            f"images must be a tensor (n, channels, height, width), got a {type(images).__name__}: use "
            f"{use}, and transforms.to_network for pixels in [0, 1]"
        )
    if not images.is_floating_point():
        raise TypeError(f"images must be floating point (see transforms.to_network), got {images.dtype}")
    if images.ndim not in (4, 5):
        raise ValueError(f"images must have shape (n, channels, height, width), got {tuple(images.shape)}")
    if len(images) == 0:
        raise ValueError(f"images are an empty batch, of shape {tuple(images.shape)}: pass at least one")


def forward(network: nn.Module, images: Tensor) -> Any:
    """Return the output of the network.

    Raises:
        TypeError: when the images are no tensor, or not floating point.
        ValueError: when they are no batch of pictures or volumes, or have the wrong number of channels.
    """
    require_images(images)
    if images.is_inference() and not torch.is_inference_mode_enabled():
        images = images.clone()  # in-place operations refuse such tensors
    shape = tuple(images.shape)
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


def require_visible(network: nn.Module) -> None:
    """Raise a ValueError when the layers of a network cannot be seen, because it is no Python any more."""
    for module in network.modules():
        exported = isinstance(module, torch.fx.GraphModule) and any(
            isinstance(node.target, torch._ops.OpOverload) for node in module.graph.nodes
        )
        if exported or isinstance(module, torch.jit.ScriptModule):
            kind = "exported" if exported else "scripted or traced"
            raise ValueError(
                f"{type(module).__name__} is {kind}: its layers cannot be seen. Pass the network it was "
                "made from, or use backprop or occlusion"
            )


def names_of(network: nn.Module) -> tuple[str, ...]:
    """Return what the classes of a network are called: its `names`, if it has any."""
    names = getattr(network, "names", ())
    return tuple(names) if isinstance(names, list | tuple) and all(isinstance(n, str) for n in names) else ()


def quantized(network: nn.Module) -> str:
    """Return which layer of a network is quantized and what to do about it, or nothing."""
    for name, module in network.named_modules():
        if ".quantized." in type(module).__module__:
            return f"layer {name} is quantized and has no gradient: explain the network as it was before"
    return ""


def why_no_gradient(network: nn.Module) -> str:
    """Return what may have cut the graph before the scores, and what to do about it."""
    return quantized(network) or (
        f"does {type(network).__name__} itself use torch.no_grad, torch.inference_mode or detach (take them "
        "out), or torch.utils.checkpoint (pass use_reentrant=False)?"
    )


@contextmanager
def differentiating() -> Iterator[None]:
    """Explain what checkpointing says when it cannot give the gradient that is asked for inside the block."""
    try:
        yield
    except RuntimeError as error:
        if "checkpoint" not in str(error):
            raise
        raise ValueError(
            "torch.utils.checkpoint in the network hides the gradient: pass use_reentrant=False to it, or "
            "switch it off"
        ) from error
