"""The layers of a network: find one by name, list what they return, choose the one to explain."""

from __future__ import annotations

import difflib
import re
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from wsolbook.cam.heads import HeadWatch
from wsolbook.cam.network import eager, evaluating, forward, require_visible, unwrap

PASSIVE = ("torch.nn.modules.pooling", "torch.nn.modules.dropout")  # a map behind these is a lesser copy

_known: WeakKeyDictionary[nn.Module, dict[bool, str]] = WeakKeyDictionary()


def default_layer(model: nn.Module, images: Tensor, reshape: Any = None) -> str:
    """Return the layer that `grad_cam` explains when none is given.

    It is the one whose map global pooling reads before the linear layers: `layer4` of a ResNet. Without
    global pooling it is the last one whose output still has more than one position and is no pooled copy of
    an earlier map: `features.29`, the last ReLU, of VGG-16. With `reshape` it is the normalization that feeds
    the last attention.

    Raises:
        ValueError: when there is none, or several heads read the maps; the message says what to pass.
    """
    network, tokens = unwrap(model), reshape is not None
    with evaluating(network):
        names = _known.setdefault(network, {})
        if tokens not in names:
            output, seen, head = watch(network, images[:1])
            if several(output):
                raise ValueError(
                    f"{type(network).__name__} returns a {type(output).__name__} of several outputs: name "
                    f"the layer to explain, for example {' or '.join(outermost_maps(seen)[-3:])}"
                )
            if tokens:
                names[tokens] = last_tokens(seen)
            elif head.linears and head.map is not None:
                names[tokens] = name_of(head.map, seen)
            else:
                names[tokens] = last_map(seen)
        return names[tokens]


def watch(network: nn.Module, images: Tensor) -> tuple[Any, list[Output], HeadWatch]:
    """Run a network in evaluation mode, without a graph; return its output, its layers' outputs, its head."""
    with ExitStack() as stack:
        for context in (torch.inference_mode(False), torch.no_grad(), evaluating(network), eager()):
            stack.enter_context(context)
        seen, head = stack.enter_context(outputs(network)), stack.enter_context(HeadWatch())
        return forward(network, images), seen, head


def several(output: Any) -> bool:
    """Say whether a network returned more than one tensor, or a list, as detectors do."""
    if isinstance(output, Mapping):
        output = tuple(output.values())
    return isinstance(output, list | tuple) and (isinstance(output, list) or len(output) > 1)


def locate(network: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """Return dotted name and module of a layer that is given as either.

    Raises:
        TypeError: when it is given as anything else.
        ValueError: when the network has no such layer; the message offers similar names.
    """
    if not isinstance(layer, str | nn.Module):
        raise TypeError(
            f"layer must be a dotted name or a module, got {type(layer).__name__}: one at a time; blocks of "
            "`record` may be nested"
        )
    modules = dict(network.named_modules())
    if isinstance(layer, nn.Module):
        for name, module in modules.items():
            if module is layer:
                return name, module
        raise ValueError(f"the layer {type(layer).__name__} is no part of this {type(network).__name__}")
    name = layer if layer in modules else re.sub(r"^((module|_orig_mod)\.)+", "", layer)
    if not name or name not in modules:
        similar = difflib.get_close_matches(name, modules, n=3) or [n for n, _ in network.named_children()]
        hint = f"; did you mean {' or '.join(similar)}?" if similar else ": it is a single layer"
        raise ValueError(f"{type(network).__name__} has no layer {layer!r}{hint}")
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
    require_visible(network)
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


def is_map(output: Output) -> bool:
    """Say whether an output has positions and is no pooled copy of an earlier one."""
    return len(output.shape) > 3 and prod(output.shape[2:]) > 1 and not output.passive


def outermost_maps(seen: list[Output]) -> list[str]:
    """Return the names of the modules that return maps and lie in no other such module."""
    names = [output.name for output in seen if is_map(output)]
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]


def last_map(seen: list[Output]) -> str:
    """Return the name of the last map that still has positions and is no pooled copy of an earlier one.

    Raises:
        ValueError: when no layer returns a map, or tokens follow it.
    """
    for place in reversed(range(len(seen))):
        if is_map(seen[place]) and not any(len(later.shape) == 3 for later in seen[place:]):
            return seen[place].name
        if is_map(seen[place]):
            raise ValueError(
                f"tokens follow {seen[place].name}, the last map (n, channels, height, width): "
                'pass reshape="tokens", or a layer'
            )
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
