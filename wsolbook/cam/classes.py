"""Which class, or which score, of each image a map shall explain."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from wsolbook.doubts import wrong

Score = Callable[[Any], Tensor]
Classes = int | str | Sequence[int] | Sequence[str] | Tensor | None


def choose(classes: Classes, logits: Any, names: Sequence[str] = ()) -> Tensor:
    """Return the wanted classes as `(n, k)` indices.

    Args:
        classes: None for the class of the highest logit, one class for all images, `(n,)` for one class
            an image, or `(n, k)` for k classes an image; a class is a number or a name. `"top3"` is the best
            three of each image.
        logits: what the network returned, `(n, c)`.
        names: what the classes are called; empty when nobody said.

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
    if isinstance(classes, str) and (k := best(classes)):
        return logits.argsort(dim=1, descending=True, stable=True)[:, :k]
    if isinstance(classes, str):
        classes = find_class(classes, names, count)
    elif isinstance(classes, list | tuple):
        classes = [find_class(each, names, count) if isinstance(each, str) else each for each in classes]
    chosen = torch.as_tensor(classes)
    if chosen.dtype.is_floating_point or chosen.dtype in (torch.bool, torch.complex64):
        raise TypeError(f"classes must be integers, got {chosen.dtype}")
    chosen = chosen.long()
    chosen = chosen.expand(n, 1) if chosen.ndim == 0 else chosen[:, None] if chosen.ndim == 1 else chosen
    if chosen.ndim != 2 or len(chosen) != n:
        raise ValueError(
            f"classes must be one number, (n,) or (n, k) for n = {n} images, got {tuple(chosen.shape)}"
        )
    outside = (chosen < 0) | (chosen >= count)  # asked where it was given: no device need be waited for
    if wrong(outside.any()):
        strange = int(chosen[outside][0])
        raise ValueError(f"class {strange} does not exist: the network has classes 0 to {count - 1}")
    return chosen.clamp(0, count - 1).to(logits.device, non_blocking=chosen.is_cpu)


def best(word: str) -> int:
    """Return how many of the best classes a word such as `"top3"` means; 0 if it is none."""
    found = re.fullmatch(r"top([1-9]\d*)", word)
    return int(found[1]) if found else 0


def find_class(wanted: str, names: Sequence[str], count: int | None = None) -> int:
    """Return the index of a class given by its number or, capitals aside, its name.

    Args:
        wanted: name or number.
        names: what the classes are called.
        count: how many there are; None where there are as many as names.

    Raises:
        ValueError: when there is none, or several of the same name; naming it.
    """
    count = len(names) if count is None else count
    if wanted.removeprefix("-").isdecimal():
        if not 0 <= int(wanted) < count:
            raise ValueError(f"class {wanted} does not exist: the network has classes 0 to {count - 1}")
        return int(wanted)
    if len(names) != count:
        raise ValueError(
            f"the network has {len(names) or 'no'} names for its {count} classes: pass the number of "
            f"{wanted!r}, or set `names` of the network to a tuple with the name of each class"
        )
    lower = [name.lower() for name in names]
    places = [i for i, name in enumerate(lower) if name == wanted.lower()]
    if len(places) == 1:
        return places[0]
    if places:
        raise ValueError(
            f"several classes are called {wanted!r}; pass a number: {' or '.join(map(str, places))}"
        )
    near = difflib.get_close_matches(wanted.lower(), lower, n=3)
    near = near or [name for name in lower if wanted.lower() in name][:3]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"no class is called {wanted!r}{hint}")


def score(classes: Classes | Score, output: Any, names: Sequence[str] = ()) -> tuple[Tensor, Tensor]:
    """Return the scores `(n, k)` to differentiate and what to call them, `(n, k)` indices.

    Args:
        classes: as in `choose`, or a function that turns the network's output into `(n,)` or `(n, k)`
            scores; its columns are then the classes.
        output: what the network returned.
        names: as in `choose`.

    Raises:
        ValueError: when a function returns anything else.
    """
    if not callable(classes):
        chosen = choose(classes, output, names)
        return output.gather(1, chosen), chosen
    scores = classes(output)
    if not isinstance(scores, Tensor) or scores.ndim not in (1, 2):
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"the function given as classes must return scores (n,) or (n, k), got {got}")
    scores = scores[:, None] if scores.ndim == 1 else scores
    return scores, torch.arange(scores.shape[1], device=scores.device).expand(scores.shape)
