"""The one hook engine: a forward pass without a graph up to a layer and with one after it.

Grad-CAM needs the gradient of a score with respect to one layer. What lies before that layer takes no part
in it, so its forward pass runs as in inference; the layer's output becomes the leaf of a small graph, that of
the head. Time and memory are those of inference, and the gradient is the full definition's, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import isqrt
from threading import get_ident
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wsolbook.cam.classes import Classes, Score, score
from wsolbook.cam.heads import HeadWatch, version
from wsolbook.cam.layers import locate
from wsolbook.cam.network import (
    alone,
    differentiating,
    eager,
    names_of,
    quantized,
    require_visible,
    unwrap,
    why_no_gradient,
)

Reshape = Literal["tokens"] | tuple[int, int] | Callable[[Tensor], Tensor] | None
Differentiable = Literal["maps"] | bool


class Tape:
    """What `record` keeps of one forward pass: the activation of a layer and the graph that follows it.

    Attributes:
        layer: dotted name of the layer.
        activation: its output, `(n, K, *space)`.
    """

    def __init__(
        self, network: nn.Module, layer: str, reshape: Reshape, differentiable: Differentiable
    ) -> None:
        self.layer = layer
        self._network = network
        self._passes = 0
        self.differentiable = differentiable
        self._reshape = reshape
        self._thread = get_ident()
        self._head = HeadWatch()
        self._leaf: Tensor | None = None
        self._passed_on: Tensor | None = None

    def _capture(self, module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
        """Start the graph here: the forward hook of the layer."""
        if get_ident() != self._thread:  # a plain call of the same network
            return None
        if not isinstance(output, Tensor):
            raise ValueError(
                f"layer {self.layer} returns a {type(output).__name__}, not a tensor; choose one inside it"
            )
        if not output.is_floating_point():
            raise ValueError(
                f"layer {self.layer} returns {output.dtype}, not floating point: "
                f"{quantized(self._network) or 'choose another'}"
            )
        if torch.is_inference_mode_enabled():  # the block switched off that of the caller
            raise ValueError(
                f"{type(self._network).__name__} itself uses torch.inference_mode around layer {self.layer}: "
                "take that out of it, and put it around the call"
            )
        as_map(output, self._reshape, self.layer)
        # A graph that is there begins where training wants it, or at the layer of a block around this one.
        self._leaf = output if output.requires_grad else output.detach().requires_grad_()
        torch.set_grad_enabled(True)
        self._passed_on = self._leaf.clone()  # an in-place ReLU may overwrite the copy, not the leaf
        return self._passed_on

    def _count(self, *_: Any) -> None:
        """Count the passes of the network: its forward pre-hook."""
        self._passes += get_ident() == self._thread

    @property
    def activation(self) -> Float[Tensor, "n K *space"]:
        """The layer's output as a map, untouched by whatever the network did to it afterwards."""
        return as_map(self._reached(), self._reshape, self.layer)

    def gradients(self, scores: Float[Tensor, "n k"]) -> Float[Tensor, "n k K *space"]:
        """Differentiate each column of the scores with respect to the activation.

        Raises:
            ValueError: when the layer was never reached or the scores do not depend on it.
        """
        leaf = self._reached()
        if len(scores) != len(leaf):
            raise ValueError(
                f"{len(scores)} rows of scores for the {len(leaf)} images that {self.layer} saw"
                f"{self._again(': ')}"
            )
        with torch.inference_mode(False), torch.enable_grad(), differentiating():
            columns = torch.eye(scores.shape[1], dtype=scores.dtype, device=scores.device)
            found = vjp(scores, leaf, columns[:, None].expand(-1, *scores.shape), self.differentiable is True)
        if found is None:
            reason = self._again() or why_no_gradient(self._network)
            raise ValueError(f"the scores do not depend on layer {self.layer} through a graph: {reason}")
        maps = as_map(found.flatten(0, 1), self._reshape, self.layer)
        return maps.unflatten(0, found.shape[:2]).transpose(0, 1)

    def class_weights(self, output: Any) -> Float[Tensor, "c K"] | None:
        """Return the weights of the linear layer if only global pooling and this layer follow; else None."""
        read = self._head.map
        untouched = read is not None and read is self._passed_on and version(read) == 0
        return self._head.weight() if untouched and not self._head.why_not(output) else None

    def score(self, output: Any, classes: Classes | Score) -> tuple[Tensor, Tensor]:
        """Return the scores to differentiate and their classes, both `(n, k)`; see `classes.score`."""
        with torch.inference_mode(False), torch.enable_grad():
            return score(classes, output, names_of(self._network))

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Inside the block, arithmetic on activations and gradients builds a graph only if it shall."""
        with torch.inference_mode(False), torch.set_grad_enabled(bool(self.differentiable)):
            yield

    def _again(self, before: str = "") -> str:
        """Return what is to be said, after `before`, when the network ran more than once."""
        if self._passes < 2:
            return ""
        return (
            f"{before}the network ran {self._passes} times in the block, and its last pass is recorded: use "
            "the output of that, or a block for each"
        )

    def _reached(self) -> Tensor:
        if self._leaf is None:
            raise ValueError(f"layer {self.layer} was never reached in the forward pass")
        return self._leaf


@contextmanager
def record(
    model: nn.Module,
    layer: str | nn.Module,
    *,
    reshape: Reshape = None,
    differentiable: Differentiable = False,
) -> Iterator[Tape]:
    """Record one layer while the user runs the network inside the block.

    Exact for whatever follows the layer: in-place and functional operations, branches, any head. Works
    under `torch.no_grad`, `torch.inference_mode` and autocast, with frozen parameters, for compiled networks
    (which run uncompiled inside the block) and under DDP. The block leaves behind no hook, no gradient and no
    changed flag. The network runs in the mode it is in: call `model.eval()` unless you mean otherwise.
    Threads may share a network: a block, and every method of this package, waits until those of other threads
    on the same network have ended. Blocks may be nested, for several layers of one pass.

    Args:
        model: the network.
        layer: dotted name or module; where it, or the network, runs several times, its last output counts.
        reshape: how to read the layer's output as a map `(n, K, h, w)`: None if it is one; `"tokens"` for a
            transformer's `(n, tokens, K)` on a square grid, after up to five tokens of another kind, or
            `(n, h, w, K)`; the grid `(h, w)`; or a function.
        differentiable: keep the whole graph, so that a loss of the map that `grad_cam_of` computes from the
            tape reaches the parameters (GAIN); `"maps"` takes the weights of the channels as constants, so
            that it does so through the activation alone, at the price of first derivatives.

    Raises:
        ValueError: when the network has no such layer, or its output is no map.
    """
    network = unwrap(model)
    require_visible(network)
    name, module = locate(network, layer)
    tape = Tape(network, name, reshape, differentiable)
    with ExitStack() as stack:
        stack.enter_context(alone(network))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(bool(differentiable)))
        stack.enter_context(eager())
        if isinstance(model, DistributedDataParallel) and not differentiable:
            stack.enter_context(model.no_sync())
        stack.callback(network.register_forward_pre_hook(tape._count).remove)
        stack.callback(module.register_forward_hook(tape._capture).remove)
        stack.enter_context(tape._head)
        yield tape


def as_map(tensor: Tensor, reshape: Reshape, layer: str) -> Float[Tensor, "n K *space"]:
    """Return a layer's output, or its gradient, as a map.

    Raises:
        ValueError: when that is impossible, saying what to pass.
    """
    shape = tuple(tensor.shape)
    if callable(reshape):
        tensor = reshape(tensor)
    elif reshape is not None and tensor.ndim > 3:
        tensor = tensor.movedim(-1, 1)
    elif reshape is not None and tensor.ndim == 3:
        height, width = square_grid(shape[1], layer) if reshape == "tokens" else reshape
        if height * width > shape[1]:
            raise ValueError(f"layer {layer} returns {shape[1]} tokens, fewer than {height} x {width}")
        tensor = tensor[:, shape[1] - height * width :].unflatten(1, (height, width)).movedim(-1, 1)
    if tensor.ndim < 4:
        hint = 'pass reshape="tokens"' if len(shape) == 3 else "choose an earlier layer"
        raise ValueError(f"layer {layer} returns {shape}, not a map (n, channels, height, width): {hint}")
    return tensor


def require_same_shape(tape: Tape, images: Tensor) -> None:
    """Raise a ValueError when a grid of tokens is not as high and wide, in proportion, as the images are."""
    (height, width), (h, w) = images.shape[-2:], tape.activation.shape[-2:]
    if abs(h * width - w * height) >= max(height, width):
        raise ValueError(
            f"the tokens of layer {tape.layer} were read as {h} x {w}, which images of {height} x {width} "
            "are not (windows of a larger grid?): name another layer, or pass the grid or a function"
        )


def square_grid(tokens: int, layer: str) -> tuple[int, int]:
    """Return the sides of the square that the last tokens form, after at most five others."""
    for others in range(min(6, tokens)):
        side = isqrt(tokens - others)
        if side * side == tokens - others:
            return side, side
    raise ValueError(f"the {tokens} tokens of layer {layer} form no square: pass the grid as reshape=(h, w)")


def vjp(scores: Tensor, leaf: Tensor, cotangents: Tensor, create_graph: bool) -> Tensor | None:
    """Pull k cotangents `(k, *scores.shape)` back to the leaf in one batched pass, `(k, *leaf.shape)`.

    Returns None when the scores do not depend on the leaf.
    """
    if not scores.requires_grad:
        return None
    keep = {"retain_graph": True, "create_graph": create_graph, "allow_unused": True}
    if len(cotangents) == 1:
        (found,) = torch.autograd.grad(scores, leaf, cotangents[0], **keep)
        return None if found is None else found[None]
    try:
        (found,) = torch.autograd.grad(scores, leaf, cotangents, is_grads_batched=True, **keep)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        rows = [torch.autograd.grad(scores, leaf, c, **keep)[0] for c in cotangents]  # no batching rule
        return None if rows[0] is None else torch.stack(rows)
    return found
