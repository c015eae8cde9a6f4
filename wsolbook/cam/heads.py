"""The head that CAM needs, global pooling and one linear layer, recognized by watching it work."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

POOLINGS = {"mean", "amax"} | {
    f"{kind}_pool{d}d" for kind in ("avg", "max", "adaptive_avg", "adaptive_max") for d in (2, 3)
}


class HeadWatch(TorchFunctionMode):
    """Inside the block, remember the last global pooling and the last linear layer of a forward pass.

    It sees calls of functions, so it does not matter whether a network pools by a module, by
    `x.mean((2, 3))`, or after a functional ReLU. What is written to a tensor in place after it was seen shows
    in the tensor's version.

    Attributes:
        map: what the last global pooling read, `(n, K, *space)`, or None.
        pooled: what it returned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.map: Tensor | None = None
        self.pooled: Tensor | None = None
        self.linears: list[tuple[Tensor, Tensor, Tensor]] = []  # input, weight, output
        self._versions: dict[str, int] = {}
        self._kept = True  # whether the pooled features reached the linear layer as they were

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function and look at it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if getattr(func, "__name__", "") in POOLINGS:
            read = args[0] if args else kwargs["input"]
            if read.ndim > 3 and result.shape[:2] == read.shape[:2] and result.shape[2:].numel() == 1:
                self.map, self.pooled, self.linears = read, result, []
                self._versions = {"map": version(read), "pooled": version(result)}
        elif func is F.linear and args[0].ndim == 2:
            self.linears.append((args[0], args[1], result))
            self._kept = self.pooled is not None and version(self.pooled) == self._versions["pooled"]
            self._versions["scores"] = version(result)
        return result

    def why_not(self, logits: Any) -> str:
        """Return why these logits are no linear function of the pooled map; empty if they are."""
        if not isinstance(logits, Tensor):
            return f"returns a {type(logits).__name__}"
        if self.map is not None and version(self.map) != self._versions["map"]:
            return "writes over its map after pooling it"
        if self.pooled is not None and same(logits, self.pooled):
            kept = version(self.pooled) == self._versions["pooled"]
            return "" if kept else "changes the pooled features in place"
        if len(self.linears) > 1:
            return f"ends in {len(self.linears)} linear layers"
        if self.pooled is None:
            return "has no global pooling"
        if not self.linears:
            return "has no linear layer after the pooling"
        read, _, scores = self.linears[0]
        if not (self._kept and same(read, self.pooled)):
            return "changes the pooled features before its linear layer"
        kept = version(scores) == self._versions["scores"]
        return "" if kept and same(logits, scores) else "changes the scores after its linear layer"

    def weight(self) -> Tensor:
        """Return the class weights `(c, K)`; identity where the pooled channels are the scores themselves."""
        if self.linears:
            return self.linears[0][1]
        assert self.pooled is not None
        return torch.eye(self.pooled.shape[1], device=self.pooled.device)


def version(tensor: Tensor) -> int:
    """Return how often a tensor was written to; -1 where the network's own inference mode does not count."""
    return -1 if tensor.is_inference() else tensor._version


def same(a: Tensor, b: Tensor) -> bool:
    """Say whether two tensors hold the same values, `(n, K)` and `(n, K, 1, 1)` taken as equal shapes."""
    if a is b:
        return True
    if a.ndim != 2 or a.numel() != b.numel() or a.shape[0] != b.shape[0]:
        return False
    return torch.allclose(a, b.flatten(1).to(a.dtype), rtol=0, atol=0, equal_nan=True)
