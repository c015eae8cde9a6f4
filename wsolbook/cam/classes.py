"""Which class, or which score, of each image a map shall explain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Score = Callable[[Any], Tensor]
Classes = int | Sequence[int] | Tensor | None


def choose(classes: Classes, logits: Any) -> Tensor:
    """Return the wanted classes as `(n, k)` indices.

    Args:
        classes: None for the class of the highest logit, one class for all images, `(n,)` for one class
            an image, or `(n, k)` for k classes an image.
        logits: what the network returned, `(n, c)`.

    Raises:
        TypeError: when the network's output is no tensor, or classes are not integers.
        ValueError: when the output is not `(n, c)`, the number of images differs, or a class does not exist.
    """
    if not isinstance(logits, Tensor):
        raise TypeError(f"the network returns a {type(logits).__name__}: pass classes as a function of it")
    if logits.ndim != 2:
        raise ValueError(
            f"the network's output has shape {tuple(logits.shape)}, not (n, classes): "
            "pass classes as a function that turns it into scores (n,) or (n, k)"
        )
    if classes is None:
        return logits.argmax(1, keepdim=True)
    n, count = logits.shape
    chosen = torch.as_tensor(classes, device=logits.device)
    if chosen.dtype.is_floating_point or chosen.dtype in (torch.bool, torch.complex64):
        raise TypeError(f"classes must be integers, got {chosen.dtype}")
    chosen = chosen.long()
    chosen = chosen.expand(n, 1) if chosen.ndim == 0 else chosen[:, None] if chosen.ndim == 1 else chosen
    if chosen.ndim != 2 or len(chosen) != n:
        raise ValueError(
            f"classes must be one number, (n,) or (n, k) for n = {n} images, got {tuple(chosen.shape)}"
        )
    wrong = chosen[(chosen < 0) | (chosen >= count)]
    if len(wrong):
        raise ValueError(f"class {int(wrong[0])} does not exist: the network has classes 0 to {count - 1}")
    return chosen


def score(classes: Classes | Score, output: Any) -> tuple[Tensor, Tensor]:
    """Return the scores `(n, k)` to differentiate and what to call them, `(n, k)` indices.

    Args:
        classes: as in `choose`, or a function that turns the network's output into `(n,)` or `(n, k)`
            scores; its columns are then the classes.
        output: what the network returned.

    Raises:
        ValueError: when a function returns anything else.
    """
    if not callable(classes):
        chosen = choose(classes, output)
        return output.gather(1, chosen), chosen
    scores = classes(output)
    if not isinstance(scores, Tensor) or scores.ndim not in (1, 2):
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"the function given as classes must return scores (n,) or (n, k), got {got}")
    scores = scores[:, None] if scores.ndim == 1 else scores
    return scores, torch.arange(scores.shape[1], device=scores.device).expand(scores.shape)
